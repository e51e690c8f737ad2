"""The calendar's page in a real browser: light, dark, narrow, printed, by keyboard and by screen reader."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nixl_efa.capacity.calendar.page import page as written
from nixl_efa.capacity.calendar.scale import Scale
from nixl_efa.capacity.search import Found
from tests.browser.looks import Open, faults, rgb
from tests.calendars import CURRENT, FOREIGN, NEXT, REGIONS, calendar, offer

if TYPE_CHECKING:
    pass

FULL = calendar()
# Of all regions and lengths.
MANY = tuple(
    offer(number * 100 + days, days, region=region, zone=f"{region}a")
    for number, region in enumerate(REGIONS)
    for days in (*range(1, 15), *range(21, 183, 7))
)
PAGES = {
    "full": written(FULL),
    "empty": written(calendar(empty=True)),
    "many": written(replace(FULL, wanted=(replace(FULL.wanted[0], found=Found(MANY, {}, True)),))),
}


@pytest.mark.parametrize(
    ("name", "scheme"), [("full", "light"), ("full", "dark"), ("empty", "light"), ("many", "light")]
)
def test_it_is_accessible_and_readable_in_light_and_dark(opened: Open, name: str, scheme: str) -> None:
    page = opened(name, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    if name == "full":
        page.eval_on_selector_all("details", "every => every.forEach(one => { one.open = true })")
    assert faults(page) == []


def test_it_is_dark_where_the_reader_wants_it_dark(opened: Open) -> None:
    colors = {
        scheme: (
            rgb(page, "body", "backgroundColor"),
            rgb(page, "body", "color"),
            rgb(page, ".bar.active", "backgroundColor"),
        )
        for scheme in ("light", "dark")
        if (page := opened(color_scheme=scheme))
    }
    assert colors["light"][0] == "rgb(255, 255, 255)"
    assert all(one != other for one, other in zip(colors["light"], colors["dark"], strict=True))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen_but_what_can_be_scrolled(opened: Open, name: str) -> None:
    page = opened(name)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        edges = page.eval_on_selector_all(
            ".bar, .mark, .label, .days span",
            "every => every.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])",
        )
        assert [edge for edge in edges if edge[0] < 0 or edge[1] > width] == []


def test_on_a_wide_screen_what_was_paid_is_seen_without_scrolling(opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    widths = page.eval_on_selector(
        "[aria-labelledby=blocks-caption]", "one => [one.scrollWidth, one.clientWidth]"
    )
    assert widths[0] <= widths[1]


def test_on_a_phone_a_label_stands_above_its_line(opened: Open) -> None:
    page = opened(viewport={"width": 390, "height": 844})
    row = page.locator(".row", has_text="prod")
    label, track = row.locator(".label").bounding_box(), row.locator(".track").bounding_box()
    assert label is not None
    assert track is not None
    assert label["y"] + label["height"] <= track["y"] + 1
    assert track["width"] > 300
    assert float(rgb(page, ".label", "fontSize").removesuffix("px")) >= 12


def test_bars_are_where_their_times_are(opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    scale = Scale(FULL.now, FULL.end)
    row = page.locator(".row", has_text="prod")
    track = row.locator(".track").bounding_box()
    assert track is not None
    for kind, start, end in (
        ("active", CURRENT.reservation.start, CURRENT.reservation.end),
        ("gap", CURRENT.reservation.end, NEXT.reservation.start),
        ("coming", NEXT.reservation.start, NEXT.reservation.end),
    ):
        box = row.locator(f".{kind}").bounding_box()
        assert box is not None
        assert box["x"] == pytest.approx(track["x"] + scale.at(start) * track["width"], abs=1)
        assert box["width"] == pytest.approx((scale.at(end) - scale.at(start)) * track["width"], abs=2)
    widths = page.eval_on_selector_all(".bar", "every => every.map(one => one.getBoundingClientRect().width)")
    assert min(widths) >= 3


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_it_is_black_on_white_and_whole(opened: Open, name: str) -> None:
    page = opened(name, color_scheme="dark", viewport={"width": 1032, "height": 700})
    page.emulate_media(media="print", color_scheme="dark")
    assert rgb(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert rgb(page, "body", "color") == "rgb(0, 0, 0)"
    assert not page.locator("nav").is_visible()
    # Nothing can be scrolled there, so that nothing may be cut off.
    assert page.evaluate("document.documentElement.scrollWidth") <= 1032
    for one in page.locator(".scroll").all():
        if one.is_visible():
            assert one.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") <= 8


def test_all_of_it_is_reached_by_the_keyboard(opened: Open) -> None:
    page = opened(viewport={"width": 390, "height": 844})
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "To the time line"
    assert skip.bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "line"
    page = opened(viewport={"width": 390, "height": 844})
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 0:
            break
        assert rgb(page, ":focus", "outlineStyle") == "solid"
        reached.append(focused.evaluate("one => one.getAttribute('href') || one.tagName"))
    links = [f"#{one}" for one in ("warnings", "line", "blocks", "offers-1", "fees-1")]
    assert reached[:6] == ["#line", *links]
    assert reached[6:] == ["DIV", "DIV", "SUMMARY", "DIV", "SUMMARY"]


def test_a_table_is_scrolled_and_a_folded_one_opened_by_the_keyboard(opened: Open) -> None:
    page = opened(viewport={"width": 390, "height": 844})
    table = page.locator(".scroll").first
    table.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(100):
        if table.evaluate("one => one.scrollLeft") > 0:
            break
        page.wait_for_timeout(20)
    assert table.evaluate("one => one.scrollLeft") > 0
    page.locator("summary").first.focus()
    assert not page.locator("details table").first.is_visible()
    page.keyboard.press("Enter")
    assert page.locator("details table").first.is_visible()


def test_a_screen_reader_hears_headings_a_picture_with_its_words_and_tables(opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    heard: dict[str, list[str]] = {}
    for one in tree:
        if not one["ignored"]:
            heard.setdefault(one["role"]["value"], []).append(one.get("name", {}).get("value", ""))
    titles = ["Warnings", "Time line", "Blocks and reservations", "Offers: 2 x p5.48xlarge"]
    assert heard["heading"] == ["Capacity calendar", *titles, "How fees moved: 2 x p5.48xlarge"]
    assert heard["navigation"] == ["On this page"]
    assert heard["image"] == [
        "10 lines from 2026-12-01 08:00 UTC to 2027-04-02 11:30 UTC. The tables below say the same."
    ]
    assert len(heard["table"]) == 3
    assert {"Reservation", "End", "Instance-hour", "Lowest"} <= set(heard["columnheader"])
    assert {CURRENT.reservation.id, "us-east-2a", "us-west-2"} <= set(heard["rowheader"])
    # The picture is one thing, not a heap of its pieces.
    day = page.locator(".days span").last.inner_text()
    assert day not in [name for names in heard.values() for name in names]
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title() == "Capacity calendar of account 123456789012, 2026-12-01 08:00 UTC"


def test_what_others_wrote_does_not_run(opened: Open) -> None:
    page = opened()
    assert page.locator("script").count() == 0
    assert FOREIGN in page.locator("#blocks ~ .scroll").inner_text()


def test_a_page_of_many_offers_is_short_until_they_are_unfolded(opened: Open) -> None:
    page = opened("many", viewport={"width": 1280, "height": 900})
    assert page.evaluate("document.documentElement.scrollHeight") < 4000
    assert page.locator("details tbody tr").count() >= len(MANY)
