"""When EC2 begins to terminate the instances in a Capacity Block. Pure.

Source: EC2 user guide, capacity-blocks-monitor: 30 minutes before the block's end, 60 for UltraServers.
"""

from datetime import datetime, timedelta

from nixl_efa.ultra_servers import is_ultra_server


def lead(instance_type: str) -> timedelta:
    """How long before the end of a block of this type EC2 begins to terminate."""
    return timedelta(minutes=60 if is_ultra_server(instance_type) else 30)


def terminates_at(end: datetime, instance_type: str) -> datetime:
    """The moment at which EC2 begins to terminate the instances of a block that ends then."""
    return end - lead(instance_type)
