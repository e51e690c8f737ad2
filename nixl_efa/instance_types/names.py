"""Names of instance types: their form, and the known names nearest to one that isn't known."""

import re
from collections.abc import Iterable

from nixl_efa.instance_types.data import all_types

# FAMILY.SIZE: "p5.48xlarge", "p6-b200.48xlarge", "u-6tb1.metal", "c8gn.metal-48xl".
_FORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 64

_FAMILY = re.compile(r"(?P<series>[a-z]+)(?P<generation>\d*)")
_MULTIPLE = re.compile(r"(\d+)xl")
# Sizes without a number, in units of one xlarge; plain metal is a whole machine.
_SIZES = {
    "nano": 1 / 32,
    "micro": 1 / 16,
    "small": 1 / 8,
    "medium": 1 / 4,
    "large": 1 / 2,
    "xlarge": 1,
    "metal": 48,
}
_NO_SIZE = 1e6  # Farther away than any size is from another.

# A name of another series is only shown when it is written this much alike (difflib's ratio, 0 to 1).
_ALIKE = 0.75


def is_well_formed(name: str) -> bool:
    """Whether this has the form of an instance type's name, FAMILY.SIZE in lower case, known or not."""
    return len(name) <= _LONGEST and _FORM.fullmatch(name) is not None


def nearest(name: str, count: int = 3) -> tuple[str, ...]:
    """The known names nearest to this one, the nearest first, at most `count`; fewer when little is alike.

    For "p5.49xlarge" the sizes of p5 come first, then those of the other P families by their generation, then
    what is only written alike. What isn't of the form FAMILY.SIZE is compared by its letters alone.
    """
    return nearest_of(name, all_types(), count)


def nearest_of(name: str, known: Iterable[str], count: int) -> tuple[str, ...]:
    """`nearest` among these names."""
    # Imported late: only a name that isn't known pays for it.
    from difflib import SequenceMatcher

    matcher = SequenceMatcher()
    matcher.set_seq2(name.lower())
    ranked = []
    for candidate in known:
        matcher.set_seq1(candidate)
        alike = matcher.ratio()
        kinship = _kinship(name, candidate) if is_well_formed(name) else None
        if kinship is not None:
            ranked.append((0, *kinship, -alike, candidate))
        elif candidate.startswith(f"{name}."):
            ranked.append((0, 0, 0, 0, -alike, candidate))
        elif alike >= _ALIKE:
            ranked.append((1, 0, 0, 0, -alike, candidate))
    return tuple(candidate for *_, candidate in sorted(ranked)[:count])


def _kinship(name: str, candidate: str) -> tuple[float, float, float] | None:
    """How far apart two names of one series ("p" of "p5en") are: family, generation, size; else None."""
    family, _, size = name.partition(".")
    other_family, _, other_size = candidate.partition(".")
    one, other = _FAMILY.match(family), _FAMILY.match(other_family)
    if one is None or other is None or one["series"] != other["series"]:
        return None
    generations = abs(int(one["generation"] or 0) - int(other["generation"] or 0))
    return (family != other_family, generations, _steps_between(size, other_size))


def _steps_between(one: str, other: str) -> float:
    """How many times larger the larger of two sizes is."""
    first, second = _xlarges(one), _xlarges(other)
    return max(first, second) / min(first, second) if first and second else _NO_SIZE


def _xlarges(size: str) -> float:
    """A size in units of one xlarge: 48 for "48xlarge" and "metal-48xl"; 0 when it isn't understood."""
    multiple = _MULTIPLE.match(size.removeprefix("metal-"))
    return float(multiple[1]) if multiple is not None else _SIZES.get(size, 0)
