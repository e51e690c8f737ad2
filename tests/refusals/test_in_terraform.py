"""Refusals in what Terraform printed: the provider's own words, with and without frame, colors and broken lines."""

import pytest

from nixl_efa.deploy import words
from nixl_efa.refusals import Asked, Refusal
from nixl_efa.refusals.terraform import refusals_in

CAPACITY = """\
\x1b[31m╷\x1b[0m\x1b[0m
\x1b[31m│\x1b[0m \x1b[0m\x1b[1m\x1b[31mError: \x1b[0m\x1b[0m\x1b[1mcreating \
EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, RequestID: 3a4b5c6d-0000, \
api error InsufficientInstanceCapacity: We currently do not have
\x1b[31m│\x1b[0m sufficient p5.48xlarge capacity in the Availability Zone you requested (us-east-2c).\x1b[0m
\x1b[31m│\x1b[0m \x1b[0m
\x1b[31m│\x1b[0m \x1b[0m\x1b[0m  with aws_instance.producer,
\x1b[31m│\x1b[0m \x1b[0m  on cdk.tf.json line 100, in resource.aws_instance.producer:
\x1b[31m│\x1b[0m \x1b[0m 100:       }
\x1b[31m╵\x1b[0m\x1b[0m
"""
RETRIED = (
    "Error: creating EC2 Instance: operation error EC2: RunInstances, exceeded maximum number of attempts, 25, https "
    "response error StatusCode: 503, RequestID: 1, api error RequestLimitExceeded: Request limit exceeded.\n"
)
TYPED = (
    "Error: creating IAM Role (nixl-efa-dev): operation error IAM: CreateRole, https response error StatusCode: 409, "
    "RequestID: 7c, EntityAlreadyExists: Role with name nixl-efa-dev already exists.\n\n  with aws_iam_role.node,\n"
)
S3 = (
    "Error: creating S3 Bucket (b): operation error S3: CreateBucket, https response error StatusCode: 409, "
    "RequestID: 1, HostID: abc/+=, BucketAlreadyOwnedByYou: \n"
)
DIED = (
    "Error: waiting for EC2 Instance (i-0123456789abcdef0) create: unexpected state 'terminated', wanted target "
    "'running'. last error: Client.VolumeLimitExceeded: Volume limit exceeded\n"
)
DIED_OF_ITS_KEY = (
    "Error: waiting for EC2 Instance (i-0123456789abcdef0) create: unexpected state 'terminated', wanted target "
    "'running'. last error: Client.InternalError: Client error on launch\n"
)
FAULT = (
    "Error: creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, RequestID: "
    "1, api error InternalError: An internal error has occurred\n"
)
LOGIN_ENDED = (
    "Error: reading EC2 VPC: operation error EC2: DescribeVpcs, get identity: get credentials: failed to refresh "
    "cached credentials, unable to refresh SSO token, operation error SSO OIDC: CreateToken, https response error "
    "StatusCode: 400, RequestID: 1, InvalidGrantException: \n"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            CAPACITY,
            Refusal(
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient p5.48xlarge capacity in the Availability Zone you requested "
                "(us-east-2c).",
                "RunInstances",
            ),
        ),
        (RETRIED, Refusal("RequestLimitExceeded", "Request limit exceeded.", "RunInstances")),
        (TYPED, Refusal("EntityAlreadyExists", "Role with name nixl-efa-dev already exists.", "CreateRole")),
        (S3, Refusal("BucketAlreadyOwnedByYou", "", "CreateBucket")),
        (DIED, Refusal("Client.VolumeLimitExceeded", "Volume limit exceeded")),
        (DIED_OF_ITS_KEY, Refusal("Client.InternalError", "Client error on launch")),
        (FAULT, Refusal("InternalError", "An internal error has occurred", "RunInstances")),
        (LOGIN_ENDED, Refusal("InvalidGrantException", "", "CreateToken")),
    ],
)
def test_a_refusal_is_found_in_terraforms_words(text: str, found: Refusal) -> None:
    assert refusals_in(text) == [found]


def test_each_refusal_is_told_once_and_other_errors_are_left_alone() -> None:
    other = "Error: Resource precondition failed\n\nThe subnet lies elsewhere: no operation error.\n"
    assert [one.code for one in refusals_in(CAPACITY + other + CAPACITY + TYPED)] == [
        "InsufficientInstanceCapacity",
        "EntityAlreadyExists",
    ]
    assert refusals_in(other) == []


def test_a_deployment_gives_the_same_advice_as_the_check() -> None:
    (told,) = words.refused(CAPACITY, Asked(reserved=True, sold_as_block=True))
    assert told.startswith("AWS refused RunInstances, since EC2 finds no capacity in the reservation")
    assert "We currently do not have sufficient p5.48xlarge capacity" in told
    assert "Buy nothing" in told
    (told,) = words.refused("Error: operation error EC2: X, RequestID: 1, api error Odd: It is odd.", Asked())
    assert told == "AWS refused X (Odd: It is odd). Read AWS's words"


def test_an_instance_that_died_of_its_key_and_a_login_that_ended_have_their_advice() -> None:
    (told,) = words.refused(DIED_OF_ITS_KEY, Asked(reserved=True))
    assert "since the instance died at its launch" in told
    assert "kms:CreateGrant" in told
    (told,) = words.refused(LOGIN_ENDED, Asked())
    assert told.startswith("AWS refused CreateToken, since AWS does not accept the credentials")
    assert "aws sso login" in told


def test_a_state_that_is_locked_is_told_as_such() -> None:
    # rustfs/rustfs 1610, shortened.
    (told,) = words.refused(
        "│ Error: Error acquiring the state lock\n│ \n│ Error message: operation error S3: PutObject, https response "
        "error StatusCode: 412, RequestID: , HostID: , api error PreconditionFailed: At least one\n│ of the "
        "pre-conditions you specified did not hold\n",
        Asked(),
    )
    assert told.startswith("AWS refused PutObject, since somebody else's Terraform works on the state")
    assert "At least one of the pre-conditions" in told
