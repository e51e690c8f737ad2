"""`nixl-efa rehearse dev --real-nodes`, whole: the real Terraform, nodes that boot, bytes between them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.machines.root import home

pytestmark = [pytest.mark.end_to_end, pytest.mark.matrix]
ROOT = Path(__file__).resolve().parents[2]


def rehearse(project: Path) -> subprocess.CompletedProcess[str]:
    for name in ("cdktf.json", "scripts", "node_modules", "environments"):
        (project / name).symlink_to(ROOT / name)
    return subprocess.run(
        [sys.executable, "-m", "nixl_efa", "rehearse", "dev", "--real-nodes"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def runs() -> set[str]:
    """What lies in the cache of runs that live or were killed; other tests may run beside."""
    return {path.name for path in (home(os.environ) / "runs").glob("*")}


@pytest.mark.usefixtures("tree")
def test_the_nodes_boot_verify_looks_at_them_and_nothing_is_left(tmp_path: Path) -> None:
    before = runs()
    done = rehearse(tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr
    ends = re.findall(r"(producer|consumer): cloud-init ended ([\d.]+) s (after|before) the deploy", said)
    assert [name for name, _, _ in ends] == ["producer", "consumer"]
    # Ten seconds are wanted of a machine with nothing else to do (benchmarks/real_nodes.py); tests run beside this one.
    assert all(when == "before" or float(seconds) < 60 for _, seconds, when in ends)
    assert said.count("FAIL efa_devices: planned 1, seen 0") == 2
    assert "expected FAIL  EFA devices (producer and consumer): 0 of 1" in said
    # What the nodes can do here they did, and it is not taken for EFA.
    moved = r"transfer with nixl \(LIBFABRIC, DRAM, provider tcp\): \d+ sizes, up to [\d.]+ Gbit/s"
    assert re.search(moved, said), said
    assert "over EFA:" not in said
    assert "rehearsed, destroyed, and nothing left running" in said
    pid = (tmp_path / ".rehearsal/dev/local-aws.pid").read_text().strip()
    assert not [name for name in runs() - before if name.startswith(f"{pid}-")]
