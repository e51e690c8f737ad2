"""EC2's limits on interfaces, against the data of real types, without a server."""

from typing import Any

import pytest
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES

from local_aws.ec2.cards import check_interfaces

Spec = dict[str, Any]
PRIMARY: Spec = {"DeviceIndex": 0}


def efa(card: int, device: int = 0, kind: str = "efa-only") -> Spec:
    return {"NetworkCardIndex": card, "DeviceIndex": device, "InterfaceType": kind}


def recommended(cards: int, first: int = 0) -> list[Spec]:
    """The layout of the EC2 user guide, efa-acc-inst-types."""
    on_first = [efa(0, 1)] if first == 0 else []
    return [PRIMARY, *on_first, *(efa(card) for card in range(1, cards))]


@pytest.mark.parametrize(
    ("instance_type", "specs"),
    [
        ("p5.48xlarge", recommended(32)),
        ("p5en.48xlarge", recommended(16)),
        ("p6-b200.48xlarge", recommended(8)),
        ("p6-b300.48xlarge", recommended(17, first=1)),
        ("p4d.24xlarge", recommended(4)),
        ("trn1.32xlarge", recommended(8)),
        ("g7e.8xlarge", recommended(1)),
        ("g7e.2xlarge", [PRIMARY]),
        ("p5.48xlarge", [{**PRIMARY, "InterfaceType": "efa"}]),
        ("t3.micro", [{**PRIMARY, "AssociatePublicIpAddress": True}]),
    ],
)
def test_layouts_that_ec2_takes(instance_type: str, specs: list[Spec]) -> None:
    check_interfaces(INSTANCE_TYPES[instance_type], specs)


@pytest.mark.parametrize(
    ("instance_type", "specs", "code", "words"),
    [
        ("p5.48xlarge", [efa(1)], "InvalidParameterValue", "must include a device at index 0"),
        ("p5.48xlarge", [efa(0)], "InvalidParameterValue", "can't be the primary"),
        ("p5.48xlarge", [PRIMARY, PRIMARY], "InvalidParameterValue", "unique device index"),
        ("p5.48xlarge", [PRIMARY, efa(32)], "InvalidParameterValue", "card index 32 is invalid"),
        (
            "p5.48xlarge",
            [PRIMARY, efa(1, 2)],
            "InvalidParameterValue",
            "The specified number '2' for the device index",
        ),
        ("p5.48xlarge", [PRIMARY, efa(1), efa(1, 1)], "AttachmentLimitExceeded", "Only one Elastic Fabric"),
        (
            "p6-b300.48xlarge",
            [PRIMARY, efa(0, 1)],
            "InvalidParameterValue",
            "not supported on network card 0",
        ),
        ("g7e.2xlarge", [PRIMARY, efa(0, 1)], "UnsupportedOperation", "not supported on g7e.2xlarge"),
        (
            "p5.48xlarge",
            [PRIMARY, efa(0, 1), {"DeviceIndex": 2}],
            "AttachmentLimitExceeded",
            "limit of 2 for network card 0",
        ),
        ("t3.micro", [{"DeviceIndex": n} for n in range(3)], "AttachmentLimitExceeded", "Interface count 3"),
        (
            "g7e.8xlarge",
            [{**PRIMARY, "AssociatePublicIpAddress": True}, efa(0, 1)],
            "InvalidParameterCombination",
            "associatePublicIPAddress",
        ),
        (
            "g7e.8xlarge",
            [PRIMARY, {**efa(0, 1), "PrivateIpAddress": "172.31.0.9"}],
            "InvalidParameterCombination",
            "can't have an IP address",
        ),
    ],
)
def test_layouts_that_ec2_refuses(instance_type: str, specs: list[Spec], code: str, words: str) -> None:
    with pytest.raises(EC2ClientError, match=words) as caught:
        check_interfaces(INSTANCE_TYPES[instance_type], specs)
    assert caught.value.code == code


def test_a_type_has_no_more_efa_interfaces_than_ec2_says() -> None:
    fewer = {**INSTANCE_TYPES["p4d.24xlarge"]}
    fewer["NetworkInfo"] = {**fewer["NetworkInfo"], "EfaInfo": {"MaximumEfaInterfaces": 2}}
    with pytest.raises(EC2ClientError, match="EFA interface count 4 exceeds the limit of 2") as caught:
        check_interfaces(fewer, recommended(4))
    assert caught.value.code == "AttachmentLimitExceeded"
