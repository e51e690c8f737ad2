"""A local AWS for a module, emptied before each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local_aws import LocalAws
from nixl_efa.rehearse.plugin_mirror import terraform_environ

REGION = "us-east-2"


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """Emptied, and the only AWS that this process can reach."""
    local_aws.reset()
    for name, value in local_aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    return local_aws


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """Terraform's environment, with the provider's mirror."""
    with terraform_environ(os.environ) as found:
        yield found
