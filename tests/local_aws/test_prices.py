"""The Price List, Spot's prices and scores of the local AWS, compared with what AWS was recorded with."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from tests.local_aws.conftest import NOW, MakeClient
from tests.local_aws.test_recorded_answers import lacking
from tests.records import answer

EAST = "us-east-1"


def products(client: MakeClient, service: str, region: str = EAST, **attributes: str) -> list[Any]:
    """All pages of GetProducts."""
    filters = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value}
        for name, value in {"regionCode": region, **attributes}.items()
    ]
    pages = (
        client("pricing", region=EAST)
        .get_paginator("get_products")
        .paginate(ServiceCode=service, Filters=filters)
    )
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def price(product: Any) -> tuple[str, str, str]:
    """Currency, price and unit."""
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    ((currency, value),) = dimension["pricePerUnit"].items()
    assert "example of the local AWS" in dimension["description"]
    return currency, value, dimension["unit"]


# Of the product's attributes ours have those that tell it; terms go by their skus.
ALLOWED = (".product.attributes.", ".terms.OnDemand.")


def test_a_product_has_what_awss_had(client: MakeClient) -> None:
    for name, asked in (
        ("prices/gp3-volumes", {"service": "AmazonEC2", "volumeApiName": "gp3"}),
        ("prices/public-addresses", {"service": "AmazonVPC"}),
    ):
        ours = {price_key(one): one for one in products(client, **asked)}
        theirs = {price_key(one): one for one in answer(name)["PriceList"]}
        assert ours.keys() == theirs.keys()
        for key, recorded in theirs.items():
            missing = [one for one in lacking(recorded, ours[key]) if not one.startswith(ALLOWED)]
            assert missing == []
            assert price(ours[key]) == _price_of(recorded)


def test_a_local_zones_product_passes_the_filters_of_its_region(client: MakeClient) -> None:
    found = products(client, "AmazonEC2", "us-west-2", volumeApiName="gp3")
    prices = {
        one["product"]["attributes"]["locationType"]: price(one)
        for one in found
        if one["product"]["attributes"]["usagetype"].endswith("EBS:VolumeUsage.gp3")
    }
    assert prices == {
        "AWS Region": ("USD", "0.0800000000", "GB-Mo"),
        "AWS Local Zone": ("USD", "0.0960000000", "GB-Mo"),
    }


def price_key(product: Any) -> str:
    return str(product["product"]["attributes"]["usagetype"]).removeprefix("USE1-")


def _price_of(recorded: Any) -> tuple[str, str, str]:
    (term,) = recorded["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    ((currency, value),) = dimension["pricePerUnit"].items()
    return currency, value, dimension["unit"]


def test_on_demand_prices_are_those_of_awss_list(client: MakeClient) -> None:
    recorded = answer("prices/on-demand-rates-of-us-east-1")
    ours = {
        one["product"]["attributes"]["instanceType"]: price(one)[1]
        for one in products(client, "AmazonEC2", operatingSystem="Linux", marketoption="OnDemand")
    }
    assert {name: ours[name] for name in recorded["usd_an_hour"]} == recorded["usd_an_hour"]
    assert not set(recorded["absent"]) & ours.keys()


def test_a_type_that_is_sold_as_a_block_has_a_product_at_0_that_only_the_market_tells_apart(
    client: MakeClient,
) -> None:
    recorded = answer("prices/p5.48xlarge-of-two-markets")["PriceList"]
    theirs = {one["product"]["attributes"]["marketoption"]: _price_of(one) for one in recorded}
    ours = products(client, "AmazonEC2", instanceType="p5.48xlarge", tenancy="Shared", preInstalledSw="NA")
    assert {one["product"]["attributes"]["marketoption"]: price(one) for one in ours} == theirs
    assert len(products(client, "AmazonEC2", instanceType="g7e.48xlarge")) == 1


def test_prices_of_china_are_in_its_currency(client: MakeClient) -> None:
    (found,) = products(client, "AmazonVPC", "cn-north-1", usagetype="CN-NORTH-1-PublicIPv4:InUseAddress")
    assert price(found)[0] == "CNY"


def test_spot_prices_and_scores_have_what_awss_had(client: MakeClient) -> None:
    ec2 = client("ec2")
    history = ec2.describe_spot_price_history(InstanceTypes=["p5.48xlarge"], StartTime=NOW)
    assert list(lacking(answer("prices/spot-price-history"), history)) == []
    scores = ec2.get_spot_placement_scores(
        InstanceTypes=["p5.48xlarge"],
        TargetCapacity=2,
        SingleAvailabilityZone=True,
        RegionNames=["us-east-2"],
    )
    assert list(lacking(answer("prices/spot-placement-scores"), scores)) == []
    # Of one type alone it is always low.
    assert {one["Score"] for one in scores["SpotPlacementScores"]} <= {1, 2, 3}


def test_the_history_has_the_price_at_its_start_and_comes_in_pages(client: MakeClient) -> None:
    pages = list(
        client("ec2")
        .get_paginator("describe_spot_price_history")
        .paginate(
            InstanceTypes=["p5.48xlarge"], StartTime=NOW, EndTime=NOW, ProductDescriptions=["Linux/UNIX"]
        )
    )
    found = [one for page in pages for one in page["SpotPriceHistory"]]
    assert found
    assert all(one["Timestamp"] <= NOW for one in found)
    assert len({one["AvailabilityZone"] for one in found}) == len(found)


def test_a_policy_can_keep_from_asking(aws: LocalAws, client: MakeClient) -> None:
    statement = {"Effect": "Allow", "Action": ["ec2:DescribeSpotPriceHistory"], "Resource": "*"}
    aws.allow_only({"Version": "2012-10-17", "Statement": [statement]})
    with pytest.raises(ClientError, match="AccessDeniedException"):
        products(client, "AmazonVPC")
