"""Advice for refusals that nobody has recorded: documented codes (EC2 API reference, errors-overview), messages from
public logs, and the form of a code."""

import pytest

from nixl_efa.refusals import Asked, Refusal, advice_for, names_cause
from nixl_efa.refusals.advice import TABLE
from nixl_efa.refusals.model import Advice

ASKED = (Asked(), Asked(reserved=True), Asked(spot=True), Asked(sold_as_block=True))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.codes[0]} {row.text}")
def test_no_row_stands_in_front_of_another(row: Advice) -> None:
    asked = next(one for one in ASKED if row.when(one))
    for code in row.codes:
        plain = code.replace("[Dd]", "D").replace("*", "Odd")
        assert advice_for(Refusal(plain, f"AWS says: {row.text}."), asked) == row


@pytest.mark.parametrize(
    ("code", "message", "meaning", "remedy"),
    [
        (
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
            "AWSServiceRoleForEC2Spot",
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        ),
        ("AuthFailure", "Not authorized for images: [ami-1]", "may not use the image", "share it"),
        (
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
            "credentials",
            "Log in",
        ),
        (
            "Blocked",
            "This account is currently blocked and not recognized as a valid account.",
            "blocked",
            "Support",
        ),
        (
            "InvalidParameter",
            "Security group sg-1 and subnet subnet-1 belong to different networks.",
            "different VPCs",
            "Set security_group_id",
        ),
        ("InvalidCapacityReservationState.Unavailable", "", "takes its capacity back", "not interruptible"),
        (
            "Gateway.NotAttached",
            "resource vpc-1 is not attached",
            "no internet gateway",
            "elastic_ip = false",
        ),
        (
            "AddressLimitExceeded",
            "The maximum number of addresses has been reached.",
            "Elastic IPs",
            "Release",
        ),
        ("VolumeLimitExceeded", "Maximum storage", "EBS storage", "lower volume_size"),
        ("Client.VolumeLimitExceeded", "Volume limit exceeded", "EBS storage", "lower volume_size"),
        (
            "InvalidKMSKey.InvalidState",
            "The KMS key provided is in an incorrect state",
            "is disabled",
            "enable",
        ),
        (
            "Client.InvalidKMSKey.InvalidState",
            "The KMS key provided is in an incorrect state",
            "disabled",
            "enable",
        ),
        # Whose key it is decides the setting kms_key_id.
        ("InvalidKMSKey.InvalidState", "", "is disabled", "kms_key_id"),
        ("InvalidKMSKey.NotFound", "", "can't be used", "kms_key_id"),
        ("Client.InternalError", "Client error on launch", "died at its launch", "kms_key_id"),
        (
            "InvalidParameterValue",
            "Value (nixl) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
            "instance profile",
            "instance_profile",
        ),
        (
            "ValidationException",
            "/aws/nothing is not a valid namespace",
            "no public parameter",
            "name in the settings",
        ),
        (
            "ValidationException",
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive).',
            "not one that Systems Manager takes",
            "begins with a slash",
        ),
        ("AccessDeniedException", "No access to reserved parameter name: awsx.", "AWS's own", "another name"),
        ("TagPolicyViolation", "The tag policy does not allow the value", "tag policy", "Set tags"),
        ("InvalidGroup.Duplicate", "already exists", "name is taken", "nixl-efa mend"),
        ("EntityAlreadyExists", "Role with name x already exists.", "name is taken", "state"),
        ("MaxTemplateLimitExceeded", "", "a quota of the account", "Service Quotas"),
        ("SecurityGroupLimitExceeded", "", "a quota of the account", "Service Quotas"),
        ("InvalidRouteTableID.NotFound", "gone", "is not there", "mend"),
        ("InvalidRouteTableId.Malformed", "odd", "not well formed", "Copy"),
        ("InsufficientHostCapacity", "", "no capacity for it now", "later"),
        (
            "OptInRequired",
            "In order to use this AWS Marketplace product you need to accept terms",
            "image",
            "terms",
        ),
        (
            "InvalidParameterCombination",
            "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
            "'describe-instance-types' with the filter 'free-tier-eligible=true'.",
            "free plan",
            "paid plan",
        ),
        (
            "InvalidParameterCombination",
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the 'p5.48xlarge' instance "
            "type. Ensure that you are using an AMI that is enabled for ENA.",
            "the image has no driver",
            "Set ami_id",
        ),
        (
            "InvalidInstanceType",
            "The following supplied instance types do not exist: [p5.48xl]",
            "no such",
            "list",
        ),
        (
            "InvalidPermission.Duplicate",
            'the specified rule "peer: sg-1, ALL, ALLOW" already exists',
            "has the rule already",
            "nixl-efa mend",
        ),
        (
            "OperationAborted",
            "A conflicting conditional operation is currently in progress against this resource. Please try again.",
            "still working on the bucket",
            "again in some minutes",
        ),
        ("CapacityBlockDescribeLimitExceeded", "", "may ask for no more", "later"),
        ("IncorrectState", "The Capacity Block 'cr-1' is expired", "can't be extended", "an hour before"),
        (
            "InstanceLimitExceeded",
            "You can have up to 256 instances across Capacity Blocks",
            "at one time",
            "fewer",
        ),
        ("Unsupported", "The requested configuration is currently not supported.", "in this way", "zone"),
        ("ThrottlingException", "Rate exceeded", "throttles", "minute"),
        ("ServiceUnavailable", "", "an internal error", "health"),
    ],
)
def test_what_a_refusal_means(code: str, message: str, meaning: str, remedy: str) -> None:
    found = advice_for(Refusal(code, message))
    assert found is not None
    assert meaning in found.meaning
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("message", "asked", "waited_for"),
    [
        ("The Capacity Reservation 'cr-0a1b' is not active yet.", Asked(), "cr-0a1b"),
        ("The Capacity Reservation 'cr-0a1b' is not active yet.", Asked(reservation_id="cr-0c2d"), "cr-0a1b"),
        ("Your Capacity Block is not active yet.", Asked(reservation_id="cr-0c2d"), "cr-0c2d"),
        ("Your Capacity Block is not active yet.", Asked(), "ID"),
    ],
)
def test_the_reservation_to_wait_for_is_named_where_it_is_known(
    message: str, asked: Asked, waited_for: str
) -> None:
    found = advice_for(Refusal("InvalidCapacityReservationState.PendingActivation", message), asked)
    assert found is not None
    assert found.remedy == f"Deploy when it is active: `nixl-efa capacity wait {waited_for}`."


