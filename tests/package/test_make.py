"""`make` without what it can't install says so in one line, before it downloads anything; in a folder with a space."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make") or "make"
NODE = "Node.js (node and npm) is not on PATH: install version 20 or 22"
TERRAFORM = (
    "terraform is not on PATH: install Terraform 1.4 or newer, or OpenTofu and set TERRAFORM_BINARY_NAME=tofu"
)
PYTHON = "python3 is not Python 3.11 or newer: name one with make PYTHON=python3.12"
# Writes down what it is asked for. Its Python of version 3.10 answers the Makefile's question as that one does.
STAND_IN = """#!/bin/sh
echo "$0 $*" >> "$CALLS"
if [ "$1" = -c ]; then exec "{python}" -I -c "import sys; sys.version_info = ({version}); $2"; fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with all that make looks at, of which nothing is installed."""
    folder = tmp_path / "a b"
    for name in ("Makefile", "Pipfile.lock", "pyproject.toml", "local_aws/pyproject.toml", "package-lock.json",
                 "tests/terraform/checkov-requirements.txt", "tests/export/engines-requirements.txt",
                 "tests/service/router-requirements.txt"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def make(
    checkout: Path, target: str, missing: str = "", *, version: str = "3, 12", **environ: str
) -> tuple[int, list[str], list[str]]:
    """How it ends: its exit code, what it says but for make's own line, and which programs were asked for what."""
    programs = checkout.parent / "programs"
    programs.mkdir()
    calls = checkout.parent / "calls"
    for name in {"node", "npm", "terraform", "python3"} - {missing}:
        (programs / name).write_text(
            STAND_IN.format(python=sys.executable, version=version), encoding="utf-8"
        )
        (programs / name).chmod(0o755)
    for name in ("sh", "touch", "mkdir", "basename"):
        (programs / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        [MAKE, "--no-print-directory", target], cwd=checkout, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": str(programs), "CALLS": str(calls), **environ},
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    asked = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    return done.returncode, said, [line.removeprefix(f"{programs}{os.sep}") for line in asked]


@pytest.mark.parametrize(
    ("target", "missing", "line"),
    [
        ("rehearse", "terraform", TERRAFORM),
        ("test", "terraform", TERRAFORM),
        ("rehearse", "node", NODE),
        ("synth", "node", NODE),
        ("test", "node", NODE),
        ("synth", "npm", NODE),
        ("rehearse", "python3", PYTHON),
        ("synth", "python3", PYTHON),
        ("test", "python3", PYTHON),
    ],
)
def test_what_is_missing_is_said_in_one_line(checkout: Path, target: str, missing: str, line: str) -> None:
    code, said, _ = make(checkout, target, missing)
    assert (code, said) == (2, [line])
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_too_old_is_refused_before_anything_is_made(checkout: Path) -> None:
    code, said, asked = make(checkout, "synth", version="3, 10, 13")
    assert (code, said) == (2, [PYTHON])
    assert [line for line in asked if line.startswith(("python3 -m", "npm"))] == []


def test_the_terraform_that_is_looked_for_is_the_chosen_one(checkout: Path) -> None:
    code, said, _ = make(checkout, "rehearse", TERRAFORM_BINARY_NAME="tofu")
    assert (code, said) == (2, [TERRAFORM.replace("terraform is", "tofu is", 1)])


def test_synth_needs_no_terraform_and_goes_on_to_install(checkout: Path) -> None:
    _, said, asked = make(checkout, "synth", "terraform")
    assert said[0] == "Installing the Python packages of Pipfile.lock into .venv"
    assert "python3 -m venv .venv" in asked


def test_the_cdktf_command_line_says_what_is_wrong_with_python(checkout: Path) -> None:
    """It starts scripts/app, also from a folder that is not a checkout."""
    (checkout / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "app", checkout / "scripts")
    programs = checkout.parent / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "make"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "python3").write_text(
        STAND_IN.format(python=sys.executable, version="3, 10, 13"), encoding="utf-8"
    )
    (programs / "python3").chmod(0o755)
    done = subprocess.run(
        [str(checkout / "scripts" / "app")], cwd=checkout.parent, capture_output=True, text=True, timeout=60,
        check=False, env={"PATH": str(programs), "CALLS": os.devnull},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == PYTHON
    assert not (checkout / ".venv").exists()
