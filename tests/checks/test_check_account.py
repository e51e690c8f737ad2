"""What the account sets and allows: the key and the quota of volumes, Allowed AMIs, permissions, the role of Spot."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.account import Account
from nixl_efa.checks.facts import Profile, Quota, Simulated, VolumeKey
from nixl_efa.checks.permissions import CREATE_SPOT_ROLE, wanted
from nixl_efa.findings import Level
from tests.checks.in_order import (
    ACCOUNT,
    BLOCK_FACTS,
    BLOCK_LAUNCH,
    BROKEN,
    DEMAND_FACTS,
    DEMAND_LAUNCH,
    DENIED,
    IMAGE,
    NOW,
    instance,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding

KEY = f"arn:aws:kms:us-east-2:{ACCOUNT}:key/1"
FOREIGN = "arn:aws:kms:us-east-2:999999999999:key/1"


@pytest.mark.parametrize(
    ("key", "level", "words"),
    [
        (VolumeKey("alias/aws/ebs"), PASS, "AWS's own key"),
        (VolumeKey(KEY, ACCOUNT, "Enabled"), PASS, "which is enabled"),
        (
            VolumeKey(KEY, ACCOUNT, "Disabled"),
            FAIL,
            "is Disabled: EC2 accepts the launch, and its instances end",
        ),
        (VolumeKey(KEY, ACCOUNT, "Disabled"), FAIL, "aws kms enable-key"),
        (VolumeKey(KEY, ACCOUNT, "PendingDeletion"), FAIL, "aws kms cancel-key-deletion"),
        (VolumeKey(KEY, ACCOUNT, "PendingImport"), FAIL, "Choose another key for EBS"),
        (VolumeKey(KEY, ACCOUNT, "gone"), FAIL, "is not there"),
        (VolumeKey("alias/mine", "", "gone"), FAIL, "is not there"),
        (VolumeKey(FOREIGN, "999999999999", "Enabled"), WARN, "is of account 999999999999"),
        (VolumeKey(FOREIGN, "999999999999", ""), WARN, "kms:CreateGrant"),
        (VolumeKey(FOREIGN, "999999999999", "Disabled"), FAIL, "is Disabled"),
        (DENIED, SKIP, "ec2:Something"),
        (BROKEN, FAIL, "InternalError"),
    ],
)
def test_the_key_of_the_volumes(key: Any, level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "volume key", {}, {"volume_key": key}), level, words)


@pytest.mark.parametrize(
    ("key", "level", "words"),
    [
        (VolumeKey(KEY, ACCOUNT, "Enabled"), PASS, f"encrypted with {KEY}, which is enabled"),
        (
            VolumeKey(KEY, ACCOUNT, "Disabled"),
            FAIL,
            f"The key of the volumes (kms_key_id), {KEY}, is Disabled",
        ),
        (VolumeKey(KEY, ACCOUNT, "gone"), FAIL, "Set kms_key_id to another key"),
        (VolumeKey(KEY, ACCOUNT, "no key for EBS (HMAC_256)"), FAIL, "is no key for EBS (HMAC_256)"),
        (VolumeKey(FOREIGN, "999999999999", ""), WARN, "or set kms_key_id to another key"),
        (DENIED, SKIP, "ec2:Something"),
    ],
)
def test_the_key_that_the_settings_name(key: Any, level: Level, words: str) -> None:
    launch = {"volume": replace(BLOCK_LAUNCH.volume, kms_key_id=KEY)}
    found = finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "volume key", launch, {"volume_key": key})
    assert_says(found, level, words)
    assert "default-kms-key-id" not in found.line() + found.command


OWN = (instance(id="i-1", own=True), instance(id="i-2", own=True))


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({"volumes_gib": 49_200}, PASS, "49200 of 51200 GiB in use; the pair takes 2000 more"),
        ({"volumes_gib": 49_201}, FAIL, "Client.VolumeLimitExceeded"),
        ({"volumes_gib": 51_000, "running": OWN}, PASS, "the pair takes 0 more"),
        ({"volumes_gib": 51_000, "running": OWN[:1]}, FAIL, "the pair takes 1000 more"),
        ({"volume_quota": Quota("L-7A658B76", "gp3", 1.0)}, FAIL, "0 of 1024 GiB"),
        ({"volume_quota": None}, SKIP, "knows no quota L-7A658B76"),
        ({"volume_quota": DENIED}, SKIP, "ec2:Something"),
        ({"volumes_gib": DENIED}, SKIP, "ec2:Something"),
    ],
)
def test_the_quota_of_volumes(facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "volume quota", {}, facts), level, words)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({}, PASS, "(disabled) allow it"),
        ({"allowed_images": "enabled"}, PASS, "(enabled) allow it"),
        ({"allowed_images": "enabled", "image": None}, FAIL, "may be why EC2 does not show ami-1"),
        ({"allowed_images": "enabled", "image": replace(IMAGE, allowed=False)}, FAIL, "do not allow ami-1"),
        (
            {"allowed_images": "audit-mode", "image": replace(IMAGE, allowed=False)},
            WARN,
            "once they are enabled",
        ),
        ({"allowed_images": DENIED}, SKIP, "ec2:Something"),
    ],
)
def test_allowed_images(facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "allowed images", {}, facts), level, words)


def simulated(decision: str, *missing: str, action: str = "iam:PassRole") -> dict[str, Any]:
    """The facts with one action beside one that is allowed."""
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    fine = Simulated("iam:CreateRole", role, "allowed")
    return {"permissions": (fine, Simulated(action, role, decision, missing))}


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (simulated("allowed"), PASS, "allows the 2 further actions"),
        (simulated("allowed"), PASS, "service control policies and session policies may still deny"),
        (simulated("implicitDeny"), FAIL, "may not do iam:PassRole"),
        (simulated("explicitDeny"), FAIL, "denies some of them explicitly"),
        (simulated("implicitDeny", "aws:SourceIp"), WARN, "depends on aws:SourceIp"),
        ({**simulated("implicitDeny"), "running": OWN}, WARN, "already exists"),
        ({"permissions": ()}, SKIP, "these credentials are neither"),
        ({"permissions": (), "account": BROKEN}, SKIP, "it is not known to whom the credentials belong"),
        ({"permissions": replace(DENIED, permission="iam:GetRole")}, SKIP, "iam:GetRole is not allowed"),
        (
            {"permissions": DENIED},
            SKIP,
            "iam:PassRole, iam:CreateRole, s3:CreateBucket and others were not looked at",
        ),
        ({"permissions": BROKEN}, FAIL, "InternalError"),
    ],
)
def test_the_permissions(facts: dict[str, Any], level: Level, words: str) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "permissions", {}, facts), level, words)


ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/nodes"
TEAMS = Profile("team", ROLE)


@pytest.mark.parametrize(
    ("profile", "allowed", "level", "words"),
    [
        (TEAMS, "allowed", PASS, f"{ROLE}, the role of team (instance_profile), allows what the nodes need"),
        (TEAMS, "implicitDeny", WARN, "does not allow ssm:UpdateInstanceInformation, by IAM's simulation"),
        (None, "", FAIL, "is not in the account"),
        (Profile("team"), "", FAIL, "has no role"),
        (replace(TEAMS, for_ec2=False), "allowed", FAIL, "which EC2 may not assume"),
        (DENIED, "", SKIP, "ec2:Something"),
        (TEAMS, DENIED, SKIP, "was not checked: see docs/settings.md"),
        # Where it is not known whose the credentials are, nothing is simulated.
        (TEAMS, None, SKIP, "it is not known to whom"),
    ],
)
def test_the_role_of_a_profile_of_the_users(profile: Any, allowed: Any, level: Level, words: str) -> None:
    answer = allowed
    if allowed is None:
        answer = ()
    if isinstance(allowed, str):
        answer = (Simulated("ssm:UpdateInstanceInformation", "*", allowed),)
    facts = {"profile": profile, "profile_permissions": answer}
    launch = {"instance_profile": "team"}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "instance profile", launch, facts), level, words)


def test_with_a_profile_of_the_users_nobody_needs_to_make_a_role() -> None:
    account, bounded = (
        Account(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann"),
        f"arn:aws:iam::{ACCOUNT}:policy/b",
    )
    own = wanted(replace(BLOCK_LAUNCH, instance_profile="team"), account, ROLE)
    assert [one.resource for one in own if "iam:PassRole" in one.actions] == [ROLE]
    assert {one for each in own for one in each.actions if one.startswith("iam:")} == {"iam:PassRole"}
    unseen = wanted(replace(BLOCK_LAUNCH, instance_profile="team"), account)
    assert not [one for each in unseen for one in each.actions if one.startswith("iam:")]
    # What accounts that ask for a boundary have as the condition of iam:CreateRole.
    made = wanted(replace(BLOCK_LAUNCH, permissions_boundary=bounded), account)[0]
    assert made.context["iam:PermissionsBoundary"] == bounded


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({"spot_role": True}, PASS, "is there"),
        ({"spot_role": False, **simulated("allowed", action=CREATE_SPOT_ROLE)}, PASS, "may do"),
        (
            {"spot_role": False, **simulated("implicitDeny", action=CREATE_SPOT_ROLE)},
            FAIL,
            "would refuse Spot",
        ),
        (
            {"spot_role": False, **simulated("implicitDeny", action=CREATE_SPOT_ROLE)},
            FAIL,
            "spot.amazonaws.com",
        ),
        ({"spot_role": False, "permissions": DENIED}, WARN, "which was not checked"),
        ({"spot_role": DENIED}, SKIP, "ec2:Something"),
    ],
)
def test_the_role_of_spot(facts: dict[str, Any], level: Level, words: str) -> None:
    launch = {"market": "spot"}
    assert_says(finding(DEMAND_LAUNCH, DEMAND_FACTS, NOW, "spot role", launch, facts), level, words)


def test_what_a_deployment_needs_follows_from_the_launch() -> None:
    account = Account(ACCOUNT, f"arn:aws-us-gov:iam::{ACCOUNT}:user/ann")
    full = {one.resource for one in wanted(replace(DEMAND_LAUNCH, market="spot"), account)}
    assert f"arn:aws-us-gov:iam::{ACCOUNT}:role/nixl-efa-prod-us-east-2" in full
    without = {"elastic_ip": False, "security_group_id": "sg-1", "placement_group": False}
    less = {one.resource for one in wanted(replace(DEMAND_LAUNCH, **without), account)}  # type: ignore[arg-type]
    assert {resource.split(":")[5].partition("/")[0] for resource in full - less} == {
        "security-group",
        "elastic-ip",
        "placement-group",
        "role",
    }
