"""How soon the nodes of a rehearsal have booted, and the whole rehearsal of dev. Only where machines can boot.

.venv/bin/python -m benchmarks.real_nodes
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from local_aws.machines.failure import CannotBootError
from local_aws.machines.root import prepare

ROOT = Path(__file__).resolve().parents[1]
# Seconds at most: cloud-init's end on each node after the deploy's, and all of the rehearsal.
CLOUD_INIT, REHEARSAL = 10.0, 150.0
_ENDED = re.compile(r"(\w+): cloud-init ended ([\d.]+) s (after|before) the deploy")


def run(console: Console) -> bool:
    """Measures and prints; whether both are as fast as wanted. True, with a line, where no machine can boot."""
    try:
        prepare(os.environ, console.print)
    except CannotBootError as error:
        console.print(f"a rehearsal with real nodes: not measured, since {error}")
        return True
    with TemporaryDirectory(prefix="nixl-efa-") as folder:
        for name in ("cdktf.json", "scripts", "node_modules", "environments"):
            Path(folder, name).symlink_to(ROOT / name)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "nixl_efa", "rehearse", "dev", "--real-nodes"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.monotonic() - began
        shutil.rmtree(Path(folder, ".rehearsal"))
    ends = [float(after) * (1 if when == "after" else -1) for _, after, when in _ENDED.findall(done.stderr)]
    console.print(
        f"cloud-init's end after the deploy's: {max(ends):.1f} s on the later node (wanted: {CLOUD_INIT:.0f} s at most)"
    )
    console.print(f"rehearse dev --real-nodes: {seconds:.0f} s (wanted: {REHEARSAL:.0f} s at most)")
    return max(ends) <= CLOUD_INIT and seconds <= REHEARSAL


if __name__ == "__main__":
    sys.exit(not run(Console()))
