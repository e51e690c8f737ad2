"""`nixl-efa check` and `nixl-efa deploy`: the look before the launch, and the launch between two looks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.findings import Finding, Level
from nixl_efa.settings import Settings

Environment = Annotated[str, typer.Argument(metavar="ENV", help="The environment, for example prod.")]
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

# An app of its own, since a plain function can't say that options it does not know are cdktf's.
deploy = typer.Typer(add_completion=False, rich_markup_mode=None)


def check(
    environment: Environment,
    min_hours: MinHours = None,
    strict: Strict = False,
    brief: Annotated[bool, typer.Option("--brief", help="Leave out what is in order.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    profile: Profile = None,
) -> None:
    """Look for what would stop a deployment, before it starts.

    Reads only. Each line is PASS, WARN, FAIL or SKIP (no permission to look), with what to do and the AWS CLI
    call that shows the same. Exits with 1 on a FAIL.
    """
    from nixl_efa.checks import rendering

    settings = _settings(environment)
    findings = _run(settings, min_hours=min_hours, profile=profile, must_be_active=False)
    if as_json:
        output.print_json("check", rendering.document(settings, findings, strict=strict))
    else:
        _show(findings, brief=brief)
    if rendering.stops(findings, strict=strict):
        raise typer.Exit(1)


@deploy.command("deploy", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def check_deploy_verify(
    context: typer.Context,
    environment: Environment,
    min_hours: MinHours = None,
    strict: Strict = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Verify the pair when it has booted.")
    ] = True,
    boot_minutes: Annotated[
        int, typer.Option("--boot-minutes", min=1, help="How long to wait for the nodes' first boot.")
    ] = 20,
    profile: Profile = None,
) -> None:
    """Check an environment, deploy it with cdktf, then verify the pair.

    Stops before anything is deployed when the check FAILs. Further arguments go to `cdktf deploy`,
    for example --auto-approve.
    """
    from nixl_efa import deploy as deployment
    from nixl_efa.checks import rendering

    project = Path.cwd()
    settings = _settings(environment)
    wanted = deployment.deployment(settings, project, os.environ, context.args, profile)
    _switch(settings, profile)
    findings = _run(settings, min_hours=min_hours, profile=profile, must_be_active=True)
    _show(findings, brief=True)
    if rendering.stops(findings, strict=strict):
        raise output.Failure(f"{settings.stack_name} was not deployed: the check found what would stop it")
    deployment.deploy(wanted, project, deployment.execute)
    if verify:
        _verify(settings, boot_minutes, strict=strict, profile=profile)


def _switch(settings: Settings, profile: str | None) -> None:
    """Goes over to the next block where the current one is over, and says so."""
    from nixl_efa.capacity.save import switch_when_free
    from nixl_efa.cli.capacity.session import session
    from nixl_efa.launch import launch_of

    launch = launch_of(settings)
    if launch.market == "capacity-block":
        run = session(profile, settings.region)
        taken = switch_when_free(launch, run.node_names(launch), run.buyer(settings.region))
        if taken:
            output.say(f"{settings.name}'s next block {taken} is its current one now.")


def _settings(environment: str) -> Settings:
    from nixl_efa.cli.environments import environment_settings

    return environment_settings(environment, os.environ, Path())


def _run(
    settings: Settings, *, min_hours: float | None, profile: str | None, must_be_active: bool
) -> list[Finding]:
    from nixl_efa import checks
    from nixl_efa.aws import Clients
    from nixl_efa.clock import SystemClock

    return checks.run(
        settings,
        Clients(profile, settings.region),
        SystemClock(),
        min_hours=min_hours,
        must_be_active=must_be_active,
        profile=profile,
        project=Path.cwd(),
        environ=os.environ,
    )


def _show(findings: Sequence[Finding], *, brief: bool) -> None:
    from rich.text import Text

    from nixl_efa.checks import rendering

    console = output.console()
    for level, line in rendering.lines(findings, brief=brief):
        text = Text(line)
        if level is None:
            text.stylize("dim")
        else:
            text.stylize(_STYLES[level], 0, len(level.value))
        # Never folded by us: a command that is cut into lines can't be copied.
        console.print(text, soft_wrap=True)
    output.data(rendering.summary(findings))


def _verify(settings: Settings, boot_minutes: int, *, strict: bool, profile: str | None) -> None:
    from nixl_efa.aws import Clients
    from nixl_efa.cli import nodes
    from nixl_efa.clock import SystemClock
    from nixl_efa.deploy import wait_for_boot
    from nixl_efa.nodes import outputs

    pair = outputs.read(settings.name, nodes.DEFAULT_CDKTF_OUT, outputs.run_command, os.environ)
    booted = wait_for_boot(
        Clients(profile, settings.region).ssm(settings.region),
        [node.instance_id for node in pair.nodes],
        SystemClock(),
        timedelta(minutes=boot_minutes),
        output.say,
    )
    if not booted:
        output.say(f"A node has not booted within {boot_minutes} minutes; what can be seen of it follows.")
    nodes.verify(settings.name, strict=strict, profile=profile)
