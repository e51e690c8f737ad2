"""Service Quotas for EC2's vCPU and Elastic IP limits, which moto lacks.

Sources: EC2 user guide, ec2-instance-limits; VPC user guide, amazon-vpc-limits.
"""

from __future__ import annotations

from itertools import takewhile

from local_aws.world import world

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
