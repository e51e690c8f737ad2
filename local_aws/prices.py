"""The prices in the Price List and of Spot: example figures. Pure.

The documents have the form in which GetProducts sends them (tests/recorded/prices). The rates are those of AWS's list
of 2026-07 in us-east-1 (tests/recorded/prices/on-demand-rates-of-us-east-1.json) and of public tables; here they hold
in every region, in CNY in China. Each description says that it is an example.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

VERSION = "20260728175247"
EFFECTIVE = "2026-07-01T00:00:00Z"
ON_DEMAND_TERM = "JRTCKXETXF"
_DIMENSION = "6YS6EN2CT7"

# An instance-hour, Linux, On-Demand. Some types that are sold as blocks are not on the list (p5e, p6e, trn2).
_ON_DEMAND = {
    "g6e.48xlarge": "30.13118",
    "g7e.2xlarge": "3.3631",
    "g7e.4xlarge": "3.9982",
    "g7e.8xlarge": "5.2682",
    "g7e.12xlarge": "8.2861",
    "g7e.24xlarge": "16.5722",
    "g7e.48xlarge": "33.14432",
    "p4d.24xlarge": "21.957642",
    "p4de.24xlarge": "27.44705",
    "p5.4xlarge": "6.88",
    "p5.48xlarge": "55.04",
    "p5en.48xlarge": "63.296",
    "p6-b200.48xlarge": "113.9328",
    "p6-b300.48xlarge": "142.416",
    "trn1.32xlarge": "21.5",
}
# Beside their On-Demand product the list has one of the market option CapacityBlock, at 0
# (tests/recorded/prices/p5.48xlarge-of-two-markets.json).
_ALSO_AS_BLOCK = ("p4d.", "p4de.", "p5.", "p5en.", "p6-", "trn1.")
# usagetype without the region's prefix, unit, price, and what else identifies the product.
_GP3 = (
    ("EBS:VolumeUsage.gp3", "GB-Mo", "0.08", "Storage", {"volumeType": "General Purpose"}),
    ("EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.005", "System Operation", {"group": "EBS IOPS"}),
    (
        "EBS:VolumeP-Throughput.gp3",
        "GiBps-mo",
        "40.96",
        "Provisioned Throughput",
        {"group": "EBS Throughput"},
    ),
)
# A Local Zone's products are listed with those of its region; here, for one region and product.
_LOCAL_ZONE = {"us-west-2": ("USW2-LAX1", "EBS:VolumeUsage.gp3", "GB-Mo", "0.096", "Storage")}
_ADDRESSES = (
    ("PublicIPv4:InUseAddress", "0.005", "VPCPublicIPv4Address"),
    ("PublicIPv4:IdleAddress", "0.005", "VPCPublicIPv4Address"),
    ("PublicIPv4:ContiguousBlock", "0.008", "VPCIPv4ContiguousBlocks"),
)
# Share of the On-Demand price, in the first zone and in the others; and how a price changes from one day to the next.
_SPOT_PART = (Decimal("0.45"), Decimal("0.52"))
_SPOT_STEPS = (Decimal("1.00"), Decimal("1.02"), Decimal("0.97"))
SPOT_DAYS = 90


def products(service: str, region: str) -> Iterator[dict[str, Any]]:
    """The documents of a service's products in a region."""
    if service == "AmazonEC2":
        for name, price in _ON_DEMAND.items():
            if name.startswith(_ALSO_AS_BLOCK):
                yield _instance(region, name, "CapacityBlock", "0")
            yield _instance(region, name, "OnDemand", price)
        for usage, unit, price, family, more in _GP3:
            attributes = {"usagetype": _usage(region, usage), "volumeApiName": "gp3", **more}
            yield _product(service, region, attributes, unit, price, family)
        if region in _LOCAL_ZONE:
            begin, usage, unit, price, family = _LOCAL_ZONE[region]
            apart = {
                "locationType": "AWS Local Zone",
                "usagetype": f"{begin}-{usage}",
                "volumeApiName": "gp3",
            }
            yield _product(service, region, apart, unit, price, family)
    elif service == "AmazonVPC":
        for usage, price, group in _ADDRESSES:
            attributes = {"usagetype": _usage(region, usage), "group": group}
            yield _product(service, region, attributes, "Hrs", price)


def passes(product: Mapping[str, Any], filters: Iterable[Mapping[str, str]]) -> bool:
    """Whether a document matches every filter of the kind TERM_MATCH."""
    inside = product["product"]
    known = {**inside["attributes"], "productFamily": inside.get("productFamily", "")}
    return all(known.get(each["Field"]) == each["Value"] for each in filters)


def spot_history(
    instance_type: str, zones: Sequence[str], start: datetime, end: datetime
) -> Iterator[dict[str, Any]]:
    """When the Spot price of a type changed in each zone, the newest first: once a day, at midnight; the last change
    before `start` is the price at the start. None of a type that has no On-Demand price here."""
    if instance_type not in _ON_DEMAND:
        return
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = max((end - first).days, 0)
    for number in range(days, -1, -1):
        day = first + timedelta(days=number)
        for place, zone in enumerate(zones):
            part = _SPOT_PART[min(place, 1)] * _SPOT_STEPS[day.toordinal() % len(_SPOT_STEPS)]
            yield {
                "AvailabilityZone": zone,
                "InstanceType": instance_type,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": f"{Decimal(_ON_DEMAND[instance_type]) * part:.6f}",
                "Timestamp": day,
            }


def _instance(region: str, name: str, market: str, price: str) -> dict[str, Any]:
    attributes = {
        "instanceType": name,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": market,
        "operation": "RunInstances" if market == "OnDemand" else "RunInstances:CB",
        "usagetype": _usage(region, f"BoxUsage:{name}"),
    }
    return _product("AmazonEC2", region, attributes, "Hrs", price, "Compute Instance")


def _usage(region: str, usage: str) -> str:
    """us-east-1 has no prefix; those of the other regions are invented."""
    return usage if region == "us-east-1" else f"{region.upper()}-{usage}"


def _product(
    service: str, region: str, attributes: Mapping[str, str], unit: str, price: str, family: str = ""
) -> dict[str, Any]:
    currency = "CNY" if region.startswith("cn-") else "USD"
    sku = hashlib.sha256(json.dumps([service, region, dict(attributes)]).encode()).hexdigest()[:16].upper()
    rate = f"{sku}.{ON_DEMAND_TERM}.{_DIMENSION}"
    dimension = {
        "unit": unit,
        "beginRange": "0",
        "endRange": "Inf",
        "rateCode": rate,
        "appliesTo": [],
        "description": f"{price} {currency} per {unit} (example of the local AWS, after AWS's list of 2026-07)",
        "pricePerUnit": {currency: f"{Decimal(price):.10f}"},
    }
    term = {
        "sku": sku,
        "offerTermCode": ON_DEMAND_TERM,
        "effectiveDate": EFFECTIVE,
        "termAttributes": {},
        "priceDimensions": {rate: dimension},
    }
    return {
        "product": {
            **({"productFamily": family} if family else {}),
            "attributes": {
                "regionCode": region,
                "servicecode": service,
                "locationType": "AWS Region",
                **attributes,
            },
            "sku": sku,
        },
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.{ON_DEMAND_TERM}": term}},
        "version": VERSION,
        "publicationDate": "2026-07-28T17:52:47Z",
    }
