"""Refusals that are about the account, its credentials, or AWS itself. EC2 API reference, errors-overview."""

from nixl_efa.refusals.model import THROTTLING, Advice

_WHO = "`aws sts get-caller-identity` shows who you are."
_AGAIN = "Try again in some minutes; https://health.aws.amazon.com shows outages."

ACCOUNT = (
    # EC2 user guide, service-linked-roles-spot-instance-requests. An account that never had Spot has no such role.
    Advice(
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted",),
        "the account lacks the role AWSServiceRoleForEC2Spot, without which EC2 starts no Spot Instance, and these credentials may not make it",
        "Ask somebody with the permission iam:CreateServiceLinkedRole to run `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`, once for the account.",
        "spot",
    ),
    Advice(
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted",),
        "the account lacks a service-linked role that this needs, and these credentials may not make it",
        "Ask somebody with the permission iam:CreateServiceLinkedRole to create the role that AWS's message names, once for the account.",
    ),
    Advice(
        ("AuthFailure*",),
        "the account may not use the image",
        "Have its owner share it with your account, or set ami_id to another.",
        "for images",
    ),
    Advice(
        ("AuthFailure*",),
        "AWS does not accept the credentials for this",
        f"Log in again. {_WHO} A region that the account has not enabled answers like this, too.",
    ),
    Advice(
        (
            "RequestExpired",
            "RequestTimeTooSkewed",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidSecurity.RequestHasExpired",
        ),
        "the credentials have expired, or this machine's clock is wrong",
        f"Log in again, and check the clock (`date -u`). {_WHO}",
    ),
    # "Signature expired: 20261126T000000Z is now earlier than ..."; "Signature not yet current: ...".
    *(
        Advice(
            ("SignatureDoesNotMatch", "InvalidSignatureException"),
            "this machine's clock is wrong",
            "Set the clock (`date -u`; AWS allows a few minutes), and try again.",
            text,
        )
        for text in ("signature expired", "signature not yet current")
    ),
    Advice(
        (
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "IncompleteSignature",
            "MissingAuthenticationToken",
            # Codes of IAM Identity Center when its session has ended, and of S3.
            "InvalidGrantException",
            "UnauthorizedException",
            "InvalidToken",
        ),
        "AWS does not accept the credentials",
        f"Run `aws configure` or `aws sso login`, or give --profile. {_WHO} A region that the account has not enabled "
        "answers like this, too.",
    ),
    Advice(
        ("Blocked",),
        "AWS has blocked the account",
        "No setting and no permission changes that: open a case with AWS Support.",
    ),
    Advice(
        ("AccountDisabled",),
        "this function is disabled for the account",
        "No setting and no permission changes that: ask those who run the account, or AWS Support.",
    ),
    Advice(
        ("PendingVerification",),
        "AWS is still verifying the account for this region",
        "Wait some minutes, at most four hours; then ask AWS Support.",
    ),
    # Accounts on AWS's free plan: splunk/attack_range 1302, bitnami/vms 1838 (an image).
    Advice(
        ("InvalidParameterCombination",),
        "the account is on AWS's free plan, on which EC2 starts only a few small types",
        "No setting changes that: upgrade the account to the paid plan (console, Billing and Cost Management).",
        "eligible for free tier",
    ),
    Advice(
        ("OptInRequired",),
        "the account is not subscribed to the image",
        "Accept the image's terms in AWS Marketplace at the address that AWS names, or set ami_id to another.",
        "marketplace",
    ),
    Advice(
        ("OptInRequired",),
        "the account is not subscribed to the service, the image or the region",
        "Enable the region, accept the image's terms in AWS Marketplace, or wait until a new account is active.",
    ),
    Advice(
        ("TagPolicyViolation",),
        "a tag policy of the organization does not accept the tags",
        "Set tags as the policy wants them; AWS's message names the key.",
    ),
    Advice(
        THROTTLING,
        "AWS throttles the account's calls, which says nothing about capacity or permissions",
        "Try again in a minute; it helps to run fewer programs that call AWS at the same time.",
    ),
    Advice(
        ("IdempotentParameterMismatch", "IdempotentInstanceTerminated", "InvalidClientToken"),
        "an earlier request had the same client token",
        "Run the command again: it takes a new token.",
    ),
    Advice(
        (
            "InternalError",
            "InternalFailure",
            "ServerInternal",
            "InternalServerError",
            "ServiceUnavailable",
            "Unavailable",
            "RetryableError",
        ),
        "AWS had an internal error",
        _AGAIN,
    ),
)
