"""What the Price List's documents say, as AWS was recorded with them, and what is no price."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest

from nixl_efa.cost import price_list
from nixl_efa.cost.money import Amount, Price, Unknown
from nixl_efa.cost.price_list import (
    ENDPOINTS,
    address_hour,
    gib_month,
    instance_hour,
    iops_month,
    mibps_month,
)
from tests.records import answer

REGION = "us-east-1"


def texts(name: str) -> list[str]:
    """The documents of a record, as GetProducts sends them."""
    return [json.dumps(one) for one in answer(f"prices/{name}")["PriceList"]]


RECORDED: dict[str, tuple[str, Callable[[list[str]], Price], str]] = {
    "an instance": (
        "t3.medium-on-demand",
        lambda found: instance_hour(found, "t3.medium", REGION),
        "0.0416",
    ),
    "storage": ("gp3-volumes", lambda found: gib_month(found, REGION), "0.08"),
    "IOPS": ("gp3-volumes", lambda found: iops_month(found, REGION), "0.005"),
    "throughput, by the GiB": ("gp3-volumes", lambda found: mibps_month(found, REGION), "0.04"),
    "an address in use": ("public-addresses", lambda found: address_hour(found, REGION), "0.005"),
}


@pytest.mark.parametrize("case", RECORDED)
def test_what_aws_was_recorded_with_is_read(case: str) -> None:
    name, read, expected = RECORDED[case]
    assert read(texts(name)) == Amount(Decimal(expected), "USD")


def changed(change: Callable[[Any], None]) -> list[str]:
    """The document of t3.medium, changed."""
    (document,) = answer("prices/t3.medium-on-demand")["PriceList"]
    change(document)
    return [json.dumps(document)]


def dimension(document: Any) -> Any:
    (term,) = document["terms"]["OnDemand"].values()
    return next(iter(term["priceDimensions"].values()))


def test_what_a_local_zone_costs_is_not_its_regions_price() -> None:
    """Both end with the same usagetype, and have the same regionCode."""
    documents = texts("gp3-volumes")
    (storage,) = (one for one in map(json.loads, documents) if "VolumeUsage" in str(one["product"]))
    storage["product"]["attributes"] |= {
        "locationType": "AWS Local Zone",
        "usagetype": "USE1-BOS1-EBS:VolumeUsage.gp3",
    }
    dimension(storage)["pricePerUnit"] = {"USD": "0.0960000000"}
    assert gib_month([*documents, json.dumps(storage)], REGION) == Amount(Decimal("0.08"), "USD")


NO_PRICE: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "has no price for"),
    "Reserved alone": (changed(lambda one: one["terms"].pop("OnDemand")), "has no price for"),
    "0": (changed(lambda one: dimension(one).update(pricePerUnit={"USD": "0.0000000000"})), "says 0"),
    "another unit": (changed(lambda one: dimension(one).update(unit="Quantity")), "has no price for"),
    "several prices": (
        texts("t3.medium-on-demand")
        + changed(lambda one: dimension(one).update(pricePerUnit={"USD": "0.05"})),
        "more than one price for t3.medium On-Demand in us-east-1: 0.0416 USD, 0.05 USD",
    ),
    "several currencies": (
        changed(lambda one: dimension(one).update(pricePerUnit={"USD": "1", "CNY": "7"})),
        "more than one price",
    ),
    "no number": (changed(lambda one: dimension(one).update(pricePerUnit={"USD": "a lot"})), "can't be read"),
    "no JSON": (["<html>"], "can't be read"),
    "another document": (["[]"], "can't be read"),
}


@pytest.mark.parametrize("case", NO_PRICE)
def test_what_is_no_price_is_unknown_with_the_reason(case: str) -> None:
    documents, words = NO_PRICE[case]
    found = instance_hour(documents, "t3.medium", REGION)
    assert isinstance(found, Unknown)
    assert words in found.reason


def test_a_price_is_never_0_and_never_one_of_several() -> None:
    """Of a type that is sold as a block, the product of blocks passes all filters but that of the market."""
    documents = texts("p5.48xlarge-of-two-markets")
    question = price_list.of_instances(REGION, "p5.48xlarge").attributes
    attributes = [json.loads(text)["product"]["attributes"] for text in documents]
    differing = [[name for name, value in question.items() if one[name] != value] for one in attributes]
    assert differing == [["marketoption"], []]
    # Even with both of them.
    assert instance_hour(documents, "p5.48xlarge", REGION) == Amount(Decimal("55.04"), "USD")


def test_prices_in_china_are_in_its_currency() -> None:
    documents = changed(lambda one: dimension(one).update(pricePerUnit={"CNY": "0.4620000000"}))
    assert instance_hour(documents, "t3.medium", "cn-north-1") == Amount(Decimal("0.462"), "CNY")


def test_the_price_list_is_asked_where_botocore_has_an_endpoint() -> None:
    session = boto3.Session()
    for partition in session.get_available_partitions():
        regions = session.get_available_regions("pricing", partition_name=partition)
        assert (ENDPOINTS.get(partition) in regions) == bool(regions)
