"""What every rule needs: what a question without an answer means, and AWS CLI calls to look by hand."""

from __future__ import annotations

from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.findings import Finding, aws_call, failed, skipped
from nixl_efa.launch import Launch


def no_answer(check: str, answer: NoAnswer, command: str = "") -> Finding:
    """What a question without an answer means: SKIP without the permission (or after a fault that is shown by
    itself), FAIL for any other error, since a launch on a guess is what a check is there to prevent."""
    if answer.denied:
        return skipped(
            check,
            f"No permission to look: {answer.cause or f'{answer.permission} is not allowed'}.",
            answer.remedy
            or f"Ask for {answer.permission} to be added to your role, or check with another profile.",
            command,
        )
    if answer.told_elsewhere:
        return skipped(check, f"Not checked: {answer.reason}.", "", command)
    return failed(
        check, f"The check failed: {answer.reason.rstrip('.')}.", "Fix that and check again.", command
    )


def aws(launch: Launch, service: str, call: str, *words: str) -> str:
    """An AWS CLI call for a shell, in the launch's region and with its profile."""
    return aws_call(service, call, *words, region=launch.region, profile=launch.profile)


def parameter_call(launch: Launch, name: str) -> str:
    """The AWS CLI call that reads a parameter of Parameter Store."""
    return aws(launch, "ssm", "get-parameter", "--name", name)


def shared_by(facts: Facts) -> str:
    """The other account that shares the subnet, "" for one of the own account. A participant doesn't see what is the
    owner's: gateways, endpoints, DHCP options (VPC user guide, vpc-sharing)."""
    owner = facts.subnet.owner if facts.subnet is not None else ""
    if not owner or isinstance(facts.account, NoAnswer) or owner == facts.account.id:
        return ""
    return owner


def tenancy(facts: Facts) -> str:
    """The tenancy of all that is launched into the subnet's VPC; "default" where that was not seen."""
    return facts.tenancy if isinstance(facts.tenancy, str) else "default"


def takes(launch: Launch) -> str:
    """Who needs something, all nodes of the environment together: "the pair takes", "the nodes take"."""
    return "the pair takes" if len(launch.every_node) == 2 else "the nodes take"


def launched(launch: Launch) -> str:
    """The beginning of a sentence on the nodes of a request: "The pair is launched", "The nodes are launched"."""
    return "The pair is launched" if len(launch.every_node) == 2 else "The nodes are launched"
