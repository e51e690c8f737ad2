"""The other versions of Python that this machine has: the lock installs under each, and the unit part passes.

They are found on the PATH (python3.12) or with pyenv. The version that the tests run under has all of them anyway.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600
# What another Python can change, and a minute holds: settings, rules, rendering, the jsii runtime, the command line.
UNIT_PART = (
    *("tests/settings", "tests/refusals", "tests/deploy", "tests/stacks", "tests/constructs_lib"),
    *("tests/cli/test_root.py", "tests/cli/test_project.py", "tests/test_main.py"),
)

# One after the other: an editable installation writes into the checkout.
pytestmark = pytest.mark.timeout(2 * SECONDS)


def runs(program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))
    }
    return subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**inherited, **environ},
    )  # fmt: skip


def found(minor: int) -> str:
    """The program of Python 3.minor; empty where this machine has none."""
    on_path = shutil.which(f"python3.{minor}")
    # A shim of pyenv is there for every version, and fails for those that are not chosen.
    if on_path and runs(on_path, "-c", "").returncode == 0:
        return on_path
    pyenv = shutil.which("pyenv")
    if not pyenv:
        return ""
    versions = runs(pyenv, "versions", "--bare").stdout.split()
    of_it = [version for version in versions if version.startswith(f"3.{minor}.")]
    return runs(pyenv, "prefix", of_it[-1]).stdout.strip() + "/bin/python" if of_it else ""


@pytest.mark.parametrize("minor", [11, 12, 13, 14], ids=lambda minor: f"3.{minor}")
def test_the_lock_installs_and_the_unit_part_passes(minor: int) -> None:
    if minor == sys.version_info.minor:
        pytest.skip("the tests run under it")
    python = found(minor)
    if not python:
        pytest.skip("not on this machine")
    folder = f".tools/python-3.{minor}"

    installed = runs("make", f"VENV={folder}", f"PYTHON={python}", "python-packages")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    # pipenv's words about a Pipfile for another version.
    assert "Your Pipfile requires" not in installed.stdout + installed.stderr
    own = str(ROOT / folder / "bin" / "python")
    consistent = runs(own, "-m", "pip", "check")
    assert consistent.returncode == 0, consistent.stdout

    tried = runs(
        own, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not matrix and not end_to_end",
        *UNIT_PART,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stdout[-4000:] + tried.stderr[-2000:]
    assert runs(own, "-c", "import sys; print(sys.version_info.minor)").stdout == f"{minor}\n"
