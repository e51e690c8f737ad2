"""Spot: the request behind each instance that RunInstances launches, which moto does not make; prices and scores."""

from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult

from local_aws import prices
from local_aws.ec2.api import Actions, refuse, tag_list
from local_aws.ec2.endings import ASKED_FOR
from local_aws.ec2.reservations import utc
from local_aws.inferred import lean_on
from local_aws.world import world

_PAGE = 4  # a page holds less than everything, so that a client that does not read all pages misses prices
_SCORES = (3, 1)  # of the first zone and of the others: of one type alone a score is always low


class SpotActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_spot_price_history(self) -> ActionResult:
        """When prices of Linux changed in the zones that offer each type."""
        now = world().clock.now()
        start, end = self._get_param("StartTime"), self._get_param("EndTime")
        first = max(utc(start), now - timedelta(days=prices.SPOT_DAYS)) if start else now
        last = min(utc(end), now) if end else now
        wanted = self._get_param("AvailabilityZone")
        platforms = self._get_param("ProductDescriptions", [])
        found = [
            each
            for instance_type in self._get_param("InstanceTypes", [])
            for each in prices.spot_history(
                instance_type, sorted(self.ec2_backend.zones_of(instance_type)), first, last
            )
            if wanted in (None, "", each["AvailabilityZone"])
            and (not platforms or each["ProductDescription"] in platforms)
        ]
        shown, token = self._page(found, _PAGE)
        lean_on("spot-prices-made-up")
        return ActionResult({"SpotPriceHistory": shown, "NextToken": token or ""})

    def get_spot_placement_scores(self) -> ActionResult:
        """The score of each zone of this region that offers the types; of the region, unless zones are asked for."""
        types = self._get_param("InstanceTypes", [])
        zones = [
            zone
            for zone in sorted(self.ec2_backend.describe_availability_zones(), key=lambda each: each.name)
            if all(zone.name in self.ec2_backend.zones_of(each) for each in types)
        ]
        lean_on("spot-prices-made-up")
        if not self._get_param("SingleAvailabilityZone", False):
            return ActionResult({"SpotPlacementScores": [{"Region": self.region, "Score": _SCORES[0]}]})
        scores = [
            {"Region": self.region, "AvailabilityZoneId": zone.zone_id, "Score": _SCORES[min(place, 1)]}
            for place, zone in enumerate(zones)
        ]
        return ActionResult({"SpotPlacementScores": scores})

    def describe_spot_instance_requests(self) -> ActionResult:
        """The requests by id, or all of them."""
        launched = self.ec2_backend.spot_launches
        chosen = self._named() or list(launched)
        requests = [_describe(self.ec2_backend, name, launched[name]) for name in chosen]
        return ActionResult({"SpotInstanceRequests": requests})

    def cancel_spot_instance_requests(self) -> ActionResult:
        """Close requests; the instances stay until they are terminated."""
        named = self._named()
        for identifier in named:
            self.ec2_backend.spot_launches[identifier].spot_request_open = False
        answer = [{"SpotInstanceRequestId": identifier, "State": "cancelled"} for identifier in named]
        return ActionResult({"CancelledSpotInstanceRequests": answer})

    def _named(self) -> list[str]:
        wanted: list[str] = self._get_param("SpotInstanceRequestIds", [])
        for identifier in wanted:
            if identifier not in self.ec2_backend.spot_launches:
                raise refuse(
                    "InvalidSpotInstanceRequestID.NotFound",
                    f"The spot instance request ID '{identifier}' does not exist",
                )
        return wanted


_STATUS = {
    "active": ("fulfilled", "Your spot request is fulfilled."),
    "cancelled": ("request-canceled-and-instance-running", "Your Spot request is canceled."),
    "closed": ("instance-terminated-by-user", "Your Spot instance was terminated by you."),
}
# EC2 user guide, spot-request-status.
_RECLAIMED = (
    "instance-terminated-no-capacity",
    "Your Spot instance was terminated because there is no Spot capacity available that matches your request.",
)


def _state(instance: Any) -> str:
    if instance.state in ("terminated", "shutting-down"):
        return "closed"
    return "active" if instance.spot_request_open else "cancelled"


def _describe(backend: Any, identifier: str, instance: Any) -> dict[str, Any]:
    state = _state(instance)
    reclaimed = instance.state_reason.code == ASKED_FOR["spot"].code
    code, message = _RECLAIMED if reclaimed else _STATUS[state]
    return {
        "SpotInstanceRequestId": identifier,
        "InstanceId": instance.id,
        "InstanceInterruptionBehavior": "terminate",
        "LaunchedAvailabilityZone": instance.placement.zone,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": instance.spot_price,
        "State": state,
        "Status": {"Code": code, "Message": message, "UpdateTime": instance.launch_time},
        "CreateTime": instance.launch_time,
        "Type": "one-time",
        "Tags": tag_list(backend.tags.get(identifier, {})),
    }
