from __future__ import annotations

from typing import Any

import pytest

from local_aws import LocalAws
from local_aws.quotas import code_for

CODES = {"L-417A185B", "L-DB2E81BA", "L-2C3B7624", "L-1945791B", "L-7212CCBC", "L-3819A6DF", "L-0263D0A3"}


@pytest.mark.parametrize(
    ("instance_type", "spot", "code"),
    [
        ("p5.48xlarge", False, "L-417A185B"),
        ("p6-b200.48xlarge", False, "L-417A185B"),
        ("g7e.8xlarge", False, "L-DB2E81BA"),
        ("vt1.24xlarge", False, "L-DB2E81BA"),
        ("trn2.48xlarge", False, "L-2C3B7624"),
        ("inf2.48xlarge", False, "L-1945791B"),
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("g6.8xlarge", True, "L-3819A6DF"),
        ("m7i.large", False, None),
        ("trn1.32xlarge", True, None),
    ],
)
def test_a_type_counts_against_its_quota(instance_type: str, spot: bool, code: str | None) -> None:
    assert code_for(instance_type, spot) == code


def test_every_quota_is_listed_and_can_be_read(client: Any) -> None:
    quotas = client("service-quotas")
    listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {quota["QuotaCode"] for quota in listed} == CODES
    for quota in listed:
        assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=quota["QuotaCode"])["Quota"] == quota
        assert quota["Value"] > 0


def test_a_quota_can_be_set(aws: LocalAws, client: Any) -> None:
    aws.world.quotas["L-417A185B"] = 0.0
    quota = client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode="L-417A185B")["Quota"]
    assert (quota["Value"], quota["QuotaName"]) == (0.0, "Running On-Demand P instances")


def test_quotas_that_are_not_there(client: Any, refused: Any) -> None:
    quotas = client("service-quotas")
    for service, code in (("ec2", "L-00000000"), ("nothing", "L-417A185B")):
        with refused("NoSuchResourceException"):
            quotas.get_service_quota(ServiceCode=service, QuotaCode=code)


def test_motos_own_quotas_are_still_there(client: Any) -> None:
    quotas = client("service-quotas")
    listed = quotas.list_aws_default_service_quotas(ServiceCode="vpc")["Quotas"]
    found = quotas.get_service_quota(ServiceCode="vpc", QuotaCode=listed[0]["QuotaCode"])["Quota"]
    assert found["QuotaName"] == listed[0]["QuotaName"]
