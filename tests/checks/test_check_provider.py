"""The provider and the Terraform of the next run, against what wrote the state."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa import provider_lock
from nixl_efa.checks.machine_facts import Tool
from nixl_efa.findings import Level, failed
from nixl_efa.provider_lock import Lock, Seen
from nixl_efa.provider_version import DEFAULT
from nixl_efa.state import State, parse
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, MACHINE, NOW
from tests.checks.judging import FAIL, PASS, WARN, assert_says, finding
from tests.test_provider_lock import DEV, places, put

FAULT = failed("provider", "A lock excludes it.", "Set it.")


def held(schema: int | None = None, terraform: str = "1.11.4") -> State:
    """A state with a node whose resource has this schema; without any resource for None."""
    node = {"schema_version": schema, "attributes": {"id": "i-1"}}
    nodes = {"mode": "managed", "type": "aws_instance", "name": "producer", "instances": [node]}
    return parse({"terraform_version": terraform, "resources": [nodes] if schema is not None else []})


def taking(version: str, last: str = "", path: str = "environments/dev.lock.hcl") -> Seen:
    """The locks where the next run takes this version, and the last one here took that."""
    return Seen(DEFAULT, Lock(Path(path), "", version), last or version)


@pytest.mark.parametrize(
    ("seen", "state", "level", "words"),
    [
        (Seen(DEFAULT), held(), PASS, "The first run takes the newest AWS provider of >= 5.100.0, < 7.0.0"),
        (taking("5.100.0"), held(), PASS, "AWS provider 5.100.0, by environments/dev.lock.hcl."),
        (taking("5.100.0"), held(1), PASS, "5.100.0"),
        (taking("6.20.0"), held(2), PASS, "6.20.0"),
        (Seen(DEFAULT), held(1), WARN, "no lock says with which AWS provider it was deployed"),
        (taking("6.20.0", "6.19.0"), held(2), WARN, "last ran here with the AWS provider 6.19.0, and the next run"),
        (taking("6.19.0", "6.20.0"), held(2), WARN, "an older provider may not read"),
        (taking("6.20.0"), held(1), WARN, "written by an AWS provider before 6.0.0 (aws_instance has the schema 1)"),
        (taking("5.100.0"), held(2), FAIL, "environments/dev.lock.hcl locks 5.100.0, which can't read it"),
        (taking("6.20.0", "6.19.0"), held(), PASS, "6.20.0"),
        (replace(taking("5.100.0"), fault=FAULT), held(1), FAIL, "excludes it"),
        (taking("5.100.0"), held(1, "1.12.0"), WARN, "by Terraform (or OpenTofu) 1.12.0, and the one here is 1.11.4"),
    ],
)  # fmt: skip
def test_what_is_known_of_the_provider_that_wrote_the_state(
    seen: Seen, state: State, level: Level, words: str
) -> None:
    facts: dict[str, Any] = {"provider": seen, "state": state}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "provider", {}, facts), level, words)


def test_a_terraform_that_does_not_tell_its_version_is_not_held_against_the_state() -> None:
    machine = replace(MACHINE, terraform=Tool("terraform", "", "/bin/terraform"))
    facts: dict[str, Any] = {"provider": taking("5.100.0"), "state": held(1, "1.12.0"), "machine": machine}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "provider", {}, facts), PASS, "5.100.0")


def test_the_locks_are_looked_for_where_a_synthesis_looks(tmp_path: Path) -> None:
    where = places(tmp_path)
    assert provider_lock.see(DEV, tmp_path) == Seen(DEFAULT)
    put(where.kept, "5.100.0")
    assert provider_lock.see(DEV, tmp_path).last == "5.100.0"
    put(where.team, "6.20.0")
    seen = provider_lock.see(DEV.model_copy(update={"provider_version": "~> 5.100"}), tmp_path)
    assert seen.lock is not None
    assert (seen.lock.version, seen.last) == ("6.20.0", "5.100.0")
    assert seen.fault is not None
    assert "excludes it" in seen.fault.message
