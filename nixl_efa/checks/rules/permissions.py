"""Whether the deploying identity may do what the dry run does not test, by IAM's simulation; and the role for Spot."""

from dataclasses import replace
from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, Simulated
from nixl_efa.checks.permissions import CREATE_SPOT_ROLE
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch

_CHECK, _PROFILE, _SPOT = "permissions", "instance profile", "spot role"
_NOBODY = "Not checked: it is not known to whom the credentials belong."


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The actions of a deployment, and for Spot the role that the first Spot request creates."""
    return [permissions(launch, facts), *_profile(launch, facts), *_spot_role(launch, facts)]


def _profile(launch: Launch, facts: Facts) -> list[Finding]:
    """The user's own profile, whose role the stack does not change. Missing permissions of the role are no FAIL: an
    account can give Systems Manager access by itself (Systems Manager user guide, fleet-manager-default-host-
    management-configuration), and a policy may name a bucket whose name is not known here."""
    name, profile, answer = launch.instance_profile, facts.profile, facts.profile_permissions
    if not name:
        return []
    by_hand = aws(launch, "iam", "get-instance-profile", "--instance-profile-name", name)
    if isinstance(profile, NoAnswer):
        return [no_answer(_PROFILE, profile, by_hand)]
    if profile is None:
        message = f"The instance profile {name} (instance_profile) is not in the account."
        remedy = (
            "Set instance_profile to one of this account, or remove it: the stack then makes its own role."
        )
        return [failed(_PROFILE, message, remedy, by_hand)]
    if not profile.role_arn or not profile.for_ec2:
        role = (
            f"the role {profile.role_arn}, which EC2 may not assume (its trust policy)"
            if profile.role_arn
            else "no role"
        )
        message = f"{name} (instance_profile) has {role}: the nodes would have no credentials, and not get their scripts."  # noqa: E501
        remedy = "Give it a role that EC2 may assume, with what docs/settings.md says of the nodes' role."
        return [failed(_PROFILE, message, remedy, by_hand)]
    if isinstance(answer, NoAnswer):
        found = no_answer(_PROFILE, answer, by_hand)
        more = f"Whether {profile.role_arn} allows what the nodes need was not checked: see docs/settings.md, the nodes' role."  # noqa: E501
        return [replace(found, remedy=f"{found.remedy} {more}".strip())]
    if not answer:
        return [skipped(_PROFILE, _NOBODY, "", by_hand)]
    lacks = [each for each in answer if each.decision != "allowed"]
    if lacks:
        keys = sorted({key for each in lacks for key in each.missing})
        given = f" (as far as that does not depend on {listed(keys)})" if keys else ""
        message = f"{profile.role_arn}, the role of {name} (instance_profile), does not allow {listed((each.action for each in lacks), limit=12)}, by IAM's simulation{given}: the nodes could not be reached, or would not get their scripts."  # noqa: E501
        remedy = f"Allow the role what docs/settings.md says of the nodes' role: Session Manager, and the bucket whose name begins with {launch.name_of('')}."  # noqa: E501
        return [warned(_PROFILE, message, remedy, _shown_by(launch, profile.role_arn, lacks))]
    message = f"{profile.role_arn}, the role of {name} (instance_profile), allows what the nodes need, by IAM's simulation."  # noqa: E501
    return [passed(_PROFILE, message, by_hand)]


def permissions(launch: Launch, facts: Facts) -> Finding:
    """The actions that IAM's simulation denies. It knows the identity's policies and its boundary (IAM API reference,
    SimulatePrincipalPolicy). A denial by a condition whose value it was not given (MissingContextValues) proves
    nothing."""
    answer = facts.permissions
    if isinstance(answer, NoAnswer):
        by_hand = aws(launch, "sts", "get-caller-identity")
        found = no_answer(_CHECK, answer, by_hand)
        if not answer.denied:
            return found
        more = "Until then, compare your role's policies by hand: iam:PassRole, iam:CreateRole, s3:CreateBucket and others were not looked at."  # noqa: E501
        return replace(found, remedy=f"{found.remedy} {more}")
    if isinstance(facts.account, NoAnswer):
        return skipped(_CHECK, _NOBODY)
    if not answer:
        return skipped(
            _CHECK, "Not checked: IAM simulates only users and roles, and these credentials are neither."
        )
    asked = [each for each in answer if each.action != CREATE_SPOT_ROLE]
    refused = [each for each in asked if each.decision != "allowed" and not each.missing]
    unknown = [each for each in asked if each.decision != "allowed" and each.missing]
    by_hand = _by_hand(launch, facts, refused or unknown or asked)
    if refused:
        names = listed((each.action for each in refused), limit=12)
        explicit = any(each.decision == "explicitDeny" for each in refused)
        return _refused(facts, names, explicit, by_hand)
    if unknown:
        names = listed((each.action for each in unknown), limit=12)
        keys = listed(sorted({key for each in unknown for key in each.missing}))
        message = (
            f"IAM's simulation can't tell whether these credentials may do {names}: that depends on {keys}."
        )
        return warned(_CHECK, message, "Compare the conditions in your role's policies.", by_hand)
    message = (
        f"IAM's simulation allows the {len(asked)} further actions of a deployment; service control policies and "
        "session policies may still deny some."
    )
    return passed(_CHECK, message, by_hand)


def _refused(facts: Facts, names: str, explicit: bool, by_hand: str) -> Finding:
    running = () if isinstance(facts.running, NoAnswer) else facts.running
    remedy = "Have them added to your role for the resources that the stack creates, or deploy with another profile."
    if explicit:
        remedy = "A policy denies some of them explicitly: have that statement changed, or deploy with another profile."
    if any(each.own for each in running):
        message = f"These credentials may not do {names}, by IAM's simulation; the pair already exists, so a deployment may not need them."  # noqa: E501
        return warned(_CHECK, message, remedy, by_hand)
    return failed(_CHECK, f"These credentials may not do {names}, by IAM's simulation.", remedy, by_hand)


def _by_hand(launch: Launch, facts: Facts, shown: list[Simulated]) -> str:
    if isinstance(facts.account, NoAnswer) or not shown:
        return ""
    source = facts.account.arn if ":user/" in facts.account.arn else "ROLE_ARN"
    return _shown_by(launch, source, shown)


def _shown_by(launch: Launch, source: str, shown: list[Simulated]) -> str:
    resource = shown[0].resource
    actions = [each.action for each in shown if each.resource == resource]
    return aws(
        launch,
        "iam",
        "simulate-principal-policy",
        "--policy-source-arn",
        source,
        "--resource-arns",
        resource,
        "--action-names",
        *actions,
    )


def _spot_role(launch: Launch, facts: Facts) -> list[Finding]:
    """The first Spot request creates the role if the identity may create it; else EC2 refuses the request with
    AuthFailure.ServiceLinkedRoleCreationNotPermitted (EC2 user guide, service-linked-roles-spot-instance-requests;
    LeanerCloud/AutoSpotting 187)."""
    if launch.market != "spot":
        return []
    by_hand = aws(launch, "iam", "get-role", "--role-name", "AWSServiceRoleForEC2Spot")
    if isinstance(facts.spot_role, NoAnswer):
        return [no_answer(_SPOT, facts.spot_role, by_hand)]
    if facts.spot_role:
        return [passed(_SPOT, "AWSServiceRoleForEC2Spot is there.", by_hand)]
    make = aws(launch, "iam", "create-service-linked-role", "--aws-service-name", "spot.amazonaws.com")
    remedy = f"Have an administrator run once: {make}"
    simulated = () if isinstance(facts.permissions, NoAnswer) else facts.permissions
    decision = next((each.decision for each in simulated if each.action == CREATE_SPOT_ROLE), "")
    if decision == "allowed":
        message = "AWSServiceRoleForEC2Spot is not there; EC2 makes it at the first request, which these credentials may do."  # noqa: E501
        return [passed(_SPOT, message, by_hand)]
    if decision:
        message = "AWSServiceRoleForEC2Spot is not there, and these credentials may not make it (iam:CreateServiceLinkedRole): EC2 would refuse Spot Instances."  # noqa: E501
        return [failed(_SPOT, message, remedy, by_hand)]
    message = "AWSServiceRoleForEC2Spot is not there; EC2 makes it at the first request if these credentials may (iam:CreateServiceLinkedRole), which was not checked."  # noqa: E501
    return [warned(_SPOT, message, remedy, by_hand)]
