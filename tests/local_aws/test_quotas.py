from typing import Any

from local_aws import LocalAws
from local_aws.quotas import QUOTAS, code_for


def test_every_p_on_spot_can_count_against_one_quota(aws: LocalAws, client: Any, refused: Any) -> None:
    quotas = client("service-quotas")
    assert code_for("p5.48xlarge", spot=True) == "L-C4BD4855"
    aws.world.one_spot_p_quota = True
    assert {code_for(name, spot=True) for name in ("p4d.24xlarge", "p5.48xlarge", "p6-b200.48xlarge")} == {
        "L-7212CCBC"
    }
    found = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-7212CCBC")["Quota"]
    assert found["QuotaName"] == "All P Spot Instance Requests"
    with refused("NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-C4BD4855")


def test_every_quota_is_listed_and_can_be_read(client: Any) -> None:
    quotas = client("service-quotas")
    listed = [
        quota
        for service in ("ec2", "ebs")
        for quota in quotas.list_service_quotas(ServiceCode=service)["Quotas"]
    ]
    assert {quota["QuotaCode"] for quota in listed} == set(QUOTAS)
    for quota in listed:
        asked = {"ServiceCode": quota["ServiceCode"], "QuotaCode": quota["QuotaCode"]}
        assert quotas.get_service_quota(**asked)["Quota"] == quota
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
