"""How `nixl-efa deploy` ends: exit codes, the document, what is said of what runs; the wait for the boot; Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.deploy.boot import wait_for_boot
from tests.checks.deploying import TERRAFORM, Deploying, MovingClock, deployed
from tests.checks.in_order import NOW


def test_a_plan_that_fails_is_told_with_all_its_words(deploying: Deploying) -> None:
    deploying.project.program(
        "bin/terraform",
        """case "$1" in version) echo '{"terraform_version": "1.11.4"}' ;; plan)
        echo "Error: Resource precondition failed"; echo "the subnet lies elsewhere"; exit 1 ;; esac""",
    )
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "the subnet lies elsewhere" in ran.err
    assert "Nothing was changed." in ran.err


def test_a_failed_apply_says_what_runs_and_what_comes_next(deploying: Deploying) -> None:
    deployed(deploying.project)
    deploying.plans("owner")
    deploying.applies(1)
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 3
    assert "terraform apply ended with exit code 1. nixl-efa-dev-producer i-" in ran.err
    assert "run and are billed" in ran.err
    assert "`nixl-efa mend dev`" in ran.err
    assert "`nixl-efa deploy dev` continues" in ran.err


def test_what_aws_refused_in_the_apply_is_told_with_its_words_and_what_to_do(deploying: Deploying) -> None:
    refused = (
        "Error: creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, "
        "RequestID: 1, api error InsufficientInstanceCapacity: We currently do not have sufficient capacity."
    )
    program = TERRAFORM.replace("apply) ", f'apply) echo "{refused}" >&2; ')
    deploying.project.program("bin/terraform", program.strip())
    deploying.plans("owner")
    deploying.applies(1)
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 3
    last = ran.err.splitlines()[-1]
    assert (
        "terraform apply ended with exit code 1. AWS refused RunInstances, since EC2 has no free instance"
        in last
    )
    assert "(InsufficientInstanceCapacity: We currently do not have sufficient capacity)" in last
    # g7e is not sold as a block: no advice to buy one.
    assert "capacity search" not in last


def test_after_the_apply_the_pair_is_verified(
    deploying: Deploying, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)
    deployed(deploying.project)
    ran = deploying.project.run("deploy", "dev")
    # Run Command of the local AWS prints nothing here, and verify says so.
    assert "Waiting for the nodes' first boot" in ran.err
    assert "Asking both nodes through Run Command" in ran.err
    assert "FAIL" in ran.out
    assert ran.code == 4
    assert "The pair is built: it runs and is billed." in ran.err
    assert "SendCommand" in aws.calls.actions()


@pytest.mark.parametrize(
    ("plan", "options", "apply_code", "outcome", "code"),
    [
        ("nothing", ("--no-verify",), 0, "done", 0),
        ("key", ("--auto-approve",), 0, "stopped", 1),
        ("owner", ("--auto-approve",), 1, "apply-failed", 3),
        ("owner", ("--auto-approve",), 0, "verify-failed", 4),
    ],
)
def test_the_document_says_how_it_ended(
    plan: str,
    options: tuple[str, ...],
    apply_code: int,
    outcome: str,
    code: int,
    deploying: Deploying,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)
    deployed(deploying.project)
    deploying.plans(plan)
    deploying.applies(apply_code)
    ran = deploying.project.run("deploy", "dev", "--json", *options)
    document = json.loads(ran.out)
    assert document["schema"] == "nixl-efa/deploy/1"
    assert (ran.code, document["exit_code"], document["outcome"]) == (code, code, outcome)
    assert (document["message"] == "") == (outcome == "done")
    assert (document["verify"] is not None) == (outcome == "verify-failed")
    assert {finding["level"] for finding in document["findings"]} == {"PASS"}
    assert [node["name"] for node in document["nodes"]] == ["producer", "consumer"]
    assert set(document) == documented("`nixl-efa/deploy/1`")
    assert set(document["nodes"][0]) == documented("one of `nodes`")
    if plan == "key":
        (cause,) = document["nodes"][0]["causes"]
        assert set(cause) == documented("one of `causes`")
        assert (cause["what"], cause["before"], cause["after"]) == ("key_name", "none", "ann")


def documented(form: str) -> set[str]:
    """The members of a form by docs/deploy.md."""
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {form} |")]
    # What is in brackets tells of a member.
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row.split("|")[2])))


def test_a_failed_check_has_a_document_without_a_plan(deploying: Deploying, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="InsufficientInstanceCapacity", message="No capacity.")
    document = json.loads(deploying.project.run("deploy", "dev", "--json").out)
    assert (document["outcome"], document["nodes"], document["verify"]) == ("stopped", [], None)
    assert "FAIL" in {finding["level"] for finding in document["findings"]}


class Registering:
    """Systems Manager, in which a node is registered at the given try."""

    def __init__(self, at_try: int) -> None:
        self._at_try = at_try
        self.tries = 0

    def send_command(self, **_: Any) -> dict[str, Any]:
        """Refused before the node is registered."""
        from botocore.exceptions import ClientError

        self.tries += 1
        if self.tries < self._at_try:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": ""}}, "SendCommand")
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, **_: Any) -> dict[str, Any]:
        """Done at once."""
        return {"Status": "Success", "StandardOutputContent": ""}


@pytest.mark.parametrize(("at_try", "minutes", "booted"), [(1, 1, True), (3, 5, True), (1000, 5, False)])
def test_the_boot_is_waited_for_until_the_limit(at_try: int, minutes: int, booted: bool) -> None:
    clock, ssm = MovingClock(), Registering(at_try)
    limit = timedelta(minutes=minutes)
    assert wait_for_boot(ssm, ["i-1"], clock, limit, lambda _: None) is booted  # type: ignore[arg-type]
    assert clock.now() <= NOW + limit
    assert ssm.tries == (at_try if booted else len(clock.waits) + 1)


def test_ctrl_c_during_the_apply_lets_terraform_end_and_says_what_runs(deploying: Deploying) -> None:
    deployed(deploying.project)
    deploying.plans("owner")
    # As Terraform does: told to stop, it still writes its state, which takes longer than Python waits by itself.
    stopping = "trap 'kill $!; sleep 1; echo saved > \"$ROOT/state\"; exit 1' INT"
    waiting = f"{stopping}; sleep 60 > /dev/null & echo begun; wait"
    script = TERRAFORM.replace('echo "Apply complete"', waiting)
    deploying.project.program("bin/terraform", script.strip())
    process = subprocess.Popen(
        [sys.executable, "-m", "nixl_efa", "deploy", "dev", "--auto-approve"],
        cwd=deploying.project.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() not in ("begun\n", ""):
        pass
    # What a terminal does at Ctrl-C: the whole group is told.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "nixl-efa: interrupted. nixl-efa-dev-producer i-" in said
    assert "`nixl-efa mend dev`" in said
    assert (deploying.project.folder / "state").read_text(encoding="utf-8") == "saved\n"
