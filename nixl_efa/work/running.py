"""A command on several nodes at once, through Run Command: its complete output while it runs, and its exit code.

Run Command returns 24,000 characters, at the end. runner.py on the node writes output that is longer or comes later to
the scripts bucket; it is read from there, and deleted.
"""

from __future__ import annotations

import base64
import re
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nixl_efa.aws_calls import ask_all, may_pass, patiently
from nixl_efa.aws_errors import error_code, explain
from nixl_efa.cdk import program
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.findings import listed
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.run_command import DOCUMENT, NOT_REGISTERED, NOT_THERE, UNDER_WAY, Bucket, error_text
from nixl_efa.work import MOST_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import GetCommandInvocationResultTypeDef

# Of the objects in the scripts bucket that hold outputs, until they are read.
PREFIX = "nixl-efa-run"
FIRST_POLL_SECONDS, POLL_SECONDS, FIRST_POLLS = 0.5, 2.0, 10
_SLICE_SECONDS = 0.25
# How long to wait while this machine has no network (a laptop after sleep), or Systems Manager fails.
PATIENCE_POLLS = 150
# Every 30 seconds, EC2 is asked whether the nodes still run: Run Command does not say it.
_GONE_POLLS = 15
# How long a cancelled command may take to end.
CANCEL_POLLS = 30
# How long after --timeout Run Command may need to say that a command has ended: 60 seconds are for its delivery.
_LATE_SECONDS = 300
# Exit codes that are not from the command: as of ssh(1) without a connection, of timeout(1), of a shell after a signal.
NOT_ASKED, TIMED_OUT, CANCELLED = 255, 124, 130

