"""Buying more time for a Capacity Block, exactly once. Its id stays the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from nixl_efa.account import account_finding
from nixl_efa.capacity import environment, extension
from nixl_efa.capacity.agreement import Agreement, Proposal, agree, check_limits, show
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.journal import machine_lock
from nixl_efa.capacity.order import Order, extension_lock
from nixl_efa.capacity.purchase import Outcome, buy_once, finish, settle_earlier
from nixl_efa.capacity.purchase_calls import dry_run
from nixl_efa.capacity.reservation import ENVIRONMENT_TAG, Reservation
from nixl_efa.failure import BadInput, Failure
from nixl_efa.launch import Launch


@dataclass(frozen=True, slots=True)
class ExtendRequest:
    """By how many hours to extend which block.

    environment: its name; empty: the one in the block's tag.
    launches:    of the environments that are known, by name.
    """

    block: Reservation
    hours: int
    agreed: Agreement
    environment: str = ""
    launches: Mapping[str, Launch] = field(default_factory=dict)
    dry_run: bool = False


def extend(request: ExtendRequest, buyer: Buyer) -> Outcome:
    """Buys the cheapest extension, unless an earlier run of the command has bought one.

    Failure when nothing was bought, with the reason; Unclear when that isn't known yet.
    """
    tagged, lock = request.block.tags.get(ENVIRONMENT_TAG, ""), _lock(request.block)
    name = request.environment or tagged
    if tagged and name != tagged:
        raise BadInput(f"--env {name}: {request.block.id} is {tagged}'s. Leave out --env.")
    if request.dry_run:
        proposal = propose(request, name, buyer)
        show(proposal, buyer)
        check_limits(proposal, request.agreed)
        dry_run(proposal.order, buyer)
        return Outcome("dry-run", proposal.order)
    with machine_lock(buyer.locks, lock):
        # A block that was extended gets new offerings, so the offering does not show that this is the same command run
        # again. An open entry does.
        bought = settle_earlier(buyer, lock)
        if bought:
            buyer.talk.tell(f"this command has extended {request.block.id} before; nothing was bought now")
            return finish(bought[0], buyer, "already-bought")
        proposal = propose(request, name, buyer)
        show(proposal, buyer)
        agree(proposal, request.agreed, buyer)
        entry = buy_once(proposal, buyer)
        return finish(entry, buyer, "bought")


def _lock(block: Reservation) -> str:
    return extension_lock(block.id, extension.whole_block(block))


def propose(request: ExtendRequest, name: str, buyer: Buyer) -> Proposal:
    """The cheapest extension with what speaks against it. Failure when AWS would sell none, and when somebody else is
    buying for the environment."""
    block, now = request.block, buyer.clock.now()
    ec2 = buyer.clients.ec2(block.region)
    number = buyer.shared_journal(_lock(block)).check_free(buyer.journal.find)
    history = extension.extensions_of(ec2, [block.id], buyer.clock.sleep)
    extension.check_extendable(block, history, request.hours, now)
    offered = extension.offered(ec2, block, request.hours, buyer.clock.sleep)
    if not offered:
        raise Failure(
            f"AWS offers no extension of {block.id} by {request.hours} hours. Try other --hours; a block can be extended from about 56 days before its end."  # noqa: E501
        )
    findings = extension.offer_findings(offered[0], now)
    launch = request.launches.get(name)
    whose = account_finding(launch, buyer.account) if launch else None
    findings += [whose] if whose else []
    order = Order(name, offered[0], buyer.by, buyer.lock_region)
    both = timedelta(0)
    if launch is not None:
        held = environment.holdings(buyer, launch.reservation, regions=[block.region])
        both, found = environment.overlap_of_extension(offered[0], block, held, now)
        findings += found
    extended = frozenset(one.offering_id for one in history)
    return Proposal(order, tuple(findings), None, None, number, both=both, extended=extended)
