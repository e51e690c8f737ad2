"""Which versions of Terraform's AWS provider a stack takes: constraints in Terraform's syntax. Pure.

Source of the syntax: Terraform's documentation, Version Constraints. OpenTofu has the same.
"""

import re
from typing import NamedTuple

Version = tuple[int, int, int]

# The bindings were generated from a provider 6; every argument used here is one that 5.100 has, too.
LEAST: Version = (5, 100, 0)
BEFORE: Version = (7, 0, 0)
DEFAULT = ">= 5.100.0, < 7.0.0"

_TERM = re.compile(r" *(=|!=|>=|<=|>|<|~>)? *(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))? *", re.ASCII)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", re.ASCII)


class Term(NamedTuple):
    """One part of a constraint. after: behind the last version of a "~>", else the next one after `version`."""

    operator: str
    version: Version
    after: Version

    def takes(self, version: Version) -> bool:
        """Whether this part lets the version in."""
        match self.operator:
            case "=":
                return version == self.version
            case "!=":
                return version != self.version
            case ">=":
                return version >= self.version
            case "<=":
                return version <= self.version
            case ">":
                return version > self.version
            case "<":
                return version < self.version
            case _:
                return self.version <= version < self.after


def parse(constraint: str) -> tuple[Term, ...]:
    """The parts of a constraint, all of which must hold. ValueError, in words that follow the value, for no constraint,
    and for one that takes a version that the stacks can't be deployed with, or none at all."""
    terms = []
    for part in constraint.split(","):
        found = _TERM.fullmatch(part)
        if found is None:
            raise ValueError(
                'must be a constraint as Terraform writes it, such as ">= 5.100.0, < 7.0.0" or "~> 6.20"'
            )
        operator, *numbers = found.groups()
        given = [int(number) for number in numbers if number is not None]
        if operator == "~>" and len(given) == 1:
            raise ValueError(f'has "~> {given[0]}" without a second number: write "~> {given[0]}.0"')
        terms.append(_term(operator or "=", given))
    lowest = max((_begin(one) for one in terms if one.operator not in ("!=", "<", "<=")), default=(0, 0, 0))
    highest = min(
        (_end(one) for one in terms if one.operator not in ("!=", ">", ">=")), default=(999999, 0, 0)
    )
    if lowest < LEAST or highest > BEFORE:
        raise ValueError(
            f"must exclude the versions before {_written(LEAST)} and those from {_written(BEFORE)} on, which these"
            f' stacks don\'t support: write "{DEFAULT}", or what lies within it, such as "~> 6.20"'
        )
    if lowest >= highest:
        raise ValueError("matches no version")
    # cdktf (cli-core, checkNeedsUpgrade) holds the first version in it against the lock's constraints, which are these.
    if not all(one.takes(terms[0].version) for one in terms):
        raise ValueError(
            f'must begin with a version that it takes, as "{DEFAULT}" does; {_written(terms[0].version)} is none, and '
            "the cdktf command line would ignore the lock and take the newest provider at each deployment"
        )
    return tuple(terms)


def takes(constraint: str, version: str) -> bool:
    """Whether a constraint lets a version in, written as a release is ("6.20.0"); no pre-release."""
    found = numbers(version)
    return found is not None and all(one.takes(found) for one in parse(constraint))


def numbers(version: str) -> Version | None:
    """A release's version as numbers; None for anything else."""
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _term(operator: str, given: list[int]) -> Term:
    major, minor, patch = (*given, 0, 0)[:3]
    if operator == "~>" and len(given) == 2:
        after = (major + 1, 0, 0)
    elif operator == "~>":
        after = (major, minor + 1, 0)
    else:
        after = (major, minor, patch + 1)
    return Term(operator, (major, minor, patch), after)


def _begin(term: Term) -> Version:
    """The first version that a part with a lower end takes."""
    return term.after if term.operator == ">" else term.version


def _end(term: Term) -> Version:
    """The version behind the last one that a part with an upper end takes."""
    return term.version if term.operator == "<" else term.after


def _written(version: Version) -> str:
    return ".".join(map(str, version))
