"""Which quota of vCPUs an instance type counts against.

Source: EC2 user guide, ec2-on-demand-instances and using-spot-limits (tests/recorded/quotas). A quota is for a class of
families, in vCPUs of all running instances. For P instances on Spot only QuotaName shows which quota is for which
family: one edition of the page has "All P5 ..." and "All P4, P3 and P2 ...", another edition has "All P ..." with the
code of the latter, and public tools disagree about P6.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nixl_efa.checks.facts import Quota


@dataclass(frozen=True, slots=True)
class QuotaClass:
    """The families that share a quota, by the first letters of their names, and the quota's codes for each market.

    More than one code: the names of the quotas show which families each is for. No code for Spot: EC2 sells none.
    """

    families: tuple[str, ...]
    on_demand: str
    spot: tuple[str, ...]


CLASSES = (
    QuotaClass(("p",), "L-417A185B", ("L-C4BD4855", "L-7212CCBC")),
    QuotaClass(("g", "gr", "vt"), "L-DB2E81BA", ("L-3819A6DF",)),
    QuotaClass(("trn",), "L-2C3B7624", ("L-6B0D517C",)),
    QuotaClass(("inf",), "L-1945791B", ("L-B5D1601B",)),
    QuotaClass(("dl",), "L-6E869C2A", ("L-85EED4F7",)),
    QuotaClass(("f",), "L-74FC7D96", ("L-88CF9481",)),
    QuotaClass(("x",), "L-7295265B", ("L-E3A00192",)),
    QuotaClass(("hpc",), "L-F7808C92", ()),
    QuotaClass(("u",), "L-43DA4232", ()),
    QuotaClass(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), "L-1216C47A", ("L-34B43A08",)),
)
_LETTERS = re.compile(r"[a-z]+")
_GENERATION = re.compile(r"[a-z]+\d+")
_SPOT_NAME = re.compile(r"All (.+) Spot Instance Requests")

# Elastic IPs of a region ("EC2-VPC Elastic IPs"); 5 unless it was raised.
ELASTIC_IPS = "L-0263D0A3"
# Of the service "ebs": "Storage for General Purpose SSD (gp3) volumes, in TiB"; 50 unless it was raised. gp3 has no
# quota of IOPS or throughput (EBS user guide, ebs-resource-quotas).
GP3_STORAGE = "L-7A658B76"


def quota_class(instance_type: str) -> QuotaClass | None:
    """The class of a type ("p5.48xlarge" -> the P families); None when no class is known for it."""
    letters = _LETTERS.match(instance_type)
    if letters is None:
        return None
    return next((each for each in CLASSES if letters.group() in each.families), None)


def vcpu_quotas(instance_type: str, market: str) -> tuple[str, ...]:
    """The codes of the quotas that may count a launch; one of them does. None for a Capacity Block, which counts
    against no quota (EC2 user guide, ec2-capacity-blocks), and none for a type whose class is not known."""
    kind = quota_class(instance_type)
    if kind is None or market == "capacity-block":
        return ()
    return kind.spot if market == "spot" else (kind.on_demand,)


def counted_by(quotas: Iterable[Quota], instance_type: str, market: str) -> Quota | None:
    """The quota of the account that a type counts against; None when the quotas' names don't show it.

    quotas: those of vcpu_quotas() that exist.
    """
    codes = vcpu_quotas(instance_type, market)
    seen = [each for each in quotas if each.code in codes]
    if len(codes) > 1:
        seen = [each for each in seen if names(each.name, instance_type)]
    return seen[0] if seen else None


def names(quota_name: str, instance_type: str) -> bool:
    """Whether a Spot quota's name is for a type: "All P4, P3 and P2 Spot Instance Requests" is for p4d.24xlarge, "All P
    Spot Instance Requests" for every P."""
    found, letters = _SPOT_NAME.fullmatch(quota_name), _LETTERS.match(instance_type)
    if found is None or letters is None:
        return False
    generation = _GENERATION.match(instance_type)
    words = {word.lower() for word in re.split(r",? and |, ", found[1])}
    return letters.group() in words or (generation is not None and generation.group() in words)
