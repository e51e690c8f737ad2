"""The Spot Instance request behind each instance that RunInstances launches on the spot market. moto makes none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult

from nixl_efa.rehearsal.ec2.listing import tag_list


class SpotActions:
    """Mixed into the EC2 response class before moto's; requests made by RequestSpotInstances stay moto's."""

    ec2_backend: Any
    _get_param: Callable[..., Any]

    def describe_spot_instance_requests(self) -> ActionResult:
        """The requests by id, as the provider reads them."""
        launched = self.ec2_backend.spot_launches
        wanted = self._get_param("SpotInstanceRequestIds", [])
        if not wanted or not all(identifier in launched for identifier in wanted):
            moto: ActionResult = super().describe_spot_instance_requests()  # type: ignore[misc]
            return moto
        requests = [_describe(self.ec2_backend, name, launched[name]) for name in wanted]
        return ActionResult({"SpotInstanceRequests": requests})

    def cancel_spot_instance_requests(self) -> ActionResult:
        """Close requests; the instances stay until they are terminated."""
        launched = self.ec2_backend.spot_launches
        wanted = self._get_param("SpotInstanceRequestIds", [])
        if not all(identifier in launched for identifier in wanted):
            moto: ActionResult = super().cancel_spot_instance_requests()  # type: ignore[misc]
            return moto
        for identifier in wanted:
            launched[identifier].spot_request_open = False
        answer = [{"SpotInstanceRequestId": identifier, "State": "cancelled"} for identifier in wanted]
        return ActionResult({"CancelledSpotInstanceRequests": answer})


_STATUS = {
    "active": ("fulfilled", "Your spot request is fulfilled."),
    "cancelled": ("request-canceled-and-instance-running", "Your Spot request is canceled."),
    "closed": ("instance-terminated-by-user", "Your Spot instance was terminated by you."),
}


def _state(instance: Any) -> str:
    if instance.state in ("terminated", "shutting-down"):
        return "closed"
    return "active" if instance.spot_request_open else "cancelled"


def _describe(backend: Any, identifier: str, instance: Any) -> dict[str, Any]:
    state = _state(instance)
    code, message = _STATUS[state]
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
