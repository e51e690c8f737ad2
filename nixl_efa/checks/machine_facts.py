"""What this machine has: programs, their versions, and whether they fit together. Plain values only."""

from dataclasses import dataclass

from nixl_efa.state import STACKS_TERRAFORM, LeastTerraform


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of this machine: its version ("" when not known) and its path ("" when it is missing)."""

    name: str
    version: str
    path: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The programs that a deployment needs.

    cdk:             the command line of cdktf or cdktn.
    library:         the version of the Python package of that name.
    cdk_fails:       why Node.js can't load the command line's native module; empty when it can.
    least_terraform: the oldest Terraform that can deploy the stack.
    no_app:          the program of cdktf.json's app when a shell does not find it; empty when it does.
    install:         the command that installs the command line here.
    """

    cdk: Tool
    node: Tool
    terraform: Tool
    library: str = ""
    cdk_fails: str = ""
    least_terraform: LeastTerraform = STACKS_TERRAFORM
    no_app: str = ""
    install: str = "make install"
