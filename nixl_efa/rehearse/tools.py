"""The programs that a rehearsal runs, looked for before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.cdk import command_line
from nixl_efa.checks.gather.machine import cli_fails, cli_path, node_of
from nixl_efa.checks.rules.machine import OTHER_NODE, cannot_load, newer, too_old
from nixl_efa.failure import Failure
from nixl_efa.terraform import program_of


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of programs. `nixl_efa` is the command that runs this very program, `cdk` cdktf or cdktn."""

    nixl_efa: tuple[str, ...]
    cdk: str
    terraform: str


def find_tools(project: Path, environ: Mapping[str, str], python: str) -> Tools:
    """The tools of a project. Failure, in one line, that names every missing one and how to get it."""
    search = environ.get("PATH", "")
    binary = program_of(environ)
    cli = command_line(environ)
    path = cli_path(cli, project, search)
    terraform = shutil.which(binary, path=search)
    missing = []
    node = node_of(search, environ)
    if not node.path:
        missing.append(f"Node.js (node) is not on PATH: install version {newer(cli)}")
    elif not path:
        missing.append(f"the {cli.name} command line is not installed: run `{cli.install}`")
    elif old := too_old(node, cli):
        missing.append(f"{old} Install {newer(cli)}")
    elif reason := cli_fails(cli, path, node, environ):
        missing.append(f"{cannot_load(node, reason)} {OTHER_NODE}")
    if terraform is None:
        missing.append(
            f"{binary} is not on PATH: install Terraform 1.4 or newer, or set TERRAFORM_BINARY_NAME=tofu"
        )
    if missing or terraform is None:
        raise Failure("; ".join(missing))
    return Tools((python, "-P", "-m", "nixl_efa"), path, terraform)
