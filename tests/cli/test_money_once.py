"""Bought once, and never lost: whoever is killed, whichever machine, folder or region somebody buys from, and whatever
answers in AWS's place."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import (
    BLOCK,
    ID_NAME,
    REGION,
    ROOT,
    Cli,
    actions,
    buying,
    holding,
    journal,
    locked,
    names_of,
    program,
    stored,
    until,
    usable,
    write_environment,
)
from tests.conftest import Disk

PURCHASE = "PurchaseCapacityBlock"
# A process that is slow to start on a busy machine must not be taken for one that has bought nothing.
SETTLE = ("--look-seconds", "0", "--settle-seconds", "3")


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From now on it is another machine that buys: it has no journal, and has made the same searches."""
    state = tmp_path / "another machine" / "nixl-efa"
    state.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(os.environ["XDG_STATE_HOME"]) / "nixl-efa" / "searches.json", state)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))


# A signal that ends it at once, and one that it answers; those after them are answered as the second is.
ENDS = [
    signal.SIGKILL,
    signal.SIGTERM,
    *(pytest.param(one, marks=pytest.mark.matrix) for one in (signal.SIGINT, signal.SIGHUP)),
]


@pytest.fixture(params=ENDS, ids=lambda one: one.name)
def ended(
    request: pytest.FixtureRequest, cli: Cli, aws: LocalAws, tmp_path: Path
) -> tuple[str, subprocess.CompletedProcess[str], dict[str, Any]]:
    """A buyer that was ended between "bought" in its journal and the parameters: the block, how the process ended, and
    another offering."""
    first, *others = usable(cli)
    # The lock is a parameter, too: what follows the purchase is held.
    with holding("PutParameter", after=lambda: actions(aws, PURCHASE) == 1):
        process = cli.start(*buying(first))
        until(lambda: [one["state"] for one in journal(tmp_path / "state")] == ["bought"], process)
        process.send_signal(request.param)
        out, err = process.communicate(timeout=400)
    (entry,) = journal(tmp_path / "state")
    assert entry["state"] == "bought"
    assert stored(ID_NAME) == ""
    later = next(one for one in others if one["end"] > first["end"])
    return (
        entry["reservation_ids"][0],
        subprocess.CompletedProcess(process.args, process.returncode, out, err),
        later,
    )


Ended = tuple[str, subprocess.CompletedProcess[str], dict[str, Any]]


def test_what_an_ended_buyer_has_bought_is_told_kept_and_saved(cli: Cli, aws: LocalAws, ended: Ended) -> None:
    block, process, later = ended
    if process.returncode != -signal.SIGKILL:
        # An interrupt after the call says what was bought.
        assert (process.returncode, block in process.stderr) == (130, True), process.stderr
        assert "nixl-efa capacity recover --env prod" in process.stderr
    assert "Traceback" not in process.stderr
    listed = cli("capacity", "list")
    assert f"{block} was bought for environment 'prod'" in listed.err
    # Another offering is not bought silently; the first block is saved and told instead.
    stopped = cli.buy(later)
    assert (stopped.code, block in stopped.err) == (1, True)
    assert actions(aws, PURCHASE) == 1
    assert names_of(aws) == [block]


def test_recover_lists_and_saves_what_an_ended_buyer_has_bought(
    cli: Cli, aws: LocalAws, ended: Ended
) -> None:
    block, _, _ = ended
    recovered = cli("capacity", "recover")
    assert recovered.code == 0, recovered.err
    assert block in recovered.out
    assert stored(ID_NAME) == block
    assert not locked()
    again = cli("capacity", "recover")
    assert (again.code, "no purchase is open" in again.err) == (0, True)


