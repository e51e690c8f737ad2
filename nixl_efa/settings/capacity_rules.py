"""Rules between the settings for the capacity on which the pair runs.

The rules are AWS's. EC2 user guide: ec2-capacity-blocks (no placement group), capacity-blocks-launch (the
market type and the reservation go together), cr-cpg (a reservation for a placement group is created in it).
EC2 API reference: InstanceMarketOptionsRequest (one market type, so Spot or a block).
"""

from collections.abc import Iterator

from nixl_efa import instance_types
from nixl_efa.findings import Finding
from nixl_efa.settings.parts import RESERVATION
from nixl_efa.settings.rule import Facts, Rule, rule
from nixl_efa.settings.source import given
from nixl_efa.settings.text import from_text

_OFF = {"spot": "false", "use_capacity_block": "false", "placement_group": "auto"}


def _exclude(facts: Facts, first: str, second: str, why: str) -> Finding:
    one, other = (facts.set_to(setting, _OFF.get(setting, "none")) for setting in (first, second))
    ways = f"{one} or {other.removeprefix('set ')}"
    if facts.own and second in RESERVATION and second not in facts.own:
        # Without the first setting the other nodes would have no reservation either.
        ways = f"give {second} to the role that runs in it, in its table"
    return facts.fault(
        first,
        f"{facts.shown(first)} and {facts.shown(second)} exclude each other: {why}.",
        f"Change one of them, or {ways}.",
    )


def _spot_and_block(facts: Facts) -> Iterator[Finding]:
    if facts.settings.spot and facts.settings.use_capacity_block:
        yield _exclude(facts, "spot", "use_capacity_block", "an instance has one market type")


def _spot_and_reservation(facts: Facts) -> Iterator[Finding]:
    if facts.settings.spot and (reservation := facts.reservation()):
        yield _exclude(facts, "spot", reservation, "Spot Instances can't run in a reservation")


def _placement_and_block(facts: Facts) -> Iterator[Finding]:
    if facts.settings.placement_group == "on" and facts.settings.use_capacity_block:
        why = "AWS takes no placement group for a Capacity Block; its instances are close together anyway"
        yield _exclude(facts, "placement_group", "use_capacity_block", why)


def _placement_and_reservation(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if settings.placement_group == "on" and settings.has_reservation and not settings.use_capacity_block:
        yield facts.warning(
            "placement_group",
            f"{facts.shown('placement_group')} and {facts.shown(facts.reservation())}: the "
            "launch succeeds only if the reservation was created in the stack's own placement group.",
            'With any other reservation set placement_group to "auto" or "off".',
        )


def _placement_strategy(facts: Facts) -> Iterator[Finding]:
    known = instance_types.find(facts.settings.instance_type)
    if facts.settings.placement_group == "on" and known and "cluster" not in known.placement_strategies:
        yield facts.fault(
            "placement_group",
            f"{facts.shown('placement_group')} does not go with "
            f"{facts.shown('instance_type')}, a type that can't be in a cluster placement group.",
            'Set placement_group to "auto" or "off".',
        )


def _block_type(facts: Facts) -> Iterator[Finding]:
    if not facts.settings.use_capacity_block:
        return
    name = facts.settings.instance_type
    known = instance_types.find(name)
    types = f"Types with Capacity Blocks: {', '.join(instance_types.capacity_block_types())}."
    both = f"{facts.shown('use_capacity_block')} and {facts.shown('instance_type')}"
    if known is not None and not known.supports_capacity_block:
        yield facts.fault(
            "use_capacity_block",
            f"{both} exclude each other: {name} is not sold as a Capacity Block.",
            types,
        )
    elif known is None and instance_types.is_well_formed(name):
        # Its nodes would have no EFA interface: the block would be paid for, and the pair would use TCP.
        yield facts.fault(
            "use_capacity_block",
            f"{both}: {name} is not in this data (of {instance_types.data_source().date}), so which EFA interfaces its "
            "network cards take is not known.",
            f"Run `nixl-efa instance-types refresh`, which reads the type from EC2. {types}",
        )


def _block_without_reservation(facts: Facts) -> Iterator[Finding]:
    if facts.settings.use_capacity_block and not facts.settings.has_reservation:
        yield facts.warning(
            "use_capacity_block",
            f"{facts.shown('use_capacity_block')} without a reservation: AWS refuses such a launch.",
            "Set capacity_reservation_id or capacity_reservation_parameter.",
        )


def _reservation_left_behind(facts: Facts) -> Iterator[Finding]:
    """A higher source switches the block off, but a lower source gave both the block and its reservation."""
    reservation = facts.reservation()
    off = facts.given.get("use_capacity_block")
    if not reservation or off is None or off.value is not False:
        return
    source = facts.source(reservation)
    below = (
        one
        for layer in facts.layers
        if (one := layer.get("use_capacity_block")) and off.source.layer < one.source.layer
    )
    on = next((one for one in below if from_text("use_capacity_block", one.value) is True), None)
    if on is not None and off.source.layer < source.layer:
        yield facts.warning(
            reservation,
            f"{facts.shown(reservation)} stays the launch's target although "
            f"{facts.shown('use_capacity_block')} overrides {given('use_capacity_block', True, on.source)}; "
            "AWS refuses the launch if that reservation is a Capacity Block.",
            f"To launch without it {facts.set_to(reservation, 'none')}.",
        )


def _one_parameter(facts: Facts) -> Iterator[Finding]:
    """The id and the zone, of this block and of the next one, must be four different parameters."""
    first, second = "capacity_reservation_parameter", "availability_zone_parameter"
    block, zone = facts.settings.capacity_reservation_parameter, facts.settings.availability_zone_parameter
    if block and zone and (block == zone or f"{block}-next" == zone or f"{zone}-next" == block):
        yield facts.fault(
            first,
            f"{facts.shown(first)} and {facts.shown(second)} exclude each other: the next block's id and zone are kept "
            "in parameters with the same names and the suffix -next, and each needs a parameter of its own.",
            "Change one of them.",
        )


# Applied to each part of an environment by itself.
CAPACITY_RULES: tuple[Rule, ...] = (
    rule(_spot_and_block, "spot", "use_capacity_block"),
    rule(_spot_and_reservation, "spot", *RESERVATION),
    rule(_placement_and_block, "placement_group", "use_capacity_block"),
    rule(_placement_and_reservation, "placement_group", "use_capacity_block", *RESERVATION),
    rule(_placement_strategy, "placement_group", "instance_type"),
    rule(_block_type, "use_capacity_block", "instance_type"),
    rule(_block_without_reservation, "use_capacity_block", *RESERVATION),
    rule(_one_parameter, "capacity_reservation_parameter", "availability_zone_parameter"),
    rule(_reservation_left_behind, "use_capacity_block", *RESERVATION),
)
