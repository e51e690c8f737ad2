"""Whether EC2 would accept the launch: its answer to a dry run, turned into advice; and the key pair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nixl_efa.checks.facts import DryRun, Facts, KeyPair, Unseen
from nixl_efa.checks.launch import Launch
from nixl_efa.checks.rules import reservation
from nixl_efa.checks.rules.common import aws, failed, passed, skipped, unseen, warned
from nixl_efa.findings import Finding

_CHECK = "dry run"


@dataclass(frozen=True, slots=True)
class Advice:
    """What an error code of RunInstances means and what to do. `text` is a part of the message that it needs."""

    code: str
    meaning: str
    remedy: str
    text: str = ""


# EC2 API reference, errors-overview; EC2 user guide, capacity-blocks-launch. The first that matches counts.
ADVICE = (
    Advice(
        "UnauthorizedOperation",
        "these credentials may not launch it (ec2:RunInstances)",
        "Have ec2:RunInstances added to your role; `aws sts decode-authorization-message` shows what was "
        "refused.",
    ),
    Advice(
        "InvalidParameterValue",
        "the way of buying does not fit the reservation",
        "A Capacity Block needs use_capacity_block = true and its reservation's id, both.",
        "market type",
    ),
    Advice(
        "InvalidParameterValue",
        "the way of buying does not fit the reservation",
        "Compare instance_type, availability_zone and the image's platform with the reservation.",
        "Capacity Reservation",
    ),
    Advice(
        "InvalidCapacityReservationState.PendingActivation",
        "the reservation has not started",
        "Deploy when it is active.",
    ),
    Advice(
        "InvalidCapacityReservationState",
        "the reservation can't be used in its state",
        "Name one that is active.",
    ),
    Advice(
        "ReservationCapacityExceeded",
        "the reservation has no room for the pair, or is for another type",
        "End other instances in it (a place is free again some minutes later), or name a larger one.",
    ),
    Advice(
        "InvalidCapacityReservationId.NotFound",
        "EC2 knows no such reservation in this region",
        "Compare the id and the region with the list of your reservations.",
    ),
    Advice(
        "InvalidCapacityReservationId.Malformed",
        "the reservation's id is not well formed",
        "Copy the whole id.",
    ),
    Advice(
        "InsufficientInstanceCapacity",
        "EC2 has no free instance of this type in the zone now",
        "Try another zone, later, or buy a Capacity Block (`nixl-efa capacity search`).",
    ),
    Advice(
        "VcpuLimitExceeded",
        "the account's quota of vCPUs is too small",
        "Ask for more in Service Quotas.",
    ),
    Advice(
        "InstanceLimitExceeded",
        "the account's limit of instances is reached",
        "Ask for more in Service Quotas, or end some.",
    ),
    Advice(
        "MaxSpotInstanceCountExceeded",
        "the account's quota of Spot vCPUs is too small",
        "Ask for more in Service Quotas.",
    ),
    Advice(
        "InsufficientFreeAddressesInSubnet",
        "the subnet has too few free addresses",
        "Free some, or set subnet_id to a larger subnet.",
    ),
    Advice(
        "InvalidSubnetID.NotFound",
        "the subnet is not there",
        "Set subnet_id to one of this region and account.",
    ),
    Advice(
        "InvalidGroup.NotFound", "the security group is not there", "Set security_group_id, or remove it."
    ),
    Advice("InvalidAMIID", "the image is not there", "Set ami_id to one of this region, or remove it."),
    Advice(
        "InvalidKeyPair.NotFound",
        "the key pair is not there",
        "Set key_name to one of this region, or remove it.",
    ),
    Advice(
        "InvalidBlockDeviceMapping",
        "the root volume does not fit the image",
        "Raise volume_size to the image's size or more.",
    ),
    Advice(
        "InvalidNetworkInterface",
        "EC2 does not take these network interfaces",
        "Refresh the types' data (`nixl-efa instance-types refresh`).",
    ),
    Advice(
        "AttachmentLimitExceeded",
        "the type takes fewer network interfaces than planned",
        "Refresh the types' data (`nixl-efa instance-types refresh`).",
    ),
    Advice(
        "NetworkInterfaceLimitExceeded",
        "the account's limit of network interfaces is too small for the pair",
        "Ask for more in Service Quotas (network interfaces per region).",
    ),
    Advice(
        "InvalidParameterCombination",
        "two of the settings exclude each other",
        "Read EC2's words, and change the setting that they name.",
    ),
    Advice(
        "UnsupportedOperation",
        "the type can't do what is asked of it",
        "Read EC2's words, or take another type.",
    ),
    Advice(
        "Unsupported",
        "the type is not offered in this zone or in this way",
        "Set availability_zone to a zone that offers it; `type offered` above names them.",
    ),
    Advice(
        "OptInRequired",
        "the account is not subscribed to the image or the region",
        "Accept the image's terms in AWS Marketplace, or enable the region.",
    ),
    Advice(
        "PendingVerification",
        "AWS is still verifying the account for this region",
        "Wait some minutes, at most four hours; then ask AWS Support.",
    ),
)

_NO_ROOM = frozenset(
    {
        "ReservationCapacityExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "InsufficientFreeAddressesInSubnet",
    }
)


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The key pair, when one is given, and the dry run."""
    findings = [] if launch.key_name is None else [_key_pair(launch, launch.key_name, facts.key_pair)]
    return [*findings, _dry_run(launch, facts)]


def advice_for(answer: DryRun) -> Advice | None:
    """The advice for EC2's answer; a code with a suffix (".NotFound") is found by its beginning, too."""
    return next(
        (
            each
            for each in ADVICE
            if (answer.code == each.code or answer.code.startswith(f"{each.code}."))
            and each.text.lower() in answer.message.lower()
        ),
        None,
    )


def _dry_run(launch: Launch, facts: Facts) -> Finding:
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
            _CHECK, f"EC2 would accept this launch of {launch.nodes} x {launch.instance_type}.", by_hand
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
    if _expected_to_wait(launch, facts, answer):
        return warned(_CHECK, message, advice.remedy, by_hand)
    return failed(_CHECK, message, advice.remedy, by_hand)


def _room_is_own(launch: Launch, facts: Facts, answer: DryRun) -> bool:
    """The pair runs already, and EC2 counts what it takes against its own successors."""
    running = () if isinstance(facts.running, Unseen) else facts.running
    return answer.code in _NO_ROOM and sum(each.own for each in running) >= launch.nodes


def _expected_to_wait(launch: Launch, facts: Facts, answer: DryRun) -> bool:
    """The reservation is still to come, which another finding says: the refusal is no news."""
    found = reservation.of(facts)
    waiting = found is not None and found.state in (
        "scheduled",
        "payment-pending",
        "pending",
        "assessing",
        "delayed",
    )
    return waiting and not launch.at_once and answer.code.startswith("InvalidCapacityReservationState")


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
    words = ["--dry-run", "--instance-type", launch.instance_type, "--count", str(launch.nodes)]
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
    subnet = facts.subnet.id if facts.subnet is not None else ""
    groups = f",Groups={launch.security_group_id}" if launch.security_group_id else ""
    interfaces = [
        f"NetworkCardIndex={each.network_card_index},DeviceIndex={each.device_index},"
        f"InterfaceType={each.interface_type},SubnetId={subnet}{groups}"
        for each in launch.interfaces
    ]
    return aws(launch, "ec2", "run-instances", *words, "--network-interfaces", *interfaces)
