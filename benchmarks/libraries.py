"""cdktf and CDK Terrain side by side: what a synthesis of the three environments takes, on the same Node.js 22."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, measure
from nixl_efa.cdk import COMMAND_LINES, VARIABLE, CommandLine

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "npm/node/node_modules" / f"node22-{'arm64' if platform.machine() == 'aarch64' else 'x64'}/bin"
RUNS = 5


def run(console: Console) -> None:
    """Print the table."""
    table = Table("synthesis of three environments, Node.js 22", "seconds", "peak MiB, Python and Node.js")
    with TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("cdktf.json", "environments", "scripts"):
            (project / name).symlink_to(ROOT / name)
        for line in COMMAND_LINES.values():
            _measure(
                line, project, [sys.executable, str(ROOT / "main.py")], runs=1
            )  # jsii unpacks the bindings
            for shown, command in (
                ("python main.py", [sys.executable, str(ROOT / "main.py")]),
                (f"{line.name} synth", [str(ROOT / line.folder / ".bin" / line.name), "synth"]),
            ):
                one = _measure(line, project, command, RUNS)
                table.add_row(f"{line.name}: {shown}", f"{one.seconds:.2f}", f"{one.peak_mib:.0f}")
    console.print(table)


def _measure(line: CommandLine, project: Path, command: list[str], runs: int) -> Measured:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIXL_EFA_")}
    search = f"{NODE}{os.pathsep}{os.environ['PATH']}"
    return measure(
        command,
        cwd=project,
        environ={**inherited, VARIABLE: line.name, "PATH": search, "CHECKPOINT_DISABLE": "1"},
        runs=runs,
    )


if __name__ == "__main__":
    run(Console())
