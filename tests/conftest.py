"""For all tests: the bindings are loaded the fast way, and no test reads the machine's own settings or account."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import constructs_lib  # noqa: F401  (before cdktf: see its docstring)
from local_aws import LocalAws
from nixl_efa.cli import commands

# Folders with what takes long: other Pythons, Terraform, machines, killed processes. So does what is marked end_to_end.
LONG = ("matrix", "campaign", "real_nodes", "terraform")
FOREIGN = ("AWS_", "NIXL_EFA_", "CDKTF_", "TF_VAR_")
# Terraform and its provider live for seconds: a fourth of what they compute would be for memory that their end frees.
os.environ.setdefault("GOGC", "off")
os.environ.setdefault("GOMEMLIMIT", "1GiB")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, the matrix's own before all: at the end one such file would be waited for alone."""
    long = {item.path for item in items if item.get_closest_marker("end_to_end")}
    long |= {item.path for item in items if item.path.parent.name in LONG}
    items.sort(key=lambda item: (item.path.parent.name != LONG[0], item.path not in long))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_run_before() -> None:
    """What another test's run was told (a profile, a project) is not in the commands that this one's prints."""
    commands.HERE.set(commands.Here())


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    """One local AWS for a module."""
    with LocalAws() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """Emptied, and the only AWS that this process can reach; us-east-2 is its region."""
    local_aws.reset()
    for name, value in local_aws.environ("us-east-2").items():
        monkeypatch.setenv(name, value)
    return local_aws


@dataclass(frozen=True)
class Disk:
    """A file system of 1 MiB."""

    folder: Path

    def leave_free(self, pages: int) -> None:
        """Fill it with a file `filler` up to some pages of 4096 bytes."""
        free = os.statvfs(self.folder).f_bavail - pages
        (self.folder / "filler").write_bytes(bytes(4096 * free))
        assert os.statvfs(self.folder).f_bavail == pages

    def clear(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield Disk(folder)
    subprocess.run(["umount", str(folder)], check=True)
