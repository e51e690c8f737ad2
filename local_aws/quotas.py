"""Service Quotas for EC2's vCPU and Elastic IP limits and EBS's gp3 storage, beside moto's VPC ones.

Sources: EC2 user guide, ec2-on-demand-instances and using-spot-limits (two versions of the page: a separate quota for
P5 on Spot, or one for every P); VPC user guide, amazon-vpc-limits.
"""

import re
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.servicequotas.responses import ServiceQuotasResponse

from local_aws.inferred import lean_on
from local_aws.requests import JsonError
from local_aws.world import world

_EC2, _EBS = "ec2", "ebs"
_NAMES = {
    _EC2: "Amazon Elastic Compute Cloud (Amazon EC2)",
    _EBS: "Amazon Elastic Block Store (Amazon EBS)",
}
GP3_STORAGE = "L-7A658B76"


@dataclass(frozen=True, slots=True)
class LocalQuota:
    """A quota. families: the letters at the beginning of the types' names, with a number if only one generation is
    meant; empty if the quota is not about instances. value: vCPUs of this local account, or a number of addresses."""

    name: str
    families: tuple[str, ...]
    spot: bool
    value: float


_STANDARD = ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z")
QUOTAS: dict[str, LocalQuota] = {
    "L-417A185B": LocalQuota("Running On-Demand P instances", ("p",), False, 768.0),
    "L-DB2E81BA": LocalQuota("Running On-Demand G and VT instances", ("g", "gr", "vt"), False, 768.0),
    "L-2C3B7624": LocalQuota("Running On-Demand Trn instances", ("trn",), False, 512.0),
    "L-1945791B": LocalQuota("Running On-Demand Inf instances", ("inf",), False, 384.0),
    "L-6E869C2A": LocalQuota("Running On-Demand DL instances", ("dl",), False, 384.0),
    "L-74FC7D96": LocalQuota("Running On-Demand F instances", ("f",), False, 384.0),
    "L-7295265B": LocalQuota("Running On-Demand X instances", ("x",), False, 768.0),
    "L-F7808C92": LocalQuota("Running On-Demand HPC instances", ("hpc",), False, 768.0),
    "L-43DA4232": LocalQuota("Running On-Demand High Memory instances", ("u",), False, 896.0),
    "L-1216C47A": LocalQuota(
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", _STANDARD, False, 20000.0
    ),
    "L-C4BD4855": LocalQuota("All P5 Spot Instance Requests", ("p5",), True, 768.0),
    "L-7212CCBC": LocalQuota("All P4, P3 and P2 Spot Instance Requests", ("p4", "p3", "p2"), True, 384.0),
    "L-3819A6DF": LocalQuota("All G and VT Spot Instance Requests", ("g", "gr", "vt"), True, 384.0),
    "L-6B0D517C": LocalQuota("All Trn Spot Instance Requests", ("trn",), True, 512.0),
    "L-B5D1601B": LocalQuota("All Inf Spot Instance Requests", ("inf",), True, 384.0),
    "L-85EED4F7": LocalQuota("All DL Spot Instance Requests", ("dl",), True, 384.0),
    "L-88CF9481": LocalQuota("All F Spot Instance Requests", ("f",), True, 384.0),
    "L-E3A00192": LocalQuota("All X Spot Instance Requests", ("x",), True, 384.0),
    "L-34B43A08": LocalQuota(
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", _STANDARD, True, 20000.0
    ),
    "L-0263D0A3": LocalQuota("EC2-VPC Elastic IPs", (), False, 5.0),
    # In TiB; a quota of the service EBS (EBS user guide, ebs-resource-quotas).
    GP3_STORAGE: LocalQuota("Storage for General Purpose SSD (gp3) volumes, in TiB", (), False, 50.0),
}
# The other version of the page: one quota for every P on Spot.
_P_TOGETHER = LocalQuota("All P Spot Instance Requests", ("p",), True, 384.0)


def in_force() -> dict[str, LocalQuota]:
    """The quotas that exist, by code."""
    if not world().one_spot_p_quota:
        return QUOTAS
    return {code: quota for code, quota in QUOTAS.items() if code != "L-C4BD4855"} | {
        "L-7212CCBC": _P_TOGETHER
    }


def code_for(instance_type: str, spot: bool) -> str | None:
    """The quota that a type counts against; None where no quota names it, as p6 on Spot."""
    generation = re.match(r"[a-z]+\d*", instance_type)
    words = {generation[0], generation[0].rstrip("0123456789")} if generation else set()
    for code, quota in in_force().items():
        if words & set(quota.families) and quota.spot == spot:
            return code
    return None


def value(code: str) -> float:
    """The quota in force: the value that a test set, else the default."""
    return world().quotas.get(code, in_force()[code].value)


def _service_of(code: str) -> str:
    return _EBS if code == GP3_STORAGE else _EC2


class ServiceQuotas(ServiceQuotasResponse):  # type: ignore[misc]
    """One request to Service Quotas."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def get_service_quota(self) -> ActionResult:
        """A quota of EC2, EBS or VPC by its code."""
        service = self._get_param("ServiceCode")
        if service not in _NAMES:
            return ActionResult({"Quota": self.backend.get_service_quota(*self._names())})
        code = self._get_param("QuotaCode")
        if code not in in_force() or _service_of(code) != service:
            raise JsonError("NoSuchResourceException", "The specified resource does not exist.")
        return ActionResult({"Quota": self._describe(code)})

    def get_aws_default_service_quota(self) -> ActionResult:
        """AWS's default, which is what an untouched local account has."""
        return self.get_service_quota()

    def list_service_quotas(self) -> ActionResult:
        """Every quota of EC2 or EBS that is kept here."""
        return ActionResult({"Quotas": self._all()})

    def list_aws_default_service_quotas(self) -> ActionResult:
        """AWS's defaults."""
        return ActionResult({"Quotas": self._all()})

    def _all(self) -> list[Any]:
        service = self._get_param("ServiceCode")
        if service in _NAMES:
            return [self._describe(code) for code in in_force() if _service_of(code) == service]
        return list(self.backend.list_aws_default_service_quotas(self._get_param("ServiceCode")))

    def _names(self) -> tuple[str, str]:
        return self._get_param("ServiceCode"), self._get_param("QuotaCode")

    def _describe(self, code: str) -> dict[str, Any]:
        if code not in world().quotas:
            lean_on("quota-values-made-up")
        service = _service_of(code)
        return {
            "ServiceCode": service,
            "ServiceName": _NAMES[service],
            "QuotaArn": f"arn:{self.partition}:servicequotas:{self.region}:{self.current_account}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": in_force()[code].name,
            "Value": value(code),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
