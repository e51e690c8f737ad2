"""`python main.py` on a disk that is full: the folder is as it was, and the message is one line."""

from pathlib import Path

import pytest

from tests.conftest import Disk
from tests.test_main import run_main, synthesized


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# Of some 42: nothing can be written; the first stack in part; the second in part; all but the manifest.
@pytest.mark.parametrize("pages", [3, *(pytest.param(one, marks=pytest.mark.matrix) for one in (0, 20, 41))])
def test_a_full_disk_leaves_the_folder_as_it_was(disk: Disk, pages: int) -> None:
    out = disk.folder / "cdktf.out"
    assert run_main(out).returncode == 0
    of_terraform = out / "stacks/nixl-efa-dev/.terraform.lock.hcl"
    of_terraform.write_text("a lock", encoding="utf-8")
    before = everything(out)
    disk.leave_free(pages)

    run = run_main(out, NIXL_EFA_VOLUME_SIZE="2000")

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"Error: {out} could not be written and is as it was: ")
    assert "space left on device" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert everything(out) == before

    disk.clear()
    assert run_main(out, NIXL_EFA_VOLUME_SIZE="2000").returncode == 0
    assert all(b'"volume_size": 2000' in content for content in synthesized(out).values())
    assert of_terraform.read_text(encoding="utf-8") == "a lock"


def test_a_full_disk_without_a_folder_stays_without_one(disk: Disk) -> None:
    disk.leave_free(3)

    run = run_main(disk.folder / "cdktf.out")

    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1)
    assert [path.name for path in disk.folder.iterdir()] == ["filler"]
