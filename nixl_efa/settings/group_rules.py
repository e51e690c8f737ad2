"""Rules between the parts of an environment: the tables `producer` and `consumer`, the entries of `capacity`.

Sources: EC2 user guide, efa (which types talk EFA to which), ec2-capacity-reservations (a reservation is of one type).
"""

from collections.abc import Iterator

from nixl_efa.findings import Finding, listed
from nixl_efa.settings.model import Settings
from nixl_efa.settings.parts import COUNTS, IMAGE, RESERVATION, ROLES, Part, misfits
from nixl_efa.settings.rule import Facts, Rule, rule

# "EFA traffic between P4d/P4de/DL1 instances and other instance types is currently not supported" (EC2 user guide,
# efa).
ONLY_AMONG_THEMSELVES = ("p4d", "p4de", "dl1")


def _counts(facts: Facts) -> dict[str, int]:
    return {role: getattr(facts.settings, COUNTS[role]) for role in ROLES}


def _shares(facts: Facts) -> Iterator[Finding]:
    """The entries must take all nodes of a role, or none: a node that is forgotten would be launched On-Demand."""
    entries = facts.settings.capacity
    if not entries:
        return
    if facts.settings.is_unfilled:
        yield facts.fault(
            "capacity",
            f"capacity ({facts.source('capacity').label}) does not say which nodes are launched into its reservations.",
            "Give each entry producers or consumers, or let "
            f"`nixl-efa capacity fill {facts.environment}` put them in by the reservations' ends and free places.",
        )
    for number, entry in enumerate(entries, 1):
        # An entry with 0 nodes stays in the list, so that the entries after it keep their numbers.
        says_nothing = entry.model_fields_set.isdisjoint(COUNTS.values())
        if says_nothing and not facts.settings.is_unfilled:
            yield facts.fault(
                "capacity",
                f"entry {number} of capacity ({facts.source('capacity').label}) takes no node, so nothing would be "
                "launched into its reservation.",
                "Give it producers or consumers: how many of them it takes.",
            )
    for role, what in misfits(_counts(facts), entries):
        yield facts.fault(
            "capacity",
            f"capacity ({facts.source('capacity').label}) {what} "
            f"({COUNTS[role]} = {_counts(facts)[role]}, {facts.source(COUNTS[role]).label}).",
            f"Its entries together must take each {role} once, or no {role} at all.",
        )


def _one_home(facts: Facts) -> Iterator[Finding]:
    """Each node's reservation must be named in only one place."""
    settings = facts.settings
    if not settings.capacity:
        return
    for setting in RESERVATION:
        if getattr(settings, setting) is not None:
            yield facts.fault(
                setting,
                f"{facts.shown(setting)} and capacity ({facts.source('capacity').label}) exclude each other: both say "
                "into which reservation the nodes are launched.",
                f"Move it into an entry of capacity, or {facts.set_to(setting, 'none')}.",
            )
    for role in ROLES:
        group = getattr(settings, role)
        taken = any(entry.named(role) for entry in settings.capacity)
        for setting in RESERVATION:
            if taken and group is not None and getattr(group, setting) is not None:
                yield facts.fault(
                    role,
                    f"{role}.{setting} ({facts.source(role).label}) and capacity ({facts.source('capacity').label}) "
                    f"both say into which reservation the {COUNTS[role]} are launched.",
                    "Keep one of them.",
                )


def _each_names_one(facts: Facts) -> Iterator[Finding]:
    label = facts.source("capacity").label
    seen: dict[str, int] = {}
    for number, entry in enumerate(facts.settings.capacity, 1):
        given = [value for name in RESERVATION if (value := getattr(entry, name)) is not None]
        own = f"/{number}" if number > 1 else ""
        default = f"/nixl-efa/{facts.environment}{own}/capacity-reservation-id"
        if len(given) != 1:
            yield facts.fault(
                "capacity",
                f"entry {number} of capacity ({label}) names {'two reservations' if given else 'no reservation'}.",
                f'Give it capacity_reservation_id, or capacity_reservation_parameter = "{default}".',
            )
            continue
        first = seen.setdefault(given[0], number)
        if first != number:
            yield facts.fault(
                "capacity",
                f"entries {first} and {number} of capacity ({label}) name the same reservation: {given[0]}.",
                "Make one entry of them.",
            )


