"""The programs on this machine, asked for their versions without going to the network."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from nixl_efa.checks.facts import Machine, Tool

_SECONDS = 20
# The variable by which CDKTF is told to run OpenTofu (CDKTF documentation, environment-variables).
_BINARY_VARIABLE = "TERRAFORM_BINARY_NAME"


def machine(project: Path, environ: Mapping[str, str]) -> Machine:
    """The programs that a deployment from `project` would run."""
    search = environ.get("PATH", "")
    return Machine(
        cdktf=_cdktf(project, search),
        node=_node(search, environ),
        terraform=_terraform(environ.get(_BINARY_VARIABLE) or "terraform", search, environ),
        library=_library(),
    )


def cdktf_path(project: Path, search: str) -> str:
    """The cdktf command line: the project's own, else the one on the search path; empty for none."""
    own = project / "node_modules" / ".bin" / "cdktf"
    return str(own) if own.exists() else shutil.which("cdktf", path=search) or ""


def _cdktf(project: Path, search: str) -> Tool:
    path = cdktf_path(project, search)
    # `cdktf --version` takes seconds and may ask the network for news; its package says the same.
    version = _package_version(Path(path), "cdktf-cli") if path else ""
    return Tool("cdktf", version, path)


def _package_version(program: Path, package: str) -> str:
    for folder in program.resolve().parents:
        try:
            described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if described.get("name") == package:
            return str(described.get("version", ""))
    return ""


def _node(search: str, environ: Mapping[str, str]) -> Tool:
    path = shutil.which("node", path=search) or ""
    return Tool("node", _said([path, "--version"], environ).removeprefix("v") if path else "", path)


def _terraform(name: str, search: str, environ: Mapping[str, str]) -> Tool:
    path = shutil.which(name, path=search) or ""
    if not path:
        return Tool(name, "", "")
    # Without the variable, Terraform asks its maker for news first.
    quiet = {**environ, "CHECKPOINT_DISABLE": "1"}
    try:
        version = json.loads(_said([path, "version", "-json"], quiet)).get("terraform_version", "")
    except ValueError:
        version = ""
    return Tool(name, str(version), path)


def _said(command: list[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True, env=dict(environ)
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _library() -> str:
    try:
        return metadata.version("cdktf")
    except metadata.PackageNotFoundError:
        return ""
