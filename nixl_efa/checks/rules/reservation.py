"""The launch's reservation: the findings of capacity.judge, its region when it isn't in the launch's, the health of its
UltraServer, and nodes that run in another reservation."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from nixl_efa.capacity.judge import command, id_finding, judge, parameter_command
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.capacity.room import Use, awaits_places, use_command
from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.ownership import of_another
from nixl_efa.checks.rules.common import aws, no_answer, tenancy
from nixl_efa.findings import Finding, Level, counted, failed, listed, passed, skipped, warned
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch
from nixl_efa.times import moment
from nixl_efa.ultra_servers import is_ultra_server

ZONE = "reservation zone"


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """Everything about the reservation, from its id to the time that is left."""
    if isinstance(facts.reservation_id, NoAnswer):
        return [no_answer("reservation", facts.reservation_id, parameter_command(launch))]
    name = facts.reservation_id or ""
    fault = id_finding(launch, name)
    if not launch.reservation.is_named:
        return [fault] if fault else []
    if isinstance(facts.reservations, NoAnswer):
        return [
            fault
            or no_answer("reservation", facts.reservations, command(name, launch.region, launch.profile))
        ]
    switch = _switch(launch, facts, facts.reservations, now)
    if fault:
        return [fault, switch]
    found = of(facts)
    if found is None:
        missing = _missing(launch, facts, name, now)
        if runs_without(launch, facts, None):
            missing = [_as_warning(each) for each in missing]
        return [*missing, switch]
    findings = _judged(launch, facts, found, now)
    if runs_without(launch, facts, found):
        findings = [_as_warning(each) for each in findings]
    if isinstance(facts.running, NoAnswer):
        findings.append(no_answer("reservation use", facts.running, use_command(found.id, launch)))
    if isinstance(facts.used_by, NoAnswer):
        findings.append(_use_not_seen(launch, found.id, facts.used_by))
    if found.is_block and is_ultra_server(found.instance_type):
        findings.append(_health(launch, facts, found))
    return [*findings, switch]


def in_several_zones(requests: Sequence[tuple[Launch, Facts]]) -> Finding | None:
    """A FAIL where the environment's reservations are in several zones; None where they are not. All nodes are in one
    subnet, which is in one zone."""
    zones: dict[str, list[str]] = {}
    for launch, facts in requests:
        if (found := of(facts)) is not None and not found.is_dead:
            zones.setdefault(found.zone, []).append(f"{found.id} ({launch.called})")
    if len(zones) < 2:
        return None
    where = "; ".join(f"{listed(dict.fromkeys(names))} in {zone}" for zone, names in zones.items())
    first = requests[0][0]
    return failed(
        ZONE,
        f"The reservations are in {len(zones)} zones: {where}. All nodes are in one subnet, and EFA does not leave a"
        " zone.",
        "Take reservations of one zone; another environment can use the others.",
        aws(first, "ec2", "describe-capacity-reservations"),
    )


def stored_twice(requests: Sequence[tuple[Launch, Facts]]) -> list[Finding]:
    """A FAIL for each reservation that two of the environment's parameters hold: it can have room for each request
    alone, but not for both together."""
    names: dict[str, dict[str, None]] = {}
    for launch, facts in requests:
        if found := of(facts):
            names.setdefault(found.id, {})[launch.reservation.target] = None
    first = requests[0][0]
    return [
        failed(
            "reservation",
            f"{reservation_id} is the reservation of {listed(targets)}.",
            f"`nixl-efa capacity save ID --env {[*targets][-1]}` keeps another for that; or make them one entry.",
            aws(first, "ec2", "describe-capacity-reservations"),
        )
        for reservation_id, targets in names.items()
        if len(targets) > 1
    ]


def _as_warning(found: Finding) -> Finding:
    """A FAIL about a launch as a WARN: nothing is launched, since all nodes run already."""
    if found.level is not Level.FAIL:
        return found
    return warned(
        found.check,
        f"{found.message} The nodes keep running without it.",
        f"A node that is stopped or replaced would not start again. {found.remedy}",
        found.command,
    )


def of(facts: Facts) -> Reservation | None:
    """The launch's reservation among those seen in its region, None when it isn't there or wasn't seen."""
    if isinstance(facts.reservations, NoAnswer) or isinstance(facts.reservation_id, NoAnswer):
        return None
    return next((each for each in facts.reservations if each.id == facts.reservation_id), None)


