"""The page of a measurement in a real browser: light, dark, narrow, and by screen reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nixl_efa.bench.page import PLOTS
from tests.bench.pages import LENGTHS, PAGES
from tests.browser.looks import Open, faults, rgb

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("full", "light"), ("full", "dark"), ("one", "light"), ("none", "light"), ("hostile", "light")],
)
def test_it_is_accessible_in_light_and_dark(opened: Open, name: str, scheme: str) -> None:
    assert faults(opened(name, color_scheme=scheme, viewport={"width": 1280, "height": 900})) == []


def test_each_concurrency_has_its_plots_with_a_line_for_each_layer(opened: Open) -> None:
    page = opened()
    assert page.locator("svg.plot").count() == 3 * len(PLOTS)
    first = page.locator("svg.plot").first
    assert first.locator("g").count() == 4
    assert first.locator("g.efa circle").count() == len(LENGTHS)
    # Only what goes from engine to engine has a transfer.
    assert page.locator("figure", has_text="Transfer of a KV cache").first.locator("g").count() == 2
    assert page.locator("tbody tr").count() == 4 * len(LENGTHS) * 3


def test_a_longer_time_is_higher_and_a_longer_prompt_further_to_the_right(opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    places = page.eval_on_selector_all(
        "section:first-of-type figure:first-of-type g.efa circle",
        "every => every.map(one => one.getBoundingClientRect()).map(box => [box.x, box.y])",
    )
    assert len(places) == len(LENGTHS)
    assert [one[0] for one in places] == sorted(one[0] for one in places)
    assert [one[1] for one in places] == sorted((one[1] for one in places), reverse=True)


def test_layers_are_told_apart_by_more_than_their_colours(opened: Open) -> None:
    page = opened()
    looks = {
        name: tuple(rgb(page, f"svg.plot g.{name} polyline", one) for one in ("stroke", "strokeDasharray"))
        for name in ("unified", "tcp", "baseline", "efa")
    }
    assert len({stroke for stroke, _ in looks.values()}) == 4
    assert len({dash for _, dash in looks.values()}) >= 3
    dark = rgb(opened(color_scheme="dark"), "svg.plot g.unified polyline", "stroke")
    assert dark != looks["unified"][0]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen_but_what_can_be_scrolled(opened: Open, name: str) -> None:
    page = opened(name)
    for width in (320, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
