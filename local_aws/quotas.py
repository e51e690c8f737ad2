"""Service Quotas for EC2's vCPU and Elastic IP limits, beside moto's VPC ones.

Sources: EC2 user guide, ec2-instance-limits; VPC user guide, amazon-vpc-limits.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from moto.core.responses import ActionResult
from moto.servicequotas.responses import ServiceQuotasResponse

from local_aws.inferred import lean_on
from local_aws.requests import JsonError
from local_aws.world import world

_EC2 = "ec2"
# code: (name, the families' first letters, spot, default vCPUs of this local account)
QUOTAS: dict[str, tuple[str, tuple[str, ...], bool, float]] = {
    "L-417A185B": ("Running On-Demand P instances", ("p",), False, 768.0),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", ("g", "vt"), False, 768.0),
    "L-2C3B7624": ("Running On-Demand Trn instances", ("trn",), False, 512.0),
    "L-1945791B": ("Running On-Demand Inf instances", ("inf",), False, 384.0),
    "L-7212CCBC": ("All P4, P3 and P2 Spot Instance Requests", ("p",), True, 384.0),
    "L-0263D0A3": ("EC2-VPC Elastic IPs", (), False, 5.0),
    "L-3819A6DF": ("All G and VT Spot Instance Requests", ("g", "vt"), True, 384.0),
}


def code_for(instance_type: str, spot: bool) -> str | None:
    """The quota that a type counts against; None for one that is not kept here."""
    letters = "".join(takewhile(str.isalpha, instance_type))
    for code, (_, families, for_spot, _) in QUOTAS.items():
        if letters in families and for_spot == spot:
            return code
    return None


def value(code: str) -> float:
    """The quota in force: a test's, else the default."""
    return world().quotas.get(code, QUOTAS[code][3])


class ServiceQuotas(ServiceQuotasResponse):  # type: ignore[misc]
    """One request to Service Quotas."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def get_service_quota(self) -> ActionResult:
        """A quota of EC2 or VPC by its code."""
        if self._get_param("ServiceCode") != _EC2:
            return ActionResult({"Quota": self.backend.get_service_quota(*self._names())})
        code = self._get_param("QuotaCode")
        if code not in QUOTAS:
            raise JsonError("NoSuchResourceException", "The specified resource does not exist.")
        return ActionResult({"Quota": self._describe(code)})

    def get_aws_default_service_quota(self) -> ActionResult:
        """AWS's default, which is what an untouched local account has."""
        return self.get_service_quota()

    def list_service_quotas(self) -> ActionResult:
        """Every quota of EC2 that is kept here."""
        return ActionResult({"Quotas": self._all()})

    def list_aws_default_service_quotas(self) -> ActionResult:
        """AWS's defaults."""
        return ActionResult({"Quotas": self._all()})

    def _all(self) -> list[Any]:
        if self._get_param("ServiceCode") == _EC2:
            return [self._describe(code) for code in QUOTAS]
        return list(self.backend.list_aws_default_service_quotas(self._get_param("ServiceCode")))

    def _names(self) -> tuple[str, str]:
        return self._get_param("ServiceCode"), self._get_param("QuotaCode")

    def _describe(self, code: str) -> dict[str, Any]:
        if code not in world().quotas:
            lean_on("quota-values-made-up")
        return {
            "ServiceCode": _EC2,
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:{self.partition}:servicequotas:{self.region}:{self.current_account}:{_EC2}/{code}",
            "QuotaCode": code,
            "QuotaName": QUOTAS[code][0],
            "Value": value(code),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