def _judged(launch: Launch, facts: Facts, found: Reservation, now: datetime) -> list[Finding]:
    findings = judge(
        found,
        launch,
        now,
        zone="" if isinstance(facts.zone, NoAnswer) else facts.zone or "",
        subnet_id=facts.subnet.id if facts.subnet is not None else "",
        subnet_zone=facts.subnet.zone if facts.subnet is not None else "",
        tenancy=tenancy(facts),
        account="" if isinstance(facts.account, NoAnswer) else facts.account.id,
        use=_use(facts, found.id),
    )
    if launch.whole is None:
        return findings
    # Each of several reservations is searched for by itself.
    search = f"`nixl-efa capacity search --env {launch.reservation.target}`"
    return [replace(one, remedy=one.remedy.replace("`nixl-efa capacity search`", search)) for one in findings]


def _use(facts: Facts, reservation_id: str) -> Use | None:
    if isinstance(facts.running, NoAnswer):
        return None
    inside = [each for each in facts.running if each.reservation_id == reservation_id]
    own_account = "" if isinstance(facts.account, NoAnswer) else facts.account.id
    used_by = () if isinstance(facts.used_by, NoAnswer) else facts.used_by
    return Use(
        own=sum(each.own and each.state in RUNNING for each in inside),
        others=tuple(
            f"{each.id} ({each.name})" if each.name else each.id
            for each in inside
            if not each.own and each.state in RUNNING
        ),
        ending=tuple(each.id for each in inside if each.state not in RUNNING),
        accounts=tuple((account, count) for account, count in used_by if account != own_account and count),
    )


def _use_not_seen(launch: Launch, reservation_id: str, why: NoAnswer) -> Finding:
    check, by_hand = (
        "reservation use",
        aws(launch, "ec2", "get-capacity-reservation-usage", "--capacity-reservation-id", reservation_id),
    )
    if why.denied or why.told_elsewhere:
        return no_answer(check, why, by_hand)
    # Its answer never stops a launch; and we have no recorded answer for a block that has not started.
    reason = why.reason.rstrip(".")
    return skipped(
        check,
        f"Whether other accounts run instances in {reservation_id} is not known: {reason}.",
        "",
        by_hand,
    )


def awaits_slots(launch: Launch, facts: Facts) -> bool:
    """Whether the launch has room as soon as the slots of instances that ended are free again."""
    found = of(facts)
    use = _use(facts, found.id) if found is not None else None
    return found is not None and use is not None and awaits_places(found, launch, use)


def runs_without(launch: Launch, facts: Facts, found: Reservation | None) -> bool:
    """Whether all nodes of the environment run as the settings say, and are not affected when their On-Demand
    reservation ends: its instances continue to run (EC2 user guide, capacity-reservations-release).

    found: the reservation; None for one that EC2 does not know (any more).
    """
    if launch.market != "on-demand" or isinstance(facts.running, NoAnswer):
        return False
    if found is not None and (found.is_block or found.interruptible or not found.is_dead):
        return False
    nodes = [
        each
        for each in facts.running
        if each.own
        and each.state in RUNNING
        and (each.instance_type, each.market) == (launch.instance_type, launch.market)
        # A node that was not launched into this reservation would be replaced.
        and each.reservation_target == facts.reservation_id
    ]
    return len(nodes) >= launch.count


