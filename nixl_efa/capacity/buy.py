"""Buying a Capacity Block for an environment: what fits, with everything on the table before the fee, exactly once.

The story of `nixl-efa capacity buy`, from top to bottom: `buy` settles what an earlier run left open, `propose` looks
at all that matters, `agree` shows it and asks, `purchase.buy_once` buys, `finish` saves and tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from nixl_efa.account import Account, account_finding
from nixl_efa.capacity import environment, parameters, purchase
from nixl_efa.capacity.agreement import Agreement, ask_for_fee, ask_for_nodes, check_limit, money
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import Holdings, Slot
from nixl_efa.capacity.finish import finish, finish_others, settle_earlier
from nixl_efa.capacity.journal import machine_lock
from nixl_efa.capacity.judge import judge
from nixl_efa.capacity.offering import Offering, hours_of
from nixl_efa.capacity.order import UNBOUND, Entry, Order, State
from nixl_efa.capacity.reservation import find_reservation
from nixl_efa.capacity.search import Question, find_again
from nixl_efa.capacity.users import node_names
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Finding, Level, failures, warnings, worst_first
from nixl_efa.launch import Launch
from nixl_efa.times import moment, span

# The instances of all blocks together (EC2 user guide, capacity-blocks-purchase).
MOST_INSTANCES = 256


@dataclass(frozen=True, slots=True)
class BuyRequest:
    """What to buy, and for whom.

    launches:    of every environment of the project, by name.
    environment: empty: the one that fits; UNBOUND: none.
    save:        whether it is written to the environment's parameters.
    """

    question: Question
    launches: Mapping[str, Launch]
    environment: str
    agreed: Agreement
    save: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A purchase before it is agreed to.

    findings: what speaks for and against it. held, slot: what the environment has, and as what the block is kept; None
    for one that is for no environment. number: the highest of the shared journal. running: instances in the block that
    is put aside. both: how long it and another block of the environment are paid for at once.
    """

    order: Order
    findings: tuple[Finding, ...]
    held: Holdings | None
    slot: Slot | None
    number: int
    running: int = 0
    both: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a purchase ended. kind: "bought", "already-bought" or "dry-run". problem: what went wrong after a purchase
    that itself went well, with what to do."""

    kind: str
    order: Order
    account: Account
    entry: Entry | None = None
    slot: Slot | None = None
    problem: str = ""


def buy(request: BuyRequest, buyer: Buyer) -> Outcome:
    """Buys the offering, unless an earlier run of the command has bought it.

    Failure when nothing was bought, with the reason; Unclear when that isn't known yet.
    """
    chosen = request.environment or _earlier_environment(request, buyer) or choose_environment(request, buyer)
    name = "" if chosen == UNBOUND else chosen
    if request.dry_run:
        proposal = propose(request, name, buyer)
        show(proposal, buyer)
        purchase.dry_run(buyer.clients.ec2_purchases(proposal.order.offering.region), proposal.order)
        buyer.talk.tell("EC2 would allow this purchase. Nothing was bought.")
        return Outcome("dry-run", proposal.order, buyer.account, slot=proposal.slot)
    with machine_lock(buyer.locks, chosen):
        earlier = _bought_earlier(request.question.offering_id, chosen, buyer)
        if earlier is not None:
            return earlier
        proposal = propose(request, name, buyer)
        show(proposal, buyer)
        agree(proposal, request.agreed, buyer)
        entry = purchase.buy_once(
            proposal.order, buyer, proposal.number, lambda: _check_unchanged(proposal, buyer)
        )
        finished = finish(entry, buyer, "bought", held=proposal.held, slot=proposal.slot)
    return Outcome("bought", entry.order, buyer.account, finished.entry, finished.slot, finished.problem)


def propose(request: BuyRequest, name: str, buyer: Buyer) -> Proposal:
    """The purchase with all that speaks for and against it; everything is asked anew. Failure when the offering is
    gone, when somebody else is buying for the environment, and when a region does not answer."""
    question, now = request.question, buyer.clock.now()
    launch = request.launches.get(name)
    if name and launch is None:
        raise BadInput(f"there is no environment {name!r} here: nothing was bought. Give --env or --unbound.")
    ec2 = buyer.clients.ec2(question.region)
    shared = buyer.shared_journal(name or UNBOUND)
    number = shared.check_free(buyer.journal.find)
    offering = find_again(ec2, question, now, buyer.clock.sleep)
    saved = launch.reservation if launch is not None and request.save else None
    order = Order(
        environment=name,
        offering=offering,
        by=buyer.by,
        lock_region=buyer.lock_region,
        id_parameter=saved.id_parameter if saved else "",
        zone_parameter=saved.zone_parameter if saved else "",
    )
    findings = offering_findings(offering, request.agreed)
    if launch is None:
        message = "It is bought for no environment: nothing is launched into it before it is saved for one."
        findings.append(
            Finding(Level.WARN, "environment", message, "`nixl-efa capacity save ID --env ENV` does that.")
        )
        return Proposal(order, tuple(findings), None, None, number)
    subnet_zone, found_subnets = environment.subnets(buyer, launch, offering.zone)
    findings += judge_purchase(offering, launch, buyer.account, now, subnet_zone)
    findings += found_subnets
    own = [entry for entry in buyer.journal.entries() if entry.order.lock_name == name]
    held = environment.holdings(buyer, launch.reservation, [*shared.entries(), *own])
    slot, found = environment.slot_for(offering, held, now, replace=request.agreed.replace)
    findings += found if request.save else environment.not_saved_findings(held, now)
    findings += holdings_findings(offering, launch, held)
    findings += [
        Finding(
            Level.WARN,
            "environment",
            f"{block} lives and was bought for {owner!r}, which is no environment here.",
            f"If that was renamed: `nixl-efa capacity save {block} --env {name}`.",
        )
        for block, owner in held.owners.items()
        if owner not in request.launches
    ]
    running = 0
    if slot is Slot.CURRENT and request.agreed.replace:
        names = node_names(launch, request.launches.values())
        running = environment.nodes_running(buyer, held.current, names)
    both = environment.overlap(offering, held.current) if slot is Slot.NEXT else timedelta(0)
    return Proposal(order, tuple(findings), held, slot if request.save else None, number, running, both)


def show(proposal: Proposal, buyer: Buyer) -> None:
    """Says what is bought, who pays, and what speaks against it. Failure when something makes it useless."""
    order, offering = proposal.order, proposal.order.offering
    what = "extension" if offering.extends else "Capacity Block"
    block = f" of {offering.extends}" if offering.extends else ""
    rows = {
        "offering": offering.id,
        what: f"{offering.count} x {offering.instance_type} in {offering.zone} ({offering.region}){block}",
        "start": moment(offering.start),
        "end": f"{moment(offering.end)} ({span(offering.length)})",
        "fee": f"{money(offering.fee)} {offering.currency}, all instances, whole time, charged now",
        "paid by": f"account {buyer.account.text()}",
        "for": order.whom + _kept(proposal),
        "lock": f"{buyer.shared_journal_of(order).path} in {order.lock_region}",
    }
    for key, value in rows.items():
        buyer.talk.tell(f"  {key:<16} {value}")
    buyer.talk.tell(
        "  A Capacity Block can't be cancelled, changed, moved or split: the fee is not paid back."
    )
    found = worst_first([*failures(proposal.findings), *warnings(proposal.findings)])
    for finding in found:
        buyer.talk.tell(f"{finding.level.value}: {finding.check}: {finding.line()}")
    faults = failures(found)
    if faults:
        raise Failure(f"nothing was bought: {len(faults)} FAIL above")


def _kept(proposal: Proposal) -> str:
    if proposal.slot is not None:
        return f", as its {proposal.slot.value} block"
    order = proposal.order
    return ", not saved for it" if order.environment and not order.is_extension else ""


def agree(proposal: Proposal, agreed: Agreement, buyer: Buyer) -> None:
    """Asks the user for what was not agreed to beforehand. Failure when they don't agree."""
    offering = proposal.order.offering
    check_limit(offering.fee, agreed)
    if agreed.yes and offering.is_short and agreed.min_hours is None:
        raise Failure(
            f"{offering.id} is shorter than the {offering.asked_hours} h asked: nothing was bought. "
            f"--yes takes it with --min-hours {int(hours_of(offering.length))}."
        )
    if agreed.yes and proposal.both > environment.LONGEST_OVERLAP:
        raise Failure(
            f"{offering.id} and another block of {proposal.order.whom} would both be paid for {span(proposal.both)} at once: nothing was bought. "  # noqa: E501
            "--yes does not agree to that. Choose one that overlaps less."
        )
    current = proposal.held.current if proposal.held else None
    try:
        if proposal.running and current is not None:
            ask_for_nodes(proposal.running, environment.running_text(proposal.running, current), buyer.talk)
        ask_for_fee(offering.fee, agreed, buyer.talk)
    except KeyboardInterrupt:
        raise Failure("interrupted at the question: nothing was bought", exit_code=130) from None