Stream = Literal["out", "err"]
STREAMS: tuple[Stream, ...] = ("out", "err")
Receive = Callable[[Node, Stream, bytes], None]
Gone = Callable[[Sequence[Node]], Mapping[Node, str]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended on a node. problem: an additional message, in one sentence; empty for none."""

    code: int
    problem: str = ""


@dataclass(slots=True)
class _Running:
    node: Node
    token: str
    command_id: str = ""
    read: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))


def run(
    ssm: SSMClient,
    bucket: Bucket | None,
    commands: Mapping[Node, str],
    clock: Clock,
    receive: Receive,
    gone: Gone,
    is_stopped: Callable[[], bool] = lambda: False,
    timeout_seconds: int = MOST_SECONDS,
    comment: str = "nixl-efa run",
) -> Mapping[Node, Ended]:
    """Runs a bash command on all nodes in parallel; returns how it ended on each.

    receive: called with new output, in order for each node and output. When is_stopped returns true, the commands are
    cancelled on every node, and `receive` still gets the output until then. An error of `receive` (the reader has
    closed the pipe) also cancels them, and is raised again.
    gone: given the nodes whose commands still run, returns those that can't answer any more, and why, in a sentence.
    """
    running = {node: _Running(node, secrets.token_hex(8)) for node in commands}

    def send(node: Node) -> str:
        script = _script(running[node], ssm.meta.region_name, bucket, commands[node])
        answer = patiently(
            lambda: ssm.send_command(
                InstanceIds=[node.instance_id],
                DocumentName=DOCUMENT,
                Comment=comment[:100],
                TimeoutSeconds=60,
                Parameters={"commands": [script], "executionTimeout": [str(timeout_seconds)]},
            ),
            clock.sleep,
        )
        return answer["Command"]["CommandId"]

    sent, errors = ask_all(running, send)
    for error in errors.values():
        if error_code(error) != "InvalidInstanceId":
            _cancel(ssm, sent)
            raise error
    lost = gone([*errors]) if errors else {}
    ended = {
        node: Ended(NOT_ASKED, lost.get(node, f"{node.name} {node.instance_id}: {NOT_REGISTERED}"))
        for node in errors
    }
    for node, command_id in sent.items():
        running[node].command_id = command_id
    asked = [running[node] for node in sent]
    try:
        ended |= _follow(ssm, bucket, asked, clock, receive, gone, is_stopped, timeout_seconds)
    except OSError:
        _cancel(ssm, sent)
        raise
    except Exception as error:
        raise Failure(
            f"{explain(error).rstrip('.')}. {_still_runs(bucket, asked)}", exit_code=NOT_ASKED
        ) from error
    finally:
        if bucket is not None:
            for one in asked:
                _forget(bucket, one.token)
    return {node: ended[node] for node in commands}


def _still_runs(bucket: Bucket | None, asked: Sequence[_Running]) -> str:
    """The message if the state of the commands can no longer be read. The user must then get their output without
    us."""
    ends = "; ".join(f"`aws ssm cancel-command --command-id {one.command_id}`" for one in asked)
    told = f"The command may still run on {listed(one.node.name for one in asked)}. To end it: {ends}."
    if bucket is None:
        return told
    places = " and ".join(f"s3://{bucket.name}/{PREFIX}/{one.token}/" for one in asked)
    return f"{told} What it prints from now on comes to {places}: delete it before `{program()} destroy`."


def worst(ended: Mapping[Node, Ended]) -> int:
    """The exit code for all nodes: the largest one."""
    return max((one.code for one in ended.values()), default=0)


def _script(one: _Running, region: str, bucket: Bucket | None, command: str) -> str:
    """The script for Run Command. It contains the command in base64, because Run Command reads {{ }} as names of
    parameters."""
    runner = Path(__file__).with_name("runner.py").read_text(encoding="utf-8")
    told = base64.b64encode(command.encode(errors="surrogateescape")).decode()
    given = [one.token, region, bucket.name if bucket is not None else "", f"{PREFIX}/{one.token}", told]
    return f"exec python3 -c {shlex.quote(runner)} {shlex.join(given)}"


def _cancel(ssm: SSMClient, sent: Mapping[Node, str]) -> None:
    """Cancel the commands, by node."""
    ask_all(sent, lambda node: ssm.cancel_command(CommandId=sent[node], InstanceIds=[node.instance_id]))


def _follow(
    ssm: SSMClient,
    bucket: Bucket | None,
    running: Sequence[_Running],
    clock: Clock,
    receive: Receive,
    gone: Gone,
    is_stopped: Callable[[], bool],
    timeout_seconds: int,
) -> dict[Node, Ended]:
    """Wait until all have ended, or until some time after they were cancelled or should have ended."""
    waiting = {one.node: one for one in running}
    ended: dict[Node, Ended] = {}
    polls = faults = polls_since_cancel = 0
    left = float(timeout_seconds + _LATE_SECONDS)
    while waiting and polls_since_cancel < CANCEL_POLLS and left > 0:
        seconds = FIRST_POLL_SECONDS if polls < FIRST_POLLS else POLL_SECONDS
        _sleep(clock, seconds, is_stopped)
        left -= seconds
        polls += 1
        if is_stopped():
            if not polls_since_cancel:
                _cancel(ssm, {node: one.command_id for node, one in waiting.items()})
            polls_since_cancel += 1
            clock.sleep(FIRST_POLL_SECONDS)
        # Before the look at the commands: one that ended before its node did has its own exit code.
        lost = gone([*waiting]) if polls % _GONE_POLLS == 0 else {}
        looks, errors = ask_all(waiting, lambda node: _look(ssm, bucket, waiting[node]))
        for node, look in looks.items():
            for stream, data in look.data:
                receive(node, stream, data)
            if look.ended is not None:
                ended[node] = look.ended
            elif node in lost:
                # A node that is started again must not go on with it.
                _cancel(ssm, {node: waiting[node].command_id})
                ended[node] = Ended(NOT_ASKED, lost[node])
            if node in ended:
                del waiting[node]
        faults = faults + 1 if errors else 0
        for error in errors.values():
            if faults > PATIENCE_POLLS or not may_pass(error):
                raise error
    for node, one in waiting.items():
        about = f"{node.name}: Run Command {one.command_id}"
        ended[node] = (
            Ended(CANCELLED, f"{about} was cancelled and has not ended yet.")
            if polls_since_cancel
            else Ended(
                NOT_ASKED,
                f"{about} has not ended {_LATE_SECONDS} s after --timeout: the node's agent of Systems Manager does "
                "not answer. The command may still run.",
            )
        )
    return ended


def _sleep(clock: Clock, seconds: float, is_stopped: Callable[[], bool]) -> None:
    """Sleep so many seconds, or less if it is stopped."""
    for _ in range(round(seconds / _SLICE_SECONDS)):
        if is_stopped():
            return
        clock.sleep(_SLICE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Look:
    data: Sequence[tuple[Stream, bytes]]
    ended: Ended | None = None


def _look(ssm: SSMClient, bucket: Bucket | None, one: _Running) -> _Look:
    """What a node has printed since the last look, and whether its command has ended."""
    try:
        found = ssm.get_command_invocation(CommandId=one.command_id, InstanceId=one.node.instance_id)
    except Exception as error:
        # A command exists a short time before its invocations exist.
        if error_code(error) == "InvocationDoesNotExist":
            return _Look(())
        raise
    # Read after the status: if the command has ended, everything is in the bucket by then.
    data = [*_parts(bucket, one)] if bucket is not None else []
    if found["Status"] in UNDER_WAY:
        return _Look(data)
    texts: dict[Stream, str] = {
        "out": found.get("StandardOutputContent", ""),
        "err": found.get("StandardErrorContent", ""),
    }
    told = {stream: _told(text, one.token) for stream, text in texts.items()}
    ended = _ended(found, [each.code for each in told.values() if each is not None])
    problems = [ended.problem]
    for stream, each in told.items():
        if each is None:
            continue
        data.append((stream, each.direct))
        if each.why:
            problems.append(f"the rest of its output is lost, because the node can't send it: {each.why}")
        elif one.read[stream] < each.parts and bucket is not None:
            problems.append(
                f"{each.parts - one.read[stream]} of {each.parts} parts of its output can't be read from "
                f"s3://{bucket.name}/{PREFIX}/{one.token}/: `nixl-efa policy run` tells what you need"
            )
    told_problems = "; ".join(dict.fromkeys(filter(None, problems)))
    return _Look(data, Ended(ended.code, f"{one.node.name}: {told_problems}." if told_problems else ""))


def _ended(found: GetCommandInvocationResultTypeDef, codes: Sequence[int]) -> Ended:
    """The exit code, and a clause if more happened to the command. codes: those that the runner reported."""
    if codes:
        return Ended(codes[0])
    details = found.get("StatusDetails", found["Status"])
    if found["Status"] == "Cancelled":
        return Ended(CANCELLED)
    if found["Status"] == "TimedOut" and details.replace(" ", "") == "ExecutionTimedOut":
        return Ended(TIMED_OUT, "it was ended after --timeout")
    if found["Status"] == "Success":
        return Ended(
            NOT_ASKED,
            "Run Command tells a success, and nothing of the command: a simulated node of the local AWS runs none, a "
            "machine does (`make rehearse REAL=1`)",
        )
    if found["Status"] == "Failed":
        why = error_text(found.get("StandardErrorContent", "")) or "it printed nothing"
        return Ended(NOT_ASKED, f"its python3 could not run the command ({details}): {why}".rstrip("."))
    return Ended(NOT_ASKED, f"Run Command could not be delivered ({details}): {NOT_REGISTERED}".rstrip("."))


@dataclass(frozen=True, slots=True)
class _Told:
    """The runner's report about an output in Run Command: the end of the output, how many objects came before, what is
    lost and why; and the command's exit code."""

    direct: bytes
    code: int
    parts: int
    why: str


def _told(text: str, token: str) -> _Told | None:
    """None if the runner did not finish."""
    found = re.search(rf"@@ {token} begin\n(.*)\n@@ {token} end (\d+) (\d+) ?([^\n]*)", text, re.DOTALL)
    return _Told(found[1].encode(), int(found[2]), int(found[3]), found[4]) if found else None


def _parts(bucket: Bucket, one: _Running) -> Iterator[tuple[Stream, bytes]]:
    """The objects that are new since the last call."""
    for stream in STREAMS:
        while (data := _part(bucket, f"{PREFIX}/{one.token}/{stream}.{one.read[stream]}")) is not None:
            one.read[stream] += 1
            yield stream, data


def _part(bucket: Bucket, key: str) -> bytes | None:
    """An object's content; the object is then deleted. None if it does not exist."""
    try:
        data = bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    except Exception as error:
        if error_code(error) in NOT_THERE:
            return None
        raise
    bucket.s3.delete_object(Bucket=bucket.name, Key=key)
    return data


def _forget(bucket: Bucket, token: str) -> None:
    """Delete the remaining objects: Terraform can only destroy an empty bucket."""
    with suppress(Exception):
        bucket.delete(bucket.objects(f"{PREFIX}/{token}/"))
