"""cdktf and CDK Terrain side by side: what a synthesis of the three environments takes, on the same Node.js 22."""

import os
import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Command
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
            python = [sys.executable, str(ROOT / "main.py")]
            _command(line, project, python).seconds()  # jsii unpacks the library
            for shown, words in (
                ("python main.py", python),
                (f"{line.name} synth", [str(ROOT / line.folder / ".bin" / line.name), "synth"]),
            ):
                command = _command(line, project, words)
                seconds = min(command.seconds()[0] for _ in range(RUNS))
                table.add_row(f"{line.name}: {shown}", f"{seconds:.2f}", f"{command.peak_mib():.0f}")
    console.print(table)


def _command(line: CommandLine, project: Path, words: list[str]) -> Command:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIXL_EFA_")}
    search = f"{NODE}{os.pathsep}{os.environ['PATH']}"
    environ = {**inherited, VARIABLE: line.name, "PATH": search, "CHECKPOINT_DISABLE": "1"}
    return Command(words, project, environ)


if __name__ == "__main__":
    run(Console())
