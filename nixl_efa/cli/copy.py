"""`nixl-efa copy`: files and folders between this machine and nodes."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.aws_errors import explain
from nixl_efa.cli import output
from nixl_efa.cli.nodes import Profile
from nixl_efa.cli.progress import Progress, size
from nixl_efa.cli.work import At, carry_out, interrupts, nodes_at
from nixl_efa.clock import clock_of
from nixl_efa.findings import counted
from nixl_efa.findings import listed as named
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.work import MOST_SECONDS, copying, pieces, running
from nixl_efa.work.copying import Copy, Kept
from nixl_efa.work.copying import Progress as OfNodes

if TYPE_CHECKING:
    from nixl_efa.nodes.outputs import Node

# Notes that are told of a copy.
_NOTES = 10


class _Interrupted(Exception):  # noqa: N818  (not an error)
    """Ctrl-C while pieces went."""


def copy(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files or folders, or ENV:NODE:PATH.")
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="Destination: ENV:NODE:PATH, or a path here.")
    ],
    profile: Profile = None,
) -> None:
    """Copy files and folders to nodes or from them, through the scripts bucket.

    NODE is a node's name, several names with commas, or `all`: data for several nodes is sent once. A DEST that ends
    with / is a folder to copy into; any other DEST is the name of the copy. From several nodes, each gets a folder with
    its name in DEST. Files get their names when all have arrived with the right SHA-256. The same command continues an
    interrupted copy.
    """
    asked = copying.parse([*sources, destination])
    at = nodes_at(asked.remote.environment, list(asked.remote.nodes), profile)
    if not at.pair.scripts_bucket:
        raise output.Failure("the environment has no scripts bucket: `nixl-efa deploy` makes it.")
    bucket = Bucket(at.clients.s3(at.settings.region), at.pair.scripts_bucket)
    kept = Kept(bucket, asked.name(f"{platform.node()} {os.getuid()}"))
    kept.forget_old(clock_of(os.environ))
    try:
        with interrupts() as is_stopped:
            (_to_nodes if asked.to_nodes else _from_nodes)(at, asked, kept, is_stopped)
    except (_Interrupted, KeyboardInterrupt):
        output.say(" ".join(filter(None, ("nixl-efa: interrupted.", _goes_on(kept)))))
        # Pieces that are on their way would hold the end up; none of them counts before it is whole.
        os._exit(running.CANCELLED)
    except output.Failure:
        raise
    except Exception as error:
        told = pieces.why(error) if isinstance(error, pieces.CopyError | OSError) else explain(error)
        raise output.Failure(
            " ".join(filter(None, (told if told.endswith("?") else f"{told.rstrip('.')}.", _goes_on(kept))))
        ) from error
    kept.forget()


def _goes_on(kept: Kept) -> str:
    # If S3 does not answer, pieces may exist there.
    with suppress(Exception):
        if kept.is_empty:
            return ""
    return (
        f"What was sent is kept for a day in {kept.place}: the same command continues from there, "
        f"`aws s3 rm --recursive {kept.place}` deletes it."
    )


def _to_nodes(at: At, asked: Copy, kept: Kept, is_stopped: Callable[[], bool]) -> None:
    try:
        listed, places = pieces.listing(list(asked.local))
    except pieces.CopyError as error:
        raise output.BadInput(f"{error}.") from error
    total = pieces.total_of(listed)
    with _bar("sent", total, is_stopped) as done:
        listed = pieces.send(listed, places, kept.store, copying.AT_ONCE, done)
    kept.put_list(kept.prefix, listed)
    with _bar("on the nodes", total * len(at.nodes), is_stopped) as done:
        _on_nodes(at, "receive", asked, kept, lambda _: kept.prefix, done, is_stopped)
    _tell(listed, f"on {named(one.name for one in at.nodes)}")


def _from_nodes(at: At, asked: Copy, kept: Kept, is_stopped: Callable[[], bool]) -> None:
    def prefix(node: Node) -> str:
        return f"{kept.prefix}/{node.name}"

    _check_destination(asked.local[0])
    with _bar("sent by the nodes", 0, is_stopped) as done:
        _on_nodes(at, "send", asked, kept, prefix, done, is_stopped)
    for node in at.nodes:
        listed = json.loads(kept.get(prefix(node), pieces.LIST))
        destination = os.path.join(asked.local[0], node.name, "") if len(at.nodes) > 1 else asked.local[0]
        name = kept.prefix.rpartition("/")[2]
        with _bar(f"from {node.name}", pieces.total_of(listed), is_stopped) as done:
            pieces.receive(
                listed,
                destination,
                name,
                partial(kept.get, prefix(node)),
                copying.AT_ONCE,
                done,
            )
        _tell(listed, f"from {node.name}")


def _check_destination(path: str) -> None:
    """BadInput where nothing can be put, before the nodes send anything."""
    folder = os.path.abspath(path) if path.endswith("/") else os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise output.BadInput(f"{path}: {folder} is not a folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise output.BadInput(f"{path}: you may not write in {folder}.")


def _on_nodes(
    at: At,
    action: str,
    asked: Copy,
    kept: Kept,
    prefix: Callable[[Node], str],
    done: pieces.Done,
    is_stopped: Callable[[], bool],
) -> None:
    """Let the nodes do their part. Failure, with what each of them says, where one could not."""
    progress, said = OfNodes(), dict[str, bytes]()

    def receive(node: Node, stream: running.Stream, data: bytes) -> None:
        if stream == "err":
            said[node.name] = said.get(node.name, b"") + data
            return
        before = progress.done
        progress.heard(node.name, data)
        done(progress.done - before)

    name = kept.prefix.rpartition("/")[2]
    commands = {
        node: copying.on_node(
            action, at.settings.region, at.pair.scripts_bucket, prefix(node), name, asked.remote.path
        )
        for node in at.nodes
    }
    ended = carry_out(at, commands, receive, is_stopped, MOST_SECONDS, "nixl-efa copy")
    if is_stopped():
        raise _Interrupted
    faults = [
        one.problem or f"{node.name}: {' '.join(said.get(node.name, b'').decode(errors='replace').split())}"
        for node, one in ended.items()
        if one.code
    ]
    if faults:
        raise pieces.CopyError("; ".join(faults).rstrip("."))


@contextmanager
def _bar(what: str, total: int, is_stopped: Callable[[], bool]) -> Iterator[pieces.Done]:
    """Shows how much is done. total: 0 where it is not known."""
    shown = Progress(what, total)

    def done(more: int) -> None:
        if is_stopped():
            raise _Interrupted
        shown.add(more)

    try:
        yield done
    finally:
        shown.clear()


def _tell(listed: pieces.Listing, where: str) -> None:
    for note in listed["notes"][:_NOTES]:
        output.say(f"{note}.")
    if (more := len(listed["notes"]) - _NOTES) > 0:
        output.say(f"And {more} more of that kind.")
    output.say(f"{counted(len(listed['files']), 'file')}, {size(pieces.total_of(listed))}, {where}.")
