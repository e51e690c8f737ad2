"""What every rule needs: the finding for a question without an answer, and AWS CLI calls to look by hand."""

from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.findings import Finding, aws_call, failed, skipped
from nixl_efa.launch import Launch


def no_answer(check: str, answer: NoAnswer, command: str = "") -> Finding:
    """The finding for a question without an answer: SKIP without the permission (or when another finding shows the
    cause), FAIL for any other error, since the check must not let a launch continue on a guess."""
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
    """The other account that owns and shares the subnet; "" when it belongs to this account. A participant doesn't see
    the owner's gateways, endpoints and DHCP options (VPC user guide, vpc-sharing)."""
    owner = facts.subnet.owner if facts.subnet is not None else ""
    if not owner or isinstance(facts.account, NoAnswer) or owner == facts.account.id:
        return ""
    return owner


def tenancy(facts: Facts) -> str:
    """The tenancy of instances in the subnet's VPC; "default" when that was not seen."""
    return facts.tenancy if isinstance(facts.tenancy, str) else "default"


def takes(launch: Launch) -> str:
    """The subject and verb for what all nodes of the environment need: "the pair takes", "the nodes take"."""
    return "the pair takes" if len(launch.every_node) == 2 else "the nodes take"


def launched(launch: Launch) -> str:
    """The beginning of a sentence on the nodes of a request: "The pair is launched", "The nodes are launched"."""
    return "The pair is launched" if len(launch.every_node) == 2 else "The nodes are launched"
