"""`python main.py` on a disk that is full: the folder is as it was, and the message is one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_main import run_main, synthesized

PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leave_free(disk: Path, pages: int) -> None:
    """Fills the disk up to some pages."""
    free = os.statvfs(disk).f_bavail - pages
    (disk / "filler").write_bytes(bytes(PAGE * free))
    assert os.statvfs(disk).f_bavail == pages


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# Of some 42: nothing can be written; the first stack in part; the second in part; all but the manifest.
@pytest.mark.parametrize("pages", [0, 3, 20, 41])
def test_a_full_disk_leaves_the_folder_as_it_was(disk: Path, pages: int) -> None:
    out = disk / "cdktf.out"
    assert run_main(out).returncode == 0
    of_terraform = out / "stacks/nixl-efa-dev/.terraform.lock.hcl"
    of_terraform.write_text("a lock", encoding="utf-8")
    before = everything(out)
    leave_free(disk, pages)

    run = run_main(out, NIXL_EFA_VOLUME_SIZE="2000")

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"Error: {out} could not be written and is as it was: ")
    assert "space left on device" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert everything(out) == before

    (disk / "filler").unlink()
    assert run_main(out, NIXL_EFA_VOLUME_SIZE="2000").returncode == 0
    assert all(b'"volume_size": 2000' in content for content in synthesized(out).values())
    assert of_terraform.read_text(encoding="utf-8") == "a lock"


def test_a_full_disk_without_a_folder_stays_without_one(disk: Path) -> None:
    leave_free(disk, 3)

    run = run_main(disk / "cdktf.out")

    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1)
    assert [path.name for path in disk.iterdir()] == ["filler"]
