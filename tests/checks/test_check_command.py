"""`nixl-efa check` against the local AWS, as a user runs it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.checks.local_project import REGION, Project, Ran


def by_check(ran: Ran) -> dict[str, dict[str, Any]]:
    """The findings of a --json run by their check, the worst of each."""
    order = ["FAIL", "WARN", "SKIP", "PASS"]
    found = sorted(json.loads(ran.out)["findings"], key=lambda each: order.index(each["level"]))
    return {each["check"]: each for each in reversed(found)}


def test_a_launch_that_would_work_passes(project: Project) -> None:
    ran = project.run("check", "dev")
    assert ran.code == 0, ran
    assert "PASS  dry run" in ran.out
    assert "EC2 would accept this launch of 2 x g7e.8xlarge." in ran.out
    assert "      by hand: aws ec2 describe-vpcs --region us-east-2" in ran.out
    assert "FAIL" not in ran.out
    assert "WARN" not in ran.out
    assert "SKIP" not in ran.out


def test_a_parameter_is_read_as_terraform_reads_it(project: Project) -> None:
    """tests/terraform/test_plan.py shows the same with Terraform."""
    ssm = boto3.client("ssm", REGION)
    ssm.put_parameter(Name="/team/zone", Value=f"{REGION}b\n", Type="String")
    ssm.put_parameter(Name="/team/id", Value="cr-0123456789abcdef0", Type="SecureString")
    project.environment(
        "dev",
        instance_type="g7e.8xlarge",
        availability_zone_parameter="/team/zone",
        capacity_reservation_parameter="/team/id",
        ami_parameter="/aws/service/deeplearing/ami/x86_64/latest/ami-id",
    )
    found = by_check(project.run("check", "dev", "--json"))
    assert found["subnet"]["level"] == "PASS"
    assert (found["reservation"]["level"], found["image"]["level"]) == ("FAIL", "FAIL")
    assert "The parameter /team/id is a SecureString" in found["reservation"]["message"]
    assert "store it as String" in found["reservation"]["message"]
    assert "/latest/ami-id does not exist in us-east-2" in found["image"]["message"]


def test_an_instance_profile_of_the_users_is_part_of_the_dry_run(project: Project) -> None:
    project.environment("dev", instance_type="g7e.8xlarge", instance_profile="mine")
    missing = by_check(project.run("check", "dev", "--json"))["dry run"]
    assert missing["level"] == "FAIL"
    assert "Invalid IAM Instance Profile name" in missing["message"]
    assert "--iam-instance-profile" in missing["command"]

    boto3.client("iam").create_instance_profile(InstanceProfileName="mine")
    assert by_check(project.run("check", "dev", "--json"))["dry run"]["level"] == "PASS"


def test_a_role_that_can_not_be_assumed_is_one_fail_in_the_words_of_aws(
    project: Project, aws: LocalAws
) -> None:
    words = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: sts:AssumeRole"
    aws.faults.add(action="AssumeRole", code="AccessDenied", message=words, times=None)
    project.environment(
        "dev", instance_type="g7e.8xlarge", assume_role="arn:aws:iam::123456789012:role/deploy"
    )
    ran = project.run("check", "dev", "--json")
    found = [one for one in json.loads(ran.out)["findings"] if one["level"] == "FAIL"]
    assert ran.code == 1
    assert len(found) == 1
    assert words in found[0]["message"]


def test_brief_leaves_out_what_is_in_order(project: Project) -> None:
    ran = project.run("check", "dev", "--brief")
    assert ran.code == 0
    assert "PASS  " not in ran.out
    assert "checks: " in ran.out


def test_json_holds_every_finding(project: Project) -> None:
    ran = project.run("check", "dev", "--json")
    document = json.loads(ran.out)
    assert document["schema"] == "nixl-efa/check/1"
    assert (document["environment"], document["stack"], document["region"]) == ("dev", "nixl-efa-dev", REGION)
    assert document["ok"] is True
    assert sum(document["counts"].values()) == len(document["findings"])
    assert set(document["findings"][0]) == {"level", "check", "message", "remedy", "command"}


def test_a_scheduled_block_warns_and_strict_stops_on_it(project: Project, aws: LocalAws) -> None:
    block = project.buy_block()
    project.environment("prod", **block)
    aws.advance(timedelta(minutes=10))
    ran = project.run("check", "prod", "--json")
    state = by_check(ran)["reservation state"]
    assert ran.code == 0, ran
    assert (state["level"], "is scheduled: it has not started yet. It starts at" in state["message"]) == (
        "WARN",
        True,
    )
    assert by_check(ran)["dry run"]["level"] == "WARN"
    assert by_check(ran)["reservation room"]["level"] == "PASS"
    assert project.run("check", "prod", "--strict").code == 1


def test_an_active_block_passes_and_a_full_one_does_not(project: Project, aws: LocalAws) -> None:
    block = project.buy_block()
    project.environment("prod", **block)
    aws.advance(timedelta(hours=2))
    ran = project.run("check", "prod", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["counts"]["WARN"] == 0, ran.out
    project.launch("p5.48xlarge", block["capacity_reservation_id"], block["availability_zone"])
    ran = project.run("check", "prod", "--json")
    assert ran.code == 1
    assert "1 of 2 instances" in by_check(ran)["reservation room"]["message"]
    assert "ReservationCapacityExceeded" in by_check(ran)["dry run"]["message"]
    assert "(other)" in by_check(ran)["reservation use"]["message"]


def test_this_stacks_own_nodes_are_no_hindrance_to_it(project: Project, aws: LocalAws) -> None:
    block = project.buy_block()
    project.environment("prod", **block)
    aws.advance(timedelta(hours=2))
    nodes = {
        node: project.launch(
            "p5.48xlarge",
            block["capacity_reservation_id"],
            block["availability_zone"],
            name=f"nixl-efa-prod-{node}",
        )
        for node in ("producer", "consumer")
    }
    project.terraform(**nodes)
    ran = project.run("check", "prod", "--json")
    assert ran.code == 0, ran
    assert "2 of them held by this stack" in by_check(ran)["reservation room"]["message"]


def test_a_node_that_ended_a_moment_ago_is_waited_for_and_a_block_at_its_end_is_one_failure(
    project: Project, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = project.buy_block()
    project.environment("prod", **block)
    aws.advance(timedelta(hours=2))
    wanted = (block["capacity_reservation_id"], block["availability_zone"])
    producer = project.launch("p5.48xlarge", *wanted, name="nixl-efa-prod-producer")
    project.terraform(consumer=project.launch("p5.48xlarge", *wanted, name="nixl-efa-prod-consumer"))
    ec2 = boto3.client("ec2", REGION)
    ec2.terminate_instances(InstanceIds=[producer])
    ran = project.run("check", "prod", "--json")
    assert ran.code == 0, ran
    for check in ("reservation room", "dry run"):
        found = by_check(ran)[check]
        assert (found["level"], "`nixl-efa deploy prod`" in found["remedy"]) == ("WARN", True)
    # The slot is free again.
    aws.advance(timedelta(minutes=6))
    assert by_check(project.run("check", "prod", "--json"))["reservation room"]["level"] == "PASS"
    (one,) = ec2.describe_capacity_reservations()["CapacityReservations"]
    aws.advance(one["EndDate"] - timedelta(minutes=29) - aws.clock.now())
    ran = project.run("check", "prod", "--json")
    assert ran.code == 1
    # The consumer has ended with its block, and the state still has it.
    failing = [each["check"] for each in json.loads(ran.out)["findings"] if each["level"] == "FAIL"]
    assert failing == ["state", "reservation time"]
    assert "End other instances" not in ran.out


def test_a_parameter_that_leaves_running_nodes_behind_stops_check_and_deploy(
    project: Project, aws: LocalAws
) -> None:
    current = project.buy_block()
    aws.advance(timedelta(hours=2))
    for node in ("producer", "consumer"):
        project.launch(
            "p5.48xlarge",
            current["capacity_reservation_id"],
            current["availability_zone"],
            name=f"nixl-efa-prod-{node}",
        )
    following = project.buy_block()
    boto3.client("ssm", REGION).put_parameter(
        Name="/team/block", Value=following["capacity_reservation_id"], Type="String"
    )
    project.environment("prod", use_capacity_block=True, capacity_reservation_parameter="/team/block")
    ran = project.run("check", "prod", "--json")
    found = by_check(ran)["reservation switch"]
    assert (ran.code, found["level"]) == (1, "FAIL")
    assert f"2 nodes run in {current['capacity_reservation_id']} (until " in found["message"]
    assert f"capacity save {current['capacity_reservation_id']} --env prod" in found["remedy"]
    assert project.run("deploy", "prod").code == 1
    assert not (project.folder / "cdktf.log").exists()


def test_a_reservation_of_another_region_is_found_there(project: Project) -> None:
    block = project.buy_block("us-west-2")
    project.environment("prod", **{**block, "availability_zone": "us-east-2a"})
    ran = project.run("check", "prod", "--json")
    found = by_check(ran)["reservation"]
    assert ran.code == 1
    assert "is not in us-east-2; it is in us-west-2 (p5.48xlarge" in found["message"]
    assert "--region us-west-2" in found["command"]


def test_a_region_that_does_not_answer_is_named(project: Project, aws: LocalAws) -> None:
    project.environment("prod", use_capacity_block=True, capacity_reservation_id="cr-0123456789abcdef0")
    aws.faults.add(action="DescribeRegions", code="UnauthorizedOperation")
    ran = project.run("check", "prod", "--json")
    assert (
        "could not be asked (no permission: ec2:DescribeRegions)" in by_check(ran)["reservation"]["message"]
    )


def test_what_parameter_store_holds_is_what_is_checked(project: Project, aws: LocalAws) -> None:
    block = project.buy_block()
    ssm = boto3.client("ssm", REGION)
    project.environment(
        "prod",
        use_capacity_block=True,
        capacity_reservation_parameter="/block",
        availability_zone_parameter="/zone",
    )
    ran = project.run("check", "prod", "--json")
    assert (
        "The parameter /block (capacity_reservation_parameter) does not exist"
        in by_check(ran)["reservation"]["message"]
    )
    assert by_check(ran)["zone"]["level"] == "FAIL"
    assert by_check(ran)["dry run"]["level"] == "SKIP"
    ssm.put_parameter(Name="/block", Value=block["capacity_reservation_id"], Type="String")
    ssm.put_parameter(Name="/zone", Value=block["availability_zone"], Type="String")
    aws.advance(timedelta(hours=2))
    ran = project.run("check", "prod", "--json")
    assert ran.code == 0, ran


def test_an_error_of_aws_fails_its_check_alone(project: Project, aws: LocalAws) -> None:
    aws.faults.add(action="DescribeVpcs", code="InternalError", times=None)
    ran = project.run("check", "dev", "--json")
    levels = {name: found["level"] for name, found in by_check(ran).items()}
    assert (ran.code, levels.pop("vpc")) == (1, "FAIL")
    assert "FAIL" not in levels.values()


@pytest.mark.parametrize(("account_id", "level"), [("123456789012", "PASS"), ("999999999999", "FAIL")])
def test_the_account_is_the_one_that_the_settings_name(project: Project, account_id: str, level: str) -> None:
    project.environment("dev", instance_type="g7e.8xlarge", account_id=account_id)
    ran = project.run("check", "dev", "--json")
    assert (ran.code, by_check(ran)["account"]["level"]) == (level == "FAIL", level)


def test_another_account_is_named_with_the_setting_and_the_way_out(project: Project) -> None:
    project.environment("dev", instance_type="g7e.8xlarge", account_id="999999999999")
    found = by_check(project.run("check", "dev", "--json"))["account"]
    assert found["message"].startswith("The credentials are of account 123456789012, as arn:aws:")
    assert found["message"].endswith("but account_id is 999999999999 (environments/dev.toml: account_id).")
    assert "--profile" in found["remedy"]
    assert found["command"].startswith("aws sts get-caller-identity")


def test_without_credentials_there_is_one_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    ran = project.run("check", "dev", "--json")
    failed = [each["check"] for each in json.loads(ran.out)["findings"] if each["level"] == "FAIL"]
    assert (ran.code, failed) == (1, ["credentials"])
    assert "there are no AWS credentials" in by_check(ran)["credentials"]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nowhere"), '"nowhere"'),
        (("check", "broken"), "instance_type"),
        (("check", "dev", "--min-hours", "-1"), "--min-hours"),
        (("check",), "ENV"),
        (("deploy", "broken"), "instance_type"),
    ],
)
def test_bad_input_ends_with_2_and_says_why(project: Project, arguments: tuple[str, ...], words: str) -> None:
    (project.folder / "environments/broken.toml").write_text("instance_type = 5\n", encoding="utf-8")
    ran = project.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_nothing_is_changed_by_a_check(project: Project, aws: LocalAws) -> None:
    aws.calls.clear()
    project.run("check", "dev")
    reads = ("Describe", "Get", "Simulate")
    assert [name for name in aws.calls.actions() if not name.startswith(reads)] == ["RunInstances"]
    assert not boto3.client("ec2", REGION).describe_instances()["Reservations"]


def test_a_folder_that_is_no_project_is_bad_input(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty: Path = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(empty)
    ran = project.run("check", "dev")
    assert ran.code == 2
    assert "environments" in ran.err
