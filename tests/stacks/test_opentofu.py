"""What the stacks use of the language, and that OpenTofu has it: it began as Terraform 1.5."""

import re
from collections.abc import Iterator
from typing import Any

from tests.checks.test_dry_run_is_the_launch import CHANGES
from tests.synthesis import Json, synthesize, without_metadata

# Each thing that a stack uses, and the first Terraform that had it (its documentation and changelog).
USED = {
    "block data": "0.12",
    "block locals": "0.12",
    "block output": "0.12",
    "block provider": "0.12",
    "block resource": "0.12",
    "block terraform": "0.12",
    "terraform backend": "0.12",
    "terraform cloud": "1.1",
    "terraform required_providers": "0.13",
    "resource terraform_data": "1.4",
    "argument count": "0.12",
    "argument depends_on": "0.12",
    "argument for_each": "0.12.6",
    "lifecycle ignore_changes": "0.12",
    "lifecycle precondition": "1.2",
    "lifecycle prevent_destroy": "0.12",
    "lifecycle replace_triggered_by": "1.2",
    "function can": "0.12.20",
    "function compact": "0.12",
    "function concat": "0.12",
    "function contains": "0.12",
    "function distinct": "0.12",
    "function endswith": "1.3",
    "function flatten": "0.12",
    "function join": "0.12",
    "function length": "0.12",
    "function lookup": "0.12",
    "function md5": "0.12",
    "function nonsensitive": "0.15",
    "function regex": "0.12.7",
    "function setproduct": "0.12",
    "function sort": "0.12",
    "function tobool": "0.12",
    "function toset": "0.12",
    "function trimspace": "0.12",
    "function try": "0.12.20",
    "function values": "0.12",
    "function zipmap": "0.12",
    "s3 bucket": "0.12",
    "s3 dynamodb_table": "0.12",
    "s3 encrypt": "0.12",
    "s3 key": "0.12",
    "s3 kms_key_id": "0.12",
    "s3 profile": "0.12",
    "s3 region": "0.12",
    "local path": "0.12",
    "cloud hostname": "1.1",
    "cloud organization": "1.1",
    "cloud workspaces": "1.1",
}
# What Terraform got later, and the first OpenTofu that has it (OpenTofu's changelog).
LATER = {"s3 assume_role": "1.6", "s3 use_lockfile": "1.10"}
FORKED_FROM = "1.5"

KEY = "arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"
BACKENDS: list[dict[str, object]] = [
    {"backend": {"type": "cloud", "organization": "acme", "project": "kv"}},
    {
        "backend": {"type": "s3", "bucket": "states", "dynamodb_table": "locks", "kms_key_id": KEY},
        "assume_role": "arn:aws:iam::123456789012:role/deploy",
        "profile": "team",
    },
]


def stacks() -> Iterator[Json]:
    """The stacks with any setting changed, and with each backend; without cdktf's notes."""
    for changes in ({}, *CHANGES.values(), *BACKENDS):
        yield without_metadata(synthesize("dev", **{"instance_type": "g7e.8xlarge", **changes}))
    yield without_metadata(synthesize("prod"))


def used(stack: Json) -> Iterator[str]:
    """What a stack uses, in the words of USED."""
    yield from (f"block {name}" for name in stack)
    terraform = stack["terraform"]
    yield from (f"terraform {name}" for name in terraform)
    for kind, values in {**terraform.get("backend", {}), "cloud": terraform.get("cloud", {})}.items():
        yield from (f"{kind} {name}" for name in values)
    for place in ("resource", "data"):
        for kind, named in stack[place].items():
            if not kind.startswith("aws_"):
                yield f"{place} {kind}"
            for body in named.values():
                yield from (
                    f"argument {name}"
                    for name in ("count", "depends_on", "for_each", "provisioner")
                    if name in body
                )
                yield from (f"lifecycle {name}" for name in body.get("lifecycle", ()))
    yield from (f"function {name}" for text in texts(stack) for name in functions(text))


def texts(node: Any) -> Iterator[str]:
    """Every text in a stack."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)


def functions(text: str) -> list[str]:
    """The functions that the expressions in a text call, those of providers (provider::aws::arn_parse) among them."""
    found = []
    for begin in re.finditer(r"(?<!\$)\$\{", text):
        end, depth = begin.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        # What is in quotes within an expression is a text.
        expression = re.sub(r'"[^"$]*"', '""', text[begin.end() : end])
        found += re.findall(r"(?<![\w.-])((?:provider::)?[a-z][a-z0-9_:]*)\(", expression)
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_stacks_use_what_is_listed_and_nothing_else() -> None:
    found = {one for stack in stacks() for one in used(stack)}
    assert sorted(found - USED.keys() - LATER.keys()) == []
    assert sorted(USED.keys() - found) == []
    assert sorted(LATER.keys() - found) == []


def test_opentofu_has_all_of_it_and_the_lock_in_s3_from_1_10_on() -> None:
    assert [one for one, first in USED.items() if numbers(first) > numbers(FORKED_FROM)] == []
    assert [one for one, first in LATER.items() if numbers(first) > (1, 8)] == ["s3 use_lockfile"]


def test_a_function_of_a_provider_or_a_block_that_came_later_would_be_seen() -> None:
    planted = {
        "terraform": {},
        "resource": {},
        "data": {},
        "removed": [{"from": "aws_eip.a"}],
        "output": {"a": {"value": "${provider::aws::arn_parse(x)} and ${templatestring(y, {})}"}},
    }
    assert set(used(planted)) - USED.keys() == {
        "block removed",
        "function provider::aws::arn_parse",
        "function templatestring",
    }
