"""`capacity calendar` on the local AWS: what it asks, what it says when something can't be asked, what it writes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.capacity import history
from nixl_efa.capacity.search import ALLOWED_HOURS
from tests.cli.conftest import (
    BLOCK,
    ID_NAME,
    REGION,
    Cli,
    actions,
    names_of,
    stored,
    until,
    write_environment,
)

OFFERINGS = "DescribeCapacityBlockOfferings"
HERE = ("capacity", "calendar", "--region", REGION, "--hours", "24,48")


@pytest.fixture
def kept(aws: LocalAws, tmp_path: Path) -> Path:
    return history.path_in(tmp_path / "state" / "nixl-efa")


def words(text: str) -> str:
    return " ".join(text.split())


def too_long(text: str) -> list[str]:
    """Lines that do not fit; a command stays whole."""
    return [line for line in text.splitlines() if len(line) > 80 and not line.lstrip().startswith("`")]


def test_all_regions_are_asked_and_for_all_lengths_where_the_type_is_sold(
    cli: Cli, aws: LocalAws, kept: Path
) -> None:
    """Of a type that few regions sell: else these are some 500 calls."""
    aws.calls.clear()
    found = cli("capacity", "calendar", "trn2.48xlarge", "2")
    assert found.code == 0, found.err
    asked = Counter(call.region for call in aws.calls.all() if call.action == OFFERINGS)
    regions = boto3.client("ec2", REGION).describe_regions()["Regions"]
    assert set(asked) == {one["RegionName"] for one in regions}
    sold = {region for region, number in asked.items() if number > 1}
    assert REGION in sold
    assert {asked[region] for region in sold} <= {*range(len(ALLOWED_HOURS), 2 * len(ALLOWED_HOURS) + 1)}
    [look] = history.read(kept).looks
    assert (look.hours, set(look.regions)) == (ALLOWED_HOURS, sold)
    assert names_of(aws) == []


def test_blocks_their_environments_and_ends_are_shown(cli: Cli, aws: LocalAws) -> None:
    block = cli.buy(cli.offer()).out.strip()
    aws.advance(timedelta(hours=3))
    loose = cli.buy(cli.offer(), "--unbound").out.strip()
    found = cli(*HERE)
    assert found.code == 0, found.err
    text = words(found.out)
    assert f"{block} 2 x p5.48xlarge, {REGION}a, active, for prod" in text
    assert f"{block} of prod ends at 2026-12-02 11:30 UTC, and nothing follows it." in text
    assert f"{loose} is bought until" in text
    assert "dev no reservation" in text
    assert "OFFERS: 2 x p5.48xlarge, USD for an instance-hour" in text
    assert too_long(found.out) == []


def test_the_commands_of_its_warnings_work_in_the_users_shell_in_the_text_and_on_the_page(
    cli: Cli, aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = cli.buy(cli.offer()).out.strip()
    project, page = Path().absolute(), tmp_path / "page.html"
    monkeypatch.chdir(tmp_path)
    whom = (
        "--project",
        str(project),
        "capacity",
        "calendar",
        "p5.48xlarge",
        "--region",
        REGION,
        "--hours",
        "24",
    )
    command = f"nixl-efa --project {project} capacity extend {block} --hours 24 --region {REGION}"
    assert f"`{command}`" in cli(*whom).out
    assert cli(*whom, "--html", str(page)).code == 0
    assert f"<code>{command}</code>" in page.read_text(encoding="utf-8")


def test_the_types_are_those_of_environments_that_reserve_and_each_is_asked_for_once(
    cli: Cli, aws: LocalAws
) -> None:
    project = Path.cwd()
    large = BLOCK.format(name="large", parameter="/team/large").replace("p5.48xlarge", "p5en.48xlarge")
    write_environment(project, "large", large + "consumers = 3\n")
    write_environment(project, "plain", f'region = "{REGION}"\ninstance_type = "p4d.24xlarge"\n')
    found = cli(*HERE)
    assert re.findall("OFFERS: (.*?),", found.out) == ["2 x p5.48xlarge", "4 x p5en.48xlarge"]
    assert re.findall("OFFERS: (.*?),", cli(*HERE, "--env", "large").out) == ["4 x p5en.48xlarge"]
    assert "OFFERS: 3 x p5e.48xlarge" in cli(*HERE, "p5e.48xlarge", "3").out


def test_a_region_that_refuses_is_named_and_what_is_not_known_is_not_said(cli: Cli, aws: LocalAws) -> None:
    block = cli.buy(cli.offer()).out.strip()
    assert stored(ID_NAME) == block
    aws.faults.add("DescribeCapacityReservations", code="UnauthorizedOperation", status=403, times=None)
    found = cli(*HERE)
    assert found.code == 0
    assert f"not asked: {REGION}: no permission" in found.err
    assert f"not asked: {REGION}: no permission" in words(found.out)
    assert "prod not known" in found.out
    assert "no reservation" not in found.out
    assert "OFFERS: 2 x p5.48xlarge" in found.out


def test_where_parameters_can_not_be_read_no_block_is_said_to_be_unused(cli: Cli, aws: LocalAws) -> None:
    cli.buy(cli.offer())
    aws.faults.add("GetParameters", code="AccessDeniedException", status=400, times=None)
    found = cli(*HERE)
    assert found.code == 0
    assert f"not asked: Parameter Store in {REGION}" in found.err
    assert "prod (not known as what)" in words(found.out)
    assert "no environment uses it" not in found.out
    assert "nothing follows it" not in found.out


def test_no_answer_at_all_is_a_failure(cli: Cli, aws: LocalAws) -> None:
    for action in (OFFERINGS, "DescribeCapacityReservations"):
        aws.faults.add(action, code="UnauthorizedOperation", status=403, times=None)
    found = cli(*HERE)
    assert (found.code, found.out) == (1, "")
    assert "no region answered: no permission" in found.err


def test_throttling_is_waited_out(cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nixl_efa.aws_calls.FIRST_WAIT_SECONDS", 0.01)
    aws.faults.add(OFFERINGS, code="CapacityBlockDescribeLimitExceeded", status=400, times=4)
    found = cli(*HERE)
    assert (found.code, found.err) == (0, "")
    assert actions(aws, OFFERINGS) >= 6


def test_the_page_is_written_whole_for_all_to_read_and_its_offers_can_be_bought(
    cli: Cli, aws: LocalAws, tmp_path: Path
) -> None:
    path = tmp_path / "calendar.html"
    os.umask(mask := os.umask(0))
    found = cli(*HERE, "--html", str(path))
    assert (found.code, found.out, found.err) == (0, f"{path}\n", "")
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    text = path.read_text(encoding="utf-8")
    assert text.endswith("</html>\n")
    offering = next(one for one in re.findall(r"cb-[0-9a-f]{17}", text))
    dry = cli("capacity", "buy", offering, "--env", "prod", "--dry-run", "--yes", "--max-fee", "9999")
    assert dry.code == 0, dry.err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".calendar")] == []


@pytest.mark.parametrize(
    ("given", "said", "code"),
    [
        (("--html", "nowhere/page.html"), "--html nowhere/page.html: there is no folder nowhere", 2),
        (("--html", "environments"), "is a directory", 2),
        (("p5.48xlarge", "--env", "prod"), "exclude each other", 2),
        (("m5.large",), "TYPE m5.large", 2),
        (("--to", "2026-12-01T07:00"), "give a later --to", 2),
        (("--hours", "30"), "AWS sells", 2),
    ],
)
def test_what_can_not_be_meant_is_refused_before_any_offer_is_asked_for(
    cli: Cli, aws: LocalAws, given: tuple[str, ...], said: str, code: int
) -> None:
    aws.calls.clear()
    found = cli("capacity", "calendar", *given)
    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert actions(aws, OFFERINGS) == 0


def test_a_full_disk_leaves_the_page_that_was_there(cli: Cli, aws: LocalAws, disk: object) -> None:
    folder: Path = disk.folder  # type: ignore[attr-defined]
    page = folder / "calendar.html"
    page.write_text("before")
    disk.leave_free(1)  # type: ignore[attr-defined]
    found = cli(*HERE, "--html", str(page))
    assert (found.code, found.out) == (1, "")
    assert "can't be written: No space left on device" in found.err
    assert page.read_text() == "before"


def test_a_link_stays_one_and_what_is_no_file_stays_what_it_is(
    cli: Cli, aws: LocalAws, tmp_path: Path
) -> None:
    page, link, pipe = (tmp_path / name for name in ("page.html", "link.html", "pipe"))
    link.symlink_to(page)
    assert cli(*HERE, "--html", str(link)).code == 0
    assert link.is_symlink()
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    assert cli(*HERE, "--html", str(pipe)).code == 0
    assert reader.communicate(timeout=60)[0].endswith("</html>\n")
    assert pipe.is_fifo()


def test_ctrl_c_ends_it_and_leaves_no_page(cli: Cli, aws: LocalAws, tmp_path: Path) -> None:
    aws.calls.clear()
    aws.faults.add(OFFERINGS, delay=2.0, times=None)
    process = cli.start(*HERE, "--html", str(tmp_path / "calendar.html"))
    until(lambda: actions(aws, "DescribeCapacityReservations") > 0, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert [one.name for one in tmp_path.iterdir() if "calendar" in one.name] == []


def test_where_this_machines_time_is_not_utc_the_local_time_stands_beside_a_blocks_times(
    cli: Cli, aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.buy(cli.offer())
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        text = cli(*HERE).out
        cli(*HERE, "--html", str(tmp_path / "page.html"))
    time.tzset()
    assert "ends 2026-12-02 11:30 UTC (Wed 20:30 JST)" in words(text)
    assert too_long(text) == []
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<time datetime="2026-12-02T11:30Z">2026-12-02 11:30 UTC (Wed 20:30 JST)</time>' in page


def test_the_line_ends_where_it_is_said_and_only_lengths_that_fit_are_asked_for(
    cli: Cli, aws: LocalAws, kept: Path
) -> None:
    found = cli("capacity", "calendar", "--region", REGION, "--to", "2026-12-05T12:00")
    assert "from 2026-12-01 08:00 UTC to 2026-12-05 12:00 UTC" in found.out
    [look] = history.read(kept).looks
    assert look.hours == (24, 48, 72, 96)


def test_each_look_is_kept_and_the_next_calendar_tells_how_fees_moved(
    cli: Cli, aws: LocalAws, kept: Path
) -> None:
    cli(*HERE)
    aws.advance(timedelta(days=1))
    found = cli(*HERE)
    assert [one.at.day for one in history.read(kept).looks] == [1, 2]
    assert "the lowest fee for an instance-hour of any length, in 2 searches:" in found.out
    assert f"{REGION} " in found.out.partition("in 2 searches:")[2]


def test_environments_with_other_credentials_are_named_and_not_judged(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_environment(
        Path.cwd(), "theirs", BLOCK.format(name="theirs", parameter="/team/theirs") + 'profile = "other"\n'
    )
    cli.buy(cli.offer(), "--unbound")
    found = cli(*HERE)
    assert found.code == 0, found.err
    assert "theirs has other credentials: `nixl-efa capacity calendar --env theirs` shows it" in found.err
    assert "theirs" not in found.out
    assert "no environment uses it" not in found.out