def test_another_machine_sees_what_an_ended_buyer_has_bought_and_saves_it(
    cli: Cli, aws: LocalAws, ended: Ended, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    block, _, later = ended
    another_machine(monkeypatch, tmp_path)
    assert "prod" in cli("capacity", "list").err
    stopped = cli.buy(later, *SETTLE)
    assert (stopped.code, "nixl-efa capacity recover --env prod" in stopped.err) == (1, True)
    recovered = cli("capacity", "recover", "--env", "prod")
    assert (recovered.code, block in recovered.out) == (0, True), recovered.err
    assert stored(ID_NAME) == block
    assert names_of(aws) == [block]


@pytest.mark.parametrize("command", ["check", "deploy"])
def test_check_and_deploy_say_that_a_purchase_is_open(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    program(monkeypatch, tmp_path, "cdktf", "exit 1")
    aws.faults.add(PURCHASE, code="InternalError", status=500)
    assert cli.buy(usable(cli)[0], *SETTLE).code == 1
    said = cli(command, "prod")
    assert "nixl-efa capacity recover --env prod" in said.out + said.err


def test_a_block_that_is_not_shown_yet_is_not_overwritten_by_another_machine(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, third, *_ = usable(cli)
    aws.world.visible_after = 30
    bought = cli.buy(first)
    assert bought.code == 0, bought.err
    another_machine(monkeypatch, tmp_path)
    refused = cli.buy(second)
    assert (refused.code, bought.out.strip() in refused.err) == (1, True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert cli.buy(third).code == 1
    assert actions(aws, PURCHASE) == 1
    assert stored(ID_NAME) == bought.out.strip()


def test_a_block_that_is_not_shown_yet_counts_although_it_was_not_saved(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, *_ = usable(cli)
    aws.world.visible_after = 30
    assert cli.buy(first, "--no-save").code == 0
    another_machine(monkeypatch, tmp_path)
    assert cli.buy(second).code == 1
    assert actions(aws, PURCHASE) == 1


def test_a_block_that_may_not_be_looked_at_counts_by_the_shared_journal(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, *_ = usable(cli)
    bought = cli.buy(first, "--no-save")
    assert bought.code == 0, bought.err
    another_machine(monkeypatch, tmp_path)
    aws.faults.add("DescribeCapacityReservations", code="UnauthorizedOperation", message="no", times=None)
    refused = cli.buy(second, "--settle-seconds", "0")
    assert (refused.code, bought.out.strip() in refused.err) == (1, True), refused.err
    assert actions(aws, PURCHASE) == 1


def test_a_stored_id_that_ec2_does_not_know_counts_as_in_use(cli: Cli, aws: LocalAws) -> None:
    unknown = "cr-0123456789abcdef0"
    ssm = boto3.client("ssm", region_name=REGION)
    ssm.put_parameter(Name=ID_NAME, Value=unknown, Type="String")
    refused = cli.buy(usable(cli)[0])
    assert (refused.code, unknown in refused.err, "--replace" in refused.err) == (1, True, True)
    assert actions(aws, PURCHASE) == 0
    assert stored(ID_NAME) == unknown
    assert cli.buy(usable(cli)[0], "--replace").code == 0


def test_two_folders_and_regions_are_one_lock(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offering = usable(cli)[0]
    aws.faults.add(PURCHASE, code="InternalError", status=500)
    assert cli.buy(offering, "--look-seconds", "0", "--settle-seconds", "30").code == 1
    shutil.copytree(Path(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    another_machine(monkeypatch, tmp_path)
    asked = ("--type", "p5.48xlarge", "--count", "2", "--hours", "24", "--region", REGION)
    refused = cli.buy(offering, *asked)
    assert (refused.code, "was begun by" in refused.err) == (1, True), refused.err
    assert actions(aws, PURCHASE) == 1


@pytest.fixture
def moved(cli: Cli, aws: LocalAws) -> str:
    """A block that was bought for prod while prod lived in ap-south-1; it lives in us-east-2 now."""
    text = (Path("environments") / "prod.toml").read_text(encoding="utf-8")
    write_environment(Path(), "prod", text.replace(REGION, "ap-south-1"))
    bought = cli.buy(usable(cli, "--region", "ap-south-1")[0])
    assert bought.code == 0, bought.err
    write_environment(Path(), "prod", text)
    return bought.out.strip()


def test_a_living_block_in_another_region_stops_a_purchase(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moved: str
) -> None:
    another_machine(monkeypatch, tmp_path)
    # Not by the shared journal alone: what it knows is over, or was never written by who bought elsewhere.
    ssm = boto3.client("ssm", region_name="us-east-1")
    for one in ssm.get_parameters_by_path(Path="/nixl-efa/prod/purchases")["Parameters"]:
        ssm.delete_parameter(Name=one["Name"])
    for region in (REGION, "us-east-1", "us-west-2"):
        if region != REGION:
            write_environment(
                Path(), "prod", BLOCK.format(name="prod", parameter=ID_NAME).replace(REGION, region)
            )
        refused = cli.buy(usable(cli, "--region", region)[0])
        assert refused.code == 1
        assert moved in refused.err
        assert "ap-south-1" in refused.err
    assert actions(aws, PURCHASE) == 1


def test_a_region_that_does_not_answer_stops_a_purchase(cli: Cli, aws: LocalAws) -> None:
    offering = usable(cli)[0]
    aws.faults.add("DescribeCapacityReservations", code="UnrecognizedClientException", status=400)
    refused = cli.buy(offering)
    assert (refused.code, "nothing was bought" in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 0


def test_a_full_disk_buys_nothing(
    cli: Cli, aws: LocalAws, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(disk.folder))
    offering = usable(cli)[0]
    for pages in range(4):
        disk.leave_free(pages)
        refused = cli.buy(offering)
        disk.clear()
        if refused.code == 0:
            break
        assert "nothing was bought" in refused.err
        assert (actions(aws, PURCHASE), names_of(aws)) == (0, [])
    journal(disk.folder)
    assert cli.buy(offering).code == 0
    assert actions(aws, PURCHASE) == 1


def test_what_is_bought_while_the_disk_fills_is_told_and_every_file_is_whole(
    cli: Cli, aws: LocalAws, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(disk.folder))
    offering = usable(cli)[0]
    aws.faults.add(PURCHASE, delay=3)
    process = cli.start(*buying(offering))
    until(lambda: [one["state"] for one in journal(disk.folder)] == ["calling"], process)
    disk.leave_free(0)
    out, err = process.communicate(timeout=400)
    (block,) = names_of(aws)
    assert out.strip() == block, err
    assert "can't be written" in err
    assert [one["state"] for one in journal(disk.folder)] == ["calling"]
    assert stored(ID_NAME) == block
    disk.clear()
    again = cli.buy(offering, *SETTLE)
    assert (again.code, again.out.strip()) == (0, block), again.err
    assert [one["state"] for one in journal(disk.folder)] == ["done"]
    assert actions(aws, PURCHASE) == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_could_not_be_told_is_told_by_the_next_command(
    cli: Cli, aws: LocalAws, tmp_path: Path, stream: str
) -> None:
    offering = usable(cli)[0]
    command = [sys.executable, "-m", "nixl_efa", *buying(offering)]
    with Path("/dev/full").open("w", encoding="utf-8") as full, (tmp_path / "said").open("w+") as said:
        process = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            timeout=400,
            stdout=full if stream == "stdout" else said,
            stderr=full if stream == "stderr" else said,
        )
        said.seek(0)
        assert "Traceback" not in said.read()
    assert process.returncode != 0
    open_ones = [one for one in journal(tmp_path / "state") if one["state"] not in ("done", "not-bought")]
    assert [one["state"] for one in open_ones] == ["bought"] * len(names_of(aws))
    recovered = cli("capacity", "recover")
    assert [block for block in names_of(aws) if block not in recovered.out] == []
    assert actions(aws, PURCHASE) == (1 if stream == "stdout" else 0)


def test_a_block_that_was_saved_for_an_environment_stops_it_from_buying_in_another_region(
    cli: Cli, aws: LocalAws
) -> None:
    text = (Path("environments") / "prod.toml").read_text(encoding="utf-8")
    write_environment(Path(), "prod", text.replace(REGION, "ap-south-1"))
    block = cli.buy(usable(cli, "--region", "ap-south-1")[0], "--unbound").out.strip()
    assert cli("capacity", "save", block, "--env", "prod").code == 0
    write_environment(Path(), "prod", text)
    refused = cli.buy(usable(cli)[0])
    assert (refused.code, block in refused.err) == (1, True)
    assert actions(aws, PURCHASE) == 1
