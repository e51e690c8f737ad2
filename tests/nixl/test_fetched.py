"""What scripts/fetch-nixl has fetched is what it says."""

import ctypes
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("version", ["1.17.0", "2.5.1"])
def test_fi_info_runs_with_either_libfabric(real_nixl: Path, version: str) -> None:
    """fi_info is Debian's in both cases, so what counts is the line of the library."""
    said = subprocess.run(
        [real_nixl / "libfabric-1.17.0/bin/fi_info", "--version"],
        env={"LD_LIBRARY_PATH": f"{real_nixl}/libfabric-{version}/lib"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"libfabric: {version}\n" in said


def test_the_stub_of_libcuda_has_no_device(real_nixl: Path) -> None:
    # CUDA_ERROR_NO_DEVICE (CUDA driver API, cuda.h).
    assert ctypes.CDLL(str(real_nixl / "lib/libcuda.so.1")).cuPointerGetAttributes() == 100
