"""Terraform's environment for the tests that run it."""

import os
from collections.abc import Iterator

import pytest

from nixl_efa.rehearse.plugin_mirror import terraform_environ
from tests.clients import clients_are_made_once

__all__ = ["clients_are_made_once"]

REGION = "us-east-2"


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """Terraform's environment, with the provider's mirror."""
    with terraform_environ(os.environ) as found:
        yield found
