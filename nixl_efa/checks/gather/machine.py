"""The programs on this machine and their versions, without network access."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from nixl_efa.cdk import CommandLine, command_line
from nixl_efa.checks.machine_facts import Machine, Tool
from nixl_efa.state import LeastTerraform
from nixl_efa.terraform import program_of

_SECONDS = 20


# Loads the module as the program would. A newer command line may not have the module; then nothing is reported.
_LOAD = """
const [from, name] = process.argv.slice(1)
let module
try { module = require.resolve(name, {paths: [from]}) } catch { process.exit() }
console.error = () => {}
try { require(module) } catch (error) { console.log(error.message.split("\\n")[0]); process.exit(1) }
"""


def machine(project: Path, environ: Mapping[str, str], least: LeastTerraform) -> Machine:
    """The programs that a deployment from `project` would run. least: the oldest Terraform that can deploy it."""
    search = environ.get("PATH", "")
    cli = command_line(environ)
    node, path = _node(search, environ), cli_path(cli, project, search)
    return Machine(
        # `--version` takes seconds and may look for updates on the network; the package has the same version.
        cdk=Tool(cli.name, _package_version(Path(path), cli.package) if path else "", path),
        node=node,
        cdk_fails=cli_fails(cli, path, node, environ),
        least_terraform=least,
        terraform=_terraform(program_of(environ), search, environ),
        library=_library(cli.name),
        no_app=_no_app(project, environ),
        install=cli.install(project),
    )


def cli_path(cli: CommandLine, project: Path, search: str) -> str:
    """The command line of cdktf or CDK Terrain: the project's own, else the one on the search path; empty for none."""
    own = [folder / ".bin" / cli.name for folder in cli.folders(project)]
    found = next((path for path in own if path.exists()), None)
    return str(found) if found else shutil.which(cli.name, path=search) or ""


def app_word(project: Path) -> str:
    """The first word of the app in a project's cdktf.json. Empty when it is not a plain word, or when the file can't be
    read: other code reports that."""
    try:
        described = json.loads((project / "cdktf.json").read_text(encoding="utf-8"))
        found = re.match(r"[\w.+-]+(?=\s|$)", described["app"].strip())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return found.group() if found else ""


def _no_app(project: Path, environ: Mapping[str, str]) -> str:
    """The program that starts the app, when it is a plain name that the command line's shell would not find; else
    empty."""
    if not (word := app_word(project)):
        return ""
    command = ["/bin/sh", "-c", 'command -v "$1"', "sh", word]
    try:
        done = subprocess.run(command, cwd=project, env=dict(environ), capture_output=True, check=False)
    except OSError:
        return ""
    return word if done.returncode else ""


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
    """Node.js on the search path."""
    path = shutil.which("node", path=search) or ""
    return Tool("node", said([path, "--version"], environ).removeprefix("v") if path else "", path)


def cli_fails(cli: CommandLine, path: str, node: Tool, environ: Mapping[str, str]) -> str:
    """Why this Node.js can't load the native module of the command line at `path`. Empty when it can, when there is no
    such module, or when Node.js or the command line is missing."""
    if not (cli.module and path and node.path):
        return ""
    try:
        done = subprocess.run(
            [node.path, "-e", _LOAD, str(Path(path).resolve().parent), cli.module],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() or "its native module does not load" if done.returncode else ""


def _terraform(name: str, search: str, environ: Mapping[str, str]) -> Tool:
    path = shutil.which(name, path=search) or ""
    if not path:
        return Tool(name, "", "")
    # Without this variable, Terraform first looks for updates on the network.
    quiet = {**environ, "CHECKPOINT_DISABLE": "1"}
    try:
        version = json.loads(said([path, "version", "-json"], quiet)).get("terraform_version", "")
    except ValueError:
        version = ""
    return Tool(name, str(version), path)


def said(command: list[str], environ: Mapping[str, str]) -> str:
    """What a program prints; empty when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True, env=dict(environ)
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _library(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
