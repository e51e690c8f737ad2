"""`nixl-efa connect` against the local AWS, as a user runs it."""

from __future__ import annotations

import os
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


def test_connect_becomes_the_session(project: Project) -> None:
    project.command("aws", 'echo "aws $*"; exit 7')
    project.command("session-manager-plugin", "")
    ran = subprocess.run(
        [sys.executable, "-m", "nixl_efa", "connect", "prod", "producer"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (ran.returncode, ran.stderr) == (7, "")
    assert ran.stdout == f"aws ssm start-session --region {REGION} --target {project.ids[0]}\n"


@pytest.mark.parametrize(
    ("have", "message"),
    [
        ([], "aws and session-manager-plugin not found on PATH"),
        (["aws"], "nixl-efa: session-manager-plugin not found on PATH"),
    ],
)
def test_connect_names_the_programs_that_are_missing(
    have: list[str], message: str, project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in have:
        project.command(name, "")
    monkeypatch.setenv("PATH", f"{project.bin}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: name if name in have else None)
    code, _, err = run("connect", "prod", "producer")
    assert code == 1
    assert message in err
    assert "--print" in err


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            "stop_instances",
            "is stopped: somebody shut it down through the EC2 API (Client.UserInitiatedShutdown",
        ),
        ("terminate_instances", "`nixl-efa deploy prod` builds it anew, at the same address."),
    ],
)
def test_connect_to_a_node_that_does_not_run_says_why_and_the_other_one_is_reached(
    action: str, words: str, project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.command("aws", "")
    project.command("session-manager-plugin", "")
    getattr(boto3.client("ec2", REGION), action)(InstanceIds=[project.ids[0]])
    code, out, err = run("connect", "prod", "producer")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "A session needs a running instance, and the producer i-" in err
    assert words in err
    opened: list[str] = []
    monkeypatch.setattr("os.execvpe", lambda _program, command, _environ: opened.extend(command))
    run("connect", "prod", "consumer")
    assert opened[-1] == project.ids[1]
