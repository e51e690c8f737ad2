"""TERRAFORM_BINARY_NAME is honoured everywhere: Terraform itself is not on the PATH.

OpenTofu is not among the packages that tests install: a program of its name hands on to Terraform and tells another
version. What the stacks ask of the language is compared with OpenTofu's in tests/stacks/test_opentofu.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Project
from tests.test_main import run_main

pytestmark = pytest.mark.end_to_end

VERSION = '{"terraform_version": "1.8.0", "platform": "linux_amd64"}'


@pytest.fixture
def project(make_project: Any, tmp_path: Path) -> Project:
    """dev, where `tofu` is the only such program; each of its commands is a line of the log."""
    made: Project = make_project("dev")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("node", "npm", "python3", "make"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    others = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "terraform").exists()]
    tofu = programs / "tofu"
    tofu.write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/log\n'
        f"[ \"$1\" = version ] && {{ echo '{VERSION}'; exit; }}\n"
        f'exec {shutil.which("terraform")} "$@"\n',
        encoding="utf-8",
    )
    tofu.chmod(0o755)
    made.environ = {
        **made.environ,
        "PATH": os.pathsep.join([str(programs), str(ROOT / "node_modules" / ".bin"), *others]),
        "TERRAFORM_BINARY_NAME": "tofu",
        "PYTHONPATH": str(ROOT),
    }
    assert shutil.which("terraform", path=made.environ["PATH"]) is None
    return made


def asked(tmp_path: Path) -> set[str]:
    """The commands of OpenTofu since the last look."""
    log = tmp_path / "log"
    words = set(log.read_text(encoding="utf-8").split()) if log.exists() else set()
    log.unlink(missing_ok=True)
    return words


def nixl_efa(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "nixl_efa", *words],
        cwd=project.folder,
        env={**os.environ, **project.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_program_runs_opentofu_where_it_is_chosen(project: Project, tmp_path: Path) -> None:
    deploy = nixl_efa(project, "deploy", "dev", "--no-verify")
    assert (deploy.returncode, "dev --auto-approve`" in deploy.stderr) == (1, True), deploy.stderr
    # The check asks for the version.
    assert asked(tmp_path) >= {"version", "init", "state", "plan", "show"}

    # There is a lock by now: the command line asks no registry for the hashes of other platforms.
    project.cdktf("diff", project.stack)
    assert asked(tmp_path) >= {"init", "plan"}


def test_the_commands_that_messages_name_are_opentofus(project: Project) -> None:
    folder = project.stack_folder
    (folder / ".terraform").mkdir(parents=True)
    (folder / ".terraform" / "environment").write_text("second", encoding="utf-8")
    variables = {"TERRAFORM_BINARY_NAME": "tofu", "NIXL_EFA_ENVIRONMENTS": "dev"}
    refused = run_main(project.folder / "cdktf.out", **variables)
    assert "`tofu -chdir=cdktf.out/stacks/nixl-efa-dev workspace select default`" in refused.stderr
    shutil.rmtree(folder)

    # A state that can't be read.
    project.environ["NIXL_EFA_DEV_BACKEND"] = '{"type": "s3", "bucket": "none-of-this-name"}'
    status = nixl_efa(project, "status", "dev")
    assert status.returncode == 1
    assert "`tofu init` failed" in status.stderr
