"""`nixl-efa rehearse`: the main job from the purchase to the end, on a local AWS."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from nixl_efa.cli.output import say
from nixl_efa.cli.project import environments, project_folder


def command(
    environment: Annotated[
        str,
        typer.Argument(
            metavar="[ENV]",
            help="The environment.",
            autocompletion=environments,
        ),
    ] = "prod",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the pair and the local AWS running, to look around.")
    ] = False,
    real_nodes: Annotated[
        bool,
        typer.Option("--real-nodes", help="Let the nodes boot on this machine. Needs Linux, root and apt."),
    ] = False,
    serve: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also serve a model, on nodes that boot, with the engine in this folder (scripts/fetch-serve).",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the local AWS; 0 takes a free one.")
    ] = 0,
) -> None:
    """Rehearse an environment on a local AWS, with the real cdktf, Terraform and AWS provider.

    Buys a Capacity Block there if the environment uses one, checks, deploys, shows that a second plan is empty and what
    was built, destroys it and stops what it started. Calls nothing outside this machine.
    """
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.rehearse import FOREIGN, Options, rehearse

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts background jobs with it ignored, and the programs below would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    folder = project_folder().absolute()
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    settings = environment_settings(environment, environ, folder)
    rehearse(settings, Options(keep, port, real_nodes, serve), folder, environ, sys.executable, say)
