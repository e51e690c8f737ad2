"""Terraform's own output, as a deployment shows it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from nixl_efa.terraform import Show, show, show_on_stderr
from tests.printed import ROOT


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Prints its arguments."""
    path = tmp_path / "terraform"
    path.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("run", [show, show_on_stderr])
def test_a_file_or_pipe_gets_no_colors(
    run: Show, program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([program, "apply", "plan"], tmp_path, os.environ)[0] == 0
    assert "".join(capfd.readouterr()) == "apply -no-color plan\n"


def test_a_terminal_gets_colors(program: str, tmp_path: Path) -> None:
    here, terminal = pty.openpty()
    script = f"import os; from nixl_efa.terraform import show; show([{program!r}, 'apply', 'plan'], '.', os.environ)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=terminal, check=True)
    assert os.read(here, 1000) == b"apply plan\r\n"
    os.close(here)
    os.close(terminal)
