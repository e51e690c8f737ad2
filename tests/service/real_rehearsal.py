"""`nixl-efa rehearse dev --serve --keep`, whole: a real vLLM on nodes that Terraform has made, and every command that a
user is shown at the end. Part of `make test-serve`, since it needs the engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.machines import processes
from local_aws.machines.root import home
from tests.real_nodes.conftest import wait_until
from tests.service.conftest import ROOT

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.usefixtures("tree")
def test_a_kept_rehearsal_serves_and_each_command_that_it_prints_works(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/fetch-serve"], check=True)
    project = tmp_path / "a project"
    project.mkdir()
    for name in ("cdktf.json", "scripts", "node_modules", "environments"):
        (project / name).symlink_to(ROOT / name)
    command = [
        sys.executable,
        "-m",
        "nixl_efa",
        "rehearse",
        "dev",
        "--keep",
        "--serve",
        f"{ROOT}/.tools/serve",
    ]
    done = subprocess.run(
        command,
        cwd=project,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    folder = project / ".rehearsal/dev"
    server = processes.identity(int((folder / "local-aws.pid").read_text()))
    assert done.returncode == 0, done.stderr
    said, _, shown = done.stderr.partition("stop it by the last line:\n")
    assert "20 requests through the router, one after the other: each answered" in said
    *commands, kill = shown.splitlines()
    try:
        # From a file, since the shell that `connect` opens reads its input. That shell knows nothing of the rehearsal.
        script = tmp_path / "commands"
        script.write_text("\n".join(commands), encoding="utf-8")
        clean = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        pasted = subprocess.run(
            ["sh", "-ex", script],
            env=clean,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["sh", "-c", kill], check=True)
    assert pasted.returncode == 0, pasted.stdout + pasted.stderr
    for words in ("Ready: http://", '"object":"text_completion"', "2 of 2 rows have a result", "Drained: "):
        assert words in pasted.stdout + pasted.stderr
    wait_until(lambda: not processes.is_alive(server), "the local AWS's end")
    assert not (home(os.environ) / "runs" / server).exists()
