"""When a node drains by itself: EC2's words in the form of its user guide, the programs by stand-ins."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.service import drain_node
from tests.service.programs import DRAIN_CONFIG as CONFIG
from tests.service.programs import DRAIN_ENVIRON as ENVIRON

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
# EC2 user guide, spot-instance-termination-notices, and monitoring-instances-status-check_sched (viewing scheduled
# events by the instance's metadata).
SPOT = '{"action": "terminate", "time": "2026-12-01T10:02:00Z"}'
EVENT = {
    "NotBefore": "1 Dec 2026 10:09:43 GMT",
    "Code": "instance-retirement",
    "Description": "The instance is running on degraded hardware",
    "EventId": "instance-event-0d59937288b749b32",
    "State": "active",
}


class OverError(Exception):
    """The end of a test of a program that does not end."""


@pytest.mark.parametrize(
    ("spot", "events", "ends"),
    [
        ("", "", []),
        ("", "[]", []),
        (SPOT, "", ["10:02"]),
        # A node whose clock is slow: EC2 never warns earlier than two minutes before.
        (SPOT.replace("10:02", "10:32"), "", ["10:02"]),
        ("", json.dumps([EVENT]), ["10:09"]),
        ("", json.dumps([EVENT | {"Code": "system-maintenance"}]), []),
        ("", json.dumps([EVENT | {"State": "completed"}]), []),
        # Its time has come, and somebody has started a service since.
        ("", json.dumps([EVENT | {"NotBefore": "1 Dec 2026 09:59:00 GMT"}]), []),
        # Something else than the metadata service answers there.
        ("<html>", "", []),
        ('{"action": "terminate"}', "", []),
    ],
)
def test_the_words_of_ec2(spot: str, events: str, ends: list[str]) -> None:
    assert [f"{at:%H:%M}" for at, _ in drain_node.endings(spot, events, NOW)] == ends


@pytest.mark.parametrize(
    ("at", "told", "ending"),
    [
        ("10:49:59", ("2026-12-01T11:30:00.000Z", ""), None),
        ("10:50:00", ("2026-12-01T11:30:00.000Z", ""), "cr-1 ends at 2026-12-01 11:30 UTC"),
        # Extended meanwhile; an extension that is bought and not paid for does not change the end.
        ("10:50:00", ("2026-12-02T11:30:00+00:00", ""), None),
        # No permission, no way to EC2: tried for a minute, then the end counts as it was told.
        ("10:50:30", ("", "UnauthorizedOperation"), None),
        (
            "10:51:00",
            ("", "UnauthorizedOperation"),
            "cr-1 ends at 2026-12-01 11:30 UTC; whether it was extended is",
        ),
        (
            "10:51:00",
            ("None", ""),
            "cr-1 ends at 2026-12-01 11:30 UTC; whether it was extended is not known: EC2",
        ),
        # The block is over, and the node runs: it was stopped, and started in another one.
        ("11:30:00", ("2026-12-01T11:30:00.000Z", ""), None),
    ],
)
def test_the_end_of_a_block(
    monkeypatch: pytest.MonkeyPatch, at: str, told: tuple[str, str], ending: str | None
) -> None:
    monkeypatch.setattr(drain_node, "run", lambda *_, **__: told)
    when = datetime.fromisoformat(f"2026-12-01T{at}+00:00")
    found = drain_node.Block(CONFIG["block"], "us-east-2").ending(when)
    if ending is None:
        assert found is None
    else:
        assert found is not None
        assert f"{found[0]:%H:%M}" == "11:00"
        assert found[1].startswith(ending)


def test_ec2_is_asked_when_the_end_counts_and_at_no_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, asked = ["2026-12-02T11:30:00.000Z", "2026-12-02T11:30:00.000Z"], []

    def run(*command: str, **_: object) -> tuple[str, str]:
        asked.append(command)
        return ends.pop(0), ""

    monkeypatch.setattr(drain_node, "run", run)
    block = drain_node.Block(CONFIG["block"], "us-east-2")
    every = (block.ending(NOW + timedelta(minutes=10 * step)) for step in range(6 * 26))
    ending = next(filter(None, every))
    assert f"{ending[0]:%d %H:%M}" == "02 11:00"
    assert len(asked) == 2


def test_a_watch_that_begins_after_the_end_it_was_told_knows_of_the_extension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extension is known to the watch alone, which a reboot or a new start of the engine ends."""
    answers, asked = [("", "no way to EC2"), ("2026-12-02T11:30:00.000Z", "")], []

    def run(*command: str, **_: object) -> tuple[str, str]:
        asked.append(command)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(drain_node, "run", run)
    block = drain_node.Block(CONFIG["block"], "us-east-2")
    later = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
    assert [block.ending(later + timedelta(seconds=one)) for one in (0, 5, 59, 60)] == [None] * 4
    # Once without an answer, once a minute later.
    assert len(asked) == 2
    ending = block.ending(datetime(2026, 12, 2, 10, 50, tzinfo=UTC))
    assert ending == (datetime(2026, 12, 2, 11, 0, tzinfo=UTC), "cr-1 ends at 2026-12-02 11:30 UTC")


