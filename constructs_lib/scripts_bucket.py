"""The bucket through which an engineer copies scripts to the nodes and results from them."""

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
    """Encrypted, closed to the public, accessible through TLS only. AWS adds the end of its name at creation.

    A bucket that is not empty stops `cdktf destroy`, unless the settings say that it is emptied: results must not be
    lost by accident.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        bucket = S3Bucket(
            self,
            "bucket",
            bucket_prefix=launch.name_of(""),
            force_destroy=launch.empty_scripts_bucket or None,
            # A new name would create a new, empty bucket: see NAME_STAYS.
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
        # S3 refuses two changes of a bucket's access at the same time, so they are made one after the other.
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
        """The list of the environment's nodes, which each node reads at boot. If the text in the bucket differs from
        this one, the next deployment writes it again."""
        named(TerraformLocal(self, "members_text", text), "members")
        return named(
            S3Object(
                self,
                "members",
                bucket=self.name,
                key=MEMBERS_KEY,
                content="${local.members}",
                # The etag is the MD5 of the text when S3 encrypts with its own keys, as in this bucket.
                etag="${md5(local.members)}",
                content_type="application/json",
                # S3 allows ten tags for an object, and the environment may have more.
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
