"""An answer that is none of AWS's, or none at all, is never taken for "there is none"."""

import itertools
from pathlib import Path
from typing import Literal

import pytest

from local_aws import LocalAws
from nixl_efa import aws_calls
from tests.cli.conftest import ID_NAME, Cli, actions, journal, names_of, stored, usable

PURCHASE = "PurchaseCapacityBlock"


LISTS = ["DescribeCapacityReservations", "GetParametersByPath", "DescribeCapacityBlockOfferings"]
ASKED = [*LISTS, "GetParameters", "DescribeRegions"]
# A page of a proxy with status 200, an answer without its result element, and pages without end.
NO_ANSWERS = [
    *itertools.product(ASKED, ("html", "empty")),
    *itertools.product(LISTS, ("endless",)),
    ("GetCallerIdentity", "html"),
]


@pytest.fixture(autouse=True)
def _few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_calls, "MOST_PAGES", 5)


@pytest.mark.parametrize(("action", "answer"), NO_ANSWERS)
def test_an_answer_that_is_none_of_aws_buys_nothing(
    cli: Cli, aws: LocalAws, action: str, answer: Literal["html", "empty", "endless"]
) -> None:
    offering = usable(cli)[0]
    aws.faults.add(action, answer=answer, times=None)
    refused = cli.buy(offering)
    aws.faults.clear()
    assert refused.code == 1, refused.err
    assert (actions(aws, PURCHASE), stored(ID_NAME)) == (0, "")


@pytest.mark.parametrize("answer", ["html", "empty", "endless"])
def test_an_answer_that_is_none_is_no_proof_that_nothing_was_bought(
    cli: Cli, aws: LocalAws, tmp_path: Path, answer: Literal["html", "empty", "endless"]
) -> None:
    offering = usable(cli)[0]
    # The purchase, whose answer is lost, is not shown at the three looks of its command.
    aws.world.visible_after = 4
    aws.faults.add(PURCHASE, lose_answer=True)
    assert cli.buy(offering, "--look-seconds", "0", "--settle-seconds", "3600").code == 1
    aws.faults.add("DescribeCapacityReservations", answer=answer, times=None)
    at_once = ("--settle-seconds", "0")
    assert cli.buy(offering, "--look-seconds", "0", *at_once).code == 1
    assert cli("capacity", "recover", *at_once).code == 1
    assert cli("capacity", "list").code == 1
    assert [one["state"] for one in journal(tmp_path / "state")] == ["calling"]
    aws.faults.clear()
    again = cli.buy(offering, "--look-seconds", "0", "--settle-seconds", "20")
    assert (again.code, names_of(aws)) == (0, [again.out.strip()]), again.err
    assert actions(aws, PURCHASE) == 1


# What a user would act on.
NONE = ("no reservations", "there is no", "does not exist", "no block of", "not visible", "no purchase is")


@pytest.mark.parametrize(
    ("command", "action"),
    [
        (("list",), "DescribeCapacityReservations"),
        (("show", "BLOCK"), "DescribeCapacityReservations"),
        (("wait", "BLOCK", "--timeout", "0s"), "DescribeCapacityReservations"),
        (("search", "p5.48xlarge"), "DescribeCapacityBlockOfferings"),
        (("list", "--region", "all"), "DescribeRegions"),
        (("load", "--env", "prod"), "GetParameters"),
        (("load", "--env", "prod"), "DescribeCapacityReservations"),
        (("save", "BLOCK", "--env", "prod"), "GetParameters"),
        (("save", "BLOCK", "--env", "prod"), "DescribeCapacityReservations"),
        (("switch", "prod"), "GetParameters"),
        (("recover",), "GetParametersByPath"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_command_says_that_there_is_none(
    cli: Cli, aws: LocalAws, command: tuple[str, ...], action: str
) -> None:
    block = cli.buy(usable(cli)[0]).out.strip()
    before = stored(ID_NAME)
    aws.faults.add(action, answer="html", times=None)
    ran = cli("capacity", *(block if word == "BLOCK" else word for word in command))
    aws.faults.clear()
    assert ran.code == 1, ran
    assert not [words for words in NONE if words in ran.out + ran.err], ran
    assert stored(ID_NAME) == before


@pytest.mark.parametrize("action", ["DescribeCapacityReservations", "GetParameters"])
def test_check_does_not_take_a_page_for_a_missing_reservation(cli: Cli, aws: LocalAws, action: str) -> None:
    cli.buy(usable(cli)[0])
    aws.faults.add(action, answer="html", times=None)
    ran = cli("check", "prod")
    assert not [words for words in NONE if words in ran.out + ran.err], ran.out
