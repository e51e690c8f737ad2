"""The programs that a rehearsal runs; they are searched before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.checks.gather.machine import machine
from nixl_efa.checks.rules.machine import programs
from nixl_efa.failure import Failure
from nixl_efa.findings import failures
from nixl_efa.state import STACKS_TERRAFORM


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of programs. `nixl_efa` is the command that runs this very program, `cdk` cdktf or cdktn."""

    nixl_efa: tuple[str, ...]
    cdk: str
    terraform: str


def find_tools(project: Path, environ: Mapping[str, str], python: str) -> Tools:
    """The tools of a project. Failure, in one line, that names each tool that is missing or unusable, and how to get
    it."""
    # In a rehearsal, every state is local.
    found = machine(project, environ, STACKS_TERRAFORM)
    if missing := failures(programs(found)):
        raise Failure(" ".join(finding.line() for finding in missing))
    return Tools((python, "-P", "-m", "nixl_efa"), found.cdk.path, found.terraform.path)
