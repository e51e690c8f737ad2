"""The Spot Instance request behind each instance that RunInstances launches on the spot market. moto makes none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult

from local_aws.ec2.api import refuse, tag_list
from local_aws.ec2.endings import ASKED_FOR


class SpotActions:
    """Mixed into the EC2 response class; `ec2_backend` and `_get_param` are moto's."""

    ec2_backend: Any
    _get_param: Callable[..., Any]

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
