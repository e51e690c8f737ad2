"""`nixl-efa doctor`: what this machine and account have and lack."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.commands import remember, shown
from nixl_efa.cli.project import environments, is_project, project_folder
from nixl_efa.findings import Finding, Level

# A screen of 80 columns holds all of it where nothing is wrong.
_WIDTH = 80
_NAME_WIDTH = 14
_COMMAND, _GLUE = re.compile(r"`[^`]+`"), "\0"
_INDENT = " " * (_NAME_WIDTH + 8)
_STYLES = {Level.FAIL: "\x1b[1;31m", Level.WARN: "\x1b[33m", Level.SKIP: "\x1b[36m", Level.PASS: "\x1b[32m"}


def doctor(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV]",
            help="The environment, whose region, account and permissions are looked at. [default: the only one]",
            autocompletion=environments,
        ),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The AWS profile.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what this machine and account have, what they lack, and how to get it.

    Only reads. Whether a launch would succeed, `nixl-efa check ENV` says. Exits with 1 on a FAIL.
    """
    from nixl_efa.aws import Clients, clients_of
    from nixl_efa.checks import rendering
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.clock import clock_of
    from nixl_efa.doctor import gather, rules
    from nixl_efa.settings import environment_names

    folder = project_folder()
    if environment and environment not in environment_names(folder / "environments"):
        environment_settings(environment, os.environ, folder, profile)  # says what is wrong
    project, settings = gather.project(folder if is_project(folder) else None, environment or "", os.environ)
    remember(environment=settings.name if settings else "", profile=profile)
    clients = clients_of(settings, profile) if settings else Clients(profile)
    acts_as = profile or (settings.profile if settings else "") or ""
    facts = gather.look(folder, project, settings, clients, acts_as, os.environ)
    findings = rules.judge(facts, clock_of(os.environ).now())
    if as_json:
        body = [{**asdict(finding), "level": finding.level.value} for finding in findings]
        counts = rendering.counts(findings)
        output.print_json("doctor", {"ok": not counts["FAIL"], "counts": counts, "findings": body})
    else:
        for line in lines(findings, os.environ, coloured=sys.stdout.isatty()):
            print(line)
        print(rendering.summary(findings))
    if rendering.stops(findings, strict=False):
        raise typer.Exit(1)


def lines(findings: Sequence[Finding], environ: Mapping[str, str], *, coloured: bool) -> list[str]:
    """A row for each finding, folded between words; what to do stands below it. The home is written ~."""
    home = environ.get("HOME", "").rstrip("/")
    told: list[str] = []
    for finding in findings:
        level = finding.level.value
        row = _folded(f"{level}  {finding.check:{_NAME_WIDTH}}  ", finding.message, home)
        if coloured:
            row[0] = f"{_STYLES[finding.level]}{level}\x1b[0m{row[0].removeprefix(level)}"
        told += [*row, *(_folded(f"{_INDENT}to do: ", finding.remedy, home) if finding.remedy else ())]
    return told


def _folded(first: str, text: str, home: str) -> list[str]:
    # A command stays in one piece, so that it can be copied.
    text = _COMMAND.sub(lambda found: found.group().replace(" ", _GLUE), shown(text))
    rows = textwrap.wrap(
        text.replace(f"{home}/", "~/") if home else text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [row.replace(_GLUE, " ") for row in rows]
