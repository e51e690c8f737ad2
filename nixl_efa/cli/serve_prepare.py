"""`nixl-efa serve prepare`: a model in a bucket of the nodes' region, before a block starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.nodes import Environment, Profile, deployed, require_account
from nixl_efa.cli.progress import Progress, size
from nixl_efa.cli.project import project_folder
from nixl_efa.files import cache_directory
from nixl_efa.findings import counted

if TYPE_CHECKING:
    from nixl_efa.aws import Clients
    from nixl_efa.service.stage import Source
    from nixl_efa.settings import Settings

# Ctrl-C.
_INTERRUPTED = 130


def prepare(
    environment: Environment,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A hub's name (Qwen/Qwen3-32B), or a folder in S3 (s3://bucket/x). Without it, that of the settings.",
        ),
    ] = None,
    profile: Profile = None,
) -> None:
    """Copy a model into the models bucket, from which the nodes copy it: before a block starts, its hours cost nothing.

    Needs no nodes. The bucket is the setting models_bucket, else the scripts bucket, which the first deployment makes.
    The same command continues after Ctrl-C, and copies only what is missing or has changed.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.aws_errors import explain
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.clock import clock_of
    from nixl_efa.nodes.run_command import Bucket
    from nixl_efa.service.asked import OPTIONS, asked
    from nixl_efa.service.stage import region_of, stage
    from nixl_efa.settings.service import named

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    name = asked(
        {} if model is None else {"model": model},
        settings.service.asked if settings.service else None,
        {one: named(settings.source("service"), one) for one in OPTIONS},
        environment,
    ).model
    if name.startswith("/"):
        raise output.BadInput(
            f"the model {name} is a folder of the nodes: there is nothing to stage. Give a hub's name "
            "(Qwen/Qwen3-32B) or a folder in S3 (s3://bucket/x)."
        )
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    bucket = Bucket(clients.s3(settings.region), _bucket(settings, profile))
    shown: list[Progress] = []

    def progress(total: int) -> Progress:
        shown.append(Progress(f"{name} in s3://{bucket.name}", total))
        return shown[-1]

    try:
        where = region_of(bucket)
        if where and where != settings.region:
            output.say(
                f"WARN s3://{bucket.name} is in {where}, the nodes are in {settings.region}: they copy more slowly, "
                "and AWS charges for it."
            )
        output.say(f"Looking at {name} ...")
        found = stage(
            name, _source(name, clients, settings), bucket, clock_of(os.environ), lambda n: progress(n).at
        )
    except KeyboardInterrupt:
        output.say(
            f"nixl-efa: interrupted: s3://{bucket.name} keeps what is there, and the same command continues."
        )
        # A download from the hub can't be ended.
        os._exit(_INTERRUPTED)
    except output.Failure:
        raise
    except Exception as error:
        raise output.Failure(explain(error)) from error
    finally:
        for one in shown:
            one.clear()
    of = f" of revision {found.revision}" if found.revision else ""
    output.data(
        f"Staged {found.model}{of}: {counted(len(found.files), 'file')}, {size(found.bytes)}, in {found.place}/."
    )


def _bucket(settings: Settings, profile: str | None) -> str:
    """The bucket's name. Failure if there is none yet."""
    if settings.models_bucket:
        return settings.models_bucket
    try:
        found = deployed(settings, profile).scripts_bucket
    except output.Failure as error:
        found, why = "", error.message
    else:
        why = "the environment has no scripts bucket."
    if not found:
        raise output.Failure(
            f"{why} Before the first deployment, set models_bucket to a bucket of yours in {settings.region} "
            f"(`aws s3 mb s3://NAME --region {settings.region}` makes one)."
        )
    return found


def _source(name: str, clients: Clients, settings: Settings) -> Source:
    from nixl_efa.service.hub import HubModel
    from nixl_efa.service.stage import FromHub, FromS3

    if name.startswith("s3://"):
        return FromS3(clients.s3(settings.region), name)
    return FromHub(HubModel(name, cache_directory(os.environ) / "models" / name))
