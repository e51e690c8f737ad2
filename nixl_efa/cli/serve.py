"""`nixl-efa serve`: a model on the nodes of an environment, called ready when it is proven."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nixl_efa.cli import output
from nixl_efa.cli.nodes import AsJson, Environment, Profile, deployed, find, require_account
from nixl_efa.cli.project import project_folder
from nixl_efa.cli.serve_prepare import EngineVersion, prepare
from nixl_efa.service.engines import DEFAULT, ENGINES
from nixl_efa.service.model import DRAIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nixl_efa.nodes.facts import Planned
    from nixl_efa.nodes.run_command import Outcome, Script
    from nixl_efa.nodes.verify import PairReport
    from nixl_efa.service.on_nodes import OnNodes
    from nixl_efa.service.run import Report
    from nixl_efa.service.way import Way


class _Serve(TyperGroup):
    """`serve ENV` is `serve start ENV`."""

    # Of what typer.core names, only the class is public: the types of its methods are Click's, of a private module.
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A first word that is no command names the environment."""
        is_start = args[0] not in self.commands and not args[0].startswith("-")
        return super().resolve_command(ctx, ["start", *args] if is_start else args)


app = typer.Typer(
    cls=_Serve,
    help="Serve a model: prefill on the producers, decode on the consumers, proven before it is ready.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Serve a model: prefill on the producers, decode on the consumers, proven before it is ready."""


@app.command("start")
def start(
    environment: Environment,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A hub's name (Qwen/Qwen3-32B), a folder of the nodes (/models/x), or one in S3 (s3://bucket/x). "
            "Without it, the service in the settings is started; with it, only their start_at_boot counts.",
        ),
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAG...]", help="The engine's own flags.", show_default=False),
    ] = None,
    engine: Annotated[str | None, typer.Option(help=f"The engine: {DEFAULT}.", show_default=False)] = None,
    engine_version: EngineVersion = None,
    producer_flags: Annotated[
        str | None,
        typer.Option(
            metavar="FLAGS", help="Further flags on the producers, as a shell writes them: '--a 1'."
        ),
    ] = None,
    consumer_flags: Annotated[
        str | None, typer.Option(metavar="FLAGS", help="Further flags on the consumers.")
    ] = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Start the engines and the router, and prove them.

    The service is ready when the router's answer equals the producer's own, every token of the prompt came by KV
    transfer over EFA, and the hardware counters saw its bytes. Engines that already run for the same model are only
    proven. Exits with 1 if a step fails; if engines were started or proven by then, no router runs.
    """
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.service.asked import OPTIONS, asked
    from nixl_efa.settings.service import named

    given = {
        "model": model,
        "engine": engine,
        "version": engine_version,
        "flags": tuple(flags) if flags else None,
        "producer_flags": _words(producer_flags, "--producer-flags"),
        "consumer_flags": _words(consumer_flags, "--consumer-flags"),
    }
    settings = environment_settings(environment, os.environ, project_folder(), profile)
    service = asked(
        {name: one for name, one in given.items() if one is not None},
        settings.service.asked if settings.service else None,
        {name: named(settings.source("service"), name) for name in OPTIONS},
        environment,
    )
    at_boot = settings.service is not None and settings.service.start_at_boot

    def act(nodes: OnNodes, planned: Mapping[str, Planned], way: Way, _: PairReport) -> Report:
        from nixl_efa.clock import clock_of
        from nixl_efa.service import run

        return run.start(
            nodes, service, planned, way, clock=clock_of(os.environ), say=output.say, at_boot=at_boot
        )

    _act(environment, profile, as_json, act)


def _words(text: str | None, option: str) -> tuple[str, ...] | None:
    """The words of an option's text."""
    try:
        return None if text is None else tuple(shlex.split(text))
    except ValueError as error:
        raise output.BadInput(f"{option} {text!r} is not what a shell can read: {error}.") from None


app.command("prepare")(prepare)


