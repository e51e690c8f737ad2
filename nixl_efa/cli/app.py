"""The root of the command line: a table of commands, each imported only when it is run.

A help page that imports boto3, rich and moto to print a dozen lines would take seconds, so the table holds
each command's help line and the place where it is defined; `Deferred` stands for it until somebody runs it.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from nixl_efa import __version__
from nixl_efa.cli.project import choose
from nixl_efa.failure import Failure


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command is defined: an attribute (a typer.Typer or a plain function) of a module."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Target] = {
    "init": Target("nixl_efa.cli.init", "init", "Write an environment's first file."),
    "doctor": Target("nixl_efa.cli.doctor", "doctor", "Show what this machine and account lack."),
    "capacity": Target("nixl_efa.cli.capacity", "app", "Find, buy and extend Capacity Blocks; assign them."),
    "check": Target(
        "nixl_efa.cli.check", "check", "Look for what would stop a deployment, before it starts."
    ),
    "cost": Target("nixl_efa.cli.cost", "cost", "Show what an environment costs, and has cost so far."),
    "deploy": Target("nixl_efa.cli.deploy", "app", "Check an environment, deploy it, then verify the pair."),
    "verify": Target("nixl_efa.cli.nodes", "verify", "Prove that the deployed nodes transfer over EFA."),
    "status": Target(
        "nixl_efa.cli.nodes", "status", "Show an environment's nodes and the time that is left."
    ),
    "mend": Target("nixl_efa.cli.mend", "mend", "Repair the state after an interrupted deployment."),
    "connect": Target("nixl_efa.cli.nodes", "connect", "Open a shell on a node with Session Manager."),
    "run": Target("nixl_efa.cli.work", "run_app", "Run a command on all nodes at the same time."),
    "logs": Target("nixl_efa.cli.work", "logs", "Print the nodes' logs: boot report, cloud-init, NIXL."),
    "copy": Target("nixl_efa.cli.copy", "copy", "Copy files and folders to nodes or from them."),
    "forward": Target("nixl_efa.cli.reach", "forward", "Forward a node's port to this machine."),
    "ssh-config": Target(
        "nixl_efa.cli.reach", "ssh_config", "Let ssh, scp, rsync and editors reach the nodes."
    ),
    "nodes": Target(
        "nixl_efa.cli.nodes_sync", "app", "Change the nodes of a running pair without replacing them."
    ),
    "serve": Target("nixl_efa.cli.serve", "app", "Serve a model on the nodes, proven before it is ready."),
    "bench": Target(
        "nixl_efa.cli.bench", "bench", "Measure a service: one engine alone, over EFA, over TCP."
    ),
    "policy": Target(
        "nixl_efa.cli.policy", "policy", "Print the least IAM policy for an environment's commands."
    ),
    "export": Target("nixl_efa.cli.export", "export", "Write an environment for ParallelCluster or dstack."),
    "instance-types": Target(
        "nixl_efa.cli.instance_types", "app", "Show and compare what EC2 says about instance types."
    ),
    "rehearse": Target(
        "nixl_efa.cli.rehearse", "command", "Rehearse a deployment and its purchase on a local AWS."
    ),
    "local-aws": Target("nixl_efa.cli.local_aws", "app", "Start the local AWS for rehearsals and tests."),
}


class Deferred(TyperCommand):
    """A line of the help page that becomes the real command when it is run."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return load(str(self.name)).make_context(info_name, args, parent=parent, **extra)


def load(name: str) -> Any:
    """The real command behind a line of COMMANDS. Failure when its module can't be imported."""
    target = COMMANDS[name]
    try:
        found = getattr(importlib.import_module(target.module), target.attribute)
    except (ImportError, AttributeError) as error:
        if told := missing_extra(error):
            raise Failure(told) from error
        raise Failure(f"the command {name!r} can't be loaded: {error}. Run `make install`.") from error
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(name)(found)
    return typer.main.get_command(single)


def missing_extra(error: Exception) -> str:
    """What to install for an import that failed, where it belongs to an extra of the package; empty for others."""
    if not isinstance(error, ModuleNotFoundError) or error.name != "local_aws":
        return ""
    return (
        "rehearsals and the local AWS need the package nixl-efa-local-aws, which is not installed: run `make install` "
        "in a checkout, or install its wheel beside that of nixl-efa."
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nixl-efa {__version__}")
        raise typer.Exit


def command() -> Any:
    """The root command, with a stand-in for every line of COMMANDS."""
    app = typer.Typer(
        name="nixl-efa",
        help="Accelerator machines on AWS, joined by EFA, for NIXL.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        callback=_root,
    )
    for name, target in COMMANDS.items():
        app.command(name, cls=Deferred, help=target.help, add_help_option=False)(_stand_in)
    return typer.main.get_command(app)


def _root(
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The project's folder. [default: the nearest with cdktf.json and environments/, from here upwards]",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  (its callback has printed it)
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    choose(project)


def _stand_in() -> None:
    """Never run: Deferred makes the context of the real command instead."""
