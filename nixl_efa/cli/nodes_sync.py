"""`nixl-efa nodes sync`: today's files onto the nodes that run."""

import os
from typing import Annotated, Any

import typer

from nixl_efa.cli import output
from nixl_efa.cli.nodes import AsJson, Environment, Profile, deployed, require_account
from nixl_efa.cli.project import project_folder
from nixl_efa.findings import counted
from nixl_efa.nodes.sync import NodeSync, SyncReport

app = typer.Typer(
    help="Change the nodes of a running pair without replacing them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Change the nodes of a running pair without replacing them."""


@app.command("sync")
def sync(
    environment: Environment,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 when a file differs.")
    ] = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Update the files of this project on running nodes.

    Writes the files of /etc/nixl-efa and our scripts that differ from today's settings: on each node all of them or
    none. The old ones are kept beside them as .previous. Then the boot report runs again. Services use the new
    environment after their next start. What only a new node can have (its type, image, volume, network) needs `nixl-efa
    deploy`. Exits with 1 if a node is not in order.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.clock import clock_of
    from nixl_efa.launch import launch_of
    from nixl_efa.nodes import sync as nodes

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    try:
        report = nodes.sync(
            clients.ec2(settings.region),
            clients.ssm(settings.region),
            deployed(settings, profile),
            launch_of(settings),
            check=check,
            clock=clock_of(os.environ),
            say=output.say,
        )
    except KeyboardInterrupt:
        raise output.Failure(
            "interrupted: commands that were already sent continue, and each node has its old files or its new ones. "
            f"`nixl-efa nodes sync {environment} --check` tells which.",
            exit_code=130,
        ) from None
    if as_json:
        output.print_json("nodes-sync", document(report))
    else:
        _show(report)
    if not report.is_done:
        raise typer.Exit(1)


def document(report: SyncReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "environment": report.environment,
        "ok": report.is_done,
        "nodes": [
            {
                "name": one.node.name,
                "instance_id": one.node.instance_id,
                "differing": list(one.differing),
                "written": one.written,
                "boot_report": one.boot_report,
                "problem": one.problem,
            }
            for one in report.nodes
        ],
        "to_do": list(report.to_do),
    }


def _show(report: SyncReport) -> None:
    for one in report.nodes:
        output.data(f"{one.node.name} {one.node.instance_id}: {_line(one)}")
        for path in one.differing:
            output.data(f"  {path}")
    if any(one.written for one in report.nodes):
        output.data("Services take the new environment when they are started again.")
    elif any(one.problem for one in report.nodes):
        output.data("Nothing was written on any node.")
    elif any(one.differing for one in report.nodes):
        output.data(f"Nothing was written: `nixl-efa nodes sync {report.environment}` writes these files.")
    for sentence in report.to_do:
        output.data(sentence)


def _line(one: NodeSync) -> str:
    files = counted(len(one.differing), "file")
    written = f"{files} written" if one.written else ""
    if one.problem:
        return ". ".join(filter(None, (written, f"FAIL {one.problem}")))
    if written:
        return f"{written}, boot report {one.boot_report}"
    return f"{files} to write" if one.differing else "all files are as the settings have them"
