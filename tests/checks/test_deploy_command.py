"""`nixl-efa deploy`: the check, the plan in words, consent, and the apply of that very plan."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from local_aws import LocalAws
from tests.checks.deploying import APPLIED, PLANNED, Deploying
from tests.checks.local_project import REGION
from tests.deploy.cases import recorded

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def reservation(ec2: EC2Client, size: int) -> str:
    """The id of an On-Demand reservation of dev's type."""
    made = ec2.create_capacity_reservation(
        InstanceType="g7e.8xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=size,
    )
    return made["CapacityReservation"]["CapacityReservationId"]


@pytest.mark.parametrize(
    ("plan", "options", "typed", "code", "said"),
    [
        ("nothing", (), "", 0, ""),
        ("owner", ("--auto-approve",), "", 0, ""),
        ("owner", ("--auto-approve", "--skip-provider-lock"), "", 0, ""),
        ("owner", (), "yes", 0, ""),
        ("owner", (), "no", 1, "'no' is not 'yes'. Nothing was changed."),
        ("owner", (), "", 1, "there is no terminal to ask on: run `nixl-efa deploy dev --auto-approve`"),
        ("key", ("--auto-approve",), "", 1, "the plan destroys 2 running nodes (producer i-"),
        ("key", ("--auto-approve",), "yes", 1, "'yes' is not '2'"),
        ("key", ("--auto-approve",), "2", 0, ""),
        ("key", (), "2", 0, ""),
        ("key", ("--replace-nodes",), "", 1, "run `nixl-efa deploy dev --auto-approve --replace-nodes`"),
        ("key", ("--replace-nodes",), "yes", 0, ""),
        ("key", ("--replace-nodes", "--auto-approve"), "", 0, ""),
    ],
)
def test_only_what_was_agreed_is_applied(
    plan: str, options: tuple[str, ...], typed: str, code: int, said: str, deploying: Deploying
) -> None:
    deploying.plans(plan)
    deploying.types(typed)
    ran = deploying.project.run("deploy", "dev", "--no-verify", *options)
    assert (ran.code, said in ran.err) == (code, True), ran
    assert "2 x g7e.8xlarge On-Demand cost 10.54 USD an hour" in ran.out
    assert deploying.terraform() == (PLANNED if code or plan == "nothing" else APPLIED)
    assert "Nothing was changed" in ran.err or not code


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ("cancelled", " is cancelled, not active"),
        ("denied", "may not be looked at (ec2:DescribeCapacityReservations)"),
        ("unknown", " is not known to EC2"),
    ],
)
def test_running_nodes_are_not_destroyed_for_a_reservation_that_lets_nothing_in(
    seen: str, said: str, deploying: Deploying, aws: LocalAws
) -> None:
    ec2 = boto3.client("ec2", REGION)
    made = reservation(ec2, 2)
    if seen == "cancelled":
        ec2.cancel_capacity_reservation(CapacityReservationId=made)
    if seen == "denied":
        aws.faults.add("DescribeCapacityReservations", code="UnauthorizedOperation", times=None)
    deploying.plans("reservation")
    if seen != "unknown":
        plan = deploying.project.folder / "plan.0"
        text = plan.read_text(encoding="utf-8")
        plan.write_text(text.replace("cr-0123456789abcdef0", made), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert (ran.code, said in ran.err) == (1, True), ran
    assert "the new ones could not start there" in ran.err
    assert deploying.terraform() == PLANNED


def test_a_reservation_that_is_lost_while_the_question_stands_is_seen(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = boto3.client("ec2", REGION)
    made = reservation(ec2, 2)
    deploying.plans("reservation")
    plan = deploying.project.folder / "plan.0"
    plan.write_text(plan.read_text(encoding="utf-8").replace("cr-0123456789abcdef0", made), encoding="utf-8")

    def answers_late(_: str) -> str:
        ec2.cancel_capacity_reservation(CapacityReservationId=made)
        return "2"

    deploying.types("2")
    monkeypatch.setattr("nixl_efa.cli.output.ask", answers_late)
    ran = deploying.project.run("deploy", "dev", "--no-verify")
    assert (ran.code, " is cancelled, not active" in ran.err) == (1, True), ran
    assert deploying.terraform() == PLANNED


def test_a_state_that_another_run_changed_while_the_question_stood_is_seen_before_the_apply(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = deploying.project.folder / "state.json"

    def answers_late(_: str) -> str:
        state.write_text('{"lineage": "a", "serial": 2}', encoding="utf-8")
        return "yes"

    state.write_text('{"lineage": "a", "serial": 1}', encoding="utf-8")
    deploying.plans("owner")
    deploying.types("yes")
    monkeypatch.setattr("nixl_efa.cli.output.ask", answers_late)
    ran = deploying.project.run("deploy", "dev", "--no-verify")
    assert (ran.code, "another run has changed the state" in ran.err) == (1, True), ran
    assert "Nothing was changed." in ran.err
    assert deploying.terraform() == PLANNED


@pytest.mark.parametrize("name", ["nothing", "owner"])
def test_a_node_that_is_stopped_is_no_part_of_a_pair_that_is_done(name: str, deploying: Deploying) -> None:
    plan = recorded(name)
    (consumer,) = [one for one in plan["resource_changes"] if one["address"] == "aws_instance.consumer"]
    consumer["change"]["before"]["instance_state"] = "stopped"
    (deploying.project.folder / "plan.0").write_text(json.dumps(plan), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve")
    started = f"aws ec2 start-instances --region {REGION} --instance-ids {consumer['change']['before']['id']}"
    assert (ran.code, started in ran.err) == (1, True), ran
    assert "the pair is as the settings say" not in ran.out
    assert deploying.terraform() == PLANNED


def test_nodes_that_somebody_replaced_meanwhile_are_not_destroyed(deploying: Deploying) -> None:
    made = reservation(boto3.client("ec2", REGION), 1)
    agreed = recorded("key")
    nodes = [one for one in agreed["resource_changes"] if one["type"] == "aws_instance"]
    target = [{"capacity_reservation_target": [{"capacity_reservation_id": made}]}]
    for node in nodes:
        for moment in ("before", "after"):
            node["change"][moment]["capacity_reservation_specification"] = target
    # What Terraform then plans for the nodes alone: the same addresses, and other instances.
    ending = json.loads(json.dumps({"resource_changes": nodes}))
    for number, node in enumerate(ending["resource_changes"]):
        node["change"] |= {"actions": ["delete"], "after": None, "replace_paths": []}
        node["change"]["before"]["id"] = f"i-{number}"
    for number, plan in enumerate((agreed, ending)):
        (deploying.project.folder / f"plan.{number}").write_text(json.dumps(plan), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert (ran.code, "somebody has replaced them. " in ran.err) == (1, True), ran
    assert "apply" not in deploying.terraform()


def test_the_plan_that_was_shown_is_the_one_that_is_applied(deploying: Deploying) -> None:
    deploying.plans("owner")
    assert deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve").code == 0
    lines = (deploying.project.folder / "terraform.log").read_text(encoding="utf-8").splitlines()
    (planned,) = [word for line in lines for word in line.split() if word.startswith("-out=")]
    (applied,) = [line for line in lines if line.startswith("apply")]
    assert applied == f"apply -no-color -input=false {planned.removeprefix('-out=')}"


def test_the_plan_is_told_in_words(deploying: Deploying) -> None:
    deploying.plans("type")
    ran = deploying.project.run("deploy", "dev")
    lines = ran.out.splitlines()
    producer = next(number for number, line in enumerate(lines) if line.startswith("producer i-"))
    assert lines[producer].endswith("is REPLACED: destroyed, then built again.")
    assert lines[producer + 1].startswith("    because: instance_type went from g7e.8xlarge to g7e.12xlarge")
    assert any(line.startswith("Beside the nodes: ") for line in lines)


def test_the_other_environments_and_the_check_are_left_out_of_the_synthesis(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = deploying.project.folder / "config"
    config.write_text("[profile ann]\naws_access_key_id = a\naws_secret_access_key = b\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert deploying.project.run("deploy", "dev", "--no-verify", "--profile", "ann").code == 0
    assert deploying.cdktf() == ["synth"]
    environ = (deploying.project.folder / "cdktf.env").read_text(encoding="utf-8").splitlines()
    assert {"NIXL_EFA_ENVIRONMENTS=dev", "NIXL_EFA_DEV_CHECK=off", "AWS_PROFILE=ann"} <= set(environ)


def test_protect_nodes_is_left_aside_for_what_is_agreed_and_put_back(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.8xlarge", protect_nodes=True)
    deploying.plans("key")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert ran.code == 0, ran
    assert "protect_nodes is set, and is ignored for what you agreed to." in ran.err
    assert deploying.cdktf() == ["synth", "synth"]
    environ = (deploying.project.folder / "cdktf.env").read_text(encoding="utf-8").splitlines()
    assert [line for line in environ if "PROTECT_NODES" in line] == ["NIXL_EFA_DEV_PROTECT_NODES=false"]


def test_a_failed_check_stops_before_cdktf(deploying: Deploying, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="InsufficientInstanceCapacity", message="No capacity.")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  dry run" in ran.out
    assert "nixl-efa-dev was not deployed: the check found problems (dry run)" in ran.err
    assert (deploying.cdktf(), deploying.terraform()) == ([], [])


def test_another_account_stops_a_deployment(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.8xlarge", account_id="999999999999")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  account " in ran.out
    assert deploying.cdktf() == []


def test_a_block_that_starts_later_stops_a_deployment(deploying: Deploying, aws: LocalAws) -> None:
    deploying.project.environment("prod", **deploying.project.buy_block())
    aws.advance(timedelta(minutes=10))
    ran = deploying.project.run("deploy", "prod", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  reservation state" in ran.out
    assert deploying.cdktf() == []


def test_a_switch_to_the_next_block_is_no_nothing(
    deploying: Deploying, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = deploying.project.buy_block()["capacity_reservation_id"]
    monkeypatch.setattr("nixl_efa.capacity.save.switch_when_free", lambda *_: bought)
    deploying.project.environment(
        "prod",
        instance_type="p5.48xlarge",
        use_capacity_block=True,
        capacity_reservation_parameter="/nixl-efa/capacity-reservation-id",
    )
    ran = deploying.project.run("deploy", "prod")
    assert ran.code == 1
    assert f"No node was changed; prod's current block is {bought} now" in ran.err
    assert "Nothing was changed" not in ran.err


def test_strict_stops_on_a_warning(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.2xlarge")
    assert deploying.project.run("deploy", "dev", "--no-verify").code == 0
    assert len(deploying.cdktf()) == 1
    assert deploying.project.run("deploy", "dev", "--no-verify", "--strict").code == 1
    assert len(deploying.cdktf()) == 1


def test_a_failed_synthesis_is_told_with_its_words(deploying: Deploying) -> None:
    deploying.project.program("node_modules/cdktf-cli/bundle/bin/cdktf", "echo the disk is full; exit 3")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert "cdktf synth ended with exit code 3" in ran.err
    assert deploying.terraform() == []


def test_without_cdktf_nothing_is_deployed(deploying: Deploying) -> None:
    (deploying.project.folder / "node_modules/.bin/cdktf").unlink()
    ran = deploying.project.run("deploy", "dev")
    assert ran.code == 1
    # This project has no Makefile.
    assert "npm install cdktf-cli@" in ran.out
    assert deploying.terraform() == []


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--outputs-file", "`nixl-efa deploy --help`"),
        ("--refresh-only", "`nixl-efa deploy --help`"),
        ("--auto-aprove", "Did you mean --auto-approve?"),
        ("--autoapprove", "Did you mean --auto-approve?"),
        ("--replace-node", "Did you mean --replace-nodes?"),
    ],
)
def test_an_option_that_is_not_known_is_bad_input(option: str, meant: str, deploying: Deploying) -> None:
    ran = deploying.project.run("deploy", "dev", option)
    assert ran.code == 2
    assert f"deploy takes no {option!r}. {meant}" in ran.err
    assert deploying.cdktf() == []
