"""Synthesis now beside that of an earlier commit, as ratios: runs in turn, and the median of the ratios of each pair.

.venv/bin/python -m benchmarks.synthesis [RUNS]

Today's stacks describe more than the earlier ones. So there is a third tree: today's, with the earlier way of loading
the bindings. Its output is the same as today's to the byte, which is looked at.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Command

ROOT = Path(__file__).resolve().parent.parent
EARLIER = "7f570d7"
RUNS = 11
MANY = 31
# (what, which figure, at most: today's by the earlier one's)
WANTED = [
    ("three environments", "wall", 0.70),
    ("three environments", "CPU", 0.80),
    ("three environments", "peak memory", 0.65),
    ("each further environment", "CPU", 0.78),
    ("cdktf synth", "CPU", 0.92),
]
Figures = dict[tuple[str, str], float]


def run(console: Console, runs: int = RUNS) -> bool:
    """Measures and prints; whether each ratio is as wanted. True, with a line, without the earlier commit."""
    packed = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        console.print(f"synthesis: not measured, since git has no commit {EARLIER} here")
        return True
    with TemporaryDirectory(prefix="nixl-efa-") as folder:
        trees = _trees(Path(folder), packed.stdout)
        rounds = [{name: _figures(tree, name) for name, tree in trees.items()} for _ in range(runs + 1)][1:]
        same = _output(trees["today"]) == _output(trees["same JSON"])
    table = Table("synthesis", f"today / {EARLIER}", "wanted, at most", "same JSON, loaded as in it")
    good = same
    for what, figure, most in WANTED:
        ratio, of_same = (
            median(one["today"][what, figure] / one[name][what, figure] for one in rounds)
            for name in (EARLIER, "same JSON")
        )
        good = good and ratio <= most
        table.add_row(f"{what}, {figure}", f"{ratio:.2f}", f"{most:.2f}", f"{of_same:.2f}")
    console.print(table)
    for what, figure, _ in WANTED:
        now, then = (median(one[name][what, figure] for one in rounds) for name in ("today", EARLIER))
        console.print(f"{what}, {figure}: {now:.3g}, {then:.3g} in {EARLIER}")
    console.print(f"the same JSON and manifest: {'yes' if same else 'NO'}; {runs} runs each")
    return good


def _trees(folder: Path, packed: bytes) -> dict[str, Path]:
    """The three, each also with many environments beside it."""
    trees = {name: folder / name.replace(" ", "-") for name in ("today", EARLIER, "same JSON")}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(trees[EARLIER], filter="data")
    for name in ("today", "same JSON"):
        trees[name].mkdir()
        for part in ("main.py", "cdktf.json", "environments", "constructs_lib", "stacks", "nixl_efa"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, trees[name] / part)
    for part in ("fast_bindings.py", "lazy_provider.cjs"):
        shutil.copy2(trees[EARLIER] / "constructs_lib" / part, trees["same JSON"] / "constructs_lib" / part)
    for tree in list(trees.values()):
        for count in (1, MANY):
            copy = tree.with_name(f"{tree.name}-{count}")
            shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("*.toml"))
            for number in range(count):
                text = 'region = "us-east-2"\ninstance_type = "p5.48xlarge"\n'
                (copy / "environments" / f"copy{number}.toml").write_text(text, encoding="utf-8")
    return trees


def _figures(tree: Path, name: str) -> Figures:
    python = [sys.executable, "main.py"]
    cdktf = [
        str(ROOT / "node_modules" / ".bin" / "cdktf"),
        "synth",
        "--app",
        " ".join(python),
        "--output",
        "cdktf.out",
    ]
    three = _command(python, tree, name)
    wall, cpu = three.seconds()
    one, many = (
        _command(python, tree.with_name(f"{tree.name}-{count}"), name).seconds()[1] for count in (1, MANY)
    )
    return {
        ("three environments", "wall"): wall,
        ("three environments", "CPU"): cpu,
        ("three environments", "peak memory"): three.peak_mib(),
        ("each further environment", "CPU"): (many - one) / (MANY - 1),
        ("cdktf synth", "CPU"): _command(cdktf, tree, name).seconds()[1],
    }


def _command(words: list[str], tree: Path, name: str) -> Command:
    # As a user has it: compiled modules are kept. With JSII_NODE it is jsii that starts Node.js, as it did.
    ours = ("NIXL_EFA_", "PYTHONDONTWRITEBYTECODE", "JSII_", "NODE_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    own = {"JSII_NODE": "node"} if name == "same JSON" else {}
    return Command(words, tree, {**environ, **own, "PYTHONPATH": str(tree), "CHECKPOINT_DISABLE": "1"})


def _output(tree: Path) -> dict[str, bytes]:
    """What `main.py` writes: the stacks' JSON and the manifest."""
    _command([sys.executable, "main.py"], tree, tree.name.replace("-", " ")).seconds()
    out = tree / "cdktf.out"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.json")}


if __name__ == "__main__":
    sys.exit(not run(Console(), *map(int, sys.argv[1:2])))
