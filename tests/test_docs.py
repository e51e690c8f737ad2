"""Every command and snippet that a page prints: what can run is run on a local AWS, the rest is looked up."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.cli.capacity import app as capacity
from nixl_efa.clock import EndpointClock
from nixl_efa.findings import failures
from nixl_efa.settings import load
from tests.clients import clients_are_made_once  # noqa: F401
from tests.known_commands import all_options, fault
from tests.printed import PAGES, ROOT, User, blocks, in_messages, mentioned, scripts, sessions
from tests.synthesis import settings_of, synthesize_settings

REGION = "us-east-2"
# When the sessions of the pages begin.
BEGIN = datetime.fromisoformat("2026-12-01T08:00+00:00")
# What every environment has.
LEAST = {"region": REGION, "instance_type": "g7e.8xlarge"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalAws]:
    """An empty account, whose clock is also this machine's and moves only by waiting; and a copy of the project."""
    local_aws.reset()
    local_aws.clock.set(BEGIN)
    monkeypatch.setattr(EndpointClock, "now", lambda _: local_aws.clock.now())  # exactly, not to the second
    monkeypatch.setattr(
        EndpointClock, "sleep", lambda _, seconds: local_aws.advance(timedelta(seconds=seconds))
    )
    for name, value in local_aws.environ(REGION).items():
        if name.startswith("AWS_") or name.lower() == "no_proxy":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "environments", folder / "environments")
    shutil.copy(ROOT / "cdktf.json", folder)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    monkeypatch.chdir(folder)
    yield local_aws
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def user(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> User:
    return User(monkeypatch)


@pytest.mark.parametrize("page", ["docs/capacity.md", "docs/cost.md"])
def test_a_session_goes_as_it_is_printed(page: str, user: User, pytestconfig: pytest.Config) -> None:
    """`--snapshot-update` writes the page again."""
    path = ROOT / page
    before = after = path.read_text(encoding="utf-8")
    for block in blocks(before, "console"):
        after = after.replace(block.text, user.replayed(block))
    if pytestconfig.option.update_snapshots:
        path.write_text(after, encoding="utf-8")
    else:
        assert after == before


def test_the_commands_of_the_readme_go_from_search_to_check(aws: LocalAws, user: User) -> None:
    names = {"cb-...": "", "cr-...": ""}
    ran = []
    for command in scripts(README):
        if not command.startswith(("nixl-efa capacity", "nixl-efa check")):
            continue
        for shown, real in names.items():
            command = command.replace(shown, real or shown)
        code, seen = user.types(command)
        assert code == 0, f"{command}\n{seen}"
        ran.append(command.split()[1:3])
        for shown in names:
            found = re.findall(rf"^{shown[:3]}\w+", seen, re.MULTILINE)
            names[shown] = names[shown] or (found[0] if found else "")
    assert [one[1] for one in ran] == ["search", "buy", "wait", "prod"]


def test_what_a_purchase_prints_works_where_it_is_pasted(
    aws: LocalAws, user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a shell with another default region, and from another folder."""
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.chdir(tmp_path)
    _, seen = user.types("nixl-efa capacity search p5.48xlarge 2 24 --region us-east-2")
    offering = next(iter(re.findall(r"^cb-\w+", seen, re.MULTILINE)))
    code, seen = user.types(f"nixl-efa --project project capacity buy {offering} --env prod")
    assert code == 0, seen
    reservation = next(iter(re.findall(r"^cr-\w+$", seen, re.MULTILINE)))
    printed = re.findall(r"`(nixl-efa [^`]+)`", seen)
    assert [one for one in printed if f"capacity wait {reservation} --for active" in one]
    for command in printed:
        code, seen = user.types(command)
        assert code == 0, f"{command}\n{seen}"


# What begins a command in the text, where backticks hold other things, too.
OURS = re.compile(r"(?:[A-Z_]+=\S+ )*(?:nixl-efa|make|cdkt[fn]|python|pip|scripts/\S+|\.(?:venv|tools)/\S+) ")


RUNNABLE = re.compile(r"(?:[A-Z_]+=\S+ )*(?:nixl-efa|make|cdkt[fn]|terraform|aws) ")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_is_there_with_its_options(path: Path, aws: LocalAws) -> None:
    page = path.read_text(encoding="utf-8")
    told = [*scripts(page), *sessions(page), *(one for one in mentioned(page) if OURS.match(f"{one} "))]
    faults = {command: fault(command, aws.endpoint) for command in told}
    assert {command: why for command, why in faults.items() if why} == {}


@pytest.mark.parametrize(
    "command",
    [
        "nixl-efa capcity list",
        "nixl-efa capacity list --al",
        "nixl-efa deploy prod --auto-aprove",
        "nixl-efa --projct . check prod",
        "pip install wheels/nixl_efa-0.0.9-py3-none-any.whl",
        "pip wheel --no-dpes .",
        "make tset",
        "make test TSETS=tests/nodes",
        "cdktf deploy nixl-efa-prud",
        "cdktf deploy nixl-efa-prod --auto-aprove",
        "NIXL_EFA_DEV_VOLUME_SIZE=big cdktf deploy nixl-efa-dev",
        "NIXL_EFA_DEV_VOLUM_SIZE=500 cdktf deploy nixl-efa-dev",
        "python -m benchmarks.nothing",
        ".venv/bin/python -m pytest tests/nothing",
        ".venv/bin/python -m pytest tests/nodes --snapshot-updaet",
        "scripts/nothing.sh list",
        "aws ec2 describe-nothing",
        "aws ec2 describe-vpcs --vpc-idz vpc-1",
        "curl -s $AWS_ENDPOINT_URL/nixl-efa-api/nothing",
        "unheard-of command",
    ],
)
def test_a_command_that_is_not_there_is_found(command: str, aws: LocalAws) -> None:
    assert fault(command, aws.endpoint)


def test_the_table_of_commands_has_every_one_with_its_words(aws: LocalAws) -> None:
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    table = page.partition("\n| command |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    told = [command for cell in cells for command in re.findall(r"`([^`]+)`", cell)]
    assert {command.split()[0] for command in told} == {one.name for one in capacity.registered_commands}
    assert [why for command in told if (why := fault(f"nixl-efa capacity {command}", aws.endpoint))] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_an_option_in_the_text_is_one_of_some_command(path: Path) -> None:
    told = [one.split()[0] for one in mentioned(path.read_text(encoding="utf-8")) if one.startswith("--")]
    assert [one for one in told if one not in all_options()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_file_that_a_page_names_is_there(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    ours = re.compile(r"(?:nixl_efa|local_aws|constructs_lib|stacks|tests|docs|scripts|benchmarks)/[\w./-]+")
    named = [ROOT / one for one in mentioned(page) if ours.fullmatch(one)]
    linked = [path.parent / one for one in re.findall(r"\]\((?!https?:)([^)#]+)", page)]
    assert [str(one) for one in (*named, *linked) if not one.exists()] == []


def _given() -> dict[str, Any]:
    """What snippets take as given."""
    settings = settings_of("dev")
    return {"settings": settings, "snapshot": synthesize_settings(settings), "json": json}


@pytest.mark.parametrize("page", ["docs/capacity.md", "docs/check.md", "docs/design.md", "docs/package.md"])
def test_a_snippet_runs(page: str, aws: LocalAws) -> None:
    snippets = blocks((ROOT / page).read_text(encoding="utf-8"), "python")
    assert snippets
    for snippet in snippets:
        exec(compile(snippet.text, page, "exec"), _given())
    bought = [one for one in aws.calls.actions() if one == "PurchaseCapacityBlock"]
    assert len(bought) == (page == "docs/capacity.md")


def test_the_snippet_of_the_local_aws_runs_in_a_process_of_its_own() -> None:
    [snippet] = blocks((ROOT / "docs/local-aws.md").read_text(encoding="utf-8"), "python")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", snippet.text],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_other_page_has_a_snippet() -> None:
    pages = {path.name for path in PAGES if blocks(path.read_text(encoding="utf-8"), "python")}
    assert pages == {"capacity.md", "check.md", "design.md", "local-aws.md", "package.md"}


SETTINGS = [
    (path, number, block.text)
    for path in PAGES
    for number, block in enumerate(blocks(path.read_text(encoding="utf-8"), "toml"), 1)
    if path.name != "bench.md"  # its tables: tests/bench/test_plan.py
]


@pytest.mark.parametrize(
    ("path", "number", "text"), SETTINGS, ids=[f"{path.name}-{number}" for path, number, _ in SETTINGS]
)
def test_settings_on_a_page_are_taken(path: Path, number: int, text: str, tmp_path: Path) -> None:
    """A snippet that leaves out what every environment has is one of dev."""
    given = {**LEAST, **tomllib.loads(text)}
    rest = "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in LEAST.items() if name not in tomllib.loads(text)
    )
    (tmp_path / "dev.toml").write_text(rest + text, encoding="utf-8")
    loaded = load(tmp_path, {}, {})
    assert [one.line() for one in failures(loaded.findings)] == []
    [settings] = loaded.environments
    assert {name for name in given if settings.source(name).label == "default"} == set()


OF_MESSAGES = {
    command: where
    for package in ("nixl_efa", "constructs_lib", "stacks")
    for command, where in in_messages(ROOT / package).items()
}


def test_every_command_in_a_message_is_there_with_its_options(aws: LocalAws) -> None:
    told = {
        one: where for one, where in OF_MESSAGES.items() if RUNNABLE.match(f"{one} ") and "://" not in one
    }
    assert len(told) > 60
    faults = {f"{where}: {one}": fault(one, aws.endpoint) for one, where in told.items()}
    assert {one: why for one, why in faults.items() if why} == {}
