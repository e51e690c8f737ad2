"""What is on a calendar's lines, what their times mean, and the calendar as text."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from nixl_efa.capacity.calendar.model import (
    END_IS_NEAR,
    OFFERS_SHOWN,
    OWNED_SHOWN,
    Calendar,
    Kind,
    Owned,
    block_lanes,
    ends_findings,
    gaps,
    movement,
    offer_lanes,
)
from nixl_efa.capacity.calendar.page import page
from nixl_efa.capacity.calendar.scale import Scale
from nixl_efa.capacity.calendar.text import MARKS, WIDTH, lines
from nixl_efa.capacity.history import tracks
from nixl_efa.capacity.search import Found, Request
from nixl_efa.times import moment
from tests.calendars import (
    CURRENT,
    DAY,
    END,
    EXTENDED,
    FOREIGN,
    NEXT,
    NOT_SAVED,
    NOW,
    OFFERS,
    ON_DEMAND,
    REGIONS,
    block,
    calendar,
    looks,
    offer,
)
from tests.capacity.fake_aws import refusal

FULL = calendar()
FAULT = refusal("UnauthorizedOperation", "DescribeCapacityBlockOfferings")
[WANTED] = FULL.wanted


def test_an_environment_has_a_line_with_its_blocks_and_the_gap_between_them() -> None:
    lanes = {
        one.label: [(each.kind, each.start, each.end) for each in one.spans] for one in block_lanes(FULL)
    }
    assert lanes == {
        "dev": [
            (Kind.ACTIVE, NOW - DAY, END + 4 * DAY),
            (Kind.EXTENSION, END + 4 * DAY, END + 8 * DAY),
        ],
        "empty": [],
        "lab": [(Kind.ACTIVE, NOW - DAY, None)],
        "prod": [
            (Kind.GAP, END, END + DAY),
            (Kind.ACTIVE, NOW - DAY, END),
            (Kind.COMING, END + DAY, END + 3 * DAY),
        ],
        NOT_SAVED.reservation.id: [(Kind.ACTIVE, NOW - DAY, END + 120 * DAY)],
    }


def test_offers_of_one_start_are_one_line_and_those_no_pair_can_use_another() -> None:
    found = [
        (one.label, one.note, one.spans[0].kind, len(one.offers), one.marks) for one in offer_lanes(WANTED)
    ]
    assert found == [
        ("us-east-2a", "30.00", Kind.OFFER, 4, tuple(END + days * DAY for days in (2, 3, 8))),
        ("us-east-2a", "20.83", Kind.UNUSABLE, 1, ()),
        ("us-east-2b", "28.26", Kind.OFFER, 1, ()),
        ("us-west-2d", "25.01", Kind.OFFER, 1, ()),
        ("us-west-2d", "22.89", Kind.OFFER, 1, ()),
    ]


def test_the_line_goes_on_to_the_last_end_of_what_is_owned_and_offers_of_months_are_cut() -> None:
    assert FULL.end == END + 120 * DAY
    assert replace(FULL, owned=()).end == NOW + OFFERS_SHOWN
    assert replace(FULL, owned=(EXTENDED,), wanted=()).end == END + 8 * DAY
    # An On-Demand reservation can end years ahead.
    years = replace(ON_DEMAND, reservation=block(5, kind="on-demand", end=NOW + 2000 * DAY))
    assert replace(FULL, owned=(years,)).end == NOW + OWNED_SHOWN
    assert calendar(empty=True).end == NOW + timedelta(days=7)
    assert replace(FULL, until=NOW + DAY).end == NOW + DAY


@pytest.mark.parametrize(
    ("owned", "found"),
    [
        ([CURRENT, NEXT], [(END, END + DAY)]),
        ([CURRENT], []),
        ([CURRENT, replace(NEXT, reservation=block(2, start=END - DAY, end=END + DAY))], []),
        ([ON_DEMAND, NEXT], []),
        ([replace(CURRENT, reservation=block(1, start=None)), NEXT], [(END, END + DAY)]),
    ],
)
def test_a_gap_is_from_an_end_to_the_next_start(
    owned: list[Owned], found: list[tuple[datetime, datetime]]
) -> None:
    assert gaps(owned) == found


def test_ends_that_nothing_follows_gaps_and_blocks_for_nobody_are_warnings() -> None:
    told = {one.check: one.line() for one in ends_findings(FULL)}
    assert set(told) == {"gap", "end", "unused"}
    assert "prod has no capacity from 2026-12-03 11:30 UTC to 2026-12-04 11:30 UTC (1 d 0 h)." in told["gap"]
    assert (
        "nothing follows it. EC2 begins to terminate its instances at 2026-12-06 11:00 UTC (in 5 d 3 h)."
        in told["end"]
    )
    assert (
        f"{NOT_SAVED.reservation.id} is bought until 2027-04-02 11:30 UTC, and no environment"
        in told["unused"]
    )


def test_before_an_extension_is_paid_no_second_one_is_advised() -> None:
    (end,) = (one for one in ends_findings(replace(FULL, owned=(EXTENDED,))) if one.check == "end")
    assert "nothing that is paid follows it" in end.message
    assert end.remedy == ""


@pytest.mark.parametrize(
    "changed",
    [
        replace(FULL, unknown=("dev", "prod"), users_known=False),
        replace(FULL, now=END - DAY, owned=(replace(EXTENDED, reservation=block(3, end=END + END_IS_NEAR)),)),
        replace(FULL, owned=(ON_DEMAND,)),
    ],
    ids=["not asked", "far away", "no end"],
)  # fmt: skip
def test_what_is_not_known_far_away_or_without_an_end_is_none(changed: Calendar) -> None:
    assert ends_findings(changed) == []


def test_a_block_that_is_not_saved_is_not_what_follows_an_environments_end() -> None:
    loose = replace(NOT_SAVED, users=(("dev", "not saved"),))
    (end,) = (one for one in ends_findings(replace(FULL, owned=(EXTENDED, loose))) if one.check == "end")
    assert f"{EXTENDED.reservation.id} of dev ends at" in end.message


def test_an_offer_is_new_or_known_since_a_search_with_the_fee_before() -> None:
    known = tracks(WANTED.looks)
    assert movement(OFFERS[4], known, NOW) == ("new", None)
    assert movement(OFFERS[1], known, NOW) == ("11-30 08:00", None)
    assert movement(OFFERS[0], known, NOW) == ("11-30 08:00", Decimal(1600))


def test_an_offer_that_is_gone_is_one_that_would_have_been_in_this_answer() -> None:
    assert [one.last.zone for one in WANTED.gone(NOW)] == ["us-east-2c"]
    assert WANTED.gone(END + 2 * DAY) == []  # it has begun
    short = replace(WANTED, request=replace(WANTED.request, latest_end=END + DAY))
    assert short.gone(NOW) == []  # beyond the window
    last = replace(WANTED.looks[-1], regions=("us-west-2",))
    assert replace(WANTED, looks=(*WANTED.looks[:-1], last)).gone(NOW) == []  # its region did not answer


@pytest.mark.parametrize("days", [1, 5, 9, 63, 238, 420])
def test_days_along_a_line_are_evenly_apart_and_not_too_many(days: int) -> None:
    found = Scale(NOW, NOW + days * DAY).days(7)
    assert 1 <= len(found) <= 8
    assert len({after - before for before, after in pairwise(found)}) <= 1


def test_the_text_fits_80_columns_and_says_everything() -> None:
    found = lines(FULL)
    assert [one for one in found if len(one) > WIDTH and not one.lstrip().startswith("`")] == []
    assert [line for line in found if line != line.rstrip()] == []
    text = "\n".join(found)
    near = "\n".join(lines(replace(FULL, until=NOW + 30 * DAY)))
    for mark in MARKS.values():
        assert mark in near.partition("BLOCKS")[2]
    for words in (
        "Capacity calendar of account 123456789012",
        "OFFERS: 2 x p5.48xlarge, USD for an instance-hour",
        "the cheapest for an hour in us-east-2:",
        "1,440.00 USD, 30.00 an hour, known since 11-30 08:00, was 1,600.00",
        "25.00 lowest (11-30)",
        "1 block of earlier searches not in AWS's answer any more",
        "FAIL: prod: it is in us-east-2a, and the subnet in us-east-2b.",
        "not asked: eu-north-1: no permission",
        "2 lines of the history can't be read",
        "extension to 2026-12-11 11:30 UTC not yet paid",
    ):
        assert words in " ".join(text.split()), words


def test_a_command_in_a_warning_is_never_broken() -> None:
    found = "\n".join(lines(FULL))
    commands = [part for one in FULL.warnings for part in one.line().split("`")[1::2]]
    assert commands
    assert all(f"`{one}`" in found for one in commands)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found((), {}, answered=True), "nothing is on offer"),
        (Found((), {"us-east-2": FAULT}, answered=True), "nothing is on offer in the regions that answered"),
        (
            Found((), {"us-east-2": FAULT}, answered=False),
            "what is on offer is not known: no region answered",
        ),
    ],
)
def test_where_nobody_answered_nothing_is_not_said_to_be_on_offer(found: Found, words: str) -> None:
    asked = replace(FULL, wanted=(replace(WANTED, found=found, looks=()),))
    assert f"  {words}" in lines(asked)
    assert f"{words.capitalize()}." in page(asked)
    assert "Nothing was on offer" not in page(asked)


def test_an_environment_in_a_region_that_did_not_answer_is_not_said_to_have_nothing() -> None:
    assert "empty no reservation" in "\n".join(lines(FULL))
    assert "empty not known" in "\n".join(lines(replace(FULL, unknown=("empty",))))


def test_of_many_starts_the_environments_own_region_and_the_cheapest_are_shown() -> None:
    many = tuple(
        offer(
            number, region=region, zone=f"{region}a", start=END + number * DAY, end=END + (number + 1) * DAY
        )
        for region in REGIONS
        for number in range(1, 12)
    )
    text = "\n".join(
        lines(replace(FULL, wanted=(replace(WANTED, found=Found(many, {}, True), looks=looks()),)))
    )
    assert text.count("us-east-2a 30.00") == 11
    assert "and 28 more starts: --html FILE shows all" in text


def test_a_bar_that_goes_beyond_the_line_says_so_and_a_short_one_is_seen() -> None:
    text = lines(replace(FULL, until=NOW + 40 * DAY))
    assert next(line for line in text if line.startswith("us-west-2d 22.89")).endswith(">")
    hour = replace(
        FULL, until=NOW + 240 * DAY, wanted=(replace(WANTED, found=Found((OFFERS[0],), {}, True)),)
    )
    assert MARKS[Kind.OFFER] in next(line for line in lines(hour) if line.startswith("us-east-2a"))


class Reader(HTMLParser):
    """Tags that are open, and what the page says in text."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize(
    "given", [FULL, calendar(empty=True), replace(FULL, wanted=())], ids=["full", "empty", "blocks"]
)
def test_the_page_is_whole_asks_for_nothing_and_runs_nothing(given: Calendar) -> None:
    text = page(given)
    found = Reader(text)
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes in found.tags:
        assert name not in ("script", "link", "img", "iframe", "object", "form")
        assert not {"src", "action", "background"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
        href = attributes.get("href")
        assert href is None or href[1:] in ids
    assert "url(" not in text
    assert "@import" not in text


def test_what_others_wrote_is_only_text_on_the_page() -> None:
    found = Reader(page(FULL))
    assert any(FOREIGN in part for part in found.text)
    assert "script" not in [tag for tag, _ in found.tags]


def test_the_same_calendar_is_the_same_page_and_text() -> None:
    assert page(calendar()) == page(FULL)
    assert lines(calendar()) == lines(FULL)


def test_every_lane_of_the_picture_is_in_a_table_too() -> None:
    said = "".join(Reader(page(FULL)).text)
    for one in FULL.owned:
        assert f"{one.reservation.id}" in said
        if one.reservation.end is not None:
            assert moment(one.reservation.end) in said
    for each in OFFERS:
        assert each.id in said
        assert f"{each.start:%Y-%m-%d %H:%M}" in said


def test_a_fee_of_another_currency_is_shown_in_it() -> None:
    foreign = replace(OFFERS[0], currency="CNY", fee=Decimal(9999))
    request = Request("p5.48xlarge", 2, (24,), NOW)
    wanted = replace(WANTED, request=request, found=Found((foreign, OFFERS[1]), {}, True))
    assert "OFFERS: 2 x p5.48xlarge, CNY or USD for an instance-hour" in lines(
        replace(FULL, wanted=(wanted,))
    )
    assert "9,999.00 CNY" in page(replace(FULL, wanted=(wanted,)))
