"""Whether an instance type will do for a pair that is joined by EFA: findings, as text for the user."""

from nixl_efa.findings import Finding, Level
from nixl_efa.instance_types.data import all_types, data_source, find
from nixl_efa.instance_types.model import InstanceType
from nixl_efa.instance_types.names import is_well_formed, nearest, nearest_of

_CHECK = "instance_type"
_LIST = "`nixl-efa instance-types list --efa` shows the types with EFA."
_TCP = "NIXL will use TCP over a plain network interface"


def validate(name: str) -> list[Finding]:
    """What speaks against this type; empty for a type with EFA.

    FAIL when it isn't the name of a type at all, WARN when the data doesn't know it or it has no EFA.
    """
    if not is_well_formed(name):
        return [_malformed(name)]
    one = find(name)
    if one is None:
        return [_unknown(name)]
    if not one.supports_efa:
        return [_without_efa(one)]
    return []


def _malformed(name: str) -> Finding:
    return Finding(
        Level.FAIL,
        _CHECK,
        f"Instance type {name!r} is not of the form FAMILY.SIZE, for example p5.48xlarge.",
        _did_you_mean(name) or _LIST,
    )


def _unknown(name: str) -> Finding:
    return Finding(
        Level.WARN,
        _CHECK,
        f"Instance type {name} is not in this data (of {data_source().date}), which holds {len(all_types())} types "
        f"with EFA or accelerators: no EFA interface can be planned, so {_TCP}.",
        f"{_did_you_mean(name)} If there is such a type, run `nixl-efa instance-types refresh`.".strip(),
    )


def _did_you_mean(name: str) -> str:
    names = nearest(name)
    return f"Did you mean {_either(names)}?" if names else ""


def _either(names: tuple[str, ...]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _without_efa(one: InstanceType) -> Finding:
    start = f"Instance type {one.name} may not support EFA: {_TCP}."
    sizes = [other for other in all_types().values() if other.family == one.family and other.supports_efa]
    if sizes:
        names = ", ".join(other.name for other in sizes)
        return Finding(
            Level.WARN,
            _CHECK,
            f"{start} Sizes of {one.family} with EFA: {names}.",
            f"For EFA, set instance_type to {sizes[0].name}{' or larger' if len(sizes) > 1 else ''}.",
        )
    others = nearest_of(one.name, _same_kind_with_efa(one), 3)
    remedy = f"For EFA, take another family, for example {_either(others)}." if others else _LIST
    return Finding(Level.WARN, _CHECK, f"{start} No size of {one.family} has EFA.", remedy)


def _same_kind_with_efa(one: InstanceType) -> list[str]:
    return [
        other.name
        for other in all_types().values()
        if other.supports_efa and other.accelerator_kind == one.accelerator_kind
    ]
