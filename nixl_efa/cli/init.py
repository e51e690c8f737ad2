"""`nixl-efa init`: an environment's first file."""

import os
import sys
from typing import Annotated, get_args

import typer

from nixl_efa.cli import output
from nixl_efa.cli.commands import shown
from nixl_efa.cli.project import project_folder
from nixl_efa.launch import Market, launch_of, summary


def init(
    name: Annotated[
        str | None, typer.Argument(metavar="[ENV]", help="The environment's name, for example dev.")
    ] = None,
    instance_type: Annotated[
        str | None,
        typer.Option("--instance-type", help="The nodes' instance type, for example g7e.12xlarge."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Their AWS region, for example us-east-2.")] = None,
    market: Annotated[Market | None, typer.Option(help="How to buy them. [default: on-demand]")] = None,
) -> None:
    """Write an environment's first file, and say what to run next.

    On a terminal, it asks for what is not given. Without a project, this folder becomes one. It overwrites no file, and
    does not call AWS.
    """
    from nixl_efa.new_environment import Wish, make, next_commands
    from nixl_efa.settings.names import did_you_mean

    if not (name and instance_type and region):
        missing = [
            word
            for word, given in (("ENV", name), ("--instance-type", instance_type), ("--region", region))
            if not given
        ]
        if not sys.stdin.isatty():
            raise output.BadInput(f"{', '.join(missing)}: missing, and there is no terminal to ask on.")
        name = name or _asked("Name of the environment", "dev")
        instance_type = instance_type or _asked("Instance type, such as g7e.12xlarge or p5.48xlarge")
        region = region or _asked("Region", os.environ.get("AWS_REGION") or "us-east-2")
        if market is None:
            answer = _asked(f"How to buy them: {', '.join(get_args(Market))}", "on-demand")
            market = next((one for one in get_args(Market) if one == answer), None)
            if market is None:
                raise output.BadInput(
                    f"{answer!r} is not one of these. {did_you_mean(answer, get_args(Market))}"
                )
    made = make(Wish(name, region, instance_type, market or "on-demand"), project_folder().absolute())
    for warning in made.warnings:
        output.say(f"WARN: {warning.line()}")
    output.say(summary(launch_of(made.settings)))
    output.say(f"Written: {', '.join(made.files)}. Next:")
    for command in next_commands(made.settings):
        output.data(f"  {shown(f'`{command}`')[1:-1]}")


def _asked(question: str, default: str = "") -> str:
    return output.ask(f"{question} [{default}]:" if default else f"{question}:") or default