@app.command("restart")
def restart(environment: Environment, as_json: AsJson = False, profile: Profile = None) -> None:
    """Start the engines of the service again, and prove them.

    Requests in flight are lost.
    """

    def act(nodes: OnNodes, planned: Mapping[str, Planned], way: Way, _: PairReport) -> Report:
        from nixl_efa.clock import clock_of
        from nixl_efa.service import run
        from nixl_efa.service.status import told_service

        seen, _problems = nodes.look()
        service = told_service(seen)
        if service is None:
            raise output.Failure(
                f"no service was started on {environment}: `nixl-efa serve start {environment} --model MODEL`."
            )
        return run.start(nodes, service, planned, way, clock=clock_of(os.environ), say=output.say, anew=True)

    _act(environment, profile, as_json, act)


@app.command("status")
def status(environment: Environment, as_json: AsJson = False, profile: Profile = None) -> None:
    """Show what runs, whether it was proven, and the time left.

    Tokens are counted on the nodes for 5 seconds. Exits with 1 when the service is not ready.
    """
    from nixl_efa.service.status import status as status_of

    _act(environment, profile, as_json, lambda nodes, _, __, by_aws: status_of(nodes, by_aws), looks=True)


@app.command("dashboard")
def dashboard() -> None:
    """Print a dashboard for Grafana 10 or newer.

    It reads vLLM's metrics from Prometheus.
    """
    from importlib.resources import files

    print(files("nixl_efa.service").joinpath("dashboard.json").read_text(encoding="utf-8"), end="")


@app.command("stop")
def stop(environment: Environment, as_json: AsJson = False, profile: Profile = None) -> None:
    """Stop the router, then the engines, at once.

    Requests in flight are lost. Packages and models stay on the nodes.
    """
    from nixl_efa.service import run

    report = _report(environment, profile, lambda nodes, *_: run.stop(nodes))
    _tell(report, as_json, "" if report.is_stopped else f"No service runs on {environment}.")
    if report.is_stopped:
        raise typer.Exit(1)


