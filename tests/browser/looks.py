"""What tests of pages look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def faults(page: Page) -> list[str]:
    """What axe-core finds against a page, by the rules of WCAG and its own."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def rgb(page: Page, selector: str, name: str) -> str:
    return str(page.eval_on_selector(selector, f"one => getComputedStyle(one).{name}"))
