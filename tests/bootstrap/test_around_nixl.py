"""What a node's files do beside NIXL: automatic upgrades, and login shells."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Node = Any


def test_automatic_upgrades_leave_the_driver_alone(make_node: Callable[..., Node], tmp_path: Path) -> None:
    """apt's own reading of the file; unattended-upgrades matches with re.match (is_pkgname_in_blacklist)."""
    apt = shutil.which("apt-config")
    if apt is None:
        pytest.skip("apt-config is not on this machine")
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir::Etc::parts "{make_node().root}/etc/apt/apt.conf.d";', encoding="utf-8")
    dumped = subprocess.run(
        [apt, "dump"], env={"APT_CONFIG": str(settings)}, capture_output=True, text=True, check=True
    )
    held = re.findall(r'Package-Blacklist:: "(.+)";', dumped.stdout)
    names = {
        "nvidia-driver-580-open",
        "libnvidia-compute-580",
        "linux-modules-nvidia-580-open-aws",
        "cuda-drivers-580",
    }
    others = {"openssl", "linux-image-aws", "libc6", "python3"}
    assert {name for name in names | others if any(re.match(one, name) for one in held)} == names


def test_login_shells_get_the_environment_and_the_tools(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node()
    profile = (node.root / "etc/profile.d/nixl-efa.sh").read_text(encoding="utf-8")
    local = tmp_path / "profile.sh"
    local.write_text(profile.replace("/etc/", f"{node.root}/etc/"), encoding="utf-8")
    shown = subprocess.run(
        ["sh", "-euc", f'. {local}; sh -c "echo \\$AWS_REGION \\$PATH"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert shown.stdout == "us-east-1 /opt/amazon/efa/bin:/opt/nixl-efa/bin:/usr/bin:/bin\n"
