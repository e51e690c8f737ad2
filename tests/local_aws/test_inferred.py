from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from local_aws.control import Control

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

HEADER = "x-local-aws-inferred"


def test_an_answer_that_leans_on_what_is_inferred_says_so(
    aws: LocalAws, ec2: EC2Client, ssm: SSMClient
) -> None:
    control = Control(aws.endpoint)
    control.request("DELETE", "inferred")

    with pytest.raises(ClientError) as caught:
        ssm.get_parameter(Name="/aws/service/nobody/name")

    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"][HEADER] == "no-valid-namespace"
    later = ec2.describe_placement_groups()
    assert HEADER not in later["ResponseMetadata"]["HTTPHeaders"]
    assert control.inferred() == ["no-valid-namespace"]
    control.reset()
    assert control.inferred() == []


def test_each_answer_that_shows_an_ending_which_nobody_has_seen_says_so(
    aws: LocalAws, ec2: EC2Client, block: Any, launch: Any
) -> None:
    bought = block(count=1)
    aws.clock.set(bought["StartDate"])
    subnet = ec2.describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": [bought["AvailabilityZone"]]}]
    )["Subnets"][0]["SubnetId"]
    launch(
        InstanceType="p5.48xlarge",
        SubnetId=subnet,
        InstanceMarketOptions={"MarketType": "capacity-block"},
        CapacityReservationSpecification={
            "CapacityReservationTarget": {"CapacityReservationId": bought["CapacityReservationId"]}
        },
    )
    aws.clock.set(bought["EndDate"] - timedelta(minutes=30))

    for _ in range(2):
        shown = ec2.describe_instances()["ResponseMetadata"]["HTTPHeaders"]
        assert shown[HEADER] == "block-ending"
    assert HEADER not in ec2.describe_vpcs()["ResponseMetadata"]["HTTPHeaders"]