def offering_findings(offering: Offering, agreed: Agreement) -> list[Finding]:
    """What the offering itself says against it. Pure."""
    findings = []
    if offering.unusable:
        findings.append(
            Finding(
                Level.FAIL,
                "offering",
                f"A pair can't use it: {offering.unusable}.",
                "Choose one of one piece.",
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


def holdings_findings(offering: Offering, launch: Launch, held: Holdings) -> list[Finding]:
    """What the environment's other reservations, and where it reads them, say about the purchase. Pure."""
    source = launch.reservation
    findings = [
        Finding(
            Level.WARN,
            "regions",
            f"{region} was not looked into: {why}",
            "A living block there would not be seen.",
        )
        for region, why in held.not_asked.items()
    ]
    if source.id or not source.reads_id:
        reads = f"reads the fixed {source.id} ({source.set_by})" if source.id else "reads no reservation"
        findings.append(
            Finding(
                # What is fixed is changed with one word; a stack that reads none can't use the block at all.
                Level.WARN if source.id else Level.FAIL,
                "environment",
                f"{source.environment} {reads}, so what is saved is not used.",
                f"Set capacity_reservation_parameter = {source.id_parameter!r} and availability_zone_parameter = {source.zone_parameter!r}, or buy it for none (--unbound).",  # noqa: E501
            )
        )
    if offering.count > launch.count:
        message = f"It holds {offering.count} instances, and {source.environment} launches {launch.count}."
        findings.append(Finding(Level.WARN, "instances", message, "The others are paid for, too."))
    if held.living_instances + offering.count > MOST_INSTANCES:
        message = (
            f"The account's living blocks hold {held.living_instances} instances; with this one more than the "
            f"{MOST_INSTANCES} that AWS allows across blocks on one day."
        )
        findings.append(Finding(Level.WARN, "instances", message, "AWS may refuse it."))
    return findings


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
            "--env ENV shows all that speaks against one; --unbound buys it for none."
        )
    if request.agreed.yes:
        raise BadInput(f"{offering.id} fits {' and '.join(fitting)}: give --env")
    typed = buyer.talk.ask(f"It fits {' and '.join(fitting)}. For which environment is it?").strip()
    if typed not in fitting:
        raise BadInput(f"{typed!r} is none of {', '.join(fitting)}: nothing was bought")
    return typed


def _earlier_environment(request: BuyRequest, buyer: Buyer) -> str:
    """For whom an earlier run of the command has bought this offering, or has begun to; empty when none did."""
    same = [
        entry
        for entry in buyer.journal.entries()
        if entry.order.offering.id == request.question.offering_id and entry.state is not State.NOT_BOUGHT
    ]
    return same[-1].order.lock_name if same else ""


def _bought_earlier(offering_id: str, lock_name: str, buyer: Buyer) -> Outcome | None:
    """What an earlier run of this command has bought and can still be used. Failure when another one was left open
    and turns out to be bought."""
    _check_others(offering_id, lock_name, buyer)
    bought = settle_earlier(buyer, lock_name)
    mine = [entry for entry in bought if entry.order.offering.id == offering_id]
    finish_others([entry for entry in bought if entry not in mine], buyer)
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
    if not mine:
        buyer.talk.report(done[0], "already-bought")
        return Outcome("already-bought", done[0].order, buyer.account, done[0])
    finished = finish(mine[0], buyer, "already-bought")
    order = finished.entry.order
    return Outcome("already-bought", order, buyer.account, finished.entry, finished.slot, finished.problem)


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
    """Whether what was bought can still be used. EC2 may not show it for a while; then the journal's word counts."""
    region = entry.order.offering.region
    found = find_reservation(buyer.clients.ec2(region), region, entry.reservation_ids[0], buyer.clock.sleep)
    now = buyer.clock.now()
    return found.lives(now) if found is not None else now < buyer.rule.settled_at(entry)


def _check_unchanged(proposal: Proposal, buyer: Buyer) -> None:
    if proposal.held is not None:
        ssm = buyer.clients.ssm(proposal.held.source.region)
        parameters.check_unchanged(ssm, proposal.held.stored.values())