@app.command("drain")
def drain(
    environment: Environment,
    limit: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=86_400, help="How long requests may still run.")
    ] = DRAIN_SECONDS,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Finish requests, save results and logs, then stop all.

    New requests are refused. Copied to the scripts bucket: /opt/nixl-efa/results of each node, and the logs of its
    units. Nodes do the same by themselves before their Capacity Block ends, and when EC2 warns them. Exits with 1 if
    something could not be saved.
    """
    from nixl_efa.clock import clock_of
    from nixl_efa.service import drain as draining
    from nixl_efa.service.run import Report

    def act(nodes: OnNodes, *_: object) -> Report:
        report = Report(environment, None)
        report.found += draining.drain(nodes, limit, clock_of(os.environ), output.say)
        return report

    told = (
        f"nodes that were already asked continue. `nixl-efa serve drain {environment}` joins them and "
        "tells what they save"
    )
    report = _report(environment, profile, act, looks=True, interrupted=told)
    last = f"Drained: nothing of the service runs on {environment}."
    _tell(report, as_json, "" if report.is_stopped else last)
    if report.is_stopped:
        raise typer.Exit(1)


@app.command("logs")
def logs(
    environment: Environment,
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="One node; all when it is not given.")
    ] = None,
    router: Annotated[
        bool, typer.Option("--router", help="The router's log instead of the engines'.")
    ] = False,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the last lines.")] = 100,
    profile: Profile = None,
) -> None:
    """Print the end of the engines' logs, or of the router's."""
    from nixl_efa.service.model import ENGINE_UNIT, ROUTER_LOGS

    nodes, *_ = nodes_of(environment, profile, running=False)
    chosen = [nodes.router_node] if router else list(nodes.pair.nodes)
    if node is not None:
        chosen = [find(nodes.pair, node)]
    sections, problems = nodes.logs(chosen, ROUTER_LOGS if router else ENGINE_UNIT, lines)
    for one in chosen:
        if one.name in sections:
            output.data(f"==> {one.name}")
            # As it is: nothing in a log is a command of ours.
            print(sections[one.name]["log"].text)
    for name, problem in problems.items():
        output.say(f"FAIL {name}: {problem.line()}")
    if problems:
        raise typer.Exit(1)


def _act(
    environment: str,
    profile: str | None,
    as_json: bool,
    act: Callable[[OnNodes, Mapping[str, Planned], Way, PairReport], Report],
    *,
    looks: bool = False,
) -> None:
    """Does it and tells it; exit code 1 when the service is not ready."""
    from nixl_efa.cli import serve_view

    report = _report(environment, profile, act, looks=looks)
    _tell(report, as_json, serve_view.end(report))
    if not report.ready:
        raise typer.Exit(1)


def _tell(report: Report, as_json: bool, last: str) -> None:
    """Prints what was found, and a last line; or the document."""
    from nixl_efa.cli import serve_view

    if as_json:
        output.print_json("serve", serve_view.document(report))
        return
    serve_view.tell(report)
    if last:
        output.data(last)


def _report(
    environment: str,
    profile: str | None,
    act: Callable[[OnNodes, Mapping[str, Planned], Way, PairReport], Report],
    *,
    looks: bool = False,
    interrupted: str = "",
) -> Report:
    """The result. After Ctrl-C, commands that were sent continue on the nodes. interrupted: what is said then, and with
    an error, such as credentials that have expired."""
    nodes, planned, way, by_aws = nodes_of(environment, profile, running=not looks)
    try:
        return act(nodes, planned, way, by_aws)
    except KeyboardInterrupt:
        told = interrupted or (
            "commands that were already sent continue, and nothing is proven. "
            f"`nixl-efa serve status {environment}` shows what runs"
        )
        raise output.Failure(f"interrupted: {told}.", exit_code=130) from None
    except Exception:
        if interrupted:
            output.say(f"WARN {interrupted}.")
        raise


def nodes_of(
    environment: str, profile: str | None, *, running: bool
) -> tuple[OnNodes, Mapping[str, Planned], Way, PairReport]:
    """The environment's nodes, what is planned for each, how KV caches should go, and what AWS says about the nodes.
    running: all must run."""
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.clock import clock_of
    from nixl_efa.launch import launch_of
    from nixl_efa.nodes import run_command, verify
    from nixl_efa.nodes.facts import planned_by_node
    from nixl_efa.service.drain import ends_of
    from nixl_efa.service.on_nodes import LOOKS, OnNodes
    from nixl_efa.service.way import way_of

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    pair, launch = deployed(settings, profile), launch_of(settings)
    ssm, clock = clients.ssm(settings.region), clock_of(os.environ)
    seen = verify.status(clients.ec2(settings.region), ssm, pair, launch, clock)
    if running and (ended := [one for one in seen.nodes if one.cause is not None]):
        told = "; ".join(f"the {one.node.name} {one.findings[0].line()}" for one in ended)
        raise output.Failure(f"{environment} can serve nothing: {told}")
    types = {one.node.name: one.instance.instance_type or launch.instance_type for one in seen.nodes}
    planned = planned_by_node(pair, launch.of_machines(types))
    # What goes over a link is what the lesser of its ends can do.
    way = way_of(min(planned.values(), key=lambda one: one.efa_interfaces), os.environ)
    bucket = (
        run_command.Bucket(clients.s3(settings.region), pair.scripts_bucket) if pair.scripts_bucket else None
    )

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        kept = bucket if what in LOOKS else None
        return run_command.run(ssm, scripts, clock, seconds, f"nixl-efa serve: {what}", kept)

    return (
        OnNodes(pair, ask, ENGINES[DEFAULT], settings.models_bucket or "", ends_of(seen)),
        planned,
        way,
        seen,
    )
