"""What machines on this host can't have, whatever is planned for them."""

from pathlib import Path
from typing import Literal

Device = Literal["efa", "gpu", "memlock"]
_CAP_SYS_RESOURCE = 24  # capabilities(7): needed to raise a hard limit


def lacking(status: Path = Path("/proc/self/status")) -> list[Device]:
    """No EFA device and no accelerator is passed into a machine. Unlimited locked memory needs CAP_SYS_RESOURCE, which
    a container may not have."""
    return ["efa", "gpu"] if _may_raise_limits(status) else ["efa", "gpu", "memlock"]


def _may_raise_limits(status: Path) -> bool:
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    bounding = next((line.split()[1] for line in lines if line.startswith("CapBnd:")), "0")
    return bool(int(bounding, 16) >> _CAP_SYS_RESOURCE & 1)
