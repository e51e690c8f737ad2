"""An AWS in memory and a buyer."""

from pathlib import Path

import pytest

from tests.capacity.buyer import Buyer
from tests.capacity.fake_aws import FakeAws, FakeClock


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws(FakeClock())


@pytest.fixture
def buyer(aws: FakeAws, tmp_path: Path) -> Buyer:
    return Buyer(aws, tmp_path / "ada")
