"""What arms a node and drains it: the script in a folder that stands for the node, with a systemctl that notes."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from nixl_efa.nodes.sections import Section, sections
from nixl_efa.service import drain

BASE64 = shutil.which("base64")
SCRIPT = Path(drain.__file__).with_name("drain-node.sh")
# systemctl(1): a oneshot that runs is "activating", which is no exit code 0 of is-active.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$NIXL_EFA_ROOT/calls"
case $1 in
is-active) echo activating; exit 3 ;;
esac
"""


@dataclass(frozen=True)
class Folder:
    """A node's files."""

    root: Path

    def run(self, asked: str = "") -> dict[str, Section]:
        """The sections of the script. asked: the text of the drain that is asked for; empty arms."""
        words = [base64.b64encode(one.encode()).decode() for one in ("pass", "{}", "[Unit]", "[Unit]")]
        environ = {"NIXL_EFA_ROOT": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        command = ["sh", str(SCRIPT), *words, base64.b64encode(asked.encode()).decode()]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return dict(sections(done.stdout))

    @property
    def calls(self) -> list[str]:
        """What systemctl was called with."""
        path = self.root / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def write(self, name: str, text: str) -> None:
        """A file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def node(tmp_path: Path) -> Folder:
    found = Folder(tmp_path)
    found.write("etc/nixl-efa/env", "PAIR_NODE=producer\n")
    found.write("bin/systemctl", SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    return found


def test_a_drain_that_runs_is_told_of_the_next_one_and_keeps_its_result(node: Folder) -> None:
    """Its limit may be shorter. The result of the first is there already, in its last moment. Nobody waits here."""
    node.write("run/nixl-efa/drained.json", '{"left": ""}')
    found = node.run('{"why": "again", "limit": 5}')
    assert (node.root / "run/nixl-efa/drain.json").read_text(
        encoding="utf-8"
    ) == '{"why": "again", "limit": 5}'
    assert found["asked"] == Section("", 0)
    assert (node.root / "run/nixl-efa/drained.json").exists()
    assert node.calls[-1] == "start --no-block nixl-efa-drain.service"


def test_what_an_earlier_drain_has_told_is_not_of_the_service_that_starts(node: Folder) -> None:
    for name in ("drain", "drained"):
        node.write(f"run/nixl-efa/{name}.json", "{}")
    assert node.run()["armed"] == Section("", 0)
    assert list((node.root / "run/nixl-efa").iterdir()) == []


@pytest.mark.parametrize(("armed_before", "drains"), [(True, True), (False, False)])
def test_what_is_on_a_full_disk_is_saved(node: Folder, armed_before: bool, drains: bool) -> None:
    """By what the node was told when the service started; one that was told nothing says what is wrong."""
    if armed_before:
        node.run()
    # As on a full disk: nothing can be written there.
    node.write(
        "bin/base64",
        f'#!/bin/sh\ncase $(readlink /proc/$$/fd/1) in */run/*) exec {BASE64} "$@" ;; esac\nexit 1\n',
    )
    (node.root / "bin/base64").chmod(0o755)
    found = node.run('{"why": "asked for", "limit": 5}')
    assert (found["armed"].code == 0, "asked" in found) == (drains, drains)
    assert ("start --no-block nixl-efa-drain.service" in node.calls) == drains


def test_a_folder_of_results_on_a_disk_that_was_emptied(node: Folder) -> None:
    """A link to the node's own disks, which a stop has emptied: the service starts, and its results have a place."""
    place = node.root / "opt/dlami/nvme/results"
    (node.root / "opt/nixl-efa").mkdir(parents=True)
    (node.root / "opt/nixl-efa/results").symlink_to(place)
    assert node.run()["armed"] == Section("", 0)
    assert place.is_dir()
