"""What fits is bought, for whom it was meant, with everything on the table before the fee."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import (
    ID_NAME,
    PAIR,
    REGION,
    Cli,
    actions,
    journal,
    program,
    stored,
    usable,
    write_environment,
)

PURCHASE = "PurchaseCapacityBlock"
ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"
# An environment that a block of two p5.48xlarge in us-east-2 fits.
FITTING: dict[str, Any] = {"region": REGION, "instance_type": "p5.48xlarge", "use_capacity_block": True}


def environment(name: str, **changes: Any) -> None:
    """An environment that differs from the fitting one."""
    settings = {**FITTING, "capacity_reservation_parameter": f"/team/{name}", **changes}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if value is not None]
    write_environment(Path(), name, "\n".join(lines) + "\n")


UNFIT: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "another type": (
        ("p5en.48xlarge", "2", "24"),
        {},
        "is for p5en.48xlarge, but instance_type is p5.48xlarge",
    ),
    "one instance of two": (("p5.48xlarge", "1", "24"), {}, "1 of 1 instance"),
    "no block wanted": (PAIR, {"use_capacity_block": False}, "use_capacity_block is not set"),
    "another region": ((*PAIR, "--region", "ap-south-1"), {}, "is not in us-east-2"),
    "another account": (PAIR, {"account_id": OTHER_ACCOUNT}, f"account_id is {OTHER_ACCOUNT}"),
    "another zone": (PAIR, {"availability_zone": "us-east-2c"}, "the wanted zone is us-east-2c"),
    "too short for its min_hours": (PAIR, {"min_hours": 200}, "less than the 200 h of min_hours"),
}


@pytest.mark.parametrize("agreed", ["--yes", "the typed fee"])
@pytest.mark.parametrize("case", UNFIT)
def test_what_is_useless_for_its_environment_is_refused_before_the_money(
    cli: Cli, aws: LocalAws, case: str, agreed: str
) -> None:
    words, changes, reason = UNFIT[case]
    environment("dev", **changes)
    offering = usable(cli, what=words)[0]
    buy = ("capacity", "buy", offering["offering_id"], "--env", "dev")
    if agreed == "--yes":
        refused = cli(*buy, "--yes", "--max-fee", "99999")
    else:
        refused = cli(*buy, stdin=offering["fee"] + "\n")
    assert refused.code == 1, refused.err
    assert "FAIL" in refused.err
    assert reason in refused.err
    assert "nothing was bought" in refused.err
    assert actions(aws, PURCHASE) == 0


def test_a_block_outside_of_the_subnet_s_zone_is_refused_before_the_money(cli: Cli, aws: LocalAws) -> None:
    offering = usable(cli)[0]
    ec2 = boto3.client("ec2", region_name=REGION)
    subnets = ec2.describe_subnets()["Subnets"]
    elsewhere = next(one for one in subnets if one["AvailabilityZone"] != offering["availability_zone"])
    environment("dev", subnet_id=elsewhere["SubnetId"])
    refused = cli.buy(offering, "--env", "dev")
    assert (refused.code, elsewhere["AvailabilityZone"] in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_purchase_that_would_change_what_another_environment_reads_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, name: str
) -> None:
    for each in ("dev", "prod"):
        environment(each, availability_zone_parameter="/team/zone")
    offering = usable(cli)[0]
    calls = len(aws.calls.actions())
    refused = cli("capacity", "buy", offering["offering_id"], "--env", name, "--yes", "--max-fee", "99999")
    assert refused.code == 2
    assert f"{name}: the parameter /team/zone would be written for" in refused.err
    assert len(aws.calls.actions()) == calls


@pytest.mark.parametrize(
    "flags", [("--replace",), ("--no-save",), ("--min-hours", "0"), ("--replace", "--no-save")]
)
def test_no_flag_overrules_what_makes_a_block_useless(
    cli: Cli, aws: LocalAws, flags: tuple[str, ...]
) -> None:
    (offering, *_) = usable(cli, what=("p5.48xlarge", "1", "24"))
    refused = cli.buy(offering, "--env", "dev", *flags)
    assert (refused.code, "FAIL" in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0


@pytest.mark.parametrize(
    "command",
    [
        ("buy", "cb-0123456789abcdef0", "--yes", "--max-fee", "1"),
        ("extend", "cr-0123456789abcdef0", "--hours", "24", "--yes", "--max-fee", "1"),
        ("save", "cr-0123456789abcdef0"),
        ("load",),
    ],
    ids=lambda command: str(command[0]),
)
@pytest.mark.parametrize("name", ["prdo", "Prod", "PROD", "prod ", "pro"])
def test_a_wrong_name_is_refused_with_the_nearest_and_nothing_is_called(
    cli: Cli, aws: LocalAws, command: tuple[str, ...], name: str
) -> None:
    refused = cli("capacity", *command, "--env", name)
    assert refused.code == 2
    assert f"--env {name!r}" in refused.err
    assert "prod" in refused.err.replace(repr(name), "")
    assert not aws.calls.all()


def test_a_wrong_name_stops_a_purchase_that_was_searched_for(cli: Cli, aws: LocalAws) -> None:
    (offering, *_) = usable(cli)
    aws.calls.clear()
    for name in ("prdo", "Prod"):
        assert cli.buy(offering, "--env", name).code == 2
    assert cli("capacity", "switch", "prdo").code == 2
    assert not aws.calls.all()


def test_a_wrong_name_has_no_purchases_to_recover(cli: Cli, aws: LocalAws) -> None:
    refused = cli("capacity", "recover", "--env", "prdo")
    assert refused.code == 2
    assert "prod" in refused.err.replace("prdo", "")


def test_without_a_project_nothing_is_bought_unless_for_none(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (offering, *_) = usable(cli)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    aws.calls.clear()
    for whom in ((), ("--env", "prod")):
        refused = cli("capacity", "buy", offering["offering_id"], *whom, "--yes", "--max-fee", "99999")
        assert (refused.code, "--unbound" in refused.err) == (2, True)
    assert not aws.calls.all()
    bought = cli.buy(offering, "--unbound")
    assert bought.code == 0, bought.err
    assert "for no environment" in bought.err


def test_a_block_for_no_environment_says_so_and_is_bound_later(cli: Cli, aws: LocalAws) -> None:
    bought = cli.buy(usable(cli)[0], "--unbound")
    assert (bought.code, "WARN: environment: It is bought for no environment" in bought.err) == (0, True)
    block = bought.out.strip()
    assert (stored(ID_NAME), stored("/team/dev-block")) == ("", "")
    assert cli.reservations()[0]["environments"] == []
    assert cli("capacity", "save", block, "--env", "prod").code == 0
    assert stored(ID_NAME) == block
    assert cli.reservations()[0]["used_by"] == [{"environment": "prod", "as": "current"}]


def test_blocks_for_no_environment_have_one_lock_for_the_account(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, *_ = usable(cli)
    aws.faults.add(PURCHASE, code="InternalError", status=500)
    short = ("--look-seconds", "0", "--settle-seconds", "5")
    assert cli.buy(first, "--unbound", *short).code == 1
    # Another machine, another folder, another region of its own.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.chdir(tmp_path)
    asked = ("--type", "p5.48xlarge", "--count", "2", "--hours", "24", "--region", REGION)
    refused = cli.buy(second, "--unbound", *asked)
    assert (refused.code, "a purchase for no environment was begun by" in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 1


def test_with_two_environments_that_fit_the_user_is_asked(cli: Cli, aws: LocalAws) -> None:
    (offering, *_) = usable(cli)
    asked = cli("capacity", "buy", offering["offering_id"], stdin=f"dev\n{offering['fee']}\n")
    assert asked.code == 0, asked.err
    assert "For which environment is it?" in asked.err
    assert (stored("/team/dev-block"), stored(ID_NAME)) == (asked.out.strip(), "")


@pytest.mark.parametrize("answer", ["", "\n", "prdo\n1\n", "y\n"])
def test_without_an_answer_for_whom_nothing_is_bought(cli: Cli, aws: LocalAws, answer: str) -> None:
    (offering, *_) = usable(cli)
    assert cli("capacity", "buy", offering["offering_id"], stdin=answer).code in (1, 2)
    assert actions(aws, PURCHASE) == 0


def test_with_two_environments_that_fit_yes_is_refused(cli: Cli, aws: LocalAws) -> None:
    (offering, *_) = usable(cli)
    refused = cli("capacity", "buy", offering["offering_id"], "--yes", "--max-fee", "99999")
    assert (refused.code, "dev and prod" in refused.err, "--env" in refused.err) == (2, True, True)
    assert actions(aws, PURCHASE) == 0


def test_the_only_environment_that_fits_is_named(cli: Cli, aws: LocalAws) -> None:
    environment("prod", instance_type="p5en.48xlarge")
    (offering, *_) = usable(cli)
    bought = cli("capacity", "buy", offering["offering_id"], "--yes", "--max-fee", "99999")
    assert (bought.code, "environment 'dev', the only one that it fits" in bought.err) == (0, True)


def test_what_fits_no_environment_is_refused_with_the_reasons(cli: Cli, aws: LocalAws) -> None:
    (offering, *_) = usable(cli, what=("p5.48xlarge", "1", "24"))
    refused = cli("capacity", "buy", offering["offering_id"], "--yes", "--max-fee", "99999")
    assert refused.code == 1
    assert all(words in refused.err for words in ("fits no environment", "dev: ", "prod: "))
    assert actions(aws, PURCHASE) == 0


@pytest.fixture
def profile(aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A profile of a user whose account has an alias."""
    boto3.client("iam").create_account_alias(AccountAlias="team-research")
    config = tmp_path / "config"
    keys = "aws_access_key_id = local\naws_secret_access_key = local\n"
    config.write_text(f"[profile team]\nregion = us-east-2\n{keys}", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return "team"


@pytest.mark.parametrize("how", [("--dry-run",), ("--yes", "--max-fee", "99999"), ()])
def test_who_pays_is_on_screen_before_the_fee(
    cli: Cli, aws: LocalAws, profile: str, how: tuple[str, ...]
) -> None:
    (offering, *_) = usable(cli)
    buy = ("capacity", "buy", offering["offering_id"], "--env", "prod", "--profile", profile, *how)
    shown = cli(*buy, stdin="no\n")
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    (line,) = [one for one in shown.err.splitlines() if one.strip().startswith("paid by")]
    for part in (ACCOUNT, "team-research", arn, "profile team"):
        assert part in line
    if not how:
        assert shown.err.index("paid by") < shown.err.index("type the fee")
    assert actions(aws, PURCHASE) == (0 if not how else 1)


@pytest.mark.parametrize("how", [("--dry-run",), ("--yes", "--max-fee", "99999")])
def test_who_pays_is_in_the_document(cli: Cli, aws: LocalAws, profile: str, how: tuple[str, ...]) -> None:
    (offering, *_) = usable(cli)
    buy = ("capacity", "buy", offering["offering_id"], "--env", "prod", "--profile", profile, *how, "--json")
    account = cli(*buy).json["account"]
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    assert account == {"account_id": ACCOUNT, "alias": "team-research", "arn": arn, "profile": "team"}


def test_an_alias_that_may_not_be_read_stops_nothing(cli: Cli, aws: LocalAws) -> None:
    (offering, *_) = usable(cli)
    aws.faults.add("ListAccountAliases", code="AccessDenied", status=403, times=None)
    bought = cli.buy(offering)
    assert (bought.code, f"account {ACCOUNT}, as arn:" in bought.err) == (0, True)


@pytest.mark.parametrize("command", ["check", "deploy", "verify", "status"])
def test_credentials_of_another_account_do_nothing_for_the_environment(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    program(monkeypatch, tmp_path, "cdktf", f"touch {tmp_path}/deployed")
    environment("prod", account_id=OTHER_ACCOUNT)
    refused = cli(command, "prod")
    assert refused.code == 1
    assert OTHER_ACCOUNT in refused.out + refused.err
    assert ACCOUNT in refused.out + refused.err
    assert not (tmp_path / "deployed").exists()


def test_credentials_of_another_account_do_not_extend_its_block(cli: Cli, aws: LocalAws) -> None:
    block = cli.buy(usable(cli)[0]).out.strip()
    aws.advance(timedelta(minutes=6))
    environment("prod", account_id=OTHER_ACCOUNT)
    extend = ("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "99999")
    for whom in ((), ("--env", "prod")):
        refused = cli(*extend, *whom)
        assert (refused.code, f"account_id is {OTHER_ACCOUNT}" in refused.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlockExtension") == 0


def test_the_lock_s_region_is_shown_and_written_to_the_journal(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIXL_EFA_LOCK_REGION", "eu-west-1")
    bought = cli.buy(usable(cli)[0])
    assert bought.code == 0, bought.err
    assert "/nixl-efa/prod/purchases in eu-west-1" in bought.err
    assert [one["order"]["lock_region"] for one in journal(tmp_path / "state")] == ["eu-west-1"]
    shared = boto3.client("ssm", region_name="eu-west-1").get_parameters_by_path(
        Path="/nixl-efa/prod/purchases"
    )
    assert [one["Name"].rpartition("/")[2] for one in shared["Parameters"]] == ["000001", "000001-closed"]


def test_a_living_block_of_an_environment_that_was_renamed_is_named_before_the_fee(
    cli: Cli, aws: LocalAws
) -> None:
    block = cli.buy(usable(cli)[0], "--env", "dev").out.strip()
    text = (Path("environments") / "dev.toml").read_text(encoding="utf-8")
    write_environment(Path(), "trial", text.replace("dev", "trial"))
    (Path("environments") / "dev.toml").unlink()
    shown = cli("capacity", "buy", usable(cli)[1]["offering_id"], "--env", "trial", "--dry-run")
    assert (
        f"WARN: environment: {block} is in use and was bought for 'dev', which is no environment here."
        in shown.err
    )


@pytest.mark.parametrize("option", [("--type", "p5e.48xlarge"), ("--count", "4"), ("--hours", "48")])
def test_an_option_that_contradicts_the_search_is_refused(
    cli: Cli, aws: LocalAws, option: tuple[str, str]
) -> None:
    offering = usable(cli)[0]["offering_id"]
    aws.calls.clear()
    refused = cli("capacity", "buy", offering, "--env", "prod", *option)
    assert (refused.code, f"{option[0]} {option[1]}: the search" in refused.err) == (2, True)
    assert not aws.calls.all()
