"""The folder of a rehearsal: all of the project but what runs have written, and nothing is imported from it."""

import os
import subprocess
import sys
from pathlib import Path

from nixl_efa import __version__
from nixl_efa.rehearse import workspace
from nixl_efa.rehearse.tools import find_tools
from tests.synthesis import settings_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_project_s_files_are_there_and_what_runs_write_is_not(tmp_path: Path) -> None:
    for name in (
        "environments",
        "cdktf.out",
        "cdktf.out.1",
        "state",
        "measurements",
        "journal",
        ".git",
        "parts",
    ):
        (tmp_path / name).mkdir()
    for name in ("app.py", "cdktf.json", "rehearsal.log"):
        (tmp_path / name).write_text("", encoding="utf-8")

    made = workspace.make(tmp_path, settings_of("dev"))

    assert sorted(path.name for path in made.folder.iterdir()) == [
        "app.py",
        "cdktf.json",
        "environments",
        "parts",
    ]
    # Anew, and what it wrote is gone.
    made.log.write_text("", encoding="utf-8")
    again = workspace.make(tmp_path, settings_of("dev"))
    assert not again.log.exists()
    assert (tmp_path / "app.py").exists()


def test_its_programs_import_nothing_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "nixl_efa").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "nixl_efa" / name).write_text("print('not this one')", encoding="utf-8")
    command = find_tools(ROOT, os.environ, sys.executable).nixl_efa
    done = subprocess.run(
        [*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == f"nixl-efa {__version__}\n"
