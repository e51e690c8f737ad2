"""Which library the constructs are written with: cdktf, or CDK Terrain (cdktn), which was made from it and lives on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Collection, Mapping

VARIABLE = "NIXL_EFA_CDK"
# A library and its AWS bindings, as they are imported; the first is the default.
BINDINGS = {"cdktf": "cdktf_cdktf_provider_aws", "cdktn": "cdktn_provider_aws"}


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def library(
    environ: Mapping[str, str],
    installed: Callable[[str], bool] = _installed,
    imported: Collection[str] = sys.modules,
) -> str:
    """The library that NIXL_EFA_CDK names, else the one that the program has imported, else the first installed.

    `imported` names modules. ValueError, with the message, for a name that is none, a library that is not installed,
    and where the program has imported the other one.
    """
    default = next(iter(BINDINGS))
    if wanted := environ.get(VARIABLE):
        if wanted not in BINDINGS:
            raise ValueError(
                f"{VARIABLE} is {wanted!r}: it must be {' or '.join(BINDINGS)}, or unset for {default}."
            )
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
    return default  # whose import tells best that it is missing
