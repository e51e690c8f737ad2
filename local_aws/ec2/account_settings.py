"""What an account sets for a region: Allowed AMIs, the key of EBS, VPC Block Public Access.

Sources: EC2 API reference (GetAllowedImagesSettings, GetEbsDefaultKmsKeyId, ...); EC2 user guide, ec2-allowed-amis; VPC
user guide, security-vpc-bpa.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult

from local_aws.ec2.api import Actions, refuse
from local_aws.world import world

# What EC2 calls the key that AWS keeps in each account.
AWS_KEY = "alias/aws/ebs"


@dataclass(slots=True)
class AccountSettings:
    """Of one region. key: the default key of EBS, empty for AWS's own; exclusions by id."""

    key: str = ""
    images: str = "disabled"
    criteria: list[dict[str, Any]] = field(default_factory=list)
    block_mode: str = "off"
    exclusions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def allows(self, image: Any, account: str) -> bool:
        """Whether an image fits one of the criteria; the account's own images always do."""
        if image.owner_id == account or not self.criteria:
            return True
        return any(_fits(criterion, image) for criterion in self.criteria)

    def excluded(self, vpc_id: str, subnet_id: str) -> str:
        """The mode of the exclusion that covers a subnet: "allow-bidirectional", "allow-egress" or empty."""
        modes = {
            one["InternetGatewayExclusionMode"]
            for one in self.exclusions.values()
            if one["ResourceArn"].rpartition("/")[2] in (vpc_id, subnet_id)
        }
        return max(modes, key=lambda mode: mode == "allow-bidirectional", default="")


def _fits(criterion: dict[str, Any], image: Any) -> bool:
    providers = criterion.get("ImageProviders")
    return providers is None or bool({image.owner_id, image.owner_alias} & set(providers))


class AccountSettingsActions(Actions):
    """Mixed into the EC2 response class."""

    @property
    def _settings(self) -> AccountSettings:
        self.error_on_dryrun()
        found: AccountSettings = self.ec2_backend.settings
        return found

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        """The key with which EBS encrypts when a request names none."""
        return ActionResult({"KmsKeyId": self._settings.key or AWS_KEY})

    def modify_ebs_default_kms_key_id(self) -> ActionResult:
        """Set another key. It is checked only when it is used (EC2 API reference: asynchronously)."""
        self._settings.key = str(self._get_param("KmsKeyId"))
        return ActionResult({"KmsKeyId": self._settings.key})

    def reset_ebs_default_kms_key_id(self) -> ActionResult:
        """AWS's own key again."""
        self._settings.key = ""
        return ActionResult({"KmsKeyId": AWS_KEY})

    def get_allowed_images_settings(self) -> ActionResult:
        """The state of Allowed AMIs and the criteria."""
        settings = self._settings
        return ActionResult(
            {"State": settings.images, "ImageCriteria": settings.criteria, "ManagedBy": "account"}
        )

    def enable_allowed_images_settings(self) -> ActionResult:
        """Enabled, or audit mode."""
        self._settings.images = self._get_param("AllowedImagesSettingsState")
        return ActionResult({"AllowedImagesSettingsState": self.ec2_backend.settings.images})

    def disable_allowed_images_settings(self) -> ActionResult:
        """Every image is allowed."""
        self._settings.images = "disabled"
        return ActionResult({"AllowedImagesSettingsState": "disabled"})

    def replace_image_criteria_in_allowed_images_settings(self) -> ActionResult:
        """Replace the criteria; an image that fits one of them is allowed."""
        self._settings.criteria = list(self._get_param("ImageCriteria", []))
        return ActionResult({"ReturnValue": True})

    def describe_vpc_block_public_access_options(self) -> ActionResult:
        """How internet gateways are blocked in the region."""
        return self._options(self._settings)

    def modify_vpc_block_public_access_options(self) -> ActionResult:
        """Change how they are blocked; here, the change takes effect at once."""
        self._settings.block_mode = self._get_param("InternetGatewayBlockMode")
        return self._options(self._settings)

    def describe_vpc_block_public_access_exclusions(self) -> ActionResult:
        """VPCs and subnets that are excluded, in pages."""
        wanted = self._get_param("ExclusionIds", [])
        found = [
            one for one in self._settings.exclusions.values() if not wanted or one["ExclusionId"] in wanted
        ]
        shown, token = self._page(found, 1000)
        return ActionResult({"VpcBlockPublicAccessExclusions": shown, "NextToken": token})

    def create_vpc_block_public_access_exclusion(self) -> ActionResult:
        """Exclude a VPC or a subnet."""
        vpc, subnet = self._get_param("VpcId"), self._get_param("SubnetId")
        if bool(vpc) == bool(subnet):
            raise refuse(
                "InvalidParameterCombination",
                "Specify either a VPC ID or a subnet ID.",
                inferred="public-access-exclusion-refused",
            )
        if vpc:
            self.ec2_backend.get_vpc(vpc)
        else:
            self.ec2_backend.get_subnet(subnet)
        what = f"vpc/{vpc}" if vpc else f"subnet/{subnet}"
        now = world().clock.now()
        made = {
            "ExclusionId": f"vpcbpa-exclude-{uuid4().hex[:17]}",
            "InternetGatewayExclusionMode": self._get_param("InternetGatewayExclusionMode"),
            "ResourceArn": f"arn:{self.partition}:ec2:{self.region}:{self.current_account}:{what}",
            "State": "create-complete",
            "CreationTimestamp": now,
            "LastUpdateTimestamp": now,
        }
        self._settings.exclusions[made["ExclusionId"]] = made
        return ActionResult({"VpcBlockPublicAccessExclusion": made})

    def delete_vpc_block_public_access_exclusion(self) -> ActionResult:
        """Remove an exclusion."""
        gone = self._settings.exclusions.pop(self._get_param("ExclusionId"), None)
        if gone is None:
            raise refuse(
                "InvalidVpcBlockPublicAccessExclusionId.NotFound",
                "The exclusion does not exist.",
                inferred="public-access-exclusion-refused",
            )
        return ActionResult({"VpcBlockPublicAccessExclusion": {**gone, "State": "delete-complete"}})

    def _options(self, settings: AccountSettings) -> ActionResult:
        return ActionResult(
            {
                "VpcBlockPublicAccessOptions": {
                    "AwsAccountId": self.current_account,
                    "AwsRegion": self.region,
                    "State": "default-state" if settings.block_mode == "off" else "update-complete",
                    "InternetGatewayBlockMode": settings.block_mode,
                    "LastUpdateTimestamp": world().clock.now(),
                    "ManagedBy": "account",
                    "ExclusionsAllowed": "allowed",
                }
            }
        )


def marked(images: Iterable[Any], settings: AccountSettings, account: str) -> list[Any]:
    """The images that EC2 shows: with ImageAllowed while Allowed AMIs are looked at, and without those that are not
    allowed once they are enabled (EC2 user guide, ec2-allowed-amis)."""
    shown = []
    for image in images:
        allowed = settings.allows(image, account)
        image.image_allowed = None if settings.images == "disabled" else allowed
        if allowed or settings.images != "enabled":
            shown.append(image)
    return shown
