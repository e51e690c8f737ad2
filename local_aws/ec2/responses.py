"""The EC2 service: moto's actions, with ours before them."""

from typing import Any

from botocore.model import ListShape, Shape, StructureShape
from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from local_aws.ec2.account_settings import AccountSettingsActions
from local_aws.ec2.api import refuse
from local_aws.ec2.blocks import BlockActions
from local_aws.ec2.extensions import ExtensionActions
from local_aws.ec2.instance_types import InstanceTypeActions
from local_aws.ec2.interfaces import InterfaceActions
from local_aws.ec2.interruptible import InterruptibleActions
from local_aws.ec2.launch import LaunchActions
from local_aws.ec2.launch_templates import LaunchTemplateActions
from local_aws.ec2.local_zones import ZoneActions
from local_aws.ec2.placement_groups import PlacementGroupActions
from local_aws.ec2.reservations import ReservationActions
from local_aws.ec2.sharing import SharingActions
from local_aws.ec2.spot import SpotActions
from local_aws.ec2.topology import TopologyActions


class Ec2(
    LaunchActions,
    LaunchTemplateActions,
    InterfaceActions,
    InstanceTypeActions,
    PlacementGroupActions,
    ReservationActions,
    BlockActions,
    ExtensionActions,
    InterruptibleActions,
    SharingActions,
    SpotActions,
    TopologyActions,
    ZoneActions,
    AccountSettingsActions,
    EC2Response,  # type: ignore[misc]
):
    """One request to EC2."""

    def describe_regions(self) -> ActionResult:
        """The regions that the account has enabled; all of its partition for AllRegions."""
        self.error_on_dryrun()
        found = self.ec2_backend.describe_regions(self._get_param("RegionNames", []))
        every = self._get_param("AllRegions", False) or self._get_param("RegionNames", [])
        shown = [region for region in found if every or region.opt_in_status != "not-opted-in"]
        return ActionResult({"Regions": shown})

    def call_action(self) -> Any:
        """Apply what is due by the clock, then run the action, if all its enum values are known to the API."""
        self.ec2_backend.settle()
        operation = get_service_model("ec2").operation_model(self._get_action())
        try:
            _check_enums(operation.input_shape, self.params)
        except EC2ClientError as error:
            return self.serialized(ActionResult(error))
        return super().call_action()


# A type that botocore does not know is refused with EC2's own words, where it is used.
_CHECKED_ELSEWHERE = {"InstanceType"}


def _check_enums(shape: Shape | None, value: Any, name: str = "") -> None:
    """Refuse a request in which a member has a value that is not in its enum: botocore sends any string, and moto keeps
    it."""
    if isinstance(shape, StructureShape):
        for member, given in value.items():
            if member in shape.members:
                _check_enums(shape.members[member], given, f"{name}.{member}".removeprefix("."))
    elif isinstance(shape, ListShape):
        for given in value:
            _check_enums(shape.member, given, name)
    elif shape is not None and shape.name not in _CHECKED_ELSEWHERE:
        words = getattr(shape, "enum", [])
        if words and value not in words:
            raise refuse(
                "InvalidParameterValue",
                f"Invalid value '{value}' for {name}.",
                inferred="word-that-no-enum-has",
            )