def test_what_nothing_is_known_of_has_no_advice() -> None:
    assert advice_for(Refusal("InvalidParameterValue", "Value (x) is odd.")) is None
    assert advice_for(Refusal("InvalidSubnet.Conflict", "conflicts")) is None


USER = "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: ec2:RunInstances on resource: *"
BY = "with an explicit deny in"
SCP_ARN = "arn:aws:organizations::123456789012:policy/o-1/service_control_policy/p-1"


@pytest.mark.parametrize(
    ("words", "meaning", "remedy"),
    [
        (
            f"{BY} a service control policy",
            "denied by a service control policy",
            "No permission added to your role",
        ),
        (
            f"{BY} a service control policy: {SCP_ARN}",
            "denied by a service control policy",
            "run the organization",
        ),
        (
            "due to an explicit deny in a Service Control Policy",
            "service control policy",
            "run the organization",
        ),
        (
            "because no service control policy allows the ec2:RunInstances action",
            "not allowed by a service",
            "run the",
        ),
        (f"{BY} a resource control policy", "a resource control policy", "run the organization"),
        (f"{BY} a permissions boundary", "permissions boundary of your role", "removed from the boundary"),
        (
            "because no permissions boundary allows the ec2:RunInstances action",
            "boundary",
            "added to the boundary",
        ),
        (f"{BY} a session policy", "session policy", "without that session policy"),
        (
            "because no session policy allows the ec2:RunInstances action",
            "session policy",
            "without that session",
        ),
        (f"{BY} a VPC endpoint policy", "VPC endpoint", "endpoint's policy changed"),
        (
            "because no VPC endpoint policy allows the ec2:RunInstances action",
            "VPC endpoint",
            "added to the endpoint's",
        ),
        (f"{BY} a resource-based policy", "policy of the resource itself", "resource's own policy"),
        (
            "because no resource-based policy allows the ec2:RunInstances action",
            "resource itself",
            "added to the res",
        ),
        (f"{BY} an identity-based policy", "denied by a policy of your role", "have it removed"),
        (f"{BY} the role trust policy", "trust policy", "trust policy"),
        (
            f"{BY} a policy of another type policy",
            "denied by a policy",
            "No permission added to your role helps",
        ),
        (
            "because no identity-based policy allows the ec2:RunInstances action",
            "not allowed",
            "Ask for it to be added",
        ),
        (
            ". Encoded authorization failure message: abc",
            "AWS names no policy",
            "decode-authorization-message",
        ),
        (
            ". This functionality has been disabled by a Declarative Policy.",
            "a declarative policy",
            "run the organ",
        ),
        ("", "ec2:RunInstances is not allowed", "which no role changes, can deny it as well"),
    ],
)
def test_who_denied_it_and_who_can_change_that(words: str, meaning: str, remedy: str) -> None:
    found = advice_for(Refusal("UnauthorizedOperation", f"{USER} {words}"))
    assert found is not None
    assert "ec2:RunInstances" in found.meaning
    assert meaning in found.meaning
    assert remedy in found.remedy
    if meaning not in ("not allowed", "ec2:RunInstances is not allowed"):
        assert "Ask for it to be added to your role" not in found.remedy


@pytest.mark.parametrize(
    ("message", "is_cause"),
    [
        ("You are not authorized to perform this operation.", False),
        ("Access Denied", False),
        (f"{USER} because no identity-based policy allows the ec2:RunInstances action", False),
        (f"You are not authorized to perform this operation. {USER}", False),
        (f"{USER} {BY} a service control policy", True),
        (
            f"{USER} because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
            True,
        ),
        (
            f"{USER} because the resource does not exist in this Region, no resource-based policies allow access, or a "
            "resource-based policy explicitly denies access",
            True,
        ),
        ("MultiFactorAuthentication failed with invalid MFA one time pass code.", True),
    ],
)
def test_a_cause_that_aws_names_is_kept_whatever_it_is(message: str, is_cause: bool) -> None:
    assert names_cause(Refusal("AccessDenied", message)) is is_cause
