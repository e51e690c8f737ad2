"""Whether EC2 would accept the launch: its answer to a dry run, turned into advice; and the key pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from nixl_efa.capacity.judge import state_finding
from nixl_efa.checks.facts import DryRun, Facts, Image, KeyPair, Unseen
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.advice import advice_for
from nixl_efa.checks.rules.common import aws, unseen
from nixl_efa.efa_layout import Interface
from nixl_efa.findings import Finding, Level, failed, passed, skipped, warned
from nixl_efa.launch import Launch

_CHECK = "dry run"
# Refusals for want of room, which the stack's own nodes may be what takes up.
_NO_ROOM = frozenset(
    {
        "ReservationCapacityExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "InsufficientFreeAddressesInSubnet",
    }
)


def check(launch: Launch, facts: Facts, now: datetime) -> list[Finding]:
    """The key pair, when one is given, and the dry run."""
    findings = [_key_pair(launch, launch.key_name, facts.key_pair)] if launch.key_name else []
    return [*findings, _dry_run(launch, facts, now)]


def _dry_run(launch: Launch, facts: Facts, now: datetime) -> Finding:
    answer = facts.dry_run
    if isinstance(answer, Unseen):
        return unseen(_CHECK, answer)
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
    advice = advice_for(answer)
    said = f"{answer.code}: {answer.message}".rstrip(": ")
    if advice is None:
        return failed(_CHECK, f"EC2 would refuse the launch. {said}", "Read EC2's words.", by_hand)
    if _room_is_own(launch, facts, answer):
        return passed(
            _CHECK,
            f"This stack's own nodes take up the room that a second pair would need ({answer.code}); their "
            "successors get it when they have ended.",
            by_hand,
        )
    message = f"EC2 would refuse the launch: {advice.meaning}. {said}"
    if _expected_to_wait(launch, facts, answer, now):
        return warned(_CHECK, message, advice.remedy, by_hand)
    return failed(_CHECK, message, advice.remedy, by_hand)


def _room_is_own(launch: Launch, facts: Facts, answer: DryRun) -> bool:
    """The pair runs already, and EC2 counts what it takes against its own successors."""
    running = () if isinstance(facts.running, Unseen) else facts.running
    return answer.code in _NO_ROOM and sum(each.own for each in running) >= launch.count


def _expected_to_wait(launch: Launch, facts: Facts, answer: DryRun, now: datetime) -> bool:
    """The reservation is still to come, which another finding says: the refusal is no news."""
    found = reservation.of(facts)
    if found is None or not answer.code.startswith("InvalidCapacityReservationState"):
        return False
    return state_finding(found, now, at_once=launch.at_once).level is Level.WARN


def _key_pair(launch: Launch, name: str, pair: KeyPair | Unseen | None) -> Finding:
    by_hand = aws(launch, "ec2", "describe-key-pairs", "--key-names", name)
    if isinstance(pair, Unseen):
        return unseen("key pair", pair, by_hand)
    if pair is None:
        return failed(
            "key pair",
            f"The key pair {name} (key_name) is not in {launch.region}.",
            "Set key_name to one of this region, or remove it: Session Manager needs none.",
            by_hand,
        )
    return passed("key pair", f"{name} ({pair.kind or 'unknown kind'}).", by_hand)


def _by_hand(launch: Launch, facts: Facts) -> str:
    words = ["--dry-run", "--instance-type", launch.instance_type, "--count", str(launch.count)]
    if not isinstance(facts.image_id, Unseen) and facts.image_id:
        words += ["--image-id", facts.image_id]
    if launch.market != "on-demand":
        words += ["--instance-market-options", f"MarketType={launch.market}"]
    found = facts.reservation_id
    if not isinstance(found, Unseen) and found:
        words += [
            "--capacity-reservation-specification",
            f"CapacityReservationTarget={{CapacityReservationId={found}}}",
        ]
    if launch.key_name:
        words += ["--key-name", launch.key_name]
    if isinstance(facts.image, Image):
        volume = f"VolumeSize={launch.volume.gib},VolumeType=gp3,Encrypted=true"
        words += ["--block-device-mappings", f"DeviceName={facts.image.root_device},Ebs={{{volume}}}"]
    return f"{aws(launch, 'ec2', 'run-instances', *words)} --network-interfaces {_interface_words(launch, facts)}"


def _interface_words(launch: Launch, facts: Facts) -> str:
    """The interfaces as a shell takes them: equal ones on cards in a row are one word with a range in braces,
    since 33 words could not be read."""
    runs: list[list[Interface]] = []
    for each in launch.interfaces:
        if runs and replace(runs[-1][-1], network_card_index=runs[-1][-1].network_card_index + 1) == each:
            runs[-1].append(each)
        else:
            runs.append([each])
    subnet = facts.subnet.id if facts.subnet is not None else ""
    groups = f",Groups={launch.security_group_id}" if launch.security_group_id else ""
    return " ".join(
        f"NetworkCardIndex={_cards(run)},DeviceIndex={run[0].device_index},"
        f"InterfaceType={run[0].interface_type},SubnetId={subnet}{groups}"
        for run in runs
    )


def _cards(run: Sequence[Interface]) -> str:
    first, last = run[0].network_card_index, run[-1].network_card_index
    return str(first) if first == last else f"{{{first}..{last}}}"
