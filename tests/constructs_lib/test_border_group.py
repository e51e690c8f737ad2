"""Elastic IPs of the zone's network border group."""

import re

import pytest

from constructs_lib.network import LOCAL_ZONE
from tests.synthesis import resources, synthesize


@pytest.mark.parametrize(
    ("zone", "group"),
    [
        ("us-east-1-atl-2a", "us-east-1-atl-2"),
        ("us-east-1-dfw-2a", "us-east-1-dfw-2"),
        ("us-west-2-lax-1b", "us-west-2-lax-1"),
        ("us-east-1a", None),
        ("us-gov-west-1b", None),
        ("us-east-1-wl1-bos-wlz-1", None),
    ],
)
def test_an_elastic_ip_is_of_the_network_border_group_of_a_local_zone_alone(
    zone: str, group: str | None
) -> None:
    """Terraform's regex has the syntax of Python's here; tests/terraform applies it."""
    found = re.search(LOCAL_ZONE, zone)
    assert (found[1] if found else None) == group


@pytest.mark.parametrize(
    "settings", [{}, {"subnet_id": "subnet-0123456789abcdef0"}, {"availability_zone": "us-east-2b"}]
)
def test_every_elastic_ip_names_its_group_by_the_zone_in_which_the_pair_stands(
    settings: dict[str, str],
) -> None:
    addresses = resources(synthesize("dev", **settings), "aws_eip")
    assert set(addresses) == {"producer", "consumer"}
    for one in addresses.values():
        assert one["network_border_group"].endswith(")[0], null)}")
        given = "data.aws_subnet.subnet[0].availability_zone" in one["network_border_group"]
        assert given is ("subnet_id" in settings)
