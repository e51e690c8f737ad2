"""Real NIXL and real libfabrics (scripts/fetch-nixl says what is where)."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

from tests.nixl.node import PYTHON

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_nixl() -> Path:
    """The folder .tools/nixl. Skips where it can't be fetched; with CI set that is a failure."""
    if not PYTHON:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("python3.11 is not on PATH")
    if platform.machine() != "x86_64":
        pytest.skip("the real NIXL that tests use is of x86-64")
    done = subprocess.run(
        [REPOSITORY / "scripts" / "fetch-nixl"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"scripts/fetch-nixl failed: {done.stderr}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return REPOSITORY / ".tools" / "nixl"
