"""Refusals that are about capacity: reservations, room, quotas of instances, placement, buying and extending.

EC2 API reference, errors-overview; EC2 user guide, capacity-blocks-launch. InsufficientInstanceCapacity is a server
error, HTTP 500: every SDK repeats the call before it reports the error (ray 49097; terraform-provider-aws 43193: the
provider repeats it for up to 50 minutes).
"""

from nixl_efa.refusals.model import Advice, Asked

# terraform-provider-aws 43193, 49863.
_REPEATED = "Terraform's provider repeats such a launch for up to 50 minutes before it fails, which does not help: Ctrl-C ends it."


def _reserved(asked: Asked) -> bool:
    return asked.reserved


def _spot(asked: Asked) -> bool:
    return asked.spot


def _sold_as_block(asked: Asked) -> bool:
    return asked.sold_as_block


CAPACITY = (
    Advice(
        ("InvalidParameterValue",),
        "the market type does not fit the reservation",
        "A Capacity Block needs use_capacity_block = true and its reservation's id, both; an On-Demand reservation needs use_capacity_block = false; an interruptible one can't be used.",
        "market type",
    ),
    Advice(
        ("InvalidParameterValue",),
        "the launch does not fit the reservation",
        "Compare instance_type, availability_zone and the image's platform with the reservation.",
        "capacity reservation",
    ),
    Advice(
        ("InvalidCapacityReservationState.PendingActivation",),
        "the reservation has not started",
        "Deploy when it is active: `nixl-efa capacity wait ID`.",
    ),
    # karpenter-provider-aws, its handling of reserved launches: a reservation that its owner takes back.
    Advice(
        ("InvalidCapacityReservationState.Unavailable",),
        "the owner of the interruptible reservation takes its capacity back",
        "Name another reservation, one that is not interruptible; this one accepts no launch while its owner needs it.",
    ),
    Advice(
        ("InvalidCapacityReservationState*",),
        "the reservation can't be used in its state",
        "Name one that is active (`nixl-efa capacity list`).",
    ),
    Advice(
        ("ReservationCapacityExceeded",),
        "the reservation has no room for the pair, or is for another type, platform or zone",
        "End other instances in it, or name a larger one; where `nixl-efa capacity list` shows room, compare type, platform and zone, and wait a minute if it was made just now.",
    ),
    Advice(
        ("InvalidCapacityReservationId.NotFound", "InvalidLaunchTargets"),
        "EC2 knows no such reservation in this region",
        "Compare the id and the region with `nixl-efa capacity list --region all`; one that ended or was cancelled some time ago is not shown any more.",
    ),
    Advice(
        ("InvalidCapacityReservationId.Malformed",),
        "the reservation's id is not well formed",
        "Copy the whole id.",
    ),
    Advice(("UnsupportedException",), "the region has no Capacity Reservations", "Take another region."),
    # For example, a placement group in which the reservation was not created: terraform-aws-eks 3730, eksctl 7949.
    Advice(
        ("InsufficientInstanceCapacity", "InsufficientCapacity", "UnfulfillableCapacity"),
        "EC2 finds no capacity in the reservation that the launch names, which is paid for",
        f'Buy nothing. Check where the launch and the reservation differ: a placement group that it was not made in (set placement_group = "auto"), its zone, tenancy or platform; `nixl-efa capacity list` shows its state and room. If all of it fits, open a case with AWS Support and name the reservation. {_REPEATED}',
        when=_reserved,
    ),
    Advice(
        ("InsufficientInstanceCapacity", "InsufficientCapacity", "UnfulfillableCapacity"),
        "EC2 has no free Spot capacity of this type in the zone now",
        f"Try another zone or later, or set spot = false. {_REPEATED}",
        when=_spot,
    ),
    Advice(
        ("InsufficientInstanceCapacity",),
        "EC2 has no free instance of this type in the zone now",
        f"Set availability_zone to one of those that EC2's message names, with a subnet there. {_REPEATED}",
        "or choosing ",
    ),
    Advice(
        ("InsufficientInstanceCapacity", "InsufficientCapacity", "UnfulfillableCapacity"),
        "EC2 has no free instance of this type in the zone now",
        f"Try another zone, later, or buy a Capacity Block (`nixl-efa capacity search`). {_REPEATED}",
        when=_sold_as_block,
    ),
    Advice(
        ("InsufficientInstanceCapacity", "InsufficientCapacity", "UnfulfillableCapacity"),
        "EC2 has no free instance of this type in the zone now",
        f"Try another zone, or later; an On-Demand Capacity Reservation keeps the capacity once you have it. {_REPEATED}",
    ),
    Advice(
        ("SpotMaxPriceTooLow", "MaxSpotPriceTooLow"),
        "the Spot price is above the highest price that is allowed",
        "Try another zone or later, or set spot = false.",
    ),
    Advice(
        ("InsufficientVolumeCapacity",),
        "EC2 has no capacity for the volumes in the zone now",
        "Try another zone, or later.",
    ),
    Advice(
        ("InsufficientAddressCapacity",),
        "EC2 has no free Elastic IP in the region now",
        "Try later, or set elastic_ip = false where the nodes have another way out.",
    ),
    Advice(
        ("VcpuLimitExceeded",),
        "the account's quota of vCPUs is too small",
        "Ask for more in Service Quotas, or end what runs; nodes in a Capacity Block don't count.",
    ),
    # EC2 user guide, capacity-blocks-purchase: 64 instances a block, 256 across all blocks at one time.
    Advice(
        ("InstanceLimitExceeded",),
        "the account has reached AWS's limit of instances in Capacity Blocks at one time",
        "Take fewer instances, or a time at which another block has ended.",
        "capacity block",
    ),
    Advice(
        ("InstanceLimitExceeded",),
        "the account's limit of instances is reached",
        "Ask for more in Service Quotas, or end some.",
    ),
    Advice(
        ("MaxSpotInstanceCountExceeded", "RequestResourceCountExceeded"),
        "the account's quota of Spot vCPUs is too small",
        "Ask for more in Service Quotas (`quota` above names it), or set spot = false.",
    ),
    Advice(
        ("Unsupported", "UnsupportedOperation", "InvalidParameterValue"),
        "the type is not offered in this zone",
        "Set availability_zone to a zone that offers it, with a subnet there; EC2's message and `type offered` above name them.",
        "not supported in your requested availability zone",
    ),
    # terraform-provider-aws 1772: "... is in use in another availability zone".
    Advice(
        ("InvalidPlacementGroup.InUse",),
        "the placement group has instances in another zone, and it stays in the zone of its first one",
        'End those instances first, keep the zone, or set placement_group = "off".',
        "zone",
    ),
    Advice(
        ("InvalidPlacementGroup.InUse",),
        "the placement group still has instances",
        "End them first; a group is free some minutes after its last instance ended.",
    ),
    Advice(
        ("InvalidPlacementGroup.Unknown", "InvalidPlacementGroupId.*"),
        "the placement group is not there",
        "Run `nixl-efa deploy` again: the stack makes its own.",
    ),
    Advice(
        ("PlacementGroupLimitExceeded",),
        "the account has reached its limit of placement groups",
        'Delete some, ask for more in Service Quotas, or set placement_group = "off".',
    ),
    Advice(
        ("InvalidParameterCombination", "InvalidParameterValue", "Unsupported", "UnsupportedOperation"),
        "the type, or a Capacity Block, can't be launched into this placement group",
        'Set placement_group = "off", or take a type that supports cluster placement.',
        "placement group",
    ),
    # The offering's codes have no dot (recorded: run_instances_errors/error-codes-page-capacity-blocks).
    Advice(
        (
            "InvalidCapacityBlockOfferingIdExpired",
            "InvalidCapacityBlockOfferingIdNotFound",
            "InvalidCapacityBlockExtensionOfferingIdExpired",
            "InvalidCapacityBlockExtensionOfferingIdNotFound",
        ),
        "the offering is not on sale any more, or never was for this account and region",
        "Search again and buy from the new answer: each search gives new ids.",
    ),
    Advice(
        ("InvalidCapacityBlockOfferingIdMalformed", "InvalidCapacityBlockExtensionOfferingIdMalformed"),
        "the offering's id is not well formed",
        "Copy the whole id from the search.",
    ),
    # EC2 API reference, errors-overview; a public account's log, in which a quota of that name ended it.
    Advice(
        ("CapacityBlockDescribeLimitExceeded",),
        "the account has no quota for Capacity Blocks of this type",
        'Ask for "Concurrent ... Capacity Blocks per account" of the type in Service Quotas.',
        "service limits",
    ),
    Advice(
        ("CapacityBlockDescribeLimitExceeded",),
        "the account may ask for no more Capacity Blocks now",
        "Search again later, in fewer regions and for fewer lengths.",
    ),
    Advice(
        ("IncorrectState", "InvalidState", "IncorrectStateException"),
        "the Capacity Block can't be extended now",
        "A block is extended while it is active or scheduled, at the latest an hour before its end, and with no other extension's payment pending; `nixl-efa capacity list` shows its state.",
        "capacity block",
    ),
)
