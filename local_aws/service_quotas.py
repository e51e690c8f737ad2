"""Service Quotas for EC2, beside moto's VPC ones."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.servicequotas.responses import ServiceQuotasResponse

from local_aws.errors_json import JsonError
from local_aws.quotas import QUOTAS, value

_EC2 = "ec2"


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
            raise JsonError(
                "NoSuchResourceException", "The request failed because the specified service does not exist."
            )
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
