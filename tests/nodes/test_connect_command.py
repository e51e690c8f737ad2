"""`nixl-efa connect` against the local AWS, as a user runs it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from local_aws import LocalAws
from tests.nodes.local_pair import REGION, Project, Run


def test_connect_prints_the_command_without_asking_aws(project: Project, aws: LocalAws, run: Run) -> None:
    aws.calls.clear()
    code, out, _ = run("connect", "prod", "consumer", "--print", "--profile", "my team")
    assert code == 0
    assert out == (
        f"aws ssm start-session --region us-east-1 --target {project.ids[1]} --profile 'my team'\n"
    )
    assert aws.calls.actions() == ()


@pytest.mark.parametrize("version", ["1.2.497.0", "1.2.677.0"])
def test_connect_opens_a_session_and_becomes_the_plugin(project: Project, version: str) -> None:
    project.command(
        "session-manager-plugin",
        f'[ "$1" = --version ] && echo {version} && exit; echo "$AWS_SSM_START_SESSION_RESPONSE"; '
        "printf '%s\\n' \"$@\"; exit 7",
    )
    ran = subprocess.run(
        [sys.executable, "-m", "nixl_efa", "connect", "prod", "producer"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (ran.returncode, ran.stderr) == (7, "")
    in_environment, given, *rest = ran.stdout.splitlines()
    target = json.dumps({"Target": project.ids[0]})
    assert rest == [REGION, "StartSession", "", target, os.environ["AWS_ENDPOINT_URL"]]
    # The token is in the process list for the old plugin alone.
    opened, other = (given, in_environment) if version == "1.2.497.0" else (in_environment, given)
    assert set(json.loads(opened)) == {"SessionId", "TokenValue", "StreamUrl"}
    assert other == ("" if version == "1.2.497.0" else "AWS_SSM_START_SESSION_RESPONSE")


def test_connect_says_that_the_plugin_is_missing(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{project.bin}:/usr/bin:/bin")
    code, _, err = run("connect", "prod", "producer")
    assert code == 1
    assert "nixl-efa: session-manager-plugin not found on PATH" in err
    assert "--print" in err


def test_connect_to_a_node_whose_agent_does_not_report_says_what_to_look_at(
    project: Project, run: Run, aws: LocalAws
) -> None:
    project.command("session-manager-plugin", "")
    message = f"{project.ids[0]} is not connected."
    aws.faults.add("StartSession", code="TargetNotConnected", message=message)
    code, _, err = run("connect", "prod", "producer")
    assert (code, len(err.splitlines())) == (1, 1)
    assert f"{project.ids[0]}: it is not registered with Systems Manager: is it still booting" in err


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            "stop_instances",
            "is stopped: somebody shut it down through the EC2 API (Client.UserInitiatedShutdown",
        ),
        ("terminate_instances", "`nixl-efa deploy prod` builds it again, at the same address."),
    ],
)
def test_connect_to_a_node_that_does_not_run_says_why_and_the_other_one_is_reached(
    action: str, words: str, project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.command("session-manager-plugin", "")
    getattr(boto3.client("ec2", REGION), action)(InstanceIds=[project.ids[0]])
    code, out, err = run("connect", "prod", "producer")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "A session needs a running instance, and the producer i-" in err
    assert words in err
    opened: list[str] = []
    monkeypatch.setattr("os.execvpe", lambda _program, command, _environ: opened.extend(command))
    run("connect", "prod", "consumer")
    assert json.loads(opened[-2]) == {"Target": project.ids[1]}


def test_forward_says_that_a_port_is_there_when_it_is(project: Project, run: Run, aws: LocalAws) -> None:
    project.command("session-manager-plugin", "")
    aws.faults.add("StartSession", code="TargetNotConnected", message="not connected")
    code, _, err = run("forward", "prod", "producer", "80")
    assert (code, len(err.splitlines())) == (1, 1)
    assert f"{project.ids[0]}: it is not registered with Systems Manager: is it still booting" in err


@pytest.mark.parametrize("by", ["name", "instance"])
def test_forward_to_a_node_that_is_stopped_says_so(
    by: str, project: Project, run: Run, aws: LocalAws
) -> None:
    project.command("session-manager-plugin", "")
    boto3.client("ec2", REGION).stop_instances(InstanceIds=[project.ids[0]])
    aws.faults.add("StartSession", code="TargetNotConnected", message="not connected")
    code, _, err = run("forward", "prod", "producer" if by == "name" else project.ids[0], "22", "--stdio")
    assert (code, err) == (
        1,
        f"nixl-efa: producer {project.ids[0]} is stopped: `nixl-efa status prod` says why and what to do.\n",
    )


def test_forward_to_an_instance_that_was_replaced_says_what_to_run(
    project: Project, run: Run, aws: LocalAws
) -> None:
    project.command("session-manager-plugin", "")
    aws.faults.add("StartSession", code="TargetNotConnected", message="not connected")
    code, _, err = run("forward", "prod", "i-0123456789abcdef0", "22", "--stdio")
    assert (code, err) == (
        1,
        "nixl-efa: i-0123456789abcdef0 is no node of prod any more: run `nixl-efa ssh-config prod` again.\n",
    )


@pytest.mark.parametrize("words", [("connect", "prod", "producer"), ("forward", "prod", "producer", "22")])
def test_a_session_is_opened_in_no_other_account(
    words: tuple[str, ...], project: Project, run: Run, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.command("session-manager-plugin", "")
    monkeypatch.setenv("NIXL_EFA_PROD_ACCOUNT_ID", "999999999999")
    aws.calls.clear()
    code, _, err = run(*words)
    assert (code, "account_id is 999999999999" in err) == (1, True)
    assert "StartSession" not in aws.calls.actions()


def test_a_port_that_is_taken_here_is_bad_input(project: Project, run: Run) -> None:
    project.command("session-manager-plugin", "")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, _, err = run("forward", "prod", "producer", "80", "--local-port", str(port))
    told = f"--local-port {port}: it can't be used (Address already in use). Leave it out to get a free one."
    assert (code, err) == (2, f"nixl-efa: {told}\n")
