"""What is offered, at which price, and what a person has typed: nothing is bought on a guess."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local_aws import LocalAws
from local_aws.ec2 import blocks, extensions, offerings
from nixl_efa.account import Account
from nixl_efa.capacity import buyer
from nixl_efa.cli.capacity import session
from tests.cli.conftest import PAIR, Cli, actions

PURCHASE = "PurchaseCapacityBlock"
EXTENSION = "PurchaseCapacityBlockExtension"
OFFERING = "cb-0123456789abcdef0"
FULL_WIDTH = "".join(chr(0xFF10 + int(digit)) for digit in "1600")
# Where a comma or a point means something else, where digits are others, and what floats and ints are in programs.
NO_AMOUNTS = [
    *("500,75", "1.555,58", "1_600", FULL_WIDTH, "١٦٠٠", "+5", "-5", "1e3", "nan", "NaN", "inf", "Infinity"),
    *("", " ", "1,88", "1,8888", "1234,567", ",500", "1,,000", "1.5.5", "1.", ".5", "0x10", "5 USD", "$5"),
    *("1 888", "1'888", "1,888,42", "1,888.42,00", "1.888.42", "५००", "½", f"1,{FULL_WIDTH[1]}00"),
]


def at_hour(aws: LocalAws, hour: int) -> None:
    """Lets the local AWS's next full hour of this number begin."""
    now = aws.clock.now()
    then = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    aws.advance((then if then > now else then + timedelta(days=1)) - now)


def change_offerings(monkeypatch: pytest.MonkeyPatch, **members: object) -> None:
    """Every block is offered with these members of the API."""
    describe = blocks.describe_offering

    def changed(*arguments: Any) -> dict[str, Any]:
        return {**describe(*arguments), **members}

    monkeypatch.setattr(blocks, "describe_offering", changed)


def shorter(cli: Cli, aws: LocalAws, hour: int = 3) -> dict[str, Any]:
    """A block that lasts less than the day that is asked for."""
    at_hour(aws, hour)
    found = cli("capacity", "search", "p5.48xlarge", "2", "24", "--json").json["offerings"]
    one: dict[str, Any] = next(one for one in found if one["end"] and one["hours"] < 24 and one["usable"])
    return one


# Blocks end at 11:30, so what begins in the half hour after these ends after that time (EC2 user guide).
@pytest.mark.parametrize(("hour", "lengths"), [(3, "[78] h"), (16, "(18|19) h")])
def test_a_shorter_block_says_how_much_of_what_was_asked(
    cli: Cli, aws: LocalAws, hour: int, lengths: str
) -> None:
    short = shorter(cli, aws, hour)
    assert (short["asked_hours"], short["shorter_than_asked"]) == (24, True)
    table = cli("capacity", "search", "p5.48xlarge", "2", "24")
    # Each search gives new ids.
    fee = f"{float(short['fee']):,.4f}".rstrip("0")
    (line,) = [one for one in table.out.splitlines() if one.startswith("cb-") and fee in one]
    assert re.search(rf"\b{lengths}( \d+ min)? of the 24 h asked$", line), line


def test_buying_a_shorter_block_warns_with_its_usable_hours(cli: Cli, aws: LocalAws) -> None:
    short = shorter(cli, aws)
    buy = ("capacity", "buy", short["offering_id"], "--env", "prod")
    bought = cli(*buy, stdin=short["fee"] + "\n")
    assert bought.code == 0, bought.err
    # EC2 ends the instances half an hour before the block (EC2 user guide, capacity-blocks-monitor).
    usable = round((short["hours"] - 0.5) * 60)
    told = re.search(r"WARN.*of the 24 h asked; (?:(\d+) h)? ?(?:(\d+) min)? are usable", bought.err)
    assert told is not None, bought.err
    assert int(told[1] or 0) * 60 + int(told[2] or 0) == usable
    assert bought.err.index("WARN") < bought.err.index("type the fee")


