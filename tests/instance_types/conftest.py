"""An EC2 client on moto, and one DescribeInstanceTypes element to vary."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws


@pytest.fixture
def mocked_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto in this process, with credentials that are none."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture
def described() -> dict[str, Any]:
    """What EC2 says about a made-up type with one EFA interface; a test changes what it is about."""
    return {
        "InstanceType": "x1test.large",
        "VCpuInfo": {"DefaultVCpus": 16},
        "MemoryInfo": {"SizeInMiB": 65536},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "PlacementGroupInfo": {"SupportedStrategies": ["spread", "cluster"]},
        "SupportedUsageClasses": ["on-demand"],
        "NetworkInfo": {
            "NetworkPerformance": "100 Gigabit",
            "MaximumNetworkInterfaces": 4,
            "EfaInfo": {"MaximumEfaInterfaces": 1},
            "NetworkCards": [
                {
                    "NetworkCardIndex": 0,
                    "MaximumNetworkInterfaces": 4,
                    "InterfaceTypes": ["interface", "efa", "efa-only"],
                    "BaselineBandwidthInGbps": 60.0,
                    "PeakBandwidthInGbps": 75.5,
                }
            ],
        },
    }
