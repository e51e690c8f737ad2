"""A block that follows a living one is kept as the next: nothing is destroyed for it before it can be used."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import ID_NAME, REGION, Cli, actions, program, stored, usable
from tests.launches import into, launch

PURCHASE = "PurchaseCapacityBlock"
ZONE_NAME = "/nixl-efa/prod/availability-zone"
NODES = ("nixl-efa-prod-producer", "nixl-efa-prod-consumer")


def at(aws: LocalAws, moment: str, minutes: int = 0) -> None:
    """Lets the time come."""
    aws.advance(datetime.fromisoformat(moment) + timedelta(minutes=minutes) - aws.clock.now())


def run_nodes(block: dict[str, Any], names: tuple[str, ...] = NODES) -> list[str]:
    """Launches instances with these names into an active block."""
    zone, target = block["availability_zone"], into(block["reservation_id"])
    return [launch(REGION, "p5.48xlarge", zone, {"Name": name}, **target)["InstanceId"] for name in names]


@pytest.fixture
def current(cli: Cli, aws: LocalAws) -> dict[str, Any]:
    """prod's block, which is active."""
    offering = usable(cli)[0]
    bought = cli.buy(offering)
    assert bought.code == 0, bought.err
    at(aws, offering["start"], 1)
    (one,) = cli.reservations()
    assert one["state"] == "active"
    return one


@pytest.fixture
def following(cli: Cli, current: dict[str, Any]) -> dict[str, Any]:
    """A block for prod that begins at its current one's end or later."""
    bought = cli.buy(usable(cli, "--from", current["end"])[0], "--json")
    assert bought.code == 0, bought.err
    assert bought.json["kept_as"] == "next"
    return next(one for one in cli.reservations() if one["reservation_id"] != current["reservation_id"])


@pytest.fixture
def overlapping(cli: Cli, aws: LocalAws, current: dict[str, Any]) -> dict[str, Any]:
    """A block for prod that is active before its current one's end, as the current one is: an hour before that."""
    from_when = (datetime.fromisoformat(current["end"]) - timedelta(hours=3)).isoformat()
    offering = usable(cli, "--from", from_when)[0]
    bought = cli("capacity", "buy", offering["offering_id"], "--env", "prod", stdin=offering["fee"] + "\n")
    assert bought.code == 0, bought.err
    assert (stored(ID_NAME), stored(f"{ID_NAME}-next")) == (current["reservation_id"], bought.out.strip())
    at(aws, current["end"], -60)
    return next(one for one in cli.reservations() if one["reservation_id"] == bought.out.strip())


def test_a_purchase_while_the_current_block_lives_is_kept_as_next_in_parameters_of_its_own(
    cli: Cli, current: dict[str, Any], following: dict[str, Any]
) -> None:
    assert (stored(ID_NAME), stored(ZONE_NAME)) == (current["reservation_id"], current["availability_zone"])
    assert stored(f"{ID_NAME}-next") == following["reservation_id"]
    assert stored(f"{ZONE_NAME}-next") == following["availability_zone"]


def test_before_the_fee_it_is_said_that_it_will_be_the_next(cli: Cli, current: dict[str, Any]) -> None:
    offering = usable(cli, "--from", current["end"])[0]
    shown = cli("capacity", "buy", offering["offering_id"], "--env", "prod", stdin="no\n")
    before, asked, _ = shown.err.partition("type the fee")
    assert asked
    assert current["reservation_id"] in before
    assert "next" in before


def test_list_and_load_show_both(cli: Cli, current: dict[str, Any], following: dict[str, Any]) -> None:
    table = cli("capacity", "list").out.splitlines()
    rows = {line.split()[0]: line for line in table if line.startswith("cr-")}
    assert rows[current["reservation_id"]].endswith("prod")
    assert rows[following["reservation_id"]].endswith("prod (next)")
    used = {one["reservation_id"]: one["used_by"] for one in cli.reservations()}
    assert used[current["reservation_id"]] == [{"environment": "prod", "as": "current"}]
    assert used[following["reservation_id"]] == [{"environment": "prod", "as": "next"}]
    loaded = cli("capacity", "load", "--env", "prod")
    assert current["reservation_id"] in loaded.out
    assert following["reservation_id"] in loaded.out
    document = cli("capacity", "load", "--env", "prod", "--json").json
    assert document["reservation_id"] == current["reservation_id"]
    assert document["next_reservation_id"] == following["reservation_id"]


