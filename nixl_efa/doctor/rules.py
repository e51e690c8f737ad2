"""From what was found out to findings: what is in order, what is missing, and how to get it on this system. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from nixl_efa.account import account_finding
from nixl_efa.checks.facts import Facts as FactsOfALaunch
from nixl_efa.checks.facts import NoAnswer
from nixl_efa.checks.machine_facts import Tool
from nixl_efa.checks.rules.common import no_answer
from nixl_efa.checks.rules.machine import present, programs
from nixl_efa.checks.rules.permissions import permissions
from nixl_efa.checks.rules.provider import in_order
from nixl_efa.doctor.facts import Credentials, Disk, Facts
from nixl_efa.doctor.how_to_get import how_to_get
from nixl_efa.findings import Finding, Level, failed, listed, passed, skipped, warned

# Terraform's AWS provider, unpacked, and what a synthesis and a plan write beside it.
LEAST_GIB = 1.0
# A deployment waits for a block's slot and for the nodes' boot; less is told.
LEAST_HOUR = timedelta(hours=1)
# botocore's names of what gives credentials (botocore.credentials, METHOD), in a user's words; those that are renewed.
_SOURCES = {
    "env": "environment variables",
    "shared-credentials-file": "the credentials file",
    "config-file": "the config file",
    "sso": "IAM Identity Center",
    "login": "aws login",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity",
    "container-role": "the container",
    "iam-role": "this instance's role",
    "custom-process": "credential_process",
}
_NOT_RENEWED = {"env", "shared-credentials-file", "config-file"}


def judge(facts: Facts, now: datetime) -> list[Finding]:
    """Every row, in the order in which a newcomer meets it."""
    return [
        _python(facts),
        _packages(facts),
        *(_with_the_way(finding, facts) for finding in programs(facts.machine)),
        _provider(facts),
        _for_some("AWS CLI", facts.aws_cli, "the commands by hand and in remedies need it", facts),
        _for_some("session plugin", facts.plugin, "connect, forward and ssh-config need it", facts),
        *map(_disk, facts.disks),
        _project(facts),
        *_identity(facts, now),
    ]


def _python(facts: Facts) -> Finding:
    told = f"Python {facts.python.version} ({facts.python.path})"
    if not facts.other_python:
        return passed("python", f"{told}.")
    return warned(
        "python",
        f"{told}; cdktf.json's app runs {facts.other_python}, where the package may be missing.",
        "Activate the virtual environment of this one before cdktf and nixl-efa are run.",
    )


def _packages(facts: Facts) -> Finding:
    name = facts.machine.cdk.name
    told = ", ".join(f"{package} {version}" for package, version in facts.packages.items())
    if name in facts.packages:
        return passed("packages", f"{told}.")
    return warned(
        "packages",
        f"{told}; {name} is not installed for this Python, so the Python of cdktf.json's app must have it.",
        f"Run `make install` in a checkout, or install the package with its extra {name} (docs/package.md).",
    )


def _with_the_way(finding: Finding, facts: Facts) -> Finding:
    """What is said of a program, with how to get it here where it is not there or too old."""
    if finding.level is not Level.FAIL or (finding.check == "node" and facts.machine.cdk_fails):
        return finding
    program = "tofu" if facts.machine.terraform.name.endswith("tofu") else finding.check
    way = how_to_get(program, facts.system) if finding.check in ("node", "terraform") else ""
    return replace(finding, remedy=f"{finding.remedy} {way}".strip())


def _provider(facts: Facts) -> Finding:
    if facts.missing_config:
        return warned(
            "provider",
            f"TF_CLI_CONFIG_FILE names {facts.missing_config}, which is not there: Terraform warns at each run, and "
            "takes providers from its registry.",
            "Unset it, or write the file.",
        )
    seen = facts.provider
    if seen is not None and seen.fault is not None:
        return seen.fault
    source = f"by {facts.terraform_config}" if facts.terraform_config else "from Terraform's registry"
    told = in_order(seen) if seen is not None else "Each environment locks its own."
    return passed("provider", f"{told} Providers come {source}.")


def _for_some(check: str, tool: Tool, need: str, facts: Facts) -> Finding:
    """A program that not every command needs. need: which ones do, as a clause."""
    if tool.path:
        return present(check, tool, f"{tool.name} --version")
    way = how_to_get(tool.name, facts.system)
    return warned(check, f"{tool.name} is not installed; {need}.", f"Install it: {way}")


def _disk(disk: Disk) -> Finding:
    if not disk.writable:
        return failed("disk", f"{disk.folder} can't be written.", "Give this user the folder.")
    told = f"{disk.free_gib:.1f} GiB free in {disk.folder}"
    if disk.free_gib < LEAST_GIB:
        return failed(
            "disk",
            f"{told}: Terraform's AWS provider alone takes 0.7.",
            "Make room, or work on another disk.",
        )
    return passed("disk", f"{told}.")


def _project(facts: Facts) -> Finding:
    check, project = "project", facts.project
    if not project.folder:
        message = "There is no project here or above: a folder with cdktf.json and environments/."
        return warned(
            check, message, "Run `nixl-efa init`, or name one with `nixl-efa --project DIR doctor`."
        )
    if project.faults:
        first, *others = project.faults
        more = f" ({len(others)} more)" if others else ""
        return failed(check, f"{first.message}{more}", first.remedy)
    return passed(check, f"{project.folder}: {listed(project.environments)}.")


def _identity(facts: Facts, now: datetime) -> Iterator[Finding]:
    credentials, account, region = facts.credentials, facts.account, facts.region
    if isinstance(credentials, NoAnswer):
        yield no_answer("credentials", credentials)
    elif credentials is None:
        yield failed(
            "credentials",
            "There are no AWS credentials.",
            "Run `aws configure` or `aws sso login`, set AWS_PROFILE, or give --profile.",
        )
    else:
        yield _credentials(credentials, now)
    if not region.name and not facts.project.region:
        yield failed(
            "region",
            "No region is chosen.",
            "Set `region` in the environment's file, or AWS_REGION, or a region in the profile.",
        )
    if account is None:
        return
    if isinstance(account, NoAnswer):
        yield no_answer("account", account)
        return
    at = f", asked at {account.endpoint} instead of AWS" if account.endpoint else ""
    yield passed("account", f"{account.text()}{at}.", "aws sts get-caller-identity")
    if facts.launch is not None and (found := account_finding(facts.launch, account)) is not None:
        yield found
    if region.name:
        yield _region(facts)
    if facts.launch is None or facts.permissions is None:
        yield skipped(
            "permissions",
            "Not checked: what a deployment does depends on its environment.",
            "Run `nixl-efa doctor ENV`." if facts.project.environments else "",
        )
    else:
        yield permissions(facts.launch, FactsOfALaunch(account=account, permissions=facts.permissions))


def _credentials(found: Credentials, now: datetime) -> Finding:
    words = _SOURCES.get(found.source, found.source)
    told = f"Profile {found.profile}, by {words}" if found.profile else f"By {words}"
    if found.expires is None:
        return passed("credentials", f"{told}.")
    until = f"{told}, until {found.expires:%Y-%m-%d %H:%M} UTC"
    if found.source not in _NOT_RENEWED:
        return passed("credentials", f"{until}; renewed automatically while the login is valid.")
    if found.expires - now < LEAST_HOUR:
        minutes = max(0, int((found.expires - now).total_seconds() // 60))
        return warned(
            "credentials",
            f"{until}, in {minutes} min: a deployment may take longer.",
            "Renew them before you begin.",
        )
    return passed("credentials", f"{until}.")


def _region(facts: Facts) -> Finding:
    region, check = facts.region, "region"
    by_hand = f"aws ec2 describe-regions --all-regions --region-names {region.name}"
    if isinstance(region.status, NoAnswer):
        return no_answer(check, region.status, by_hand)
    if region.status == "not-opted-in":
        return failed(
            check,
            f"{region.name} ({region.by}) is not enabled for this account.",
            f"Have it enabled (`aws account enable-region --region-name {region.name}`), or choose another.",
            by_hand,
        )
    return passed(check, f"{region.name} ({region.by}).", by_hand)
