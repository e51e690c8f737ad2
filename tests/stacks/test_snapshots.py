"""The Terraform JSON of the repository's environments, whole."""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.synthesis import synthesize, without_metadata


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_terraform_json_is_as_it_was_reviewed(environment: str, snapshot: SnapshotAssertion) -> None:
    stack = without_metadata(synthesize(environment))

    assert stack == snapshot(extension_class=JSONSnapshotExtension, name=environment)
