"""Whether a command that a page prints can be right: its program, words and options are looked up, nothing is run."""

import importlib.util
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import botocore.session
from botocore import xform_name

from nixl_efa import __version__
from nixl_efa.cdk import COMMAND_LINES
from nixl_efa.cli import main
from nixl_efa.cli.app import COMMANDS
from nixl_efa.cli.capacity import app as capacity
from nixl_efa.cli.instance_types import app as instance_types
from nixl_efa.cli.nodes_sync import app as nodes
from nixl_efa.cli.serve import app as serve
from nixl_efa.findings import failures
from nixl_efa.settings import load
from tests.printed import ROOT

# The commands that have commands of their own.
# The packages that a page may say to install.
HUB = ROOT / "tests/service/hub-requirements.txt"
GROUPS = {"capacity": capacity, "instance-types": instance_types, "nodes": nodes, "serve": serve}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=\S*")


def fault(command: str, endpoint: str) -> str:
    """Why a command can't be right; empty when nothing is known against it."""
    words = [word for word in shlex.split(command.replace("\\|", "|")) if word != "..."]
    assigned: dict[str, str] = {}
    while words and _ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        assigned[name] = value
    if len(words) < 2:
        return (
            ""
            if words in (["nixl-efa"], ["cdktf"], ["cdktn"], ["make"])
            else f"nothing to look up: {command}"
        )
    program, *rest = words
    # Terraform reads no settings.
    if program != "terraform" and (why := _settings_fault(assigned, rest)):
        return why
    if program == "curl":
        return _control_fault(rest, endpoint)
    rule = RULES.get(program.removeprefix(".venv/bin/"))
    if rule is not None:
        return rule(rest)
    return "" if "/" in program and _is_ours(program) else f"no rule for {program}"


def _settings_fault(assigned: dict[str, str], words: list[str]) -> str:
    """What the settings say against variables in front of a command."""
    stacks = [word.removeprefix("nixl-efa-") for word in words if word.startswith("nixl-efa-")]
    environ = {name: value.replace("cr-...", "cr-0123456789abcdef0") for name, value in assigned.items()}
    found = load(ROOT / "environments", {**environ, "NIXL_EFA_ENVIRONMENTS": ",".join(stacks)}, {})
    return "; ".join(one.message for one in failures(found.findings)) if assigned else ""


def _control_fault(words: list[str], endpoint: str) -> str:
    """curl is printed for the local AWS's control API alone."""
    path = words[-1].removeprefix("$AWS_ENDPOINT_URL")
    try:
        urlopen(endpoint + path).close()
    except HTTPError as error:
        return f"{path}: {error}"
    return ""


def _is_ours(path: str) -> bool:
    """A file of the repository, or one that the Makefile makes."""
    return (ROOT / path).exists() or (path.startswith(".") and str(Path(path).parents[1]) in MAKEFILE)