def _one_way(facts: Facts) -> Iterator[Finding]:
    """A role's table must not say the same thing in two ways."""
    for role in ROLES:
        group, label = getattr(facts.settings, role), facts.source(role).label
        for first, second in (RESERVATION, IMAGE):
            if group is not None and getattr(group, first) is not None and getattr(group, second) is not None:
                yield facts.fault(
                    role,
                    f"{role}.{first} and {role}.{second} ({label}) exclude each other.",
                    "Keep one of them.",
                )


def _one_reservation(facts: Facts) -> Iterator[Finding]:
    """A reservation has one instance type, is a block or not, and must be named in one place only: purchases for it,
    and the check whether all its nodes find room, use that name."""
    users: dict[str, list[tuple[Part, Settings]]] = {}
    for part in facts.settings.parts:
        own = facts.settings.of(part)
        if named := own.capacity_reservation_id or own.capacity_reservation_parameter:
            users.setdefault(named, []).append((part, own))
    for named, found in users.items():
        types = list(dict.fromkeys(own.instance_type for _, own in found))
        sources = dict.fromkeys(own.source("use_capacity_block").label for _, own in found)
        if len(types) > 1:
            yield facts.fault(
                "instance_type",
                f"nodes of {listed(types)} are to be launched into {named}, and a reservation is of one type.",
                "Give each type a reservation of its own.",
            )
        elif len({own.use_capacity_block for _, own in found}) > 1:
            yield facts.fault(
                "use_capacity_block",
                f"nodes are to be launched into {named} as into a Capacity Block, and others as into an On-Demand "
                f"reservation (use_capacity_block: {', '.join(sources)}). It can only be one of the two.",
                "Name it in the table of the only role that runs in it, with use_capacity_block.",
            )
        elif len({part.reservation for part, _ in found}) > 1 and not all(part.entry for part, _ in found):
            places = dict.fromkeys(own.source(_reservation_of(own)).label for _, own in found)
            yield facts.fault(
                "capacity_reservation_id",
                f"{named} is named more than once ({', '.join(places)}).",
                "Name it once: outside the tables for all nodes, or in an entry of capacity.",
            )


def _reservation_of(settings: Settings) -> str:
    return next(name for name in RESERVATION if getattr(settings, name) is not None)


def _next_of_another(facts: Facts) -> Iterator[Finding]:
    """The next block of a reservation is kept in a parameter of the same name with "-next" at the end."""
    own = [facts.settings.of(part) for part in facts.settings.parts]
    found = {name: one for one in own if (name := one.capacity_reservation_parameter)}
    for name, one in found.items():
        if other := found.get(f"{name}-next"):
            sources = [each.source("capacity_reservation_parameter").label for each in (one, other)]
            yield facts.fault(
                "capacity_reservation_parameter",
                f"{name} ({sources[0]}) and {name}-next ({sources[1]}) exclude each other: the second is where the "
                "next block of the first is kept.",
                "Change one of them.",
            )


def _families(facts: Facts) -> Iterator[Finding]:
    """Faults for producers and consumers that could not reach each other over EFA."""
    types = list(dict.fromkeys(facts.settings.of(part).instance_type for part in facts.settings.parts))
    alone = [one for one in types if one.partition(".")[0] in ONLY_AMONG_THEMSELVES]
    families = {one.partition(".")[0] for one in types}
    given = ["instance_type", *(one for one in ROLES if getattr(facts.settings, one) is not None)]
    if alone and len(families) > 1:
        yield facts.fault(
            "instance_type",
            f"{listed(types)} can't use EFA with each other: {alone[0].partition('.')[0]} can do so only "
            "with its own kind "
            f"({', '.join(facts.source(one).label for one in given)}).",
            "Take one of these families for producers and consumers.",
        )


_COUNTS = tuple(COUNTS.values())

GROUP_RULES: tuple[Rule, ...] = (
    rule(_shares, "capacity", *_COUNTS),
    rule(_one_home, "capacity", *ROLES, *RESERVATION),
    rule(_each_names_one, "capacity"),
    rule(_one_way, *ROLES),
    rule(_one_reservation, "capacity", "instance_type", "use_capacity_block", *_COUNTS, *ROLES, *RESERVATION),
    rule(_next_of_another, "capacity", *_COUNTS, *ROLES, *RESERVATION),
    rule(_families, "capacity", "instance_type", *_COUNTS, *ROLES),
)
