"""The checks of checkov that the pair does not follow, each with its reason, written to the resource in the JSON."""

from collections.abc import Iterable, Mapping

# Keys are checkov's ids; https://www.checkov.io/2.Basics/Suppressing%20and%20Skipping%20Policies.html
REASONS: Mapping[str, Mapping[str, str]] = {
    "aws_instance": {
        "CKV_AWS_126": "Detailed monitoring costs extra and sees neither accelerators nor EFA; nixl-efa verify does",
        "CKV_AWS_135": "Every type with EFA is EBS-optimized by default",
    },
    "aws_launch_template": {
        "CKV_AWS_79": "Gives interfaces only; IMDSv2 is required by the aws_instance that uses it",
    },
    "aws_eip": {
        "CKV2_AWS_19": "Attached to the primary network interface of an instance",
    },
    "aws_s3_bucket": {
        "CKV_AWS_18": "Scripts and results of one pair; CloudTrail data events are the account's choice",
        "CKV_AWS_21": "Scripts come from version control; old versions would stop cdktf destroy",
        "CKV_AWS_144": "Used by two nodes in one zone",
        "CKV_AWS_145": "Encrypted with S3's own keys, which need no key policy for the nodes",
        "CKV2_AWS_61": "Emptied with the pair; results must not disappear by age",
        "CKV2_AWS_62": "Nothing waits for its objects",
    },
}


def suppressions(resources: Iterable[tuple[str, str]]) -> dict[str, dict[str, dict[str, object]]]:
    """The part of a stack's `resource` that checkov reads, for resources given as (kind, name)."""
    result: dict[str, dict[str, dict[str, object]]] = {}
    for kind, name in resources:
        comments = [f"checkov:skip={check}:{reason}" for check, reason in REASONS[kind].items()]
        result.setdefault(kind, {})[name.replace("-", "_")] = {"//": {"checkov": comments}}
    return result