def _missing(launch: Launch, facts: Facts, name: str, now: datetime) -> list[Finding]:
    """Findings about a reservation that is not in the launch's region: the judge's findings when another region has it,
    else the regions that were searched."""
    by_hand = command(name, launch.region, launch.profile)
    elsewhere = facts.elsewhere
    if isinstance(elsewhere, NoAnswer):
        why = f"no permission: {elsewhere.permission}" if elsewhere.denied else elsewhere.reason
        return [
            failed(
                "reservation",
                f"{name} is not in {launch.region}; other regions could not be asked ({why}).",
                "Copy the id from the list of your reservations, and set the region that holds it.",
                by_hand,
            )
        ]
    if elsewhere is not None and elsewhere.found:
        return _judged(launch, facts, elsewhere.found[0], now)
    message = f"EC2 does not know {name} in {launch.region} (yet)"
    if elsewhere is not None:
        message += f", nor in any of the {counted(len(elsewhere.asked), 'other region')} that were asked"
        if elsewhere.not_asked:
            message += f" (no answer from {listed(elsewhere.not_asked)})"
    account = "" if isinstance(facts.account, NoAnswer) else f" {facts.account.id}"
    remedy = (
        "EC2 shows a new reservation only after some minutes: check again if it was bought just now."
        f" Else check the id and that account{account} is the right one."
        " A reservation of another account is visible only while it is shared with yours"
        " (`aws ram get-resource-shares --resource-owner OTHER-ACCOUNTS`)."
    )
    if not isinstance(facts.reservations, NoAnswer):
        alike = [each.id for each in facts.reservations if each.instance_type == launch.instance_type]
        if alike:
            remedy += f" For {launch.instance_type} this region has {listed(alike)}."
    return [failed("reservation", f"{message}.", remedy, by_hand)]


def _health(launch: Launch, facts: Facts, found: Reservation) -> Finding:
    check, by_hand = "block health", aws(launch, "ec2", "describe-capacity-block-status")
    before = skipped(check, f"The UltraServer of {found.id} has no status before it is active.", "", by_hand)
    if found.state != "active":
        # EC2 may even refuse the question then (ParallelCluster, pull request 6928).
        return before
    if isinstance(facts.block_health, NoAnswer):
        return no_answer(check, facts.block_health, by_hand)
    health = next((each for each in facts.block_health if found.id in each.reservation_ids), None)
    if health is None:
        return before
    if health.interconnect != "ok":
        return failed(
            check,
            f"The interconnect of {found.id}'s UltraServer is {health.interconnect}.",
            "Wait until it is ok, or ask AWS Support.",
            by_hand,
        )
    return passed(check, f"The interconnect of {found.id}'s UltraServer is ok.", by_hand)


def _switch(launch: Launch, facts: Facts, reservations: tuple[Reservation, ...], now: datetime) -> Finding:
    """Nodes that run in a living reservation other than the launch's. The next deployment destroys them first (fixed
    capacity is destroyed before it is created), and EC2 lets the new nodes only into an active reservation."""
    check, by_hand = "reservation switch", aws(launch, "ec2", "describe-instances")
    if isinstance(facts.running, NoAnswer):
        return no_answer(check, facts.running, by_hand)
    living = {each.id: each for each in reservations if each.lives(now) and each.id != facts.reservation_id}
    # Also nodes that only have its names: to protect against a loss, less proof is enough.
    nodes = [
        each
        for each in facts.running
        if ((each.own and not of_another(launch, each)) or each.name in launch.node_names)
        and each.state in RUNNING
        and each.reservation_id in living
    ]
    if not nodes:
        return passed(check, f"No node of {launch.environment} runs in another reservation.", by_hand)
    current, named = living[nodes[0].reservation_id], of(facts)
    run = "1 node runs" if len(nodes) == 1 else f"{len(nodes)} nodes run"
    where = f"{run} in {_with_end(current)}"
    if named is not None and named.state == "active":
        # The finding about running nodes reports that they are replaced.
        return passed(
            check, f"{where}; the next deploy moves to {_with_end(named)}, which is active.", by_hand
        )
    there = (
        "no reservation is stored"
        if not facts.reservation_id
        else f"{facts.reservation_id} is not known to EC2"
    )
    if named is not None:
        there = f"{_with_end(named)} is {named.state}"
    loss = "the next deploy would destroy them"
    if not any(each.own for each in nodes):
        loss = "if they are this stack's, the next deploy would destroy them"
    remedy = (
        f"`nixl-efa capacity save {current.id} --env {launch.reservation.target} --replace` puts the current one back."
        f" `nixl-efa capacity save {facts.reservation_id or 'ID'} --env {launch.reservation.target}` then keeps the other one as the next."  # noqa: E501
    )
    if launch.reservation.id:
        remedy = f"Set capacity_reservation_id = {current.id!r} until {launch.reservation.id} is active."
    return failed(
        check,
        f"{where}, but {there}: {loss}, and EC2 would then refuse the launch.",
        remedy,
        by_hand,
    )


def _with_end(reservation: Reservation) -> str:
    return f"{reservation.id} (until {moment(reservation.end)})" if reservation.end else reservation.id
