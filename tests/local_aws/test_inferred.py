from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from local_aws.control import Control

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

HEADER = "x-local-aws-inferred"


def test_an_answer_that_leans_on_what_is_inferred_says_so(
    aws: LocalAws, ec2: EC2Client, block: Any, launch: Any
) -> None:
    bought = block()
    aws.clock.set(bought["StartDate"])
    subnet = ec2.describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": [bought["AvailabilityZone"]]}]
    )["Subnets"][0]["SubnetId"]
    ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    control = Control(aws.endpoint)
    control.request("DELETE", "inferred")

    with pytest.raises(ClientError) as caught:
        launch(
            InstanceType="p5.48xlarge",
            SubnetId=subnet,
            Placement={"GroupName": "pair"},
            InstanceMarketOptions={"MarketType": "capacity-block"},
            CapacityReservationSpecification={
                "CapacityReservationTarget": {"CapacityReservationId": bought["CapacityReservationId"]}
            },
        )

    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"][HEADER] == "placement-group-with-block"
    later = ec2.describe_placement_groups()
    assert HEADER not in later["ResponseMetadata"]["HTTPHeaders"]
    assert control.inferred() == ["placement-group-with-block"]
    control.reset()
    assert control.inferred() == []