def test_what_is_no_time_is_no_answer_in_python_3_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.9 raises TypeError for it, later ones ValueError; the AWS CLI prints None for a member without value."""

    def parse(_: str) -> datetime:
        raise TypeError

    monkeypatch.setattr(drain_node, "parsedate_to_datetime", parse)
    monkeypatch.setattr(drain_node, "run", lambda *_, **__: ("None\n", ""))
    assert drain_node.block_end("us-east-2", "cr-1") == (None, "EC2 names no end of cr-1: None")


@pytest.mark.parametrize(("left", "seconds"), [(600, 300), (6000, 300), (120, 60), (10, 5), (-5, 0)])
def test_half_of_the_time_that_is_left_is_for_what_runs(left: float, seconds: float) -> None:
    assert drain_node.limit(left, 300) == seconds


@pytest.mark.parametrize(
    ("metadata", "config", "now", "drained"),
    [
        ({"spot/instance-action": SPOT}, {}, "10:00:00", ("EC2 takes the instance back (terminate)", 60)),
        ({"instance-id": "i-a"}, {}, "10:50:00", ("cr-1 ends at 2026-12-01 11:30 UTC", 300)),
        # The metadata service does not answer at the moment.
        ({}, {}, "10:50:00", ("cr-1 ends at 2026-12-01 11:30 UTC", 300)),
        # A disk that was copied to another instance.
        ({"instance-id": "i-b"}, {}, "10:50:00", None),
        ({"instance-id": "i-a"}, {"block": None}, "10:50:00", None),
        ({"instance-id": "i-a"}, {}, "10:49:00", None),
    ],
)
def test_the_watch_drains_when_it_should(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metadata: dict[str, str],
    config: dict[str, Any],
    now: str,
    drained: tuple[str, float] | None,
) -> None:
    commands: list[tuple[str, ...]] = []

    def run(*command: str, **_: object) -> tuple[str, str]:
        commands.append(command)
        return "2026-12-01T11:30:00.000Z", ""

    def end(_: float) -> None:
        raise OverError

    monkeypatch.setattr(drain_node, "ROOT", str(tmp_path))
    monkeypatch.setattr(drain_node, "metadata", lambda path: metadata.get(path, ""))
    monkeypatch.setattr(drain_node, "run", run)
    monkeypatch.setattr(drain_node, "now", lambda: datetime.fromisoformat(f"2026-12-01T{now}+00:00"))
    monkeypatch.setattr(f"{drain_node.__name__}.time.sleep", end)
    with pytest.raises(OverError):
        drain_node.watch(CONFIG | config, ENVIRON)
    asked = tmp_path / "run/nixl-efa/drain.json"
    start = ("systemctl", "start", "--no-block", drain_node.DRAIN)
    assert (start in commands) == (drained is not None)
    if drained is not None:
        assert json.loads(asked.read_text(encoding="utf-8")) == {"why": drained[0], "limit": drained[1]}


def test_a_notice_that_comes_during_a_drain_shortens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event leaves ten minutes, Spot two. What ends the same way is told once, and EC2 is not asked meanwhile."""
    spot, steps = {"spot/instance-action": SPOT}, iter(range(1, 8))
    metadata: dict[str, str] = {}
    calls: list[Any] = []
    state = "inactive"

    def run(*command: str, **_: object) -> tuple[str, str]:
        nonlocal state
        if command[1] == "is-active":
            return state, ""
        calls.append(json.loads((tmp_path / "run/nixl-efa/drain.json").read_text(encoding="utf-8"))["limit"])
        state = "activating"
        return "", ""

    def ending(*_: object) -> tuple[datetime, str]:
        calls.append("asked")
        return NOW + timedelta(minutes=10), "cr-1 ends"

    def pause(_: float) -> None:
        nonlocal state
        step = next(steps)
        if step == 3:
            metadata.update(spot)
        elif step == 5:
            state = "failed"  # somebody has ended the drain
        elif step == 7:
            raise OverError

    monkeypatch.setattr(drain_node, "ROOT", str(tmp_path))
    monkeypatch.setattr(drain_node, "metadata", lambda path: metadata.get(path, ""))
    monkeypatch.setattr(drain_node, "run", run)
    monkeypatch.setattr(drain_node.Block, "ending", ending)
    monkeypatch.setattr(drain_node, "now", lambda: NOW)
    monkeypatch.setattr(f"{drain_node.__name__}.time.sleep", pause)
    with pytest.raises(OverError):
        drain_node.watch(CONFIG, ENVIRON)
    assert calls == ["asked", 300, 60, 60]


def test_a_node_that_can_write_nothing_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of an earlier drain, with its limit, is left: removing needs no room."""
    earlier = tmp_path / "run/nixl-efa/drain.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{"why": "earlier", "limit": 3600}', encoding="utf-8")
    asked: list[Any] = []

    def run(*command: str, **_: object) -> tuple[str, str]:
        assert command == ("systemctl", "start", "--no-block", drain_node.DRAIN)
        drain_node.main("drain")
        raise OverError

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drain_node, "ROOT", str(tmp_path))
    monkeypatch.setattr(drain_node, "metadata", {"spot/instance-action": SPOT}.get)
    monkeypatch.setattr(drain_node, "run", run)
    monkeypatch.setattr(drain_node, "now", lambda: NOW)
    monkeypatch.setattr(drain_node, "write", full)
    monkeypatch.setattr(drain_node, "drain", lambda _, what, __: asked.append(what))
    with pytest.raises(OverError):
        drain_node.watch(CONFIG | {"block": None}, ENVIRON)
    assert asked == [{"why": "/run/nixl-efa/drain.json can't be read", "limit": 0}]
