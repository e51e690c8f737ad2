"""A command on nodes: Run Command as a process of this machine, with the runner of a node, and S3 as a folder."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from nixl_efa.clock import SystemClock
from nixl_efa.failure import Failure
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.work import running
from nixl_efa.work.running import Ended
from tests.capacity.fake_aws import refusal
from tests.work.test_runner import AWS

PRODUCER, CONSUMER = (Node(name, name, f"i-{name}", "10.0.0.4", "") for name in ("producer", "consumer"))


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "Action")


class S3:
    """The folder into which the stand-in of the AWS CLI puts. is_readable: whether its caller may get objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.is_readable = True

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  (boto3's names)
        if not self.is_readable or not (self.folder / Key).exists():
            raise refused("NoSuchKey" if self.is_readable else "AccessDenied")
        return {"Body": (self.folder / Key).open("rb")}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        (self.folder / Key).unlink()

    def get_paginator(self, call: str) -> S3:
        assert call == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        """A page for each object."""
        keys = [str(one.relative_to(self.folder)) for one in self.files]
        return [{"Contents": [{"Key": key}]} for key in keys if key.startswith(Prefix)]

    @property
    def files(self) -> list[Path]:
        return [one for one in self.folder.rglob("*") if one.is_file()]


class Ssm:
    """Run Command. unknown: instances that it does not know; network: what the next looks raise."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.meta = SimpleNamespace(region_name="us-east-2")
        self.environ = environ
        self.unknown: set[str] = set()
        self.network: list[Exception] = []
        self.cancelled: set[str] = set()
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def send_command(self, **given: Any) -> dict[str, Any]:
        [instance_id] = given["InstanceIds"]
        if instance_id in self.unknown:
            raise refused("InvalidInstanceId")
        self.processes[instance_id] = subprocess.Popen(
            ["sh", "-c", given["Parameters"]["commands"][0]],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return {"Command": {"CommandId": instance_id}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> dict[str, Any]:  # noqa: N803
        if self.network:
            raise self.network.pop()
        process = self.processes[CommandId]
        if process.poll() is None:
            return {"Status": "InProgress", "StatusDetails": "InProgress"}
        out, err = process.communicate()
        status = "Cancelled" if CommandId in self.cancelled else "Failed" if process.returncode else "Success"
        texts = {"StandardOutputContent": out, "StandardErrorContent": err}
        return {"Status": status, "StatusDetails": status, "ResponseCode": process.returncode, **texts}

    def cancel_command(self, *, CommandId: str, InstanceIds: list[str]) -> None:  # noqa: N803
        self.cancelled.add(CommandId)
        os.killpg(self.processes[CommandId].pid, signal.SIGKILL)


class Quick(SystemClock):
    """Waits a twentieth."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / 20)


class Work:
    """Runs commands; `printed` by node and output."""

    def __init__(self, folder: Path) -> None:
        (folder / "bin").mkdir()
        # A shim of python3 would put programs of its own before ours.
        for name, text in {
            "aws": AWS,
            "python3": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n',
        }.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.s3 = S3(folder / "kept")
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.ssm = Ssm({**os.environ, "PATH": path, "KEPT": str(folder / "kept")})
        self.printed: dict[tuple[str, str], bytes] = {}
        self.stopped = False
        self.gone: running.Gone = lambda _: {}

    def receive(self, node: Node, stream: running.Stream, data: bytes) -> None:
        key = node.name, stream
        self.printed[key] = self.printed.get(key, b"") + data

    def run(
        self, command: str, *nodes: Node, receive: Callable[[Node, running.Stream, bytes], None] | None = None
    ) -> dict[Node, Ended]:
        ssm: Any = self.ssm
        s3: Any = self.s3
        commands = dict.fromkeys(nodes or (PRODUCER, CONSUMER), command)
        bucket = Bucket(s3, "nixl-efa-prod-scripts")
        ended = running.run(
            *(ssm, bucket, commands, Quick(), receive or self.receive),
            *(self.gone, lambda: self.stopped, 60, "a test"),
        )
        return dict(ended)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_every_node_answers_with_its_code_and_nothing_stays_in_the_bucket(work: Work) -> None:
    ended = work.run("seq 20000; echo words >&2; exit 7")
    assert ended == {PRODUCER: Ended(7), CONSUMER: Ended(7)}
    assert running.worst(ended) == 7
    for node in (PRODUCER, CONSUMER):
        assert work.printed[node.name, "out"] == b"".join(b"%d\n" % one for one in range(1, 20001))
        assert work.printed[node.name, "err"] == b"words\n"
    assert work.s3.files == []


def test_output_that_came_before_a_stop_is_told_and_the_command_is_over(work: Work) -> None:
    def receive(node: Node, stream: running.Stream, data: bytes) -> None:
        work.receive(node, stream, data)
        work.stopped = True

    ended = work.run("echo begun; sleep 60", PRODUCER, receive=receive)
    assert (ended, work.printed) == ({PRODUCER: Ended(130)}, {("producer", "out"): b"begun\n"})
    assert work.ssm.processes["i-producer"].poll() is not None
    assert work.s3.files == []


def test_a_reader_that_is_gone_ends_the_command(work: Work) -> None:
    def receive(node: Node, stream: running.Stream, data: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        work.run("for one in {1..300}; do echo more; sleep 0.1; done", PRODUCER, receive=receive)
    assert work.ssm.cancelled == {"i-producer"}


def test_a_network_that_comes_back_is_waited_for_and_one_that_does_not_is_raised(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = EndpointConnectionError(endpoint_url="https://ssm")
    work.ssm.network = [away] * 4 + [refusal("InternalServerError", "GetCommandInvocation", 500)]
    assert work.run("echo here", PRODUCER) == {PRODUCER: Ended(0)}
    monkeypatch.setattr(running, "PATIENCE_POLLS", 3)
    work.ssm.network = [away] * 9
    with pytest.raises(Failure, match=r'Could not connect to the endpoint URL: "https://ssm"'):
        work.run("echo here", PRODUCER)


def test_a_denial_is_not_waited_out_and_it_is_said_what_still_runs(work: Work) -> None:
    work.ssm.network = [refused("AccessDeniedException")]
    with pytest.raises(Failure, match="no permission: Action is not allowed") as error:
        work.run("sleep 60")
    assert error.value.exit_code == running.NOT_ASKED
    told = error.value.message
    assert (
        "The command may still run on producer, consumer. To end it: `aws ssm cancel-command --command-id "
        "i-producer`; `aws ssm cancel-command --command-id i-consumer`. "
        "What it prints from now on comes to s3://"
    ) in told
    assert told.count("/nixl-efa-run/") == 2
    assert not work.ssm.cancelled


def test_a_node_that_is_not_known_is_said_and_the_other_answers(work: Work) -> None:
    work.ssm.unknown = {"i-consumer"}
    ended = work.run("echo here")
    assert ended[PRODUCER] == Ended(0)
    assert ended[CONSUMER].code == 255
    assert ended[CONSUMER].problem.startswith(
        "consumer i-consumer: it is not registered with Systems Manager"
    )


def test_a_node_that_is_not_known_since_it_is_stopped_is_said_to_be_stopped(work: Work) -> None:
    work.ssm.unknown = {"i-consumer"}
    work.gone = lambda _: {CONSUMER: "it is stopped."}
    assert work.run("echo here") == {PRODUCER: Ended(0), CONSUMER: Ended(255, "it is stopped.")}


def test_a_node_that_is_gone_is_not_waited_for_and_the_other_answers(work: Work) -> None:
    work.gone = lambda _: {CONSUMER: "it is stopped."}
    ended = work.run("sleep 3; exit 4")
    assert ended == {PRODUCER: Ended(4), CONSUMER: Ended(255, "it is stopped.")}
    assert work.ssm.cancelled == {"i-consumer"}


def test_a_node_whose_agent_is_silent_is_not_waited_for_after_the_timeout(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_LATE_SECONDS", 1)
    ended = work.run("sleep 600", PRODUCER)
    os.killpg(work.ssm.processes["i-producer"].pid, signal.SIGKILL)
    assert ended[PRODUCER].code == 255
    assert ended[PRODUCER].problem.startswith(
        "producer: Run Command i-producer has not ended 1 s after --timeout: the node's agent"
    )


def test_a_command_that_ended_before_its_node_has_its_exit_code(work: Work) -> None:
    def gone(nodes: Sequence[Node]) -> dict[Node, str]:
        for node in nodes:
            while work.ssm.processes[node.instance_id].poll() is None:
                time.sleep(0.05)
        return dict.fromkeys(nodes, "it is stopped.")

    work.gone = gone
    assert work.run("sleep 2; exit 3", PRODUCER) == {PRODUCER: Ended(3)}


def test_parts_that_can_not_be_read_are_said_with_the_permission(work: Work) -> None:
    work.s3.is_readable = False
    ended = work.run("seq 20000; sleep 0.5", PRODUCER)
    assert ended[PRODUCER].code == 0
    assert ended[PRODUCER].problem.startswith("producer: 1 of 1 parts of its output can't be read from s3://")
    assert "`nixl-efa policy run`" in ended[PRODUCER].problem


def test_a_node_without_python_says_so(work: Work, tmp_path: Path) -> None:
    (tmp_path / "bin/python3").write_text("#!/bin/sh\necho no such program >&2; exit 127\n")
    told = "producer: its python3 could not run the command (Failed): no such program."
    assert work.run("echo here", PRODUCER) == {PRODUCER: Ended(255, told)}


def test_a_simulated_node_runs_no_command(work: Work, tmp_path: Path) -> None:
    """It answers each command with success and what `nixl-efa verify` asks for."""
    (tmp_path / "bin/python3").write_text("#!/bin/sh\necho '== facts'\n")
    ended = work.run("echo here", PRODUCER)[PRODUCER]
    assert ended.code == 255
    assert ended.problem.startswith("producer: Run Command tells a success, and nothing of the command")
