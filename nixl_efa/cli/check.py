"""`nixl-efa check`: the look before the launch."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.commands import shown
from nixl_efa.cli.project import environments, project_folder
from nixl_efa.findings import Finding, Level
from nixl_efa.settings import Settings

Environment = Annotated[
    str, typer.Argument(metavar="ENV", help="The environment, for example prod.", autocompletion=environments)
]
MinHours = Annotated[
    float | None,
    typer.Option(
        "--min-hours",
        min=0,
        help="Hours that a reservation must still last. [default: the setting min_hours]",
    ),
]
Profile = Annotated[str | None, typer.Option(help="The AWS profile.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop on a WARN, too.")]
_STYLES = {Level.FAIL: "bold red", Level.WARN: "yellow", Level.SKIP: "cyan", Level.PASS: "green"}


def check(
    environment: Environment,
    min_hours: MinHours = None,
    strict: Strict = False,
    replace_nodes: Annotated[
        bool, typer.Option("--replace-nodes", help="Accept that the next deployment replaces nodes.")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Leave out what is in order.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    profile: Profile = None,
) -> None:
    """Look for what would stop a deployment, before it starts.

    Only reads. Each line is PASS, WARN, FAIL or SKIP (no permission to look), with what to do and the AWS CLI call that
    shows the same. Exits with 1 on a FAIL.
    """
    from nixl_efa.checks import rendering

    settings = settings_of(environment, profile)
    findings = findings_of(
        settings,
        min_hours=min_hours,
        profile=profile,
        must_be_active=False,
        replace_nodes=replace_nodes,
    )
    if as_json:
        output.print_json("check", rendering.document(settings, findings, strict=strict))
    else:
        show_findings(findings, brief=brief)
    if rendering.stops(findings, strict=strict):
        raise typer.Exit(1)


def settings_of(environment: str, profile: str | None) -> Settings:
    """The settings of an environment of the project. BadInput for a fault in them."""
    from nixl_efa.cli.environments import environment_settings

    return environment_settings(environment, os.environ, project_folder(), profile)


def findings_of(
    settings: Settings,
    *,
    min_hours: float | None,
    profile: str | None,
    must_be_active: bool,
    replace_nodes: bool,
) -> list[Finding]:
    """The check of an environment (see checks.run)."""
    from nixl_efa import checks
    from nixl_efa.aws import clients_of
    from nixl_efa.clock import clock_of

    return checks.run(
        settings,
        clients_of(settings, profile),
        clock_of(os.environ),
        min_hours=min_hours,
        must_be_active=must_be_active,
        replace_nodes=replace_nodes,
        profile=profile,
        project=project_folder().absolute(),
        environ=os.environ,
    )


def show_findings(findings: Sequence[Finding], *, brief: bool) -> None:
    """Each finding with what to do, and how many there are of each level."""
    from rich.text import Text

    from nixl_efa.checks import rendering

    console, width = output.console(), output.width_of(sys.stdout)
    for finding in findings:
        if brief and finding.level is Level.PASS:
            continue
        first, *below = rendering.lines(finding, width, shown)
        text = Text(first)
        text.stylize(_STYLES[finding.level], 0, len(finding.level.value))
        console.print(text, soft_wrap=True)
        for line in below:
            console.print(Text(line, style="dim"), soft_wrap=True)
    output.data(rendering.summary(findings))
