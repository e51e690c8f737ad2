"""A kept rehearsal: the file that sets up another shell for it, whatever variables that shell has, and what a user can
look at there."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from nixl_efa.rehearse.workspace import FOREIGN

SHELL_FILE = "shell.sh"
_BY_AWS_CLI = (
    "aws ec2 describe-instances --query 'Reservations[].Instances[].[InstanceId,InstanceType,State.Name]'",
    "aws ec2 describe-capacity-reservations",
)
# The variables that programs of a rehearsal get in addition to those of AWS and of the settings.
_TOLD = (
    "NO_PROXY",
    "no_proxy",
    "XDG_STATE_HOME",
    "TERRAFORM_BINARY_NAME",
    "CHECKPOINT_DISABLE",
    "PYTHONPATH",
)
_TERRAFORM_CONFIG = "TF_CLI_CONFIG_FILE"


def write_shell_file(folder: Path, environ: Mapping[str, str], programs: Iterable[str]) -> Path:
    """Writes the file into the rehearsal's folder; its path.

    environ: of the rehearsal's programs. programs: paths of those that it ran; their folders come first on the PATH.
    The shell's own variables that lead to another account or another state are unset.
    """
    told = {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(("AWS_", "NIXL_EFA_")) or name in _TOLD
    }
    if config := environ.get(_TERRAFORM_CONFIG):
        # The rehearsal's own is gone at its end.
        told[_TERRAFORM_CONFIG] = str(shutil.copyfile(config, folder / "terraform.rc"))
    folders = [str(folder / "bin"), *dict.fromkeys(os.path.dirname(one) for one in programs)]
    lines = [
        f"# Turns a shell to this rehearsal: `. {folder / SHELL_FILE}`",
        "unset $(env | sed -n 's/^\\(AWS_[A-Z0-9_]*\\|NIXL_EFA_[A-Z0-9_]*\\)=.*/\\1/p') " + " ".join(FOREIGN),
        *(f"export {name}={shlex.quote(value)}" for name, value in told.items()),
        f"export PATH={shlex.quote(os.pathsep.join(folders))}:$PATH",
        f"cd {shlex.quote(str(folder))}",
    ]
    path = folder / SHELL_FILE
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def programs_of_a_user(environ: Mapping[str, str], *run: str) -> list[str]:
    """Paths of the programs that a user runs in a kept rehearsal: those that it ran, our own, and where they are there
    Node.js and the AWS CLI."""
    others = (shutil.which(name, path=environ.get("PATH", "")) for name in ("node", "aws"))
    return [sys.executable, *run, *filter(None, others)]


def looks(environment: str, programs: Iterable[str], *, are_real: bool) -> list[str]:
    """Commands that show what was built, for that shell. Some shells accept no comment after a command (zsh).

    programs: paths of those that are there. are_real: the nodes have booted.
    """
    return [
        f"nixl-efa status {environment}",
        *([f"nixl-efa connect {environment} producer"] if are_real else []),
        *(_BY_AWS_CLI if any(Path(one).name == "aws" for one in programs) else ()),
    ]
