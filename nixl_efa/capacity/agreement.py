"""What the user sees before a purchase, and what they agree to."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from nixl_efa.capacity.buyer import Buyer, Talk
from nixl_efa.capacity.environment import LONGEST_OVERLAP, Holdings, Slot
from nixl_efa.capacity.offering import hours_of
from nixl_efa.capacity.order import Order
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Finding, counted, failures, warnings, worst_first
from nixl_efa.times import moment, span

# A comma is accepted only before groups of three digits. 500,75 and 1.555,58 are amounts in some countries, but would
# mean other amounts here: they are refused.
_AMOUNT = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the user has agreed to beforehand, by options.

    yes:       they agree to everything that has no option of its own here; needs max_fee.
    max_fee:   the highest total fee; None: no limit was given.
    min_hours: the shortest length that they accept for a block shorter than asked for; None: none was given.
    replace:   the environment's living block may be replaced.
    """

    yes: bool = False
    max_fee: Decimal | None = None
    min_hours: float | None = None
    replace: bool = False


def agreement(*, yes: bool, max_fee: str | None, min_hours: float | None, replace: bool) -> Agreement:
    """The agreement in a command's options. BadInput for --yes without a limit, and for a wrong amount."""
    if yes and max_fee is None:
        raise BadInput("--yes needs --max-fee: say what the purchase may cost at most")
    if min_hours is not None and not 0 <= min_hours < float("inf"):
        raise BadInput(f"--min-hours {min_hours:g}: give a number of hours")
    return Agreement(yes, None if max_fee is None else amount(max_fee, "--max-fee"), min_hours, replace)


def amount(text: str, option: str) -> Decimal:
    """The amount that a person typed, with or without commas before groups of three digits. BadInput names the
    option."""
    typed = text.strip()
    if not _AMOUNT.fullmatch(typed):
        raise BadInput(
            f"{option} {text!r}: give an amount with a point before the cents, such as 1888.42 or 1,888.42"
        )
    return Decimal(typed.replace(",", ""))


def money(value: Decimal) -> str:
    """An amount with two decimals, or with all of its decimals when it has more: 1,888.42."""
    cents = value.quantize(Decimal("0.01"))
    return f"{cents:,}" if cents == value else f"{value:,}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A purchase before it is agreed to.

    findings: what speaks for and against it.
    held:     what the environment has. slot: as which of its blocks the new one is kept. Both are None for a block that
              is for no environment.
    number:   the highest number of the shared journal.
    running:  how many instances run in the block that is replaced.
    both:     for how long this block and another one of the environment are paid for at the same time.
    extended: for an extension, the offerings by which the block was already extended.
    """

    order: Order
    findings: tuple[Finding, ...]
    held: Holdings | None
    slot: Slot | None
    number: int
    running: int = 0
    both: timedelta = timedelta(0)
    extended: frozenset[str] = frozenset()


def show(proposal: Proposal, buyer: Buyer) -> None:
    """Shows what is bought, who pays, and what speaks against it. Failure when a finding makes the purchase useless."""
    order, offering = proposal.order, proposal.order.offering
    what = "extension" if offering.extends else "Capacity Block"
    block = f" of {offering.extends}" if offering.extends else ""
    if proposal.slot is not None:
        kept = f", as its {proposal.slot.value} block"
    else:
        kept = ", not saved for it" if order.environment and not order.is_extension else ""
    rows = {
        "offering": offering.id,
        what: f"{offering.what} in {offering.zone} ({offering.region}){block}",
        "start": moment(offering.start),
        "end": f"{moment(offering.end)} ({span(offering.length)})",
        "fee": f"{money(offering.fee)} {offering.currency}, all instances, whole time, charged now",
        "paid by": f"account {buyer.account.text()}",
        "for": order.whom + kept,
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


def check_limits(proposal: Proposal, agreed: Agreement) -> None:
    """Failure when the purchase is not within what was agreed to beforehand."""
    offering, fee = proposal.order.offering, proposal.order.offering.fee
    if agreed.max_fee is not None and fee > agreed.max_fee:
        raise Failure(
            f"the fee is {money(fee)}, more than --max-fee {money(agreed.max_fee)}: nothing was bought"
        )
    if agreed.yes and offering.is_short and agreed.min_hours is None:
        raise Failure(
            f"{offering.id} is shorter than the {offering.asked_hours} h asked: nothing was bought. "
            f"--yes takes it with --min-hours {int(hours_of(offering.length))}."
        )
    if agreed.yes and proposal.both > LONGEST_OVERLAP:
        raise Failure(
            f"{offering.id} and another block of {proposal.order.whom} would both be paid for {span(proposal.both)} at once: nothing was bought. "  # noqa: E501
            "--yes does not agree to that. Choose one that overlaps less."
        )


def agree(proposal: Proposal, agreed: Agreement, buyer: Buyer) -> None:
    """Asks the user about everything that was not agreed to beforehand. The last question is to type the fee. Failure
    when they don't agree."""
    check_limits(proposal, agreed)
    fee = proposal.order.offering.fee
    try:
        if proposal.held is not None:
            ask_for_nodes(proposal.running, proposal.held.current, buyer.talk)
        if agreed.yes:
            return
        typed = buyer.talk.ask(f"To buy, type the fee ({money(fee)}); anything else stops:")
        if not _AMOUNT.fullmatch(typed.strip()) or amount(typed, "the fee") != fee:
            raise Failure(f"{typed!r} is not the fee: nothing was bought")
    except KeyboardInterrupt:
        raise Failure("interrupted at the question: nothing was bought", exit_code=130) from None


def ask_for_nodes(running: int, current: Reservation | None, talk: Talk) -> None:
    """The user must type how many nodes run in the block that is replaced; no option can answer that for them. Failure
    when they type anything else."""
    if not running or current is None:
        return
    why = f"The next deployment destroys {counted(running, 'running node')} in {current.id}."
    typed = talk.ask(f"{why} To go on, type how many ({running}); anything else stops:")
    if typed.strip() != str(running):
        raise Failure(f"{typed!r} is not {running}: nothing was done")
