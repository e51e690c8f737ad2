"""From what was found out to the screen: each thing that may be missing, and how to get it on each system."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.account import Account
from nixl_efa.checks.facts import NoAnswer, Simulated
from nixl_efa.checks.machine_facts import Tool
from nixl_efa.checks.rendering import lines
from nixl_efa.doctor.facts import Credentials, Disk, Facts, Project, Region, System
from nixl_efa.doctor.gather import system
from nixl_efa.doctor.how_to_get import PLUGIN_GUIDE, how_to_get
from nixl_efa.doctor.rules import judge
from nixl_efa.findings import Finding, Level, failed
from nixl_efa.launch import launch_of
from nixl_efa.provider_lock import Lock, Seen
from tests.checks.in_order import MACHINE
from tests.synthesis import settings_of

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
ACCOUNT = Account("123456789012", "arn:aws:sts::123456789012:assumed-role/deploy/me", "acme-ml")
DEBIAN, MACOS = System("debian"), System("macos", arm=True)
FACTS = Facts(
    system=DEBIAN,
    python=Tool("python", "3.12.4", "/home/me/pair/.venv/bin/python"),
    packages={"nixl-efa": "1.0.0", "cdktf": "0.21.0", "boto3": "1.44.5"},
    machine=MACHINE,
    aws_cli=Tool("aws", "2.31.1", "/usr/local/bin/aws"),
    plugin=Tool("session-manager-plugin", "1.2.707.0", "/usr/local/bin/session-manager-plugin"),
    disks=(Disk("/home/me/pair", 120.4),),
    project=Project("/home/me/pair", ("dev", "prod"), region="us-east-2"),
    region=Region("us-east-2", "environments/dev.toml: region", "opt-in-not-required"),
    credentials=Credentials("sso", "team", NOW + timedelta(minutes=20)),
    account=ACCOUNT,
    launch=launch_of(settings_of("dev")),
    provider=Seen(">= 5.100.0, < 7.0.0"),
    permissions=(Simulated("iam:PassRole", "arn:aws:iam::123456789012:role/x", "allowed"),),
)


def found(check: str, **changes: Any) -> Finding:
    return next(one for one in judge(replace(FACTS, **changes), NOW) if one.check == check)


def test_a_machine_on_which_nothing_is_missing_fits_on_a_screen() -> None:
    findings = judge(FACTS, NOW)
    assert [one.level for one in findings] == [Level.PASS] * 14
    told = [line for one in findings for line in lines(replace(one, command=""), 80, str)]
    assert len(told) <= 23
    assert max(map(len, told)) <= 80


ABSENT = Tool("node", "", "")
DENIED = NoAnswer("ec2:DescribeRegions", "denied", denied=True)


@pytest.mark.parametrize(
    ("check", "changes", "level", "words"),
    [
        (
            "python",
            {"other_python": "/usr/bin/python"},
            "WARN",
            "cdktf.json's app runs /usr/bin/python, where",
        ),
        ("packages", {"packages": {"nixl-efa": "1.0.0"}}, "WARN", "cdktf is not installed for this Python"),
        ("node", {"machine": replace(MACHINE, node=ABSENT)}, "FAIL", "20.9 or newer. https://nodejs.org/"),
        (
            "node",
            {"machine": replace(MACHINE, node=ABSENT), "system": MACOS},
            "FAIL",
            "`brew install node@22`",
        ),
        (
            "node",
            {"machine": replace(MACHINE, cdk_fails="no ABI"), "system": MACOS},
            "FAIL",
            "Use Node.js 20",
        ),
        (
            "terraform",
            {"machine": replace(MACHINE, terraform=Tool("terraform", "", "")), "system": MACOS},
            "FAIL",
            "`brew install hashicorp/tap/terraform`",
        ),
        (
            "terraform",
            {"machine": replace(MACHINE, terraform=Tool("tofu", "", ""))},
            "FAIL",
            "https://opentofu.org/",
        ),
        (
            "provider",
            {"missing_config": "/home/me/.terraformrc"},
            "WARN",
            "names /home/me/.terraformrc, which is not",
        ),
        (
            "provider",
            {"terraform_config": "/etc/terraform.rc"},
            "PASS",
            "Providers come by /etc/terraform.rc.",
        ),
        (
            "provider",
            {"provider": Seen("", Lock(Path("environments/dev.lock.hcl"), "", "6.25.0"))},
            "PASS",
            "AWS provider 6.25.0, by environments/dev.lock.hcl. Providers come from Terraform's registry.",
        ),
        ("provider", {"provider": Seen("", fault=failed("provider", "Left out.", "x"))}, "FAIL", "Left out."),
        ("provider", {"provider": None}, "PASS", "Each environment locks its own."),
        (
            "node",
            {"machine": replace(MACHINE, node=Tool("node", "", "/usr/bin/node"), cdk_fails="no")},
            "WARN",
            "/usr/bin/node is installed, but does not print its version. Run `node --version`",
        ),
        ("session plugin", {"plugin": ABSENT}, "WARN", "connect, forward and ssh-config need it"),
        (
            "session plugin",
            {"plugin": replace(FACTS.plugin, version="")},
            "WARN",
            "is installed, but does not print its version. Run `session-manager-plugin --version`",
        ),
        (
            "AWS CLI",
            {"aws_cli": Tool("aws", "", "")},
            "WARN",
            "aws is not installed; the commands by hand and in remedies need it. "
            "Install it: https://docs.aws.amazon.com/cli/",
        ),
        (
            "AWS CLI",
            {"aws_cli": Tool("aws", "", ""), "system": MACOS},
            "WARN",
            "`brew install awscli`",
        ),
        ("disk", {"disks": (Disk("/x", 0.4),)}, "FAIL", "0.4 GiB free in /x: Terraform's AWS provider alone"),
        ("disk", {"disks": (Disk("/x", 9, writable=False),)}, "FAIL", "/x can't be written."),
        ("project", {"project": Project()}, "WARN", "Run `nixl-efa init`"),
        (
            "project",
            {"project": Project("/p", ("a",), (failed("a", "One.", "Do."), failed("b", "Two.", "")))},
            "FAIL",
            "One. (1 more) Do.",
        ),
        ("credentials", {"credentials": None, "account": None}, "FAIL", "There are no AWS credentials."),
        (
            "credentials",
            {"credentials": NoAnswer("sts:AssumeRole", "the AWS login has ended"), "account": None},
            "FAIL",
            "the AWS login has ended",
        ),
        (
            "credentials",
            {},
            "PASS",
            "Profile team, by IAM Identity Center, until 2026-12-01 08:20 UTC; renewed",
        ),
        ("credentials", {"credentials": Credentials("env")}, "PASS", "By environment variables."),
        (
            "credentials",
            {"credentials": Credentials("env", expires=NOW + timedelta(minutes=59, seconds=59))},
            "WARN",
            "in 59 min: a deployment may take longer.",
        ),
        (
            "credentials",
            {"credentials": Credentials("env", expires=NOW - timedelta(minutes=5))},
            "WARN",
            "in 0 min: a deployment may take longer.",
        ),
        (
            "credentials",
            {"credentials": Credentials("env", expires=NOW + timedelta(hours=1))},
            "PASS",
            "until 2026-12-01 09:00 UTC.",
        ),
        ("credentials", {"credentials": Credentials("newer-way")}, "PASS", "By newer-way."),
        (
            "account",
            {},
            "PASS",
            "123456789012 (acme-ml), as arn:aws:sts::123456789012:assumed-role/deploy/me.",
        ),
        (
            "account",
            {"account": replace(ACCOUNT, endpoint="http://127.0.0.1:5000")},
            "PASS",
            "asked at http://127.0.0.1:5000 instead of AWS.",
        ),
        (
            "account",
            {"account": NoAnswer("sts:GetCallerIdentity", "expired")},
            "FAIL",
            "The check failed: expired.",
        ),
        (
            "region",
            {"region": Region("", "the profile"), "project": Project()},
            "FAIL",
            "No region is chosen.",
        ),
        (
            "region",
            {"region": Region("ap-east-1", "AWS_REGION", "not-opted-in")},
            "FAIL",
            "is not enabled for",
        ),
        (
            "region",
            {"region": Region("us-east-2", "AWS_REGION", DENIED)},
            "SKIP",
            "ec2:DescribeRegions is not",
        ),
        ("permissions", {"launch": None, "permissions": None}, "SKIP", "Run `nixl-efa doctor ENV`."),
        (
            "permissions",
            {"permissions": (Simulated("iam:PassRole", "x", "implicitDeny"),)},
            "FAIL",
            "may not do iam:PassRole",
        ),
        (
            "permissions",
            {"permissions": NoAnswer("iam:SimulatePrincipalPolicy", "", denied=True)},
            "SKIP",
            "by hand",
        ),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(
    check: str, changes: dict[str, Any], level: str, words: str
) -> None:
    finding = found(check, **changes)
    assert finding.level.value == level
    assert words in finding.line()


def test_how_to_get_a_node_is_not_told_where_the_one_that_is_there_does_not_fit() -> None:
    remedy = found("node", machine=replace(MACHINE, cdk_fails="no ABI"), system=MACOS).remedy
    assert "brew" not in remedy


def test_another_account_than_the_settings_name_is_a_fault() -> None:
    settings = settings_of("dev", account_id="999999999999")
    told = judge(replace(FACTS, launch=launch_of(settings)), NOW)
    assert [one.level.value for one in told if one.check == "account"] == ["PASS", "FAIL"]


def test_of_who_has_no_credentials_nothing_is_said_that_they_would_show() -> None:
    checks = [one.check for one in judge(replace(FACTS, credentials=None, account=None), NOW)]
    assert checks[-1] == "credentials"


def test_with_environments_of_several_regions_none_needs_to_be_chosen() -> None:
    told = judge(replace(FACTS, region=Region("", "the profile"), launch=None, permissions=None), NOW)
    assert "region" not in {one.check for one in told}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ("ID=pop\nID_LIKE='ubuntu debian'\n".replace("'", '"'), "debian"),
        ('ID="amzn"\nID_LIKE="fedora"\n', "rpm"),
        ('ID=rocky\nID_LIKE="rhel centos fedora"\n', "rpm"),
        ("ID=arch\n", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_linux_is_known_by_its_release_file(text: str | None, family: str, tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert system(file).family == family


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (MACOS, "brew install --cask session-manager-plugin"),
        (DEBIAN, "ubuntu_64bit/session-manager-plugin.deb && sudo dpkg -i session-manager-plugin.deb"),
        (System("debian", arm=True), "ubuntu_arm64/session-manager-plugin.deb"),
        (System("rpm"), "sudo dnf install -y https://s3.amazonaws.com/"),
        (System("rpm", arm=True), "linux_arm64/session-manager-plugin.rpm"),
        (System(""), PLUGIN_GUIDE),
    ],
)
def test_the_plugin_is_installed_by_each_systems_own_way(system: System, words: str) -> None:
    assert words in how_to_get("session-manager-plugin", system)
