"""What EC2's answers to a launch mean, by their error codes."""

from __future__ import annotations

from dataclasses import dataclass

from nixl_efa.checks.facts import DryRun


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
        "End other instances in it, or name a larger one.",
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
