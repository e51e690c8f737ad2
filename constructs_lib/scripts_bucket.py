"""The bucket through which an engineer hands scripts to the nodes and takes results from them."""

from __future__ import annotations

import json

from cdktf import TerraformLocal, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.s3_bucket_policy import S3BucketPolicy
from cdktf_cdktf_provider_aws.s3_bucket_public_access_block import S3BucketPublicAccessBlock
from cdktf_cdktf_provider_aws.s3_bucket_server_side_encryption_configuration import (
    S3BucketServerSideEncryptionConfigurationA,
    S3BucketServerSideEncryptionConfigurationRuleA,
    S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA,
)
from cdktf_cdktf_provider_aws.s3_object import (
    S3Object,
    S3ObjectOverrideProvider,
    S3ObjectOverrideProviderDefaultTags,
)
from constructs import Construct

from constructs_lib.terraform import named, token
from nixl_efa.bootstrap import MEMBERS_KEY
from nixl_efa.launch import Launch


class ScriptsBucket(Construct):
    """Encrypted, closed to the public, reached through TLS only. Its name is completed by AWS at creation.

    A bucket that still holds something stops `cdktf destroy`, unless the settings say that it is emptied: results are
    worth more than a clean end.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        bucket = S3Bucket(
            self,
            "bucket",
            bucket_prefix=launch.name_of(""),
            force_destroy=launch.empty_scripts_bucket or None,
            # Another name would be another, empty bucket: see NAME_STAYS.
            lifecycle=TerraformResourceLifecycle(ignore_changes=["bucket_prefix"]),
        )
        named(bucket, "scripts")
        self.name: str = token("aws_s3_bucket", "scripts", "id")
        self.arn: str = token("aws_s3_bucket", "scripts", "arn")
        named(
            S3BucketServerSideEncryptionConfigurationA(
                self,
                "encryption",
                bucket=self.name,
                rule=[
                    S3BucketServerSideEncryptionConfigurationRuleA(
                        apply_server_side_encryption_by_default=(
                            S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA(
                                sse_algorithm="AES256"
                            )
                        )
                    )
                ],
            ),
            "scripts",
        )
        public_access = named(
            S3BucketPublicAccessBlock(
                self,
                "public_access",
                bucket=self.name,
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
            ),
            "scripts",
        )
        # S3 refuses two changes of a bucket's access at the same time: one after the other.
        named(
            S3BucketPolicy(
                self,
                "policy",
                bucket=self.name,
                policy=json.dumps(tls_only(self.arn)),
                depends_on=[public_access],
            ),
            "scripts",
        )

    def members(self, text: str) -> S3Object:
        """The list of who is in the environment, which the nodes read at each boot. Another text in the bucket than
        this one is written again by the next deployment."""
        named(TerraformLocal(self, "members_text", text), "members")
        return named(
            S3Object(
                self,
                "members",
                bucket=self.name,
                key=MEMBERS_KEY,
                content="${local.members}",
                # Of an object that S3 encrypts by keys of its own, as this bucket does.
                etag="${md5(local.members)}",
                content_type="application/json",
                # S3 takes ten tags of an object, and the environment may have more.
                override_provider=S3ObjectOverrideProvider(
                    default_tags=S3ObjectOverrideProviderDefaultTags(tags={})
                ),
            ),
            "members",
        )


def tls_only(bucket_arn: str) -> dict[str, object]:
    """The bucket policy that refuses every request without TLS (AWS Config rule s3-bucket-ssl-requests-only)."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "DenyWithoutTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, f"{bucket_arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
