"""What state the machines of the local AWS should have, derived from the instances in EC2."""

import base64
import gzip
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from moto.ec2.models import ec2_backends

from local_aws.machines.fleet import Wanted
from local_aws.machines.machine import Identity
from local_aws.world import world

_GZIP = b"\x1f\x8b"


def follow() -> None:
    """Let the machines, if there are any, follow the instances."""
    fleet = world().machines
    if fleet is not None:
        fleet.follow({one.identity.instance_id: one for one in _wanted()})


def _wanted() -> Iterator[Wanted]:
    for _, _, backend in list(ec2_backends.iter_backends()):
        for instance in backend.all_instances():
            if instance.state in ("running", "stopped") and 0 in instance.nics:
                yield Wanted(_identity(instance), instance.state == "running", instance.boots)


def _identity(instance: Any) -> Identity:
    network = ip_network(instance.nics[0].subnet.cidr_block)
    return Identity(
        instance_id=instance.id,
        address=f"{instance.private_ip}/{network.prefixlen}",
        # It stays with the interface, so that a node's peers reach the one that replaces it at once.
        mac=instance.nics[0].mac_address,
        # "The second address of a subnet is the VPC router's" (VPC user guide, subnet-sizing).
        gateway=str(network[1]),
        hostname=instance.private_dns_name.partition(".")[0],
        user_data=user_data(instance),
    )


def user_data(instance: Any) -> bytes:
    """User data as the instance's metadata service would return it, but uncompressed: cloud-init accepts both."""
    given = base64.b64decode(str(instance.user_data or ""))
    return gzip.decompress(given) if given.startswith(_GZIP) else given
