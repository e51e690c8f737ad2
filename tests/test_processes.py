"""The command line above a process: real processes, as /proc and as ps tell of them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nixl_efa.processes import started_by

ROOT = Path(__file__).resolve().parents[1]
LOOK = """
import json, os, sys
from pathlib import Path
from nixl_efa.processes import started_by
print(json.dumps(started_by(["cdktf", "cdktn"], os.getppid(), Path(sys.argv[1]))))
"""
PLACES = ["/proc", "/nowhere"]  # /nowhere: as on macOS, where ps alone tells


@pytest.fixture
def cdktf(tmp_path: Path) -> Path:
    """A program that starts another by a shell, as cdktf's command line starts the app."""
    (tmp_path / "look.py").write_text(LOOK, encoding="utf-8")
    program = tmp_path / "bin with space" / "cdktf"
    program.parent.mkdir()
    program.write_text(
        "import os, subprocess\nsubprocess.run(os.environ['APP'], shell=True, check=True)\n", encoding="utf-8"
    )
    return program


def seen_below(program: Path, place: str, *arguments: str, **variables: str) -> object:
    look = program.parents[1] / "look.py"
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "APP": f"'{sys.executable}' '{look}' {place}; true",
        **variables,
    }
    # Not by "#!", which takes no path with a space.
    command = [sys.executable, str(program), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("place", PLACES)
def test_the_arguments_of_the_program_that_started_this_one_are_seen(cdktf: Path, place: str) -> None:
    assert seen_below(cdktf, place, "synth", "-c", "spot=true") == ["cdktf", ["synth", "-c", "spot=true"]]


def test_an_argument_is_whole_where_the_system_tells_them_apart(cdktf: Path) -> None:
    assert seen_below(cdktf, "/proc", "synth", "-c", "owner=a b", "") == [
        "cdktf",
        ["synth", "-c", "owner=a b", ""],
    ]


@pytest.mark.parametrize("place", PLACES)
def test_another_program_is_none_of_them(cdktf: Path, place: str) -> None:
    other = cdktf.rename(cdktf.with_name("other"))
    assert seen_below(other, place, "synth") is None


def test_nothing_is_seen_and_soon_where_ps_is_not_there_hangs_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ps = tmp_path / "ps"
    monkeypatch.setenv("PATH", str(tmp_path))
    began = time.monotonic()
    for script in (
        "",
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\necho no numbers\n",
        "#!/bin/sh\nexec /bin/sleep 30\n",
    ):
        if script:
            ps.write_text(script, encoding="utf-8")
            ps.chmod(0o755)
        assert started_by(["cdktf"], os.getpid(), tmp_path / "no-proc") is None
    assert time.monotonic() - began < 10