def test_yes_takes_a_shorter_block_only_with_the_hours_that_are_enough(cli: Cli, aws: LocalAws) -> None:
    short = shorter(cli, aws)
    refused = cli.buy(short)
    assert (refused.code, "shorter than the 24 h asked" in refused.err, "--min-hours" in refused.err) == (
        1,
        True,
        True,
    )
    refused = cli.buy(short, "--min-hours", str(short["hours"] + 0.1))
    assert (refused.code, "less than --min-hours" in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0
    hint = re.search(r"--min-hours (\d+)", cli.buy(short).err)
    assert hint is not None
    assert cli.buy(short, "--min-hours", hint[1]).code == 0


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "eight"])
def test_hours_that_are_none_are_refused_before_any_call(cli: Cli, aws: LocalAws, hours: str) -> None:
    refused = cli(
        "capacity", "buy", OFFERING, "--env", "prod", "--yes", "--max-fee", "9", "--min-hours", hours
    )
    assert refused.code == 2
    assert not aws.calls.all()


@pytest.mark.parametrize("text", NO_AMOUNTS)
@pytest.mark.parametrize("command", ["buy", "extend"])
def test_a_limit_that_is_no_amount_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, command: str, text: str
) -> None:
    what = (OFFERING,) if command == "buy" else ("cr-0123456789abcdef0", "--hours", "24")
    refused = cli("capacity", command, *what, "--env", "prod", "--yes", f"--max-fee={text}")
    assert (refused.code, f"--max-fee {text!r}" in refused.err) == (2, True)
    assert not aws.calls.all()


@pytest.mark.parametrize(
    ("limit", "bought"),
    [
        ("1888.41", False),
        ("1,888.41", False),
        ("1888.42", True),
        ("1,888.42", True),
        (" 1888.42 ", True),
        ("1889", True),
        ("10,001,888.42", True),
        ("00001888.42", True),
        (" 5 ", False),
    ],
)
def test_a_limit_is_an_amount_with_or_without_commas_before_groups_of_three(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, limit: str, bought: bool
) -> None:
    change_offerings(monkeypatch, UpfrontFee="1888.42")
    offering = cli.offer()["offering_id"]
    run = cli("capacity", "buy", offering, "--env", "prod", "--yes", "--max-fee", limit)
    assert (run.code, "more than --max-fee" in run.err) == ((0, False) if bought else (1, True)), run.err
    assert actions(aws, PURCHASE) == int(bought)


