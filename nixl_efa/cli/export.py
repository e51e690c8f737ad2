"""`nixl-efa export`: the environment's nodes for another engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.check import Environment, Profile
from nixl_efa.cli.project import project_folder
from nixl_efa.export.engines import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixl_efa.export import Document


def export(
    environment: Environment,
    to: Annotated[Engine, typer.Option("--to", help="Whose configuration.")],
    path: Annotated[
        Path | None,
        typer.Option("--output", metavar="PATH", help="A file, or a folder to put it in. [default: stdout]"),
    ] = None,
    profile: Profile = None,
) -> None:
    """Write another engine's own configuration of the environment's nodes.

    Contains each reservation's id, zone, type, count, network and volume. AWS ParallelCluster gets one cluster with a
    queue for each reservation; dstack gets a fleet for each, in a file of its own. What an engine's file can't express
    is in comments at its top. Only reads.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.cli.nodes import require_account
    from nixl_efa.clock import clock_of
    from nixl_efa.export import documents, find
    from nixl_efa.launch import launch_of

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    launch = launch_of(settings, profile=profile or "")
    written = documents(to, find(launch.requests, clients, clock_of(os.environ)))
    if path is None:
        print("---\n".join(one.text for one in written), end="")
    else:
        _write(path, written)


def _write(path: Path, written: Sequence[Document]) -> None:
    """BadInput for several into one file, Failure where none can be written."""
    from nixl_efa.files import put

    if not path.is_dir() and len(written) > 1:
        raise output.BadInput(
            f"--output {path}: dstack reads one fleet from a file, but there are {len(written)}. Name a folder."
        )
    for one in written:
        file = path / one.name if path.is_dir() else path
        try:
            put(file, one.text)
        except OSError as error:
            raise output.Failure(f"--output {path}: {error.strerror}") from error
        output.say(f"{file} is written. The comments at its head say what it can't hold.")
