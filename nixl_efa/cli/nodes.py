"""`nixl-efa verify`, `status` and `connect`: the pair after its launch."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.project import environments, project_folder
from nixl_efa.findings import Level, listed

if TYPE_CHECKING:
    from nixl_efa.aws import Clients
    from nixl_efa.nodes.outputs import Node, PairOutputs
    from nixl_efa.settings import Settings

Environment = Annotated[
    str, typer.Argument(metavar="ENV", help="The environment, for example prod.", autocompletion=environments)
]
Profile = Annotated[str | None, typer.Option(help="The AWS profile.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 on a warning, too.")]


def verify(
    environment: Environment,
    transfer: Annotated[
        bool, typer.Option("--transfer/--no-transfer", help="Measure a transfer between the nodes.")
    ] = True,
    as_json: AsJson = False,
    strict: Strict = False,
    profile: Profile = None,
) -> None:
    """Prove that the deployed nodes transfer over EFA.

    Checks the nodes at the same time through Run Command. Then measures a transfer from each producer to each consumer,
    and proves by the hardware counters that it went over EFA. Exits with 1 when anything FAILs.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli import nodes_view
    from nixl_efa.cli.environments import environment_settings, tell_left_behind
    from nixl_efa.clock import clock_of
    from nixl_efa.launch import launch_of
    from nixl_efa.nodes import verify as look

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    tell_left_behind(project_folder(), output.say)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    pair = deployed(settings, profile)
    report = look.verify(
        clients.ec2(settings.region),
        clients.ssm(settings.region),
        pair,
        launch=launch_of(settings),
        measure=transfer,
        clock=clock_of(os.environ),
        say=output.say,
        s3=clients.s3(settings.region),
    )
    nodes_view.show(report, "verify", as_json)
    _exit([finding.level for finding in report.all_findings], strict)


def status(
    environment: Environment,
    as_json: AsJson = False,
    strict: Strict = False,
    profile: Profile = None,
) -> None:
    """Show an environment's nodes and the time that is left.

    Warns when EC2 begins to terminate the Capacity Block's instances in under two hours.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli import nodes_view
    from nixl_efa.cli.environments import environment_settings, tell_left_behind
    from nixl_efa.clock import clock_of
    from nixl_efa.launch import launch_of
    from nixl_efa.mend.look import StateDiffersError, read_and_compare
    from nixl_efa.nodes import verify as look

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    tell_left_behind(project_folder(), output.say)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    launch = launch_of(settings, profile=profile or "")
    try:
        pair, differences = read_and_compare(
            lambda: deployed(settings, profile),
            settings,
            launch,
            clients,
            project_folder(),
            os.environ,
        )
    except StateDiffersError as failure:
        if as_json:
            output.print_json("status", nodes_view.document_without_nodes(environment, failure.findings))
            raise typer.Exit(failure.exit_code) from None
        raise
    ec2, ssm = clients.ec2(settings.region), clients.ssm(settings.region)
    report = look.status(ec2, ssm, pair, launch, clock_of(os.environ))
    report = replace(report, findings=(*report.findings, *differences))
    nodes_view.show(report, "status", as_json)
    _exit([finding.level for finding in report.all_findings], strict)


def connect(
    environment: Environment,
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="Which node: producer, consumer, consumer-2, ...")
    ],
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the command instead of running it.")
    ] = False,
    profile: Profile = None,
) -> None:
    """Open a shell on a node with Session Manager.

    Needs no SSH key and no open port.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.clock import clock_of
    from nixl_efa.launch import launch_of
    from nixl_efa.nodes import block, instances, session
    from nixl_efa.nodes import verify as look

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    pair = deployed(settings, profile)
    wanted = find(pair, node)
    clients = clients_of(settings, profile)
    chosen = "" if settings.assume_role else profile or settings.profile or ""
    if print_only:
        command = ["aws", "ssm", "start-session", "--region", settings.region, "--target", wanted.instance_id]
        command += ["--profile", chosen] if chosen else []
        if settings.assume_role:
            output.say(f"Run this command as {settings.assume_role.arn}.")
        output.data(shlex.join(command))
        return
    version = plugin_version()
    require_account(settings, clients)
    ec2 = clients.ec2(settings.region)
    found = instances.read(ec2, pair)
    if instances.of(wanted, found).state != instances.RUNNING:
        launch, now = launch_of(settings), clock_of(os.environ).now()
        reservations = block.read(ec2, look.reservation_ids(pair, found, launch), settings.region)
        reports = look.node_reports(pair, found, reservations, launch, now)
        (finding,) = next(report.findings for report in reports if report.node == wanted)
        raise output.Failure(f"A session needs a running instance, and the {wanted.name} {finding.line()}")
    command, more = session.plugin_command(clients.ssm(settings.region), wanted.instance_id, chosen, version)
    os.execvpe(command[0], command, {**os.environ, **clients.environ(), **more})


def deployed(settings: Settings, profile: str | None) -> PairOutputs:
    """The pair as the environment's state has it. Failure when it has none."""
    from nixl_efa.launch import launch_of
    from nixl_efa.mend.look import terraform_environ
    from nixl_efa.nodes import outputs

    launch = launch_of(settings, profile=profile or "")
    return outputs.read(settings, project_folder(), terraform_environ(os.environ, launch))


def find(pair: PairOutputs, name: str) -> Node:
    """The node of that name. BadInput, which names them all, for none."""
    found = pair.find(name)
    if found is None:
        names = listed(one.name for one in pair.nodes)
        raise output.BadInput(f"node {name!r} is not one of {pair.environment}: give {names}.")
    return found


def require_account(settings: Settings, clients: Clients) -> None:
    """Failure with another account than the settings allow: there may be a pair of the same name."""
    from nixl_efa.account import account_finding, caller
    from nixl_efa.launch import launch_of

    if settings.account_id:
        found = account_finding(launch_of(settings), caller(clients.sts()))
        if found is not None and found.level is Level.FAIL:
            raise output.Failure(f"{settings.stack_name}: {found.line()}")


def plugin_version() -> str:
    """What AWS's plugin says of its version. Failure where there is none."""
    from nixl_efa.doctor.how_to_get import PLUGIN_GUIDE
    from nixl_efa.nodes.session import PLUGIN

    if shutil.which(PLUGIN) is None:
        raise output.Failure(
            f"{PLUGIN} not found on PATH: install the Session Manager plugin ({PLUGIN_GUIDE}). "
            "`nixl-efa connect ENV NODE --print` prints what the AWS CLI would do."
        )
    return subprocess.run([PLUGIN, "--version"], capture_output=True, text=True, check=False).stdout


def _exit(levels: list[Level], strict: bool) -> None:
    stops = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
    if stops.intersection(levels):
        raise typer.Exit(1)
