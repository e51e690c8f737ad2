"""One browser for all tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.browser.chromium import NoBrowserError, chromium
from tests.browser.looks import Open

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a page of the module's PAGES (texts by name). What it asks for beside itself, runs or complains of fails
    the test."""
    wrong: list[str] = []
    contexts = []

    def opens(name: str = "full", **how: Any) -> Page:
        path = tmp_path / f"{name}.html"
        path.write_text(request.module.PAGES[name], encoding="utf-8")
        context = browser.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda one: wrong.append(one.url) if one.url != path.as_uri() else None)
        page.on("console", lambda one: wrong.append(one.text))
        page.on("pageerror", lambda one: wrong.append(str(one)))
        page.on("dialog", lambda one: wrong.append(one.message))
        page.goto(path.as_uri())
        return page

    yield opens
    for one in contexts:
        one.close()
    assert wrong == []