@cache
def _help(*words: str) -> str:
    """What a command says about itself; empty when there is none of this name."""
    if words[0] != "nixl-efa":
        command = [str(ROOT / "node_modules/.bin" / words[0]), *words[1:], "--help"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    screen = io.StringIO()
    with redirect_stdout(screen), redirect_stderr(io.StringIO()):
        code = main([*words[1:], "--help"])
    return screen.getvalue() if code == 0 else ""


@cache
def _root_help() -> str:
    screen = io.StringIO()
    with redirect_stdout(screen):
        main(["--help"])
    return screen.getvalue()


@cache
def _pytest_help() -> str:
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@cache
def all_options() -> frozenset[str]:
    """Every option of the project's commands, of `cdktf deploy` and of pytest."""
    paths = [(name,) for name in COMMANDS]
    below = [(group, str(one.name)) for group, app in GROUPS.items() for one in app.registered_commands]
    helps = [
        _pytest_help(),
        _help("cdktf", "deploy"),
        _root_help(),
        *(_help("nixl-efa", *path) for path in (*paths, *below)),
    ]
    return frozenset(re.findall(r"(?<![\w-])--[a-z][\w-]*", "".join(helps)))


def _unknown(words: list[str], text: str) -> list[str]:
    """The options that a help doesn't name."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    return [one for one in options if not re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", text)]


def _nixl_efa(words: list[str]) -> str:
    if words[0].startswith("--"):
        option, *words = words
        if unknown := _unknown([option], _root_help()):
            return f"unknown: {unknown}"
        words = words[1:] if option == "--project" else words
        if not words:
            return ""
    if "--" in words:
        words = words[: words.index("--")]  # what follows is another program's
    depth = 2 if words[0] in GROUPS else 1
    path = [word for word in words[:depth] if not word.startswith("-")]
    text = _help("nixl-efa", *path)
    if not text:
        return f"there is no nixl-efa {' '.join(path)}"
    # What stands behind -- is a command for the nodes.
    words = words[: words.index("--")] if "--" in words else words
    return f"unknown: {unknown}" if (unknown := _unknown(words, text)) else ""


def _cdktf(words: list[str]) -> str:
    unknown = _unknown(words, _help("cdktf", words[0]))
    names = {path.stem for path in (ROOT / "environments").glob("*.toml")} | {"ENV"}
    stacks = {word.removeprefix("nixl-efa-") for word in words[1:] if not word.startswith("-")}
    return f"unknown: {unknown} {stacks - names}" if unknown or stacks - names else ""


def _make(words: list[str]) -> str:
    missing = [
        word
        for word in words
        if f"$({word.partition('=')[0]})" not in MAKEFILE
        if "=" in word or not re.search(rf"^{word}:", MAKEFILE, re.MULTILINE)
    ]
    return f"the Makefile has no {missing}" if missing else ""


def _python(words: list[str]) -> str:
    if words[:2] == ["-m", "pytest"]:
        unknown = _unknown(words[2:], _pytest_help())
        missing = [word for word in words[2:] if word.startswith("tests") and not (ROOT / word).exists()]
        return f"unknown: {unknown + missing}" if unknown or missing else ""
    if words[0] == "-m":
        return "" if importlib.util.find_spec(words[1]) else f"there is no module {words[1]}"
    return "" if (ROOT / words[0]).exists() else f"there is no {words[0]}"


def _pip(words: list[str]) -> str:
    command = [sys.executable, "-m", "pip", words[0], "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if not known or (unknown := _unknown(words, known)):
        return f"unknown: {unknown if known else words[0]}"
    folders = [
        word for word in words[1:] if word.startswith(".") or (words[0] == "install" and word[0] != "-")
    ]
    missing = [
        folder
        for folder in folders
        if not folder.startswith(f"wheels/nixl_efa-{__version__}-py3-none-any.whl")
        if not (ROOT / folder / "pyproject.toml").exists()
        if f"\n{folder}==" not in HUB.read_text(encoding="utf-8")
    ]
    return f"no package: {missing}" if missing else ""


def _npm(words: list[str]) -> str:
    known = [f"{one.package}@{one.release}" for one in COMMAND_LINES.values()]
    return "" if words[0] == "install" and words[1] in known else f"not of {known}: {words}"


# Commands of the AWS CLI's own, which botocore does not know, with their options (AWS CLI reference).
OF_THE_CLI = {
    ("s3", "cp"): {"--recursive"},
    ("s3", "mb"): {"--region"},
    ("s3", "rm"): {"--recursive"},
    ("s3", "sync"): set(),
    ("sso", "login"): {"--profile"},
    ("configure",): {"--profile"},
}


def _aws(words: list[str]) -> str:
    for path, takes in OF_THE_CLI.items():
        if tuple(words[: len(path)]) == path:
            unknown = {word for word in words if word.startswith("--")} - takes
            return f"unknown: {unknown}" if unknown else ""
    session = botocore.session.get_session()
    model = session.get_service_model(words[0])
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if words[1] not in operations:
        return f"there is no aws {words[0]} {words[1]}"
    shape = model.operation_model(operations[words[1]]).input_shape
    members = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else ())}
    options = {word for word in words[2:] if word.startswith("--")}
    own = {"--query", "--output", "--region", "--profile", "--dry-run", "--count"}
    return f"unknown: {options - members - own}" if options - members - own else ""


def _terraform(words: list[str]) -> str:
    if words[0].startswith("-chdir=") and (
        why := _cdktf(["synth", words.pop(0).removeprefix("-chdir=").rpartition("/")[2]])
    ):
        return why
    path = [word for word in words if not word.startswith("-")]
    # What apply and destroy take of plan's, their own help does not repeat.
    asked = [path, ["plan"]] if path[0] in ("apply", "destroy") else [path]
    told = [
        subprocess.run(["terraform", *one, "-help"], capture_output=True, text=True, check=False)
        for one in asked
    ]
    unknown = _unknown(words, "".join(one.stdout for one in told))
    return f"unknown: {path} {unknown}" if told[0].returncode or unknown else ""


RULES: dict[str, Callable[[list[str]], str]] = {
    "nixl-efa": _nixl_efa,
    "cdktf": _cdktf,
    # Made from cdktf, with its verbs and options; run for real in tests/matrix/test_successor.py.
    "cdktn": _cdktf,
    "make": _make,
    "python": _python,
    "pip": _pip,
    "npm": _npm,
    "terraform": _terraform,
    "aws": _aws,
    "source": lambda words: "" if _is_ours(words[0]) else f"there is no {words[0]}",
    # To a host of `nixl-efa ssh-config`.
    "ssh": lambda words: "" if words[0].startswith("nixl-efa-") else f"{words[0]}: no host of ours",
    "export": lambda words: "",
    "unset": lambda words: "",
}
