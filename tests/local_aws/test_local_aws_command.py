"""The local AWS as a process of its own: `local-aws` by itself, and `nixl-efa local-aws`."""

import ast
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from local_aws import Control

ROOT = Path(__file__).resolve().parent.parent.parent
ALONE = [sys.executable, "-m", "local_aws"]
IN_NIXL_EFA = [sys.executable, "-m", "nixl_efa", "local-aws"]
# As in a place where the product is not installed.
WITHOUT_THE_PRODUCT = f"""
import runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"nixl_efa", "constructs_lib", "stacks", "cdktf"}}:
            raise ModuleNotFoundError(f"{{name}} is not there", name=name)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {str(ROOT)!r})
runpy.run_module("local_aws", run_name="__main__", alter_sys=True)
"""


def ignore_interrupts() -> None:
    """As a shell starts a background job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def started(*options: str, command: list[str] = ALONE) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=ignore_interrupts,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that it prints; they come once it listens."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found[name] = value
        if name == "no_proxy":
            break
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [ALONE, IN_NIXL_EFA], ids=["alone", "in nixl-efa"])
def test_it_says_how_to_use_it_and_stops_cleanly(
    tmp_path: Path, number: signal.Signals, command: list[str]
) -> None:
    file = tmp_path / "port"
    options = ("--port", "0", "--port-file", str(file), "--region", "us-east-2")
    with started(*options, command=command) as process:
        variables = exports(process)
        port = file.read_text(encoding="utf-8").strip()
        assert variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
        assert variables["AWS_REGION"] == "us-east-2"
        assert Control(variables["AWS_ENDPOINT_URL"]).clock.now()
        process.send_signal(number)
        _, talk = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in talk
    assert talk.splitlines()[-1] == "The local AWS has stopped; what was in it is gone."
    assert not file.exists()


def test_it_runs_where_the_product_is_not_installed() -> None:
    command = [sys.executable, "-I", "-c", WITHOUT_THE_PRODUCT]
    with started("--port", "0", command=command) as process:
        clients = boto3.client(
            "ec2",
            region_name="us-east-2",
            endpoint_url=exports(process)["AWS_ENDPOINT_URL"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        found = clients.describe_capacity_block_offerings(
            InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=24
        )
    assert found["CapacityBlockOfferings"]


def test_its_package_names_all_that_it_holds_and_imports() -> None:
    folder = ROOT / "local_aws"
    described = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    sources = list(folder.rglob("*.py"))
    held = {".".join(path.parent.relative_to(ROOT).parts) for path in sources}
    imported = {
        name.partition(".")[0]
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imports(node)
    }
    wanted = {re.split(r"[\[>=]", one)[0] for one in described["project"]["dependencies"]}
    assert set(described["tool"]["setuptools"]["packages"]) == held
    # moto's extra "server" brings werkzeug.
    assert imported - sys.stdlib_module_names - {"local_aws", "werkzeug"} == wanted


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_the_clock_starts_where_it_is_told() -> None:
    with started("--port", "0", "--now", "2026-12-01T08:00", "--speed", "0") as process:
        clock = Control(exports(process)["AWS_ENDPOINT_URL"]).clock
        assert clock.now().isoformat() == "2026-12-01T08:00:00+00:00"


def failure(*options: str) -> tuple[int, str]:
    ended = subprocess.run([*ALONE, *options], capture_output=True, text=True, timeout=60)
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_a_port_in_use_is_named_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = failure("--port", str(port))
    assert code == 1
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert "--port" in line


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_port_file_that_is_there_is_somebody_elses(tmp_path: Path, kind: str) -> None:
    theirs, file = tmp_path / "theirs", tmp_path / "port"
    theirs.write_text("theirs", encoding="utf-8")
    if kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(theirs)
    else:
        theirs.replace(file)
    before = sorted(tmp_path.iterdir())

    code, line = failure("--port", "0", "--port-file", str(file))

    assert (code, f"--port-file {file} is there already" in line) == (2, True), line
    assert sorted(tmp_path.iterdir()) == before
    assert kind == "folder" or file.read_text(encoding="utf-8") == "theirs"


def test_a_port_file_that_another_put_in_its_place_stays(tmp_path: Path) -> None:
    file = tmp_path / "port"
    with started("--port", "0", "--port-file", str(file)) as process:
        exports(process)
        file.unlink()
        file.write_text("theirs", encoding="utf-8")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert [one.name for one in tmp_path.iterdir()] == ["port"]
    assert file.read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--port", "70000"), 2, "--port: '70000' is not a port"),
        (("--prot", "0"), 2, "unrecognized arguments: --prot 0"),
        (("--port", "0", "--now", "noon"), 2, "--now 'noon' is not a time"),
        (("--port", "0", "--now", "0001-01-01"), 2, "--now '0001-01-01': the clock goes from 2000 to 2199"),
        (("--port", "0", "--speed", "nan"), 2, "--speed nan: the clock's speed is from 0 to"),
        (("--port", "0", "--speed", "-1"), 2, "--speed -1.0: the clock's speed is from 0 to"),
        (("--port", "0", "--port-file", "/nowhere/port"), 1, "--port-file /nowhere/port can't be written"),
    ],
)
def test_bad_input_is_one_line(options: tuple[str, ...], code: int, words: str) -> None:
    found, line = failure(*options)
    assert (found, words in line) == (code, True), line
