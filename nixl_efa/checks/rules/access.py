"""Whether EC2 would accept the launch: its answer to a dry run, turned into advice; and the key pair."""

from dataclasses import replace
from datetime import datetime

from nixl_efa.capacity.judge import is_at_end, state_finding
from nixl_efa.checks.facts import DryRun, Facts, Image, KeyPair, NoAnswer
from nixl_efa.checks.launch_request import cli_options, request
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, Level, failed, passed, skipped, warned
from nixl_efa.launch import Launch
from nixl_efa.refusals import Refusal, advice_for
from nixl_efa.refusals import said as words_of

_CHECK = "dry run"
# Refusals because there is no room; the stack's own nodes may be the ones that take it up.
_NO_ROOM = frozenset(
    {
        "ReservationCapacityExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "InsufficientFreeAddressesInSubnet",
    }
)
# EC2's refusals of a launch into a reservation that is full, or whose state allows no launch.
_NOT_LET_IN = frozenset(
    {"ReservationCapacityExceeded", "InvalidCapacityReservationState", "InsufficientInstanceCapacity"}
)


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """The key pair, when one is given, and the dry run."""
    findings = [_key_pair(launch, launch.key_name, facts.key_pair)] if launch.key_name else []
    return [*findings, _dry_run(launch, facts, now)]


def _dry_run(launch: Launch, facts: Facts, now: datetime) -> Finding:
    answer = facts.dry_run
    if isinstance(answer, NoAnswer):
        return no_answer(_CHECK, answer)
    if answer is None:
        return skipped(
            _CHECK,
            "No dry run, as the subnet, the image or the reservation for it is missing.",
            "Mend those first.",
        )
    by_hand = _by_hand(launch, facts)
    if answer.code == "DryRunOperation":
        return passed(
            _CHECK, f"EC2 would accept this launch of {launch.count} x {launch.instance_type}.", by_hand
        )
    refusal = Refusal(answer.code, answer.message, "RunInstances")
    found = reservation.of(facts)
    # The id may be in a parameter, so the settings may not have it.
    asked = replace(launch.asked, reservation_id=found.id) if found is not None else launch.asked
    advice, said = advice_for(refusal, asked), words_of(refusal)
    if advice is None:
        return failed(_CHECK, f"EC2 would refuse the launch. {said}", "Read EC2's words.", by_hand)
    if _room_is_own(launch, facts, answer):
        return passed(
            _CHECK,
            f"This stack's own nodes use the capacity that a second pair would need ({answer.code}). The new "
            "nodes get it when these have ended.",
            by_hand,
        )
    if found is not None and answer.code in _NOT_LET_IN and is_at_end(found, now):
        return skipped(
            _CHECK, f"EC2 lets nothing into {found.id} any more, since it is at its end ({answer.code})."
        )
    message = f"EC2 would refuse the launch: {advice.meaning}. {said}"
    if answer.code == "ReservationCapacityExceeded" and reservation.awaits_slots(launch, facts):
        remedy = f"A slot is free again some minutes after its instance ended. Wait a few minutes, or run `nixl-efa deploy {launch.environment}`, which waits for it."  # noqa: E501
        return warned(
            _CHECK, f"EC2 would refuse the launch now: a slot is not free yet. {said}", remedy, by_hand
        )
    if answer.code.startswith("InvalidCapacityReservation") and reservation.runs_without(
        launch, facts, found
    ):
        remedy = f"Nothing is launched while all nodes run. Replacing a node would fail. {advice.remedy}"
        return warned(_CHECK, message, remedy, by_hand)
    if _expected_to_wait(launch, facts, answer, now):
        return warned(_CHECK, message, advice.remedy, by_hand)
    return failed(_CHECK, message, advice.remedy, by_hand)


def _room_is_own(launch: Launch, facts: Facts, answer: DryRun) -> bool:
    """Whether the room is taken by the stack's own nodes: they run, and the dry run asks for the whole pair in addition
    to them. The rules for quotas and for the subnet count what is really missing."""
    running = () if isinstance(facts.running, NoAnswer) else facts.running
    own = [each for each in running if each.own]
    found = reservation.of(facts)
    if answer.code != "ReservationCapacityExceeded" or found is None:
        return answer.code in _NO_ROOM and bool(own)
    inside = sum(each.reservation_id == found.id for each in own)
    return inside > 0 and found.free + inside >= launch.count


def _expected_to_wait(launch: Launch, facts: Facts, answer: DryRun, now: datetime) -> bool:
    """Whether the refusal was expected: the reservation has not started yet, which another finding reports."""
    found = reservation.of(facts)
    if found is None or not answer.code.startswith("InvalidCapacityReservationState"):
        return False
    return state_finding(found, now, must_be_active=launch.must_be_active).level is Level.WARN


def _key_pair(launch: Launch, name: str, pair: KeyPair | NoAnswer | None) -> Finding:
    by_hand = aws(launch, "ec2", "describe-key-pairs", "--key-names", name)
    if isinstance(pair, NoAnswer):
        return no_answer("key pair", pair, by_hand)
    if pair is None:
        return failed(
            "key pair",
            f"The key pair {name} (key_name) is not in {launch.region}.",
            "Set key_name to one of this region, or remove it: Session Manager needs none.",
            by_hand,
        )
    return passed("key pair", f"{name} ({pair.kind or 'unknown kind'}).", by_hand)


def _by_hand(launch: Launch, facts: Facts) -> str:
    """The AWS CLI call with the same request; empty without an image or a subnet: then there was no request."""
    if not isinstance(facts.image, Image) or facts.subnet is None:
        return ""
    reservation_id = None if isinstance(facts.reservation_id, NoAnswer) else facts.reservation_id
    body = request(launch, subnet_id=facts.subnet.id, image=facts.image, reservation_id=reservation_id)
    return f"{aws(launch, 'ec2', 'run-instances')} {cli_options(body)}"
