"""What counts against a quota of vCPUs, and the refusal of a launch that exceeds it.

EC2 user guide, ec2-on-demand-instances: Capacity Reservations count, even if they are unused; capacity-reservation-
sharing, "Instance limits": a reservation counts against its owner's quota, whoever uses it; ec2-capacity-blocks: a
block doesn't count.
"""

from typing import Any

from local_aws import quotas
from local_aws.ec2.api import refuse
from local_aws.ec2.reservations import known_type
from local_aws.world import world

_RUNNING = ("pending", "running")


def check_quota(backend: Any, instance_type: str, market: str, count: int) -> None:
    """Refuse a launch that exceeds the quota. count: the instances that have no place in a reservation."""
    spot = market == "spot"
    code = quotas.code_for(instance_type, spot=spot)
    if code is None or not count:
        return
    used = _running(backend, code, spot=spot) + (0 if spot else _reserved(backend, code))
    limit = quotas.value(code)
    if used + count * vcpus(instance_type) <= limit:
        return
    if spot:
        raise refuse("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise refuse(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit:.0f} allows for the "
        "instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


def vcpus(instance_type: str) -> int:
    """vCPUs of an instance."""
    return int(known_type(instance_type)["VCpuInfo"]["DefaultVCpus"])


def _running(backend: Any, code: str, *, spot: bool) -> int:
    """vCPUs of what runs outside of reservations."""
    return sum(
        vcpus(instance.instance_type)
        for instance in backend.all_instances()
        if instance.state in _RUNNING
        and instance.lifecycle == ("spot" if spot else None)
        and not instance.capacity_reservation_id
        and quotas.code_for(instance.instance_type, spot=spot) == code
    )


def _reserved(backend: Any, code: str) -> int:
    """vCPUs of the account's own On-Demand reservations, used or not."""
    now = world().clock.now()
    return sum(
        each.total(now) * vcpus(each.instance_type)
        for each in backend.capacity_reservations.values()
        if not each.is_block and quotas.code_for(each.instance_type, spot=False) == code
    )
