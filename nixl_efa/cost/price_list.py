"""Prices from AWS's Price List: what to ask GetProducts for, and what its documents say. Pure.

A document, of which PriceList holds each as a text (tests/recorded/prices; what else is in it is left out):

    {"product": {"attributes": {"regionCode": "us-east-1", "usagetype": "EBS:VolumeUsage.gp3", ...}, "sku": "JG3K"},
     "terms": {"OnDemand": {"JG3K.JRTC": {"priceDimensions": {"JG3K.JRTC.6YS6": {
         "unit": "GB-Mo", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": "0.0800000000"}}}}}}}

Reserved terms can stand beside OnDemand. usagetype begins with the region, but in some regions. What a region's Local
Zones cost stands under the same regionCode, with another locationType.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from nixl_efa.cost.money import Amount, Price, Unknown

# Where the Price List answers, by partition, for all regions of it (botocore's endpoints). GovCloud has none.
ENDPOINTS = {
    "aws": "us-east-1",
    "aws-cn": "cn-northwest-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
    "aws-eusc": "eusc-de-east-1",
}
EC2, VPC = "AmazonEC2", "AmazonVPC"
IN_REGION = "AWS Region"
HOURS, GIB_MONTH, IOPS_MONTH = "Hrs", "GB-Mo", "IOPS-Mo"
# Throughput is priced by the GiB/s (40.96) though its description speaks of MiB/s (0.04).
_THROUGHPUT = {"GiBps-mo": Decimal(1024), "MiBps-mo": Decimal(1)}


@dataclass(frozen=True, slots=True)
class Question:
    """What GetProducts is asked for: a service's products with these attributes."""

    service: str
    attributes: Mapping[str, str]

    @property
    def request(self) -> dict[str, Any]:
        """The members of GetProducts."""
        filters = [
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in self.attributes.items()
        ]
        return {"ServiceCode": self.service, "FormatVersion": "aws_v1", "Filters": filters}


def of_instances(region: str, instance_type: str) -> Question:
    """An instance-hour On-Demand with Linux. Without marketoption the product of Capacity Blocks passes, too, at 0."""
    return Question(
        EC2,
        {
            "regionCode": region,
            "instanceType": instance_type,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "marketoption": "OnDemand",
        },
    )


def of_volumes(region: str) -> Question:
    """All of gp3: storage, I/O operations, throughput."""
    return Question(EC2, {"regionCode": region, "volumeApiName": "gp3"})


def of_addresses(region: str) -> Question:
    """Public IPv4 addresses, in use and idle."""
    return Question(VPC, {"regionCode": region, "group": "VPCPublicIPv4Address"})


def instance_hour(documents: Iterable[str], instance_type: str, region: str) -> Price:
    """The On-Demand price of one instance for an hour."""
    return _price(documents, "", (HOURS,), f"{instance_type} On-Demand in {region}")


def gib_month(documents: Iterable[str], region: str) -> Price:
    """A GiB of gp3 for a month."""
    return _price(documents, "EBS:VolumeUsage.gp3", (GIB_MONTH, "GB-month"), f"gp3 in {region}")


def iops_month(documents: Iterable[str], region: str) -> Price:
    """An I/O operation a second of gp3, above those that are included, for a month."""
    return _price(documents, "EBS:VolumeP-IOPS.gp3", (IOPS_MONTH,), f"gp3's IOPS in {region}")


def mibps_month(documents: Iterable[str], region: str) -> Price:
    """A MiB/s of gp3, above those that are included, for a month."""
    what, every = f"gp3's throughput in {region}", list(documents)
    found = {unit: _price(every, "EBS:VolumeP-Throughput.gp3", (unit,), what) for unit in _THROUGHPUT}
    for unit, price in found.items():
        if isinstance(price, Amount):
            return Amount(price.value / _THROUGHPUT[unit], price.currency)
    return found["GiBps-mo"]


def address_hour(documents: Iterable[str], region: str) -> Price:
    """A public IPv4 address in use for an hour."""
    return _price(documents, "PublicIPv4:InUseAddress", (HOURS,), f"public addresses in {region}")


def _price(documents: Iterable[str], usage: str, units: tuple[str, ...], what: str) -> Price:
    """The one price of the products whose usagetype ends so. Unknown where there is none, or more than one."""
    try:
        found = sorted({one for text in documents for one in _rates(json.loads(text), usage, units)})
    except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
        return Unknown(f"the Price List's answer for {what} can't be read")
    priced = [(currency, value) for currency, value in found if value > 0]
    if not priced:
        told = "says 0, which is no price, for" if found else "has no price for"
        return Unknown(f"the Price List {told} {what}")
    if len(priced) > 1:
        several = ", ".join(f"{value.normalize():f} {currency}" for currency, value in priced)
        return Unknown(f"the Price List has more than one price for {what}: {several}")
    ((currency, value),) = priced
    return Amount(value, currency)


def _rates(document: Mapping[str, Any], usage: str, units: tuple[str, ...]) -> Iterator[tuple[str, Decimal]]:
    attributes = document["product"]["attributes"]
    if attributes.get("locationType", IN_REGION) != IN_REGION:
        return
    if not attributes.get("usagetype", "").endswith(usage):
        return
    for term in document["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"] in units:
                yield from ((name, Decimal(text)) for name, text in dimension["pricePerUnit"].items())
