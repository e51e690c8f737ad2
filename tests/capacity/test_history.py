"""What searches have found is kept: whole lines whatever ends a process, bounded, readable later."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from nixl_efa.capacity import history
from nixl_efa.capacity.history import Look, Seen, is_worth_keeping, keep, rates, read, tracks
from nixl_efa.capacity.search import Found, Request

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
BLOCK = Seen(
    "us-east-2",
    "us-east-2a",
    2,
    NOW + timedelta(hours=3.5),
    NOW + timedelta(hours=27.5),
    Decimal("1488.00"),
    "USD",
    usable=True,
)
LOOK = Look(NOW, "", "p5.48xlarge", 2, (24, 48), ("us-east-1", "us-east-2"), (BLOCK,))


def later(hours: float, **changes: object) -> Look:
    return replace(LOOK, at=NOW + timedelta(hours=hours), **changes)  # type: ignore[arg-type]


def altered(**members: object) -> bytes:
    """A line of the file with other members."""
    return json.dumps({**history._to_json(LOOK), **members}, default=list).encode()


def with_offer(**members: object) -> bytes:
    """The same of its offer."""
    (offer,) = history._to_json(LOOK)["offers"]
    return altered(offers=[{**offer, **members}])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return history.path_in(tmp_path / "state")


def test_what_was_kept_is_read_again_the_earliest_first(path: Path) -> None:
    assert read(path) == history.History()
    for one in (later(1), LOOK):
        keep(path, one)
    assert read(path).looks == (LOOK, later(1))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b'{"v": 1, "at": "2026-12-0',
        b"\x00\xff\x00",
        b"[]",
        b'{"v": 2, "at": "2026-12-01T08:00:00+00:00"}',
        json.dumps({"v": 1, "at": "2026-12-01T08:00:00", "endpoint": "", "type": "", "count": 1, "hours": [],
                    "regions": [], "offers": []}).encode(),
        b"[" * 200_000,
        with_offer(count=float("inf")),
        with_offer(fee="-100"),
        with_offer(fee="1e30"),
        with_offer(fee="1" + "0" * 30),
        with_offer(fee=[1, [1], 2]),
        with_offer(end="2026-12-03T00:00:00.5+00:00", start="2026-12-03T00:00:00+00:00"),
        with_offer(end="9999-12-31T23:59:59-14:00"),
        altered(regions="us-east-2"),
        altered(regions=["us-east-2\x1b[31m"]),
        with_offer(zone="\ud800"),
        with_offer(currency="1" * 300),
    ],
    ids=["cut", "bytes", "list", "a later form", "no zone", "deep", "infinite", "negative", "exponent", "too dear",
         "no text", "no time", "beyond the calendar", "no list", "control", "surrogate", "no currency"],
)  # fmt: skip
def test_a_damaged_line_costs_itself_alone(path: Path, damage: bytes) -> None:
    keep(path, LOOK)
    with path.open("ab") as file:
        file.write(damage)
    keep(path, later(1))
    assert read(path) == history.History((LOOK, later(1)), lost=1)


def test_a_later_versions_more_members_are_no_fault(path: Path) -> None:
    keep(path, LOOK)
    document = {**json.loads(path.read_text()), "account": "123456789012"}
    document["offers"][0]["rank"] = 1
    path.write_text(json.dumps(document) + "\n")
    assert read(path) == history.History((LOOK,))


def test_a_line_of_version_one_is_read_as_long_as_there_is_this_project(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(
        '{"v":1,"at":"2026-12-01T08:00:00+00:00","endpoint":"","type":"p5.48xlarge","count":2,"hours":[24,48],'
        '"regions":["us-east-1","us-east-2"],"offers":[{"region":"us-east-2","zone":"us-east-2a","count":2,'
        '"start":"2026-12-01T11:30:00+00:00","end":"2026-12-02T11:30:00+00:00","fee":"1488.00","currency":"USD",'
        '"usable":true}]}\n'
    )
    assert read(path) == history.History((LOOK,))


def test_the_newest_is_kept_when_there_is_no_more_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 4000)
    for hour in range(40):
        keep(path, later(hour))
        assert path.stat().st_size <= 4000
        assert read(path).looks[-1] == later(hour)
    kept = read(path).looks
    assert len(kept) >= 4000 // 2 // 400
    assert kept == tuple(later(hour) for hour in range(40 - len(kept), 40))


def test_several_processes_lose_no_line(path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.capacity.test_history import keep, later\n"
        "for hour in range(50): keep(Path(sys.argv[1]), later(int(sys.argv[2]) * 50 + hour))\n"
    )
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(number)], cwd=root)
        for number in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    assert read(path) == history.History(tuple(later(hour) for hour in range(200)))


def test_who_is_locked_out_does_without_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_LOCK_TRIES", 1)
    path.parent.mkdir()
    with history._locked(path), pytest.raises(OSError, match="locked"):
        keep(path, LOOK)
    keep(path, LOOK)
    assert read(path).looks == (LOOK,)


def test_searches_at_another_place_or_for_others_are_apart(path: Path) -> None:
    here = [
        LOOK,
        later(1, endpoint="http://127.0.0.1:5577"),
        later(2, count=4),
        later(3, instance_type="p5en.48xlarge"),
    ]
    for one in here:
        keep(path, one)
    assert read(path).of("p5.48xlarge", 2, "") == (LOOK,)


def test_a_look_names_the_regions_that_answered_and_sell_the_type() -> None:
    regions = ("us-east-1", "us-east-2", "eu-north-1")
    silent = Found((), {"us-east-1": OSError()}, answered=True, not_sold=("eu-north-1",))
    request = Request("p5.48xlarge", 2, (24,), NOW)
    assert history.look(request, regions, silent, NOW, "").regions == ("us-east-2",)


def test_a_blocks_fee_is_followed_from_look_to_look() -> None:
    cheaper = replace(BLOCK, fee=Decimal("1400"))
    found = tracks([LOOK, later(1, seen=(cheaper,)), later(2, seen=(cheaper,)), later(3, seen=())])
    track = found[BLOCK.block]
    assert (track.first_at, track.last_at) == (NOW, NOW + timedelta(hours=2))
    assert (track.last.fee, track.before) == (Decimal("1400"), Decimal("1488.00"))
    assert tracks([LOOK, later(1)])[BLOCK.block].before is None


def test_the_lowest_rate_of_a_region_is_followed_and_what_no_pair_can_use_is_not_it() -> None:
    unusable = replace(BLOCK, fee=Decimal("480"), usable=False)
    found = rates([LOOK, later(1, seen=(unusable,)), later(2, seen=())])
    assert list(found) == [("us-east-2", "USD")]
    assert [(one.offers, one.rate) for one in found["us-east-2", "USD"]] == [
        (1, Decimal(31)),
        (1, None),
        (0, None),
    ]


@pytest.mark.parametrize(
    ("look", "worth"),
    [
        (later(0.5), False),
        (later(1), True),
        (later(0.1, seen=()), True),
        (later(0.1, seen=(replace(BLOCK, fee=Decimal(1)),)), True),
        (later(0.1, regions=("us-east-2",)), True),
    ],
)
def test_a_watch_keeps_what_has_changed_and_else_a_look_an_hour(look: Look, worth: bool) -> None:
    assert is_worth_keeping(look, LOOK) is worth
    assert is_worth_keeping(look, None)
