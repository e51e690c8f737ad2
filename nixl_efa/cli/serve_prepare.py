"""`nixl-efa serve prepare`: packages and a model in a bucket of the nodes' region, before a block starts."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.nodes import Environment, Profile, deployed, require_account
from nixl_efa.cli.progress import Progress, size
from nixl_efa.cli.project import project_folder
from nixl_efa.files import cache_directory
from nixl_efa.findings import counted, listed

if TYPE_CHECKING:
    from nixl_efa.aws import Clients
    from nixl_efa.nodes.run_command import Bucket
    from nixl_efa.service.model import Service
    from nixl_efa.service.stage import Source
    from nixl_efa.settings import Settings

EngineVersion = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="Version of the engine's package. [default: the one that was tried]"
    ),
]
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
    engine_version: EngineVersion = None,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="The python3 of the nodes' image, for which the packages are. Without it, that of the image in the "
            "settings, if its name tells it.",
        ),
    ] = None,
    profile: Profile = None,
) -> None:
    """Copy NIXL, packages and model to S3, before a block starts.

    The nodes copy all from there. Needs no nodes. The bucket is the setting models_bucket, else the scripts bucket,
    which the first deployment creates. The same command continues after Ctrl-C, and copies only what is missing or has
    changed.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.aws_errors import explain
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.nodes.run_command import Bucket
    from nixl_efa.service.asked import OPTIONS, asked
    from nixl_efa.service.stage import region_of
    from nixl_efa.service.staged import folder
    from nixl_efa.settings.service import named

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    if python is not None and not re.fullmatch(r"3\.\d{1,2}", python):
        raise output.BadInput(f"--python {python} is not a version of Python, as 3.12.")
    given = {"model": model, "version": engine_version}
    service = asked(
        {name: one for name, one in given.items() if one is not None},
        settings.service.asked if settings.service else None,
        {one: named(settings.source("service"), one) for one in OPTIONS},
        environment,
    )
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    bucket = Bucket(clients.s3(settings.region), _bucket(settings, profile))
    problem = ""
    try:
        where = region_of(bucket)
        if where and where != settings.region:
            output.say(
                f"WARN s3://{bucket.name} is in {where}, the nodes are in {settings.region}: they copy more slowly, "
                "and AWS charges for it."
            )
        for what, put in (("NIXL is", _nixl), ("the packages are", _packages)):
            try:
                put(settings, service, python or "", bucket)
            except output.Failure as failure:
                problem = f"{what} not staged: {failure.message}"
                output.say(f"WARN {problem}")
        # A folder of the nodes is there already.
        if not service.model.startswith("/"):
            source = _source(service.model, clients, settings)
            _stage(service.model, folder(service.model), source, bucket)
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
    if problem:
        raise output.Failure(problem)


def _nixl(settings: Settings, _: Service, python: str, bucket: Bucket) -> None:
    """What install-nixl may choose from at a first boot of these nodes."""
    from nixl_efa.launch import launch_of
    from nixl_efa.nixl_releases import choices
    from nixl_efa.service.stage import ByThisMachine
    from nixl_efa.service.staged import NIXL
    from nixl_efa.service.wheels import machines, nixl_wheels

    launch = launch_of(settings)
    if not launch.nixl_version:
        return
    if launch.nixl_wheels:
        output.say(f"NIXL is not staged: nodes take its wheels from {launch.nixl_wheels} (nixl_wheels).")
        return
    versions = choices(launch.nixl_version, is_pinned=launch.nixl_pinned, backend=launch.nixl.name)
    of = machines(launch, python)
    wheels = nixl_wheels(versions, of, cache_directory(os.environ) / "nixl")
    kinds = listed(f"Python {version} on {machine}" for version, machine in of)
    name = f"NIXL {listed(versions)} for {kinds}"
    # A node that boots meanwhile does without an index as soon as its build of NIXL is there.
    _stage(name, NIXL, ByThisMachine(wheels), bucket, is_shared=True, last="nixl_cu")


def _packages(settings: Settings, service: Service, python: str, bucket: Bucket) -> None:
    """The packages of a node with the router, for each kind of node."""
    from nixl_efa.launch import launch_of
    from nixl_efa.service.engines import ENGINES
    from nixl_efa.service.router import packages
    from nixl_efa.service.stage import ByThisMachine
    from nixl_efa.service.staged import packages_folder
    from nixl_efa.service.wheels import Wheels, machines

    wanted = packages(ENGINES[service.engine], service, has_router=True)
    for version, machine in machines(launch_of(settings), python):
        where = f"{packages_folder(wanted)}/python{version}-{machine}"
        wheels = Wheels(wanted, version, machine, cache_directory(os.environ) / "packages")
        _stage(f"{listed(wanted)} for Python {version} on {machine}", where, ByThisMachine(wheels), bucket)


def _stage(
    name: str, folder: str, source: Source, bucket: Bucket, *, is_shared: bool = False, last: str = ""
) -> None:
    """Stages it, and says how far it is and what is there then."""
    from nixl_efa.clock import clock_of
    from nixl_efa.service.stage import stage

    shown: list[Progress] = []

    def progress(total: int) -> Progress:
        shown.append(Progress(f"{name} in s3://{bucket.name}", total))
        return shown[-1]

    output.say(f"Looking at {name} ...")
    try:
        clock = clock_of(os.environ)
        found = stage(
            name, folder, source, bucket, clock, lambda n: progress(n).at, is_shared=is_shared, last=last
        )
    finally:
        for one in shown:
            one.clear()
    of = f" of revision {found.revision}" if found.revision else ""
    output.data(
        f"Staged {found.name}{of}: {counted(len(found.files), 'file')}, {size(found.bytes)}, in {found.place}/."
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
    from nixl_efa.service.stage import ByThisMachine, FromS3

    if name.startswith("s3://"):
        return FromS3(clients.s3(settings.region), name)
    return ByThisMachine(HubModel(name, cache_directory(os.environ) / "models" / name))
