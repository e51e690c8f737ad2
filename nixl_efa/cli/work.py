"""`nixl-efa run` and `logs`: what runs on the nodes, and what they wrote down."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nixl_efa.cli import output
from nixl_efa.cli.nodes import Environment, Profile, deployed, find, require_account
from nixl_efa.cli.project import project_folder
from nixl_efa.work import MOST_SECONDS
from nixl_efa.work import logs as sources

if TYPE_CHECKING:
    from nixl_efa.aws import Clients
    from nixl_efa.nodes.outputs import Node, PairOutputs
    from nixl_efa.settings import Settings
    from nixl_efa.work import running

Nodes = Annotated[
    list[str] | None,
    typer.Argument(metavar="NODE", help="Which nodes: producer, consumer, consumer-2, ... [default: all]"),
]
_COMMAND = "nixl-efa command"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_COMMAND = "no command: give it behind --, for example `nixl-efa run {} -- nvidia-smi -L`"


class _WithCommand(TyperCommand):
    """A command line with another one behind `--`, which is kept apart from the nodes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = list(args)
        if "--" in words:
            at = words.index("--")
            ctx.meta[_COMMAND] = words[at + 1 :]
            words = words[:at]
        return super().parse_args(ctx, words)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


run_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@run_app.command("run", cls=_WithCommand)
def run(
    context: typer.Context,
    environment: Environment,
    nodes: Nodes = None,
    timeout: Annotated[
        int,
        typer.Option(min=5, max=MOST_SECONDS, help="Seconds after which the command is ended on a node."),
    ] = MOST_SECONDS,
    profile: Profile = None,
) -> None:
    """Run a command on all nodes at the same time, or on the named ones.

    COMMAND: a single word is a command line for bash ('ls /data | wc -l'); several words are a program and its
    arguments. It runs as root in a login shell, without input. Output is shown while it runs; with several nodes, each
    line begins with its node's name. The exit code is the largest of the nodes; 124 after --timeout, 255 if a node
    could not be reached, 130 after Ctrl-C, which ends the command on the nodes.
    """
    words: list[str] = context.meta.get(_COMMAND, [])
    if not words:
        raise output.BadInput(_NO_COMMAND.format(environment))
    command = words[0] if len(words) == 1 else shlex.join(words)
    raise typer.Exit(_run(nodes_at(environment, nodes or [], profile), command, timeout, "nixl-efa run"))


def logs(
    environment: Environment,
    nodes: Nodes = None,
    source: Annotated[
        list[str],
        typer.Option(help=f"Which log; can be repeated: {', '.join(sources.NAMES)}."),
    ] = list(sources.DEFAULT),  # noqa: B006  (typer takes it once)
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new lines, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines of each.")] = 100,
    profile: Profile = None,
) -> None:
    """Print the nodes' logs: boot report, cloud-init, NIXL's installation, kernel."""
    unknown = [one for one in source if one not in sources.NAMES]
    if unknown:
        raise output.BadInput(
            f"--source {unknown[0]}: there is no such log. Give {', '.join(sources.NAMES)}."
        )
    command = sources.command(source, lines, follow=follow)
    raise typer.Exit(
        _run(nodes_at(environment, nodes or [], profile), command, MOST_SECONDS, "nixl-efa logs")
    )


@dataclass(frozen=True, slots=True)
class At:
    """Nodes of an environment, and what reaches them."""

    settings: Settings
    clients: Clients
    pair: PairOutputs
    nodes: tuple[Node, ...]


def nodes_at(environment: str, names: list[str], profile: str | None) -> At:
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    pair = deployed(settings, profile)
    chosen = dict.fromkeys(find(pair, name) for name in names)
    return At(settings, clients, pair, tuple(chosen) or pair.nodes)


def _run(at: At, command: str, timeout: int, comment: str) -> int:
    """Run it, print what comes; the exit code."""
    from nixl_efa.work import running
    from nixl_efa.work.labels import Labels

    labels = Labels() if len(at.nodes) > 1 else None
    streams = {"out": sys.stdout.buffer, "err": sys.stderr.buffer}

    def receive(node: Node, stream: running.Stream, data: bytes) -> None:
        streams[stream].write(data if labels is None else labels.lines(node.name, stream, data))
        streams[stream].flush()

    with interrupts() as is_stopped:
        ended = carry_out(at, dict.fromkeys(at.nodes, command), receive, is_stopped, timeout, comment)
    for stream, line in labels.rest() if labels is not None else ():
        streams[stream].write(line)
        streams[stream].flush()
    for one in ended.values():
        if one.problem:
            output.say(one.problem)
    if is_stopped():
        raise output.Failure("interrupted: the command was ended on the nodes.", exit_code=running.CANCELLED)
    return running.worst(ended)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node printed. why: what went wrong, in a line; empty where nothing did."""

    code: int
    out: str
    why: str


def run_quietly(at: At, command: str, comment: str) -> Mapping[Node, Answer]:
    """Run a short command of ours; what each node printed."""
    from nixl_efa.work import running

    texts: dict[tuple[Node, str], bytes] = {}

    def receive(node: Node, stream: running.Stream, data: bytes) -> None:
        texts[node, stream] = texts.get((node, stream), b"") + data

    with interrupts() as is_stopped:
        ended = carry_out(at, dict.fromkeys(at.nodes, command), receive, is_stopped, 120, comment)
    if is_stopped():
        raise output.Failure("interrupted.", exit_code=running.CANCELLED)
    return {
        node: Answer(
            one.code,
            texts.get((node, "out"), b"").decode(errors="replace"),
            one.problem or " ".join(texts.get((node, "err"), b"").decode(errors="replace").split()),
        )
        for node, one in ended.items()
    }


def carry_out(
    at: At,
    commands: Mapping[Node, str],
    receive: running.Receive,
    is_stopped: Callable[[], bool],
    timeout: int,
    comment: str,
) -> Mapping[Node, running.Ended]:
    """Run a line for bash on each of the nodes; see running.run."""
    from nixl_efa.clock import clock_of
    from nixl_efa.nodes.run_command import Bucket
    from nixl_efa.work import running
    from nixl_efa.work.gone import gone

    name, clock = at.pair.scripts_bucket, clock_of(os.environ)
    bucket = Bucket(at.clients.s3(at.settings.region), name) if name else None
    ssm, ec2 = at.clients.ssm(at.settings.region), at.clients.ec2(at.settings.region)

    def look(nodes: Sequence[Node]) -> Mapping[Node, str]:
        return gone(ec2, at.pair.environment, nodes, clock)

    return running.run(ssm, bucket, commands, clock, receive, look, is_stopped, timeout, comment)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed or the terminal was closed; the signals do nothing else.

    Again after a second, Ctrl-C is KeyboardInterrupt: there may be no network.
    """
    came: list[float] = []

    def note(*_: object) -> None:
        came.append(time.monotonic())
        if came[-1] - came[0] > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in _ENDING}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
