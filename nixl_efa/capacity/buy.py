"""Buying a Capacity Block for an environment, exactly once. The user sees everything that matters before they agree.

The steps of `nixl-efa capacity buy`, in order: `_bought_earlier` settles what an earlier run left open, `propose` looks
at everything that matters, `show` and `agree` ask the user, `buy_once` buys, and `finish` saves the block and reports
it.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from nixl_efa.account import Account, account_finding
from nixl_efa.capacity import environment
from nixl_efa.capacity.agreement import Agreement, Proposal, agree, check_limits, show
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.journal import machine_lock
from nixl_efa.capacity.judge import judge
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.order import UNBOUND, Entry, Order, State
from nixl_efa.capacity.purchase import Outcome, buy_once, finish, settle_earlier
from nixl_efa.capacity.purchase_calls import dry_run
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, find_reservation
from nixl_efa.capacity.search import Question, find_again
from nixl_efa.capacity.targets import zone_findings
from nixl_efa.capacity.users import node_names, nodes_running
from nixl_efa.capacity.wish import MOST_INSTANCES
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Finding, Level, failures
from nixl_efa.launch import Launch
from nixl_efa.times import span

FOR_NONE = Finding(
    Level.WARN,
    "environment",
    "It is bought for no environment: nothing is launched into it before it is saved for one.",
    "`nixl-efa capacity save ID --env ENV` does that.",
)


@dataclass(frozen=True, slots=True)
class BuyRequest:
    """What to buy, and for whom.

    launches:    of every environment of the project, by name.
    environment: its name; empty: the one that the offering fits; UNBOUND: no environment.
    save:        whether it is written to the environment's parameters.
    """

    question: Question
    launches: Mapping[str, Launch]
    environment: str
    agreed: Agreement
    save: bool = True
    dry_run: bool = False


def buy(request: BuyRequest, buyer: Buyer) -> Outcome:
    """Buys the offering, unless an earlier run of the command has bought it.

    Failure when nothing was bought, with the reason; Unclear when that isn't known yet.
    """
    chosen = request.environment or _earlier_environment(request, buyer) or choose_environment(request, buyer)
    if request.dry_run:
        proposal = propose(request, chosen, buyer)
        show(proposal, buyer)
        check_limits(proposal, request.agreed)
        dry_run(proposal.order, buyer)
        return Outcome("dry-run", proposal.order, slot=proposal.slot)
    with machine_lock(buyer.locks, chosen):
        earlier = _bought_earlier(request.question.offering_id, chosen, buyer)
        if earlier is not None:
            return earlier
        proposal = propose(request, chosen, buyer)
        show(proposal, buyer)
        agree(proposal, request.agreed, buyer)
        entry = buy_once(proposal, buyer)
        return finish(entry, buyer, "bought", held=proposal.held, slot=proposal.slot)


def _earlier_environment(request: BuyRequest, buyer: Buyer) -> str:
    """The environment for which an earlier run of the command bought this offering, or began to; empty when no run
    did."""
    same = [
        entry
        for entry in buyer.journal.entries()
        if entry.order.offering.id == request.question.offering_id and entry.state is not State.NOT_BOUGHT
    ]
    return same[-1].order.lock_name if same else ""


def choose_environment(request: BuyRequest, buyer: Buyer) -> str:
    """The environment that the offering fits. BadInput when there are several and nobody can be asked; Failure when it
    fits none."""
    now = buyer.clock.now()
    offering = find_again(
        buyer.clients.ec2(request.question.region), request.question, now, buyer.clock.sleep
    )
    faults = {
        name: failures(judge_purchase(offering, launch, buyer.account, now))
        for name, launch in request.launches.items()
    }
    fitting = [name for name, found in faults.items() if not found]
    if len(fitting) == 1:
        buyer.talk.tell(f"for environment {fitting[0]!r}, the only one that it fits")
        return fitting[0]
    if not fitting:
        reasons = "; ".join(f"{name}: {found[0].message}" for name, found in faults.items())
        raise Failure(
            f"{offering.id} fits no environment, so nothing was bought ({reasons}). "
            "--env ENV shows every reason; --unbound buys it for none."
        )
    if request.agreed.yes:
        raise BadInput(f"{offering.id} fits {' and '.join(fitting)}: give --env")
    typed = buyer.talk.ask(f"It fits {' and '.join(fitting)}. For which environment is it?").strip()
    if typed not in fitting:
        raise BadInput(f"{typed!r} is not one of {', '.join(fitting)}: nothing was bought")
    return typed


def _bought_earlier(offering_id: str, lock_name: str, buyer: Buyer) -> Outcome | None:
    """What an earlier run of this command has bought, if it can still be used. Failure when another purchase was left
    open and was in fact bought: a user who asks for a second purchase should know of the first."""
    _check_others(offering_id, lock_name, buyer)
    bought = settle_earlier(buyer, lock_name)
    mine = [entry for entry in bought if entry.order.offering.id == offering_id]
    others = [entry for entry in bought if entry not in mine]
    for entry in others:
        finished = finish(entry, buyer, "bought")
        if finished.problem:
            buyer.talk.tell(finished.problem)
    if others:
        order, ids = others[0].order, ", ".join(others[0].reservation_ids)
        raise Failure(
            f"an earlier purchase for {order.whom} was made: {ids} ({order.offering.text()}). "
            "Nothing was bought now. Run the command again if you want another one."
        )
    done = [
        entry
        for entry in buyer.journal.entries()
        if entry.state is State.DONE
        and (entry.order.lock_name, entry.order.offering.id) == (lock_name, offering_id)
        and _is_usable(entry, buyer)
    ]
    if not mine and not done:
        return None
    buyer.talk.tell(f"this command has bought {offering_id} before; nothing was bought now")
    if mine:
        return finish(mine[0], buyer, "already-bought")
    buyer.talk.report(done[0], "already-bought")
    return Outcome("already-bought", done[0].order, done[0])


def _check_others(offering_id: str, lock_name: str, buyer: Buyer) -> None:
    """Failure when this offering was bought, or may have been, for another environment or for none."""
    unbound = [] if lock_name == UNBOUND else buyer.shared_journal(UNBOUND).entries()
    for entry in (*unbound, *buyer.journal.entries()):
        same = entry.order.offering.id == offering_id and entry.order.lock_name != lock_name
        if not same or entry.state is State.NOT_BOUGHT:
            continue
        if not entry.reservation_ids:
            raise Failure(f"{entry.state_text()} Nothing was bought now. {entry.recover_text()}")
        if entry.is_open or _is_usable(entry, buyer):
            bought = entry.reservation_ids[0]
            raise Failure(
                f"{offering_id} was bought before, for {entry.order.whom}: {bought}. Nothing was bought now. "
                f"`nixl-efa capacity save {bought} --env ENV` keeps it for another environment."
            )


def _is_usable(entry: Entry, buyer: Buyer) -> bool:
    """Whether what was bought can still be used. EC2 may not show it for a while; then the journal decides."""
    region = entry.order.offering.region
    found = find_reservation(buyer.clients.ec2(region), region, entry.reservation_ids[0], buyer.clock.sleep)
    now = buyer.clock.now()
    return found.lives(now) if found is not None else now < buyer.rule.settled_at(entry)


def propose(request: BuyRequest, chosen: str, buyer: Buyer) -> Proposal:
    """The purchase with all that speaks for and against it. Everything is requested from AWS again. Failure when the
    offering is gone, when somebody else is buying for the environment, and when a region does not answer.

    chosen: an environment, or UNBOUND.
    """
    name, agreed, now = "" if chosen == UNBOUND else chosen, request.agreed, buyer.clock.now()
    launch = request.launches.get(name)
    if name and launch is None:
        raise BadInput(f"there is no environment {name!r} here: nothing was bought. Give --env or --unbound.")
    shared = buyer.shared_journal(chosen)
    number = shared.check_free(buyer.journal.find)
    ec2 = buyer.clients.ec2(request.question.region)
    offering = find_again(ec2, request.question, now, buyer.clock.sleep)
    saved = launch.reservation if launch is not None and request.save else None
    order = Order(
        environment=name,
        offering=offering,
        by=buyer.by,
        lock_region=buyer.lock_region,
        id_parameter=saved.id_parameter if saved else "",
        zone_parameter=saved.zone_parameter if saved else "",
    )
    if launch is None:
        return Proposal(order, (*offering_findings(offering, agreed), FOR_NONE), None, None, number)
    subnet_zone, subnet_findings = environment.subnets(buyer, launch, offering.zone)
    own = [entry for entry in buyer.journal.entries() if entry.order.lock_name == name]
    # EC2 may not show these yet.
    just_bought = [
        (entry.order.environment, entry.order.offering)
        for entry in buyer.journal.entries()
        if entry.state is not State.NOT_BOUGHT and now < buyer.rule.settled_at(entry)
    ]
    held = environment.holdings(buyer, launch.reservation, [*shared.entries(), *own])
    slot, slot_findings = environment.slot_for(offering, held, now, replace=agreed.replace)
    if not request.save:
        slot_findings = environment.not_saved_findings(held, now)
    running = 0
    if slot is Slot.CURRENT and agreed.replace:
        names = node_names(launch, request.launches.values())
        running = len(nodes_running(buyer, held.current, names))
    both = environment.overlap(offering, held.current) if slot is Slot.NEXT else timedelta(0)
    findings = (
        *offering_findings(offering, agreed),
        *judge_purchase(offering, launch, buyer.account, now, subnet_zone),
        *subnet_findings,
        *slot_findings,
        *zone_findings(held, offering, just_bought),
        *holdings_findings(offering, launch, held, request.launches),
    )
    return Proposal(order, findings, held, slot if request.save else None, number, running, both)


def offering_findings(offering: Offering, agreed: Agreement) -> list[Finding]:
    """What speaks against buying, by the offering alone. Pure."""
    findings = []
    if offering.unusable:
        findings.append(
            Finding(
                Level.FAIL,
                "offering",
                f"A pair can't use it: {offering.unusable}.",
                "Choose one with a single segment.",
            )
        )
    if offering.is_short:
        asked = f"It lasts {span(offering.length)} of the {offering.asked_hours} h asked"
        message = f"{asked}; {span(offering.usable)} are usable."
        findings.append(
            Finding(Level.WARN, "offering", message, "A longer one may be on offer: search again.")
        )
    if agreed.min_hours is not None and offering.length < timedelta(hours=agreed.min_hours):
        message = f"It lasts {span(offering.length)}, less than --min-hours {agreed.min_hours:g}."
        findings.append(Finding(Level.FAIL, "offering", message, "Choose a longer one."))
    return findings


def judge_purchase(
    offering: Offering, launch: Launch, account: Account, now: datetime, subnet_zone: str = ""
) -> list[Finding]:
    """Whether the block would fit the environment, and whether the right account pays. Pure.

    subnet_zone: of the subnet that the settings name, where that is known.
    """
    findings = judge(
        offering.reservation(),
        launch,
        now,
        subnet_id=launch.subnet_id,
        subnet_zone=subnet_zone,
        account=account.id,
    )
    whose = account_finding(launch, account)
    return [*findings, whose] if whose else findings


def holdings_findings(
    offering: Offering, launch: Launch, held: Holdings, known: Container[str]
) -> list[Finding]:
    """What speaks against the purchase because of the environment's other reservations, or of the parameters that it
    reads them from. Pure.

    known: the names of the project's environments.
    """
    source = launch.reservation
    findings = [
        Finding(
            Level.WARN,
            "regions",
            f"{region} could not be checked: {why}",
            "A block of the environment there would not be seen.",
        )
        for region, why in held.not_asked.items()
    ]
    if source.id or not source.reads_id:
        reads = f"reads the fixed {source.id} ({source.set_by})" if source.id else "reads no reservation"
        findings.append(
            Finding(
                # A fixed id can be changed in the settings. A stack that reads no reservation can't use the block.
                Level.WARN if source.id else Level.FAIL,
                "environment",
                f"{source.environment} {reads}, so a saved reservation is not used.",
                f"Set capacity_reservation_parameter = {source.id_parameter!r} and availability_zone_parameter = {source.zone_parameter!r}, or buy it for none (--unbound).",  # noqa: E501
            )
        )
    if offering.count > launch.count:
        message = f"It holds {offering.count} instances, and {source.environment} launches {launch.count}."
        findings.append(Finding(Level.WARN, "instances", message, "The others are paid for, too."))
    if held.living_instances + offering.count > MOST_INSTANCES:
        message = (
            f"The account's blocks hold {held.living_instances} instances; with this one more than the "
            f"{MOST_INSTANCES} that AWS allows across blocks on one day."
        )
        findings.append(Finding(Level.WARN, "instances", message, "AWS may refuse it."))
    findings += [
        Finding(
            Level.WARN,
            "environment",
            f"{one.id} is in use and was bought for {owner!r}, which is no environment here.",
            f"If that was renamed: `nixl-efa capacity save {one.id} --env {source.environment}`.",
        )
        for one in held.owned
        if (owner := one.tags[ENVIRONMENT_TAG]) not in known
    ]
    return findings
