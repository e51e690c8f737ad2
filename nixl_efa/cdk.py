"""Which library the constructs are written with: cdktf, or CDK Terrain (cdktn), its maintained fork."""

import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.failure import BadInput

VARIABLE = "NIXL_EFA_CDK"
# A library and its AWS bindings, as they are imported.
BINDINGS = {"cdktf": "cdktf_cdktf_provider_aws", "cdktn": "cdktn_provider_aws"}
DEFAULT = "cdktf"


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _named(environ: Mapping[str, str]) -> str:
    """The value of NIXL_EFA_CDK; empty if it is unset. ValueError if it is not the name of a library."""
    wanted = environ.get(VARIABLE, "")
    if wanted and wanted not in BINDINGS:
        raise ValueError(
            f"{VARIABLE} is {wanted!r}: it must be {' or '.join(BINDINGS)}, or unset for {DEFAULT}."
        )
    return wanted


def library(
    environ: Mapping[str, str],
    installed: Callable[[str], bool] = _installed,
    imported: Collection[str] = sys.modules,
) -> str:
    """The library that NIXL_EFA_CDK names, else the one that the program has imported, else the first installed.

    `imported` names modules. ValueError, with the message, for an unknown name, for a library that is not installed,
    and if the program has imported the other one.
    """
    if wanted := _named(environ):
        if not all(installed(package) for package in (wanted, BINDINGS[wanted])):
            raise ValueError(
                f"{VARIABLE} is {wanted!r}, and {wanted} with its bindings {BINDINGS[wanted]} is not installed for "
                f"{sys.executable}: install both, or unset {VARIABLE}."
            )
        other = next((name for name in BINDINGS if name != wanted and name in imported), None)
        if other and wanted not in imported:
            raise ValueError(
                f"{VARIABLE} is {wanted!r}, and the program has imported {other}: write `import constructs_lib` before "
                f"`import {other}`, or unset {VARIABLE}."
            )
        return wanted
    for known in (lambda name: name in imported, installed):
        if found := next((name for name in BINDINGS if known(name)), None):
            return found
    return DEFAULT  # its import gives the best error if it is missing


def under_command_line(environ: Mapping[str, str]) -> bool:
    """Whether cdktf's or CDK Terrain's command line runs the app: it sets this variable for each one (cli-core,
    synth-stack)."""
    return "CDKTF_CONTINUE_SYNTH_ON_ERROR_ANNOTATIONS" in environ


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What synthesizes and deploys.

    name:       of the program, and of the library that it belongs to.
    package:    npm's, of `release`, which `make` puts into `folder` of a checkout.
    least_node: the oldest Node.js that the package takes (engines in its package.json).
    module: the native module that it loads first; empty if it has none.
    """

    name: str
    package: str
    release: str
    folder: str
    make: str
    least_node: tuple[int, int]
    module: str = ""

    def folders(self, project: Path) -> tuple[Path, Path]:
        """Where it can be in a project: where `make` installs it, and where npm does."""
        return project / self.folder, project / "node_modules"

    def install(self, project: Path) -> str:
        """The command that installs it in a checkout, or in a project of the user's own."""
        is_checkout = (project / self.folder).parent.joinpath("package-lock.json").is_file()
        return self.make if is_checkout else f"npm install {self.package}@{self.release}"


COMMAND_LINES = {
    "cdktf": CommandLine(
        "cdktf",
        "cdktf-cli",
        "0.21",
        "node_modules",
        "make install",
        (20, 9),
        "@cdktf/node-pty-prebuilt-multiarch",
    ),
    "cdktn": CommandLine(
        "cdktn", "cdktn-cli", "0.24", "npm/cdktn/node_modules", "make install CDK=cdktn", (22, 19)
    ),
}


def command_line(environ: Mapping[str, str], installed: Callable[[str], bool] = _installed) -> CommandLine:
    """The command line that NIXL_EFA_CDK names, else that of the first library that is installed here.

    BadInput for an unknown name. The library must be in the project's own Python, which can be another one.
    """
    try:
        return COMMAND_LINES[_named(environ) or next(filter(installed, BINDINGS), DEFAULT)]
    except ValueError as error:
        raise BadInput(str(error)) from None


def program() -> str:
    """The name of the chosen command line in a message; also works if NIXL_EFA_CDK is wrong."""
    try:
        return command_line(os.environ).name
    except BadInput:
        return DEFAULT
