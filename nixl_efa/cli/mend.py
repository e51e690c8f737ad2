"""`nixl-efa mend`: joins the state with what runs, after a run that was interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.project import environments, project_folder

if TYPE_CHECKING:
    from nixl_efa.mend.run import Plan


def mend(
    environment: Annotated[
        str,
        typer.Argument(
            metavar="ENV",
            help="The environment, for example prod.",
            autocompletion=environments,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do the steps without asking.")] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take over nodes that another state may contain. No other state may contain them.",
        ),
    ] = False,
    profile: Annotated[str | None, typer.Option(help="The AWS profile.")] = None,
) -> None:
    """Repair Terraform's state after an interrupted deployment.

    Shows the steps, asks, and does them: untaints resources that exist, imports what runs, removes a lock that was left
    behind. Builds and destroys nothing. Then says what a deployment would do.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.cli.nodes import require_account
    from nixl_efa.clock import clock_of
    from nixl_efa.deploy import words
    from nixl_efa.findings import listed
    from nixl_efa.launch import launch_of
    from nixl_efa.mend.run import Mender

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    launch = launch_of(settings, profile=profile or "")
    mender = Mender(settings, launch, clients, project_folder(), os.environ, output.say)
    plan = mender.prepare(take_over=take_over)
    if plan.steps:
        _show(plan, mender.terraform.program, mender.terraform.folder)
        _agree(plan, launch.region, yes=yes, take_over=take_over)
        mender.do(plan)
    else:
        output.say(
            "There is nothing to mend: the state knows all that runs, and nothing is tainted or locked."
        )
    for note in plan.notes:
        output.say(note)
    planned = mender.what_follows()
    for line in words.lines(planned, {}, clock_of(os.environ).now()):
        output.say(line)
    what = f"{planned.added} to add, {planned.changed} to change, {planned.destroyed} to destroy"
    output.data(f"{settings.stack_name}: a deployment would now have {what}.")
    if planned.ended:
        raise output.Failure(
            f"the next deployment would destroy {listed(sorted(planned.ended))}: `nixl-efa deploy {environment}` asks "
            "before it does."
        )
    output.say(f"Next: `nixl-efa deploy {environment}`")


def _show(plan: Plan, program: str, folder: Path) -> None:
    output.say(f"In {folder}:")
    for number, step in enumerate(plan.steps, 1):
        output.say(f"{number:3}. {step.what}\n       {step.command(program)}")


def _agree(plan: Plan, region: str, *, yes: bool, take_over: bool) -> None:
    """Failure when the user does not agree."""
    if plan.is_taken_over and not take_over:
        warning = (
            f"Nothing in the state shows that what runs in {region} is its own: it may belong to another working copy, "
            "whose state is elsewhere. If it does, stop here: two states for one pair destroy it."
        )
        if yes:
            raise output.Failure(
                f"nothing was done. {warning} If it does not: --take-over together with --yes."
            )
        output.say(warning)
    if not yes and output.ask("Type yes to do these steps:") != "yes":
        raise output.Failure("nothing was done: the answer was not yes")
