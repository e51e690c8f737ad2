"""Names that must be unique in AWS: a deployment fails when another resource already has one of the stack's names.

EC2 API reference, CreateLaunchTemplate, CreatePlacementGroup, CreateSecurityGroup (in its VPC); IAM API reference,
CreateRole, CreateInstanceProfile.
"""

from datetime import datetime

from nixl_efa.checks.facts import Facts, Named, NoAnswer
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, listed, passed, skipped
from nixl_efa.launch import Launch

_CHECK = "names"
_WORDS = {
    "aws_iam_role": "role",
    "aws_iam_instance_profile": "instance profile",
    "aws_security_group": "security group",
    "aws_placement_group": "placement group",
    "aws_launch_template": "launch template",
}


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """One finding on the names; none when the state was not read."""
    if facts.state is None:
        return []
    if isinstance(facts.state, NoAnswer):
        message = "Not checked: the state, which shows what belongs to this stack, could not be read."
        return [skipped(_CHECK, message)]
    # A node is created after everything that it needs. If the state has a node, this stack created those resources.
    known, found = facts.state.resources, []
    if facts.state.nodes:
        return [
            passed(_CHECK, "This stack's state has its nodes, so the names belong to it.", _in_ec2(launch))
        ]
    for answer, by_hand in ((facts.ec2_names, _in_ec2(launch)), (facts.iam_names, _in_iam(launch))):
        if isinstance(answer, NoAnswer):
            found.append(no_answer(_CHECK, answer, by_hand))
    missing = {address: name for address, name in launch.unique_names.items() if address not in known}
    if taken := [one for one in _seen(facts) if _takes(one, missing, facts)]:
        return [*found, _taken(launch, taken)]
    return found or [
        passed(_CHECK, "None of the stack's names is used by a resource outside its state.", _in_ec2(launch))
    ]


def _seen(facts: Facts) -> list[Named]:
    answers = (facts.ec2_names, facts.iam_names)
    return [one for answer in answers if not isinstance(answer, NoAnswer) for one in answer]


def _takes(one: Named, missing: dict[str, str], facts: Facts) -> bool:
    if one.vpc_id and facts.subnet is not None and one.vpc_id != facts.subnet.vpc_id:
        return False
    return any(
        address.partition(".")[0] == one.kind and name == one.name for address, name in missing.items()
    )


def _taken(launch: Launch, taken: list[Named]) -> Finding:
    names = listed(f"{_WORDS[one.kind]} {one.name}" for one in taken)
    _, _, place = launch.stack_identity.partition(" ")
    state = "its state, in this working copy," if place == "local" else f"its state ({place})"
    only_iam = all(one.kind.startswith("aws_iam") for one in taken)
    return failed(
        _CHECK,
        f"These names are taken by resources that {state} does not have: {names}. A deployment would fail.",
        "If another working copy or backend has this environment: deploy from there, have both read one state"
        " (backend), or change project_prefix or the environment's name. If an interrupted deployment of your own left"
        f" them: `nixl-efa mend {launch.environment}`.",
        _in_iam(launch) if only_iam else _in_ec2(launch),
    )


def _in_ec2(launch: Launch) -> str:
    names = [node.tag_name for node in launch.every_node]
    return aws(
        launch,
        "ec2",
        "describe-launch-templates",
        "--filters",
        f"Name=launch-template-name,Values={','.join(names)}",
    )


def _in_iam(launch: Launch) -> str:
    return aws(launch, "iam", "get-role", "--role-name", launch.access_name)
