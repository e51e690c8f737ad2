"""The root volume's size against what the instance type's software usually takes."""

from __future__ import annotations

from datetime import datetime

from nixl_efa import instance_types
from nixl_efa.checks.facts import Facts
from nixl_efa.findings import Finding, passed
from nixl_efa.launch import Launch


def check(launch: Launch, _facts: Facts, _now: datetime) -> list[Finding]:
    """The findings of the instance types' own rule. Limits of gp3 (size, IOPS, throughput) are the settings'."""
    found = instance_types.validate_volume(launch.instance_type, launch.volume.gib)
    return found or [passed("volume_size", f"{launch.volume.gib} GiB for {launch.instance_type}.")]