def test_check_shows_both(cli: Cli, current: dict[str, Any], following: dict[str, Any]) -> None:
    checked = cli("check", "prod")
    assert current["reservation_id"] in checked.out
    assert following["reservation_id"] in checked.out


def status(cli: Cli, current: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """What `status` says of nodes that run in the current block."""
    values: dict[str, Any] = {"efa_interfaces": 32, "capacity_reservation_id": current["reservation_id"]}
    for name, instance in zip(("producer", "consumer"), run_nodes(current), strict=True):
        values |= {f"{name}_instance_id": instance, f"{name}_private_ip": "10.0.0.1"}
    outputs = {name: {"value": value} for name, value in values.items()}
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"version": 4, "outputs": outputs, "resources": []}))
    program(monkeypatch, tmp_path, "terraform", f'[ "$1" = init ] || cat {state}')
    said = cli("status", "prod")
    assert current["reservation_id"] in said.out, said
    return said.out


def test_status_shows_both(
    cli: Cli,
    current: dict[str, Any],
    following: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert following["reservation_id"] in status(cli, current, monkeypatch, tmp_path)


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_status_shows_an_extension_with_both_ends(
    cli: Cli,
    aws: LocalAws,
    current: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    state: str,
) -> None:
    aws.world.payment_fails = state == "failed"
    extend = ("capacity", "extend", current["reservation_id"], "--hours", "24", "--yes", "--max-fee", "99999")
    assert cli(*extend).code == 0
    aws.advance(timedelta(minutes=0 if state == "pending" else 6))
    said = status(cli, current, monkeypatch, tmp_path)
    end = datetime.fromisoformat(current["end"])
    for part in (state, f"{end:%Y-%m-%d %H:%M}", f"{end + timedelta(hours=24):%Y-%m-%d %H:%M}"):
        assert part in said


def test_what_follows_is_switched_to_when_it_is_active_and_not_before(
    cli: Cli, aws: LocalAws, current: dict[str, Any], following: dict[str, Any]
) -> None:
    refused = cli("capacity", "switch", "prod")
    assert (refused.code, following["reservation_id"] in refused.err) == (1, True)
    assert stored(ID_NAME) == current["reservation_id"]
    at(aws, following["start"], 1)
    switched = cli("capacity", "switch", "prod")
    assert (switched.code, switched.out.strip()) == (0, following["reservation_id"]), switched.err
    assert (stored(ID_NAME), stored(ZONE_NAME)) == (
        following["reservation_id"],
        following["availability_zone"],
    )
    one = next(one for one in cli.reservations() if one["reservation_id"] == following["reservation_id"])
    assert one["used_by"] == [{"environment": "prod", "as": "current"}]


@pytest.mark.parametrize("answer", ["", "\n", "y\n", "yes\n", "1\n", "3\n"])
def test_switching_away_from_running_nodes_needs_their_number(
    cli: Cli, aws: LocalAws, current: dict[str, Any], overlapping: dict[str, Any], answer: str
) -> None:
    run_nodes(current)
    assert cli("capacity", "switch", "prod", stdin=answer).code == 1
    assert stored(ID_NAME) == current["reservation_id"]
    switched = cli("capacity", "switch", "prod", stdin="2\n")
    assert switched.code == 0, switched.err
    assert stored(ID_NAME) == overlapping["reservation_id"]


def test_only_the_environment_s_own_nodes_are_counted(
    cli: Cli, aws: LocalAws, current: dict[str, Any], overlapping: dict[str, Any]
) -> None:
    run_nodes(current, ("nixl-efa-prod-producer", "somebody-else"))
    assert cli("capacity", "switch", "prod", stdin="2\n").code == 1
    assert cli("capacity", "switch", "prod", stdin="1\n").code == 0


@pytest.mark.parametrize("answer", ["", "y\n", "1\n"])
def test_replace_needs_the_number_of_running_nodes_even_with_yes(
    cli: Cli, aws: LocalAws, current: dict[str, Any], answer: str
) -> None:
    run_nodes(current)
    buy = ("capacity", "buy", usable(cli)[-1]["offering_id"], "--env", "prod", "--replace")
    agreed = ("--yes", "--max-fee", "99999")
    assert cli(*buy, *agreed, stdin=answer).code == 1
    assert actions(aws, PURCHASE) == 1
    assert stored(ID_NAME) == current["reservation_id"]
    bought = cli(*buy, *agreed, stdin="2\n")
    assert (bought.code, stored(ID_NAME)) == (0, bought.out.strip()), bought.err


def test_saving_over_running_nodes_needs_their_number(
    cli: Cli, aws: LocalAws, current: dict[str, Any]
) -> None:
    run_nodes(current)
    other = cli.buy(usable(cli)[-1], "--unbound").out.strip()
    assert cli("capacity", "save", other, "--env", "prod", "--replace", stdin="y\n").code == 1
    assert stored(ID_NAME) == current["reservation_id"]
    assert cli("capacity", "save", other, "--env", "prod", "--replace", stdin="2\n").code == 0
    assert stored(ID_NAME) == other


def test_a_block_that_is_saved_while_the_current_one_lives_becomes_the_next(
    cli: Cli, aws: LocalAws, current: dict[str, Any]
) -> None:
    other = cli.buy(usable(cli, "--from", current["end"])[0], "--unbound").out.strip()
    saved = cli("capacity", "save", other, "--env", "prod", "--json")
    assert (saved.code, saved.json["kept_as"]) == (0, "next"), saved.err
    assert (stored(ID_NAME), stored(f"{ID_NAME}-next")) == (current["reservation_id"], other)


def test_there_is_one_next_block(
    cli: Cli, aws: LocalAws, current: dict[str, Any], following: dict[str, Any]
) -> None:
    refused = cli.buy(usable(cli, "--from", following["end"])[0])
    assert (refused.code, following["reservation_id"] in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 2


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that tells how cdktf was run. Terraform plans nothing."""
    cdktf = """
    echo "$@" >> ROOT/cdktf.log
    stack="$3/stacks/nixl-efa-prod" && mkdir -p "$stack" && echo '{}' > "$stack/cdk.tf.json"
    """
    terraform = """
    case "$1" in
    show) echo '{"resource_changes": []}' ;;
    version) echo '{"terraform_version": "1.11.4"}' ;;
    esac
    """
    program(monkeypatch, tmp_path, "cdktf", cdktf.replace("ROOT", str(tmp_path)))
    program(monkeypatch, tmp_path, "terraform", terraform)
    program(monkeypatch, tmp_path, "node", "echo v20.20.2")
    return tmp_path / "cdktf.log"


def test_deploy_makes_the_next_block_the_current_one_when_it_is_active(
    cli: Cli, aws: LocalAws, current: dict[str, Any], following: dict[str, Any], deployed: Path
) -> None:
    at(aws, following["start"], 1)
    ran = cli("deploy", "prod", "--no-verify")
    assert ran.code == 0, ran
    assert stored(ID_NAME) == following["reservation_id"]
    assert deployed.read_text(encoding="utf-8").startswith("synth --output")


def test_deploy_stays_in_the_current_block_while_the_next_one_has_not_started(
    cli: Cli, aws: LocalAws, current: dict[str, Any], following: dict[str, Any], deployed: Path
) -> None:
    ran = cli("deploy", "prod", "--no-verify")
    assert ran.code == 0, ran
    assert stored(ID_NAME) == current["reservation_id"]


@pytest.mark.parametrize("command", [("check",), ("deploy", "--no-verify")], ids=lambda one: str(one[0]))
def test_nodes_that_run_in_another_living_block_stop_a_deployment_whoever_wrote_the_parameter(
    cli: Cli,
    aws: LocalAws,
    current: dict[str, Any],
    following: dict[str, Any],
    deployed: Path,
    command: tuple[str, ...],
) -> None:
    run_nodes(current)
    ssm = boto3.client("ssm", region_name=REGION)
    for name, value in ((ID_NAME, "reservation_id"), (ZONE_NAME, "availability_zone")):
        ssm.put_parameter(Name=name, Value=following[value], Type="String", Overwrite=True)
    ran = cli(*command, "prod")
    assert ran.code == 1
    (line,) = [line for line in ran.out.splitlines() if line.startswith("FAIL") and "destroy" in line]
    assert current["reservation_id"] in line
    assert following["reservation_id"] in line
    assert not deployed.exists()


def test_deploy_does_not_leave_running_nodes_for_the_next_block_unasked(
    cli: Cli, aws: LocalAws, current: dict[str, Any], overlapping: dict[str, Any], deployed: Path
) -> None:
    run_nodes(current)
    ran = cli("deploy", "prod", "--no-verify", "--auto-approve")
    assert "Traceback" not in ran.err
    assert stored(ID_NAME) == current["reservation_id"]
    assert overlapping["reservation_id"] in ran.out + ran.err
