"""`nixl-efa verify` and `status` against the local AWS, as a user runs them."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.findings import failed
from nixl_efa.launch import launch_of
from nixl_efa.mend import look
from nixl_efa.nodes import outputs
from nixl_efa.rehearse.simulated_nodes import answer_as_planned
from nixl_efa.settings import Settings
from tests.nodes.local_pair import REGION, Project, Run, answer
from tests.nodes.stand_in import ADDRESSES, GIB, StandIn
from tests.nodes.test_environments import leave_behind


def test_verify_shows_both_nodes_side_by_side_and_the_proof(project: Project, run: Run) -> None:
    code, out, err = run("verify", "prod")
    assert code == 0, out + err
    for words in (
        "producer",
        "consumer",
        "PASS 32 of 32 domains",
        "1.5.0 with LIBFABRIC, provider efa",
        "over EFA",
        "372.0 Gbps",
    ):
        assert words in out
    assert "Measuring a transfer" in err
    assert "FAIL" not in out


def test_verify_as_json_is_one_document_with_every_finding_and_row(project: Project, run: Run) -> None:
    code, out, _ = run("verify", "prod", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["ok"]) == (0, "nixl-efa/verify/1", True)
    assert [node["name"] for node in document["nodes"]] == ["producer", "consumer"]
    assert {finding["level"] for node in document["nodes"] for finding in node["findings"]} == {"PASS"}
    assert document["transfers"][0]["rows"][1]["size_bytes"] == GIB // 4
    assert document["transfers"][0]["producer_efa"]["sent_bytes"] == GIB


@pytest.mark.parametrize("command", ["verify", "status"])
def test_another_account_ends_with_1_before_anything_is_asked(
    command: str, project: Project, aws: LocalAws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIXL_EFA_PROD_ACCOUNT_ID", "123456789012")
    assert run(command, "prod")[0] == 0
    monkeypatch.setenv("NIXL_EFA_PROD_ACCOUNT_ID", "999999999999")
    aws.calls.clear()
    code, out, err = run(command, "prod")
    assert (code, out, aws.calls.actions()) == (1, "", ("GetCallerIdentity",))
    assert "The credentials are of account 123456789012, as arn:aws:" in err
    assert "account_id is 999999999999 (variable NIXL_EFA_PROD_ACCOUNT_ID)." in err


def test_verify_ends_with_1_and_says_what_to_do_when_it_went_over_tcp(
    project: Project, aws: LocalAws, run: Run, tmp_path: Path
) -> None:
    for name, instance_id in zip(ADDRESSES, project.ids, strict=True):
        node = StandIn(name, tmp_path / "silent" / name)
        node.over_tcp(GIB)
        answer(aws, instance_id, node)
    code, out, _ = run("verify", "prod")
    assert code == 1
    assert "FAIL silent fallback to TCP" in out
    assert "FAIL fabric: Use LIBFABRIC over EFA" in out


def test_a_fault_names_its_nodes_and_what_to_do_once(
    project: Project, aws: LocalAws, run: Run, tmp_path: Path
) -> None:
    for name, instance_id in zip(ADDRESSES, project.ids, strict=True):
        node = StandIn(name, tmp_path / "faulty" / name)
        node.memlock("8192")
        if name == "consumer":
            node.without("nvidia-smi")
        answer(aws, instance_id, node)
    code, out, _ = run("verify", "prod", "--no-transfer")
    assert code == 1
    assert out.count("FAIL memlock (producer, consumer): Restart the SSM agent") == 1
    assert "FAIL accelerators (consumer): Take an image with NVIDIA's driver." in out


def test_status_shows_the_pair_without_asking_the_nodes(project: Project, aws: LocalAws, run: Run) -> None:
    code, out, _ = run("status", "prod")
    assert code == 0, out
    assert all(instance_id in out for instance_id in project.ids)
    assert "no reservation: the nodes have no end time" in out
    assert "SendCommand" not in aws.calls.actions()


@pytest.mark.parametrize("command", [("status", "prod"), ("verify", "prod", "--no-transfer")])
def test_a_state_that_lost_its_environment_is_warned_of_beside_the_pair(
    command: tuple[str, ...], project: Project, run: Run
) -> None:
    leave_behind(project.folder, "old")
    code, _, err = run(*command)
    assert (code, "WARN: state/nixl-efa-old.tfstate still holds" in err) == (0, True), err


@pytest.mark.parametrize(
    ("left", "code", "strict_code", "words"),
    [
        (timedelta(hours=3), 0, 0, "in 2 h 30 min. The block ends at"),
        (timedelta(hours=2), 0, 1, "WARN capacity: Save your work, or extend the block"),
    ],
)
def test_status_warns_of_a_capacity_block_that_is_about_to_end(
    left: timedelta, code: int, strict_code: int, words: str, block_end: datetime, aws: LocalAws, run: Run
) -> None:
    aws.clock.set(block_end - left)
    seen, out, _ = run("status", "prod")
    assert (seen, words in out) == (code, True), out
    assert "capacity-block" in out
    assert run("status", "prod", "--strict")[0] == strict_code


@pytest.mark.parametrize("command", ["status", "verify"])
def test_nodes_that_ended_with_their_block_are_shown_with_that_cause(
    command: str, block_end: datetime, aws: LocalAws, run: Run
) -> None:
    aws.clock.set(block_end - timedelta(minutes=20))
    code, out, _ = run(command, "prod", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    for node in document["nodes"]:
        assert node["state"] == "terminated"
        assert "is at its end, and EC2 terminates what runs in it from" in node["cause"]
        (finding,) = node["findings"]
        assert "`nixl-efa capacity search --env prod` finds another one" in finding["remedy"]
    capacity = document["findings"][0]
    assert "is at its end: EC2 began to terminate at" in capacity["message"]
    assert "Save" not in capacity["remedy"]


def test_a_node_that_a_user_ended_in_a_living_block_is_not_blamed_on_the_block(
    block_end: datetime, aws: LocalAws, run: Run, project: Project
) -> None:
    ec2 = boto3.client("ec2", REGION)
    _, before, _ = run("status", "prod", "--json")
    producer = json.loads(before)["nodes"][0]["instance_id"]
    ec2.terminate_instances(InstanceIds=[producer])
    code, out, _ = run("status", "prod", "--json")
    document = json.loads(out)
    assert code == 1
    gone, other = document["nodes"]
    assert (gone["state"], gone["state_reason"]) == ("terminated", "Client.UserInitiatedShutdown")
    assert gone["cause"].startswith("somebody shut it down through the EC2 API (Client.UserInitiatedShutdown")
    (finding,) = gone["findings"]
    assert finding["remedy"].startswith(
        "`nixl-efa deploy prod` builds it again, at the same address. Its slot"
    )
    assert (other["state"], other["cause"], other["findings"][0]["level"]) == ("running", "", "PASS")
    capacity = document["findings"][0]
    assert capacity["level"] != "FAIL"
    assert "capacity search" not in out
    # For people, and by the other two commands.
    code, out, err = run("status", "prod")
    assert (code, err) == (1, "")
    assert "FAIL instance (producer): `nixl-efa deploy prod` builds it again" in out
    assert run("verify", "prod")[0] == 1


@pytest.mark.parametrize(
    ("cause", "state", "words"),
    [
        ("shutdown", "stopped", "its own operating system shut down (Client.InstanceInitiatedShutdown)"),
        ("spot", "terminated", "EC2 took the Spot Instance's capacity back (Server.SpotInstanceTermination)"),
        ("volume-key", "terminated", "the key of its encrypted volume can't be used (Client.InternalError)"),
    ],
)
def test_what_ends_a_node_without_a_call_is_named(
    cause: Any, state: str, words: str, project: Project, aws: LocalAws, run: Run
) -> None:
    aws.end(project.ids[0], cause)
    code, out, _ = run("status", "prod", "--json")
    node = json.loads(out)["nodes"][0]
    assert (code, node["state"]) == (1, state)
    assert node["cause"].endswith(words)


def test_a_node_that_ec2_shows_no_more_is_shown_with_what_can_be_known(project: Project, run: Run) -> None:
    project.outputs(consumer_instance_id="i-0123456789abcdef0", consumer_private_ip="172.31.250.99")
    code, out, _ = run("status", "prod", "--json")
    producer, consumer = json.loads(out)["nodes"]
    assert (code, producer["state"], consumer["state"]) == (1, "running", "unknown to EC2")
    assert (consumer["launched"], consumer["zone"]) == (None, "")
    assert "EC2 shows it no more" in consumer["cause"]


def test_nodes_that_run_but_stand_in_no_state_are_told_as_json_too(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = failed(
        "state", "producer i-1 runs, and the state does not know it.", "`nixl-efa mend prod` keeps it."
    )
    monkeypatch.setattr(look, "findings", lambda *_: [lost])
    project.outputs(producer_instance_id="", consumer_instance_id="")

    code, out, err = run("status", "prod", "--json")
    document = json.loads(out)
    assert (code, err, document["ok"], document["nodes"]) == (1, "", False, [])
    assert [finding["message"] for finding in document["findings"]] == [lost.message]
    code, out, err = run("status", "prod")
    assert (code, out, err) == (1, "", f"nixl-efa: {lost.line()}\n")


def test_a_node_that_was_replaced_names_its_successor(project: Project, run: Run) -> None:
    project.outputs(consumer_instance_id="i-0123456789abcdef0")
    code, out, _ = run("status", "prod")
    assert code == 1
    assert f"it was replaced by {project.ids[1]} since" in " ".join(out.split())


def test_verify_asks_no_node_when_one_of_them_is_gone(project: Project, aws: LocalAws, run: Run) -> None:
    boto3.client("ec2", REGION).terminate_instances(InstanceIds=[project.ids[0]])
    code, out, _ = run("verify", "prod")
    assert code == 1
    assert f"FAIL {project.ids[0]} is terminated" in out
    assert "SendCommand" not in aws.calls.actions()


@pytest.mark.parametrize(
    ("arguments", "outputs", "code", "message"),
    [
        (["status", "prdo"], {}, 2, 'There is no environment "prdo". Did you mean prod?'),
        (
            ["verify", "prod"],
            {"consumer_instance_id": None},
            1,
            "is incomplete: its stack has no consumer_instance_id",
        ),
        (["connect", "prod", "proxy"], {}, 2, "node 'proxy' is not one of prod: give producer, consumer."),
    ],
)
def test_bad_input_and_half_built_stacks_are_one_line(
    arguments: list[str], outputs: dict[str, Any], code: int, message: str, project: Project, run: Run
) -> None:
    project.outputs(**outputs)
    seen, out, err = run(*arguments)
    assert (seen, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("nixl-efa: ")


def test_no_permission_to_look_at_instances_is_one_line(project: Project, aws: LocalAws, run: Run) -> None:
    aws.faults.add("DescribeInstances", code="UnauthorizedOperation", times=None)
    code, _, err = run("status", "prod")
    assert code == 1
    assert "ec2:DescribeInstances is not allowed" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(["--no-transfer"], 0, "PASS simulated with LIBFABRIC"), ([], 1, "there is no machine to measure on")],
)
def test_the_simulated_nodes_of_a_rehearsal_pass_but_are_not_measured(
    arguments: list[str], code: int, words: str, project: Project, aws: LocalAws, run: Run
) -> None:
    settings = Settings(name="prod", instance_type="p5.48xlarge", region=REGION)
    answer_as_planned(aws, outputs.read(settings, project.folder, os.environ), launch_of(settings))
    seen, out, _ = run("verify", "prod", *arguments)
    assert (seen, words in out) == (code, True), out
