"""AWS clients of commands that run in the tests' own process."""

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from nixl_efa import aws as seam


@pytest.fixture(scope="module", autouse=True)
def clients_are_made_once() -> Iterator[None]:
    """Commands in this process share their clients where endpoint, key and timeout are the same: making them is
    most of what a command takes. A command as a process of its own makes its own."""
    made: dict[object, dict[Any, Any]] = {}
    begin = seam.Clients.__init__

    def beginning(self: seam.Clients, *arguments: Any, **more: Any) -> None:
        begin(self, *arguments, **more)
        if self._profile is None and self._role is None:
            keys = (os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_ACCESS_KEY_ID"))
            self._made = made.setdefault((*keys, seam.PURCHASE_READ_SECONDS), {})

    with patch.object(seam.Clients, "__init__", beginning):
        yield
