"""What the dry run does with an answer that may pass, and with one that does not."""

import pytest

from local_aws import LocalAws
from tests.checks.local_project import Project


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "InsufficientVolumeCapacity"])
def test_no_capacity_is_asked_for_once(project: Project, aws: LocalAws, code: str) -> None:
    aws.faults.add("RunInstances", code=code, times=None)
    ran = project.run("check", "dev")
    assert ran.code == 1
    assert f"{code}: Asked for by a test." in ran.out
    assert aws.calls.actions().count("RunInstances") == 1


@pytest.mark.parametrize("code", ["InternalError", "RequestLimitExceeded"])
def test_what_may_pass_is_asked_again(project: Project, aws: LocalAws, code: str) -> None:
    aws.faults.add("RunInstances", code=code, times=2)
    ran = project.run("check", "dev")
    assert "EC2 would accept this launch" in ran.out
    assert aws.calls.actions().count("RunInstances") == 3


def test_a_lost_answer_is_asked_for_again(project: Project, aws: LocalAws) -> None:
    aws.faults.add("RunInstances", lose_answer=True)
    assert "EC2 would accept this launch" in project.run("check", "dev").out


def test_a_denial_of_the_organization_is_told_with_aws_words_and_no_role_as_cure(
    project: Project, aws: LocalAws
) -> None:
    words = "with an explicit deny in a service control policy"
    user = (
        "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/a/b"
    )
    for action in ("RunInstances", "DescribeAddresses", "DescribeRouteTables"):
        message = f"{user} is not authorized to perform: ec2:{action} {words}"
        aws.faults.add(action, code="UnauthorizedOperation", message=message, times=None)
    ran = project.run("check", "dev")
    said = " ".join(ran.out.split())
    assert said.count(words) >= 2
    assert "ec2:RunInstances is denied by a service control policy of the organization" in said
    assert "No permission added to your role helps" in said
    assert "Have ec2:RunInstances added" not in said
    assert "Have ec2:DescribeAddresses added" not in said
