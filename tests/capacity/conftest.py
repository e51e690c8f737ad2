"""An AWS in memory and a buyer."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.capacity.buyer import Buyer
from tests.capacity.fake_aws import FakeAws, FakeClock


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws(FakeClock())


@pytest.fixture
def buyer(aws: FakeAws, tmp_path: Path) -> Buyer:
    return Buyer(aws, tmp_path / "ada")


@pytest.fixture(scope="module")
def no_waiting_for_the_disk() -> Iterator[None]:
    """For hundreds of runs, none of which loses its power: test_files holds that the disk is waited for."""
    with patch.object(os, "fsync"):
        yield
