"""`nixl-efa policy`: the least permissions, to be given to whoever runs the commands."""

import json
import os
from typing import Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.project import environments, project_folder
from nixl_efa.policy import COMMANDS, LARGEST, Command

Wanted = Annotated[Command, typer.Argument(metavar="COMMAND", help=f"One of {', '.join(COMMANDS)}.")]
Environment = Annotated[
    str,
    typer.Option(
        "--env",
        help="The environment, for example prod.",
        autocompletion=environments,
    ),
]


def policy(environment: Environment, command: Wanted = "all") -> None:
    """Print the least IAM policy with which a command works, as one JSON document.

    `deploy` contains what check, verify, status and mend need, too; `all` contains everything. Resources are limited by
    the environment's names, tags, region and account_id. Does not call AWS.
    """
    from nixl_efa.cli.environments import environment_settings, launches
    from nixl_efa.launch import launch_of
    from nixl_efa.policy import document, size

    settings = environment_settings(environment, os.environ, project_folder())
    beside = launches(os.environ, project_folder(), "", output.say)
    beside.pop(environment, None)
    found = document(settings, launch_of(settings), command, tuple(beside.values()))
    print(json.dumps(found, indent=2))
    if size(found) > LARGEST:
        output.say(
            f"{size(found)} characters without white space, and a managed policy may have {LARGEST}: make it a role's "
            "inline policy, which may have 10240, or one policy each of deploy, destroy, capacity and connect."
        )