@pytest.mark.parametrize(
    ("fee", "typed"),
    [
        ("50075", "500,75"),
        ("1.56", "1.555,58"),
        ("1600", "1_600"),
        ("1600", FULL_WIDTH),
        ("1600", "١٦٠٠"),
        ("1000", "1e3"),
        ("5", "+5"),
        ("5", "-5"),
        ("5", "5 USD"),
        ("1888.42", "1888,42"),
        ("1888.42", "1.888,42"),
        ("1888.42", "1888"),
        ("1888.42", "nan"),
        ("1888.42", ""),
        ("1888.42", "y"),
    ],
)
def test_a_typed_fee_that_is_another_amount_or_none_buys_nothing(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, fee: str, typed: str
) -> None:
    change_offerings(monkeypatch, UpfrontFee=fee)
    buy = ("capacity", "buy", cli.offer()["offering_id"], "--env", "prod")
    refused = cli(*buy, stdin=typed + "\n")
    assert (refused.code, "nothing was bought" in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0


@pytest.mark.parametrize("typed", ["1888.42", "1,888.42", " 1888.42 ", "1888.420"])
def test_the_typed_fee_is_the_fee(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    change_offerings(monkeypatch, UpfrontFee="1888.42")
    bought = cli("capacity", "buy", cli.offer()["offering_id"], "--env", "prod", stdin=typed + "\n")
    assert bought.code == 0, bought.err
    assert "type the fee (1,888.42)" in bought.err


@pytest.mark.parametrize("seconds", ["inf", "1e15", "nan", "-1", "-inf", "1e400", "soon"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("buy", OFFERING, "--env", "prod"), "--look-seconds"),
        (("buy", OFFERING, "--env", "prod"), "--settle-seconds"),
        (("extend", "cr-0123456789abcdef0", "--hours", "24"), "--look-seconds"),
        (("extend", "cr-0123456789abcdef0", "--hours", "24"), "--settle-seconds"),
        (("recover",), "--settle-seconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_time_that_is_none_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, command: tuple[str, ...], option: str, seconds: str
) -> None:
    refused = cli("capacity", *command, f"{option}={seconds}")
    assert (refused.code, option in refused.err) == (2, True)
    assert not aws.calls.all()


@pytest.mark.parametrize(
    "command",
    [("buy",), ("extend", "--hours", "24", "--yes", "--max-fee", "9"), ("recover",)],
    ids=lambda command: str(command[0]),
)
@pytest.mark.parametrize("seconds", ["0", "60", "299.9"])
def test_at_aws_itself_a_purchase_is_not_given_up_within_five_minutes(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], seconds: str
) -> None:
    block = cli.buy(cli.offer()).out.strip()
    other = cli.offer()["offering_id"]
    known = buyer.identify

    def at_aws(clients: Any, region: str, profile: str) -> Account:
        return replace(known(clients, region, profile), endpoint="")

    monkeypatch.setattr(session, "identify", at_aws)
    what = {"buy": (other, "--env", "prod"), "extend": (block,), "recover": ()}[command[0]]
    refused = cli("capacity", command[0], *what, *command[1:], "--settle-seconds", seconds)
    assert (refused.code, f"--settle-seconds {seconds}" in refused.err, "300" in refused.err) == (
        2,
        True,
        True,
    )
    assert (actions(aws, PURCHASE), actions(aws, EXTENSION)) == (1, 0)


NO_FEES = [
    *("-5", "-0.01", "", " ", "free", "NaN", "nan", "Infinity", "-Infinity", "1,888.42", "1.888,42", "12 USD")
]
NO_IDS = ("", "cr-0123456789abcdef0", "none")


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        *(("UpfrontFee", fee, f"sent {fee!r} as the fee of cb-") for fee in (*NO_FEES, "1_600", FULL_WIDTH)),
        *(("CapacityBlockOfferingId", one, repr(one)) for one in (*NO_IDS, "cb-", "x" * 300)),
    ],
)
def test_an_offering_whose_fee_or_id_is_none_is_not_bought(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, member: str, value: str, said: str
) -> None:
    offering = cli.offer()
    change_offerings(monkeypatch, **{member: value})
    # One that searched when it was right, and one that searches now.
    for refused in (cli.buy(offering), cli("capacity", "search", *PAIR)):
        assert (refused.code, said in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0
    assert len(cli.buy(offering).err.strip().splitlines()) == 1


def test_an_offering_without_a_fee_is_not_bought(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    offering = cli.offer()
    describe = blocks.describe_offering
    monkeypatch.setattr(
        blocks,
        "describe_offering",
        lambda *given: {key: value for key, value in describe(*given).items() if key != "UpfrontFee"},
    )
    assert cli.buy(offering).code == 1
    assert actions(aws, PURCHASE) == 0


@pytest.mark.parametrize(
    ("module", "maker", "value", "said"),
    [
        *((extensions, "_fee", fee, f"sent {fee!r} as the fee") for fee in ("-5", "", "free", "NaN")),
        *((offerings, "extension_id", one, repr(one)) for one in NO_IDS),
    ],
)
def test_an_extension_whose_fee_or_id_is_none_is_not_bought(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, module: Any, maker: str, value: str, said: str
) -> None:
    block = cli.buy(cli.offer()).out.strip()
    aws.advance(timedelta(minutes=6))
    monkeypatch.setattr(module, maker, lambda *_: value)
    refused = cli("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "99999")
    assert (refused.code, said in refused.err) == (1, True)
    assert actions(aws, EXTENSION) == 0


@pytest.mark.parametrize(
    "offering_id", ["", "cr-0123456789abcdef0", "cb-", "CB-0123456789abcdef0", "cb-1;rm", "0"]
)
def test_an_argument_that_is_no_offering_s_id_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, offering_id: str
) -> None:
    named = ("--type", "p5.48xlarge", "--count", "2", "--hours", "24", "--region", "us-east-2")
    refused = cli("capacity", "buy", offering_id, "--env", "prod", "--yes", "--max-fee", "99999", *named)
    assert (refused.code, f"OFFERING {offering_id!r}" in refused.err, "cb-" in refused.err) == (2, True, True)
    assert not aws.calls.all()
