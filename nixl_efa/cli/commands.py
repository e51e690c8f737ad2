"""Completes the commands in printed texts, so that they work when a user pastes them into the same shell.

A message says `nixl-efa capacity wait cr-...`. The shell does not know the values that this run has from options or
settings (project, profile, region). Every text that is printed comes through here.
"""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# The commands that take these options; those of `capacity` by their own names.
TAKE_PROFILE = frozenset(
    {
        "bench",
        "capacity",
        "check",
        "connect",
        "copy",
        "cost",
        "deploy",
        "doctor",
        "export",
        "forward",
        "logs",
        "mend",
        "nodes",
        "run",
        "serve",
        "ssh-config",
        "status",
        "verify",
    }
)
TAKE_REGION = frozenset({"search", "list", "show", "wait", "extend", "cancel", "save"})
# What a message calls by its name alone takes the environment so.
OF_AN_ENVIRONMENT: dict[tuple[str, ...], str] = {
    **{(name,): "" for name in ("check", "cost", "deploy", "mend", "status", "verify")},
    ("nodes", "sync"): "",
    ("serve", "logs"): "",
    ("capacity", "search"): "--env ",
}
ABOUT_A_PROJECT = TAKE_PROFILE | {"policy", "rehearse"}
# Of the AWS CLI: what takes no region, or has none.
_WITHOUT_REGION = frozenset({"configure", "sso", "sts", "iam"})
# Where cdktf and Terraform work, and what else a message names there.
_BELOW_PROJECT = re.compile(r"(?:^| |=)(?:cdktf\.out|state/)")
_OURS = "nixl-efa"
# A finding's own command stands without backticks, at the end of its line.
_BY_HAND = re.compile(r"(\b[Bb]y hand: aws)( .+)$", re.MULTILINE)
_COMMAND = re.compile(r"`((?:[A-Z][A-Z0-9_]*=[^\s`]+ )*)([^\s`]+)((?: [^`\n]*)?)`")


@dataclass(frozen=True, slots=True)
class Here:
    """What this run knows and a shell does not.

    program: how the user called nixl-efa. project: as --project was given; empty without. profile: as --profile was
    given; acts_as: the profile by which AWS is called, also where the settings name it. region: where it works.
    environment: the one that it is about; empty for none.
    """

    program: str = _OURS
    project: str = ""
    profile: str = ""
    acts_as: str = ""
    region: str = ""
    environment: str = ""


HERE: ContextVar[Here] = ContextVar("HERE", default=Here())  # noqa: B039  (it is frozen)


def remember(**known: str | None) -> None:
    """Adds to what this run knows, by Here's names; what is empty or None changes nothing."""
    HERE.set(replace(HERE.get(), **{name: value for name, value in known.items() if value}))


def called_as(arguments: list[str], environ: Mapping[str, str]) -> str:
    """How nixl-efa is called in the user's shell: by its name where that is on PATH, else as it was called now.

    `python -m nixl_efa` is how other programs start it: who reads what they say calls it by its name.
    """
    by_path = Path(arguments[0]).name == _OURS and not shutil.which(_OURS, path=environ.get("PATH", ""))
    return shlex.quote(arguments[0]) if by_path else _OURS


def shown(text: str) -> str:
    """A text as it is printed."""
    if "`" not in text and "y hand: aws " not in text:
        return text
    from nixl_efa.cli.project import named, project_folder
    from nixl_efa.terraform import as_chosen

    here = replace(HERE.get(), project=named())
    return completed(as_chosen(text, os.environ), here, project_folder(), os.environ)


def shown_values(value: Any) -> Any:
    """A document of plain values with every text in it as it is printed."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        # A finding's command is one by itself.
        return {
            name: shown(f"`{one}`")[1:-1] if name == "command" and isinstance(one, str) else shown_values(one)
            for name, one in value.items()
        }
    return [shown_values(one) for one in value] if isinstance(value, list | tuple) else value


def completed(text: str, here: Here, project: Path, environ: Mapping[str, str]) -> str:
    """The text with each command in it (between backticks) as it works in the user's shell.

    project: the folder of cdktf.json, Path() where that is the current one.
    """

    def complete(found: re.Match[str]) -> str:
        variables, program, rest = found.groups()
        return f"`{_completed(variables, program, rest, here, project, environ)}`"

    text = _BY_HAND.sub(lambda found: f"{found[1]}{_of_aws(found[2], here)}", text)
    return _COMMAND.sub(complete, text)


def _completed(
    variables: str, program: str, rest: str, here: Here, project: Path, environ: Mapping[str, str]
) -> str:
    # Here, since a help page needs none of it.
    from nixl_efa.cdk import COMMAND_LINES
    from nixl_efa.terraform import program_of

    if program == _OURS:
        return f"{variables}{here.program}{_with_options(rest, here)}"
    if program == "aws":
        return f"{variables}{program}{_of_aws(rest, here)}"
    is_cdk = program in COMMAND_LINES
    if program != program_of(environ) and not is_cdk and not _BELOW_PROJECT.search(rest):
        return f"{variables}{program}{rest}"
    if here.profile and program not in ("rm", "mv") and "AWS_PROFILE=" not in variables:
        variables = f"AWS_PROFILE={shlex.quote(here.profile)} {variables}"
    if is_cdk and not shutil.which(program, path=environ.get("PATH", "")):
        local = Path(COMMAND_LINES[program].folder, ".bin", program)
        program = str(local) if (project / local).exists() else program
    command = f"{variables}{program}{rest}"
    if project != Path() and (is_cdk or _BELOW_PROJECT.search(rest)):
        return f"(cd {shlex.quote(str(project))} && {command})"
    return command


def _with_options(rest: str, here: Here) -> str:
    # What stands behind -- is another command's.
    own, dashes, others = rest.partition(" -- ")
    return f"{_with_own_options(own, here)}{dashes}{others}"


def _with_own_options(rest: str, here: Here) -> str:
    words = rest.split()
    if not words or words[0].startswith("-") or "--help" in words:
        return rest
    command = words[0]
    if here.environment and tuple(words) in OF_AN_ENVIRONMENT:
        rest += f" {OF_AN_ENVIRONMENT[tuple(words)]}{here.environment}"
        words = rest.split()
    if command in TAKE_PROFILE and "--profile" not in words:
        profile = here.acts_as if command == "capacity" and "--env" not in words else here.profile
        rest += f" --profile {shlex.quote(profile)}" if profile else ""
    if command == "capacity" and words[1:2] and words[1] in TAKE_REGION and here.region:
        rest += "" if {"--region", "--env"} & {*words} else f" --region {here.region}"
    if here.project and command in ABOUT_A_PROJECT:
        rest = f" --project {shlex.quote(here.project)}{rest}"
    return rest


def _of_aws(rest: str, here: Here) -> str:
    words = rest.split()
    if len(words) < 2 or words[0] == "configure":
        return rest
    if here.region and words[0] not in _WITHOUT_REGION and "--region" not in words:
        rest += f" --region {here.region}"
    if here.acts_as and "--profile" not in words:
        rest += f" --profile {shlex.quote(here.acts_as)}"
    return rest
