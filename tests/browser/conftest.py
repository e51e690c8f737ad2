"""One browser for all tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.browser.chromium import NoBrowserError, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def without(reason: str) -> NoReturn:
    """A missing browser is an error in CI, and a skipped test elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright is not installed: make install")
    try:
        found = chromium(os.environ)
    except NoBrowserError as error:
        without(str(error))
    # Without a sandbox, since root has none, and what is opened is ours.
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found.path, env=dict(found.environ))
        yield started
        started.close()
