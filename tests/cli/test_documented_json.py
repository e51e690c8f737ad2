"""The JSON forms are those that docs/capacity.md describes, member by member."""

import re
from typing import Any

import pytest

from local_aws import LocalAws
from tests.cli.conftest import ROOT, Cli


def documented(form: str) -> set[str]:
    """Every name in the line of the table that describes a form."""
    text = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| `{form}` \|(.*)$", text, re.MULTILINE)
    return {name for code in re.findall(r"`([^`]+)`", line) for name in code.split()}


def members(document: dict[str, Any]) -> set[str]:
    """The names of a document and of the lists of objects in it; those of tags and findings are values."""
    names = set(document) - {"schema"}
    for key in ("offerings", "reservations", "purchases", "failed_regions", "order", "account"):
        for one in (
            [document[key]] if key in ("order", "account") and key in document else document.get(key, [])
        ):
            names |= set(one)
    return names


@pytest.mark.parametrize(
    ("form", "command"),
    [
        ("capacity-search", ("search", "p5.48xlarge", "--region", "all")),
        ("capacity-list", ("list", "--region", "us-east-2", "--region", "us-west-2")),
        ("capacity-load", ("load", "--env", "prod")),
    ],
)
def test_a_form_has_the_members_that_are_documented_and_no_others(
    cli: Cli, aws: LocalAws, form: str, command: tuple[str, ...]
) -> None:
    assert cli.buy(cli.offer()).code == 0
    action = {
        "capacity-search": "DescribeCapacityBlockOfferings",
        "capacity-list": "DescribeCapacityReservations",
    }
    if form in action:
        aws.faults.add(action[form], code="OptInRequired", message="not here")
    document = cli("capacity", *command, "--json").json
    if form == "capacity-list" and not document["reservations"]:
        document = cli("capacity", "list", "--json").json | {"failed_regions": document["failed_regions"]}
    assert document["schema"] == f"nixl-efa/{form}/1"
    assert members(document) == documented(form)


def test_a_purchase_and_its_saving_have_the_members_that_are_documented(cli: Cli, aws: LocalAws) -> None:
    bought = cli.buy(cli.offer(), "--json").json
    words = {"bought", "already-bought", "dry-run"}
    assert members(bought) == documented("capacity-purchase") - words
    saved = cli("capacity", "save", bought["reservation_ids"][0], "--env", "prod", "--json").json
    assert members(saved) == documented("capacity-save")
