"""`nixl-efa doctor`: what this machine and account have and lack."""

import os
from dataclasses import replace
from typing import Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.check import show_findings
from nixl_efa.cli.commands import remember
from nixl_efa.cli.project import environments, is_project, project_folder


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

    Only reads. `nixl-efa check ENV` tells whether a launch would succeed. Exits with 1 on a FAIL.
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
        output.print_json("doctor", rendering.plain(findings, strict=False))
    else:
        # On one screen: what shows a row by hand is in the document.
        show_findings([replace(finding, command="") for finding in findings], brief=False)
    if rendering.stops(findings, strict=False):
        raise typer.Exit(1)
