"""When a node drains by itself, and how: EC2's words in the form of its user guide, the programs by stand-ins."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import BadStatusLine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.service import drain_node, vllm
from nixl_efa.service.model import BOOT_UNIT, ENGINE_UNIT, PD_ROUTER_UNIT, ROUTER_UNIT
from nixl_efa.service.units import DRAIN_UNIT, WATCH_UNIT
from tests.records import answer
from tests.service.programs import command

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
URL = "http://10.0.0.11:8100"
CONFIG: dict[str, Any] = {
    "instance": "i-a",
    "engines": [URL, "http://10.0.0.12:8200"],
    "own": URL,
    "router": "http://10.0.0.12:8000",
    "has_router": True,
    "busy": vllm.BUSY,
    "limit": 300,
    "every": 5.0,
    "block": {"id": "cr-1", "end": "2026-12-01T11:30:00+00:00", "lead": 1800.0},
}
ENVIRON = {
    "AWS_REGION": "us-east-2",
    "PAIR_ENVIRONMENT": "prod",
    "PAIR_NODE": "consumer",
    "PAIR_SCRIPTS_BUCKET": "bucket",
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


@pytest.fixture
def engine() -> Iterator[Callable[[str], str]]:
    """An HTTP server with such /metrics: its URL."""
    servers = []

    def start(text: str) -> str:
        class Metrics(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text.encode())

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Metrics))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


LABELS = '{engine="0",model_name="/models/x"}'


@pytest.mark.parametrize(
    ("lines", "busy"),
    [
        ({"num_requests_running": 0.0, "num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}, False),
        ({"num_requests_running": 2.0, "num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.1}, True),
        ({"num_requests_running": 0.0, "num_requests_waiting": 1.0, "kv_cache_usage_perc": 0.0}, True),
        # A producer whose answer is over, and whose KV cache nobody has fetched yet.
        ({"num_requests_running": 0.0, "num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.003}, True),
    ],
)
def test_what_an_engine_still_does(engine: Callable[[str], str], lines: dict[str, float], busy: bool) -> None:
    others = "\n".join(answer("vllm/metrics-0.32-decode")["after"])
    text = "\n".join(f"vllm:{name}{LABELS} {value}" for name, value in lines.items())
    assert bool(drain_node.running(engine(f"{others}\n{text}\n"), vllm.BUSY)) == busy


def test_an_engine_whose_metrics_are_an_error_is_busy(engine: Callable[[str], str]) -> None:
    """Its requests may run: a drain waits until the limit, as for one that does not answer."""
    assert drain_node.running(engine("Internal Server Error"), vllm.BUSY)


def test_a_node_that_is_gone_does_nothing() -> None:
    assert drain_node.running("http://127.0.0.1:9", vllm.BUSY) is None


class Machine:
    """A node's programs: what was called in order, and what each prints."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, str] = {}
        self.busy: list[str] = []
        self.router_ends = True
        self.root = root
        self._active = {drain_node.ENGINE, drain_node.ROUTER}
        monkeypatch.setattr(drain_node, "ROOT", str(root))
        monkeypatch.setattr(drain_node, "run", self.run)
        monkeypatch.setattr(drain_node, "running", lambda url, _: float(url in self.busy))
        monkeypatch.setattr(f"{drain_node.__name__}.subprocess.Popen", self.popen)
        monkeypatch.setattr(f"{drain_node.__name__}.time.sleep", lambda _: None)
        monkeypatch.setattr(drain_node, "now", lambda: NOW)

    def popen(self, command: list[str], **_: object) -> Any:
        self.calls.append(" ".join(command[:3]))

        class Process:
            def wait(self) -> int:
                return 0

        return Process()

    def run(self, *command: str, **_: object) -> tuple[str, str]:
        line = " ".join(command)
        if command[:2] == ("systemctl", "is-active"):
            return ("active" if command[2] in self._active else "inactive"), ""
        self.calls.append(line.rpartition("--unit=")[2] if command[0] == "bash" else " ".join(command[:3]))
        if command[:2] == ("systemctl", "kill") and self.router_ends:
            self._active.discard(drain_node.ROUTER)
        if command[:2] == ("systemctl", "stop"):
            self._active.discard(command[-1])
        return "", next((why for part, why in self.failing.items() if part in line), "")

    def drain(self, limit: float = 0.0, **config: Any) -> dict[str, Any]:
        drain_node.drain(CONFIG | config, {"why": "a test", "limit": limit}, ENVIRON)
        told: dict[str, Any] = json.loads(
            (self.root / "run/nixl-efa/drained.json").read_text(encoding="utf-8")
        )
        return told


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    results = tmp_path / "opt/nixl-efa/results"
    results.mkdir(parents=True)
    (results / "row.csv").write_text("1\n", encoding="utf-8")
    return Machine(tmp_path, monkeypatch)


def test_a_drain_in_order(machine: Machine) -> None:
    (machine.root / "run/nixl-efa").mkdir(parents=True)
    (machine.root / "run/nixl-efa/proven.json").touch()
    told = machine.drain(30)
    place = "s3://bucket/nixl-efa-drain/prod/consumer/20261201T100000Z"
    assert told == {"at": "20261201T100000Z", "why": "a test", "saved": place, "left": "", "problems": []}
    # Logs before the rest of the results: two minutes may be all.
    refused, early, router, *logs, late, boot, engine, watch = machine.calls
    assert (refused, early, router) == (
        "systemctl kill --signal=TERM",
        "aws s3 sync",
        "systemctl stop nixl-efa-router.service",
    )
    assert (late, boot) == ("aws s3 sync", "systemctl disable --now")
    assert (engine, watch) == (f"systemctl stop {ENGINE_UNIT}", f"systemctl stop {WATCH_UNIT}")
    assert [one.partition(" ")[0] for one in sorted(logs)] == sorted(drain_node.UNITS.values())
    assert not (machine.root / "run/nixl-efa/proven.json").exists()


def test_at_the_limit_what_runs_is_told_and_the_router_is_killed(machine: Machine) -> None:
    machine.busy, machine.router_ends = [URL], False
    assert machine.drain()["left"] == f"{URL}, http://10.0.0.12:8000"
    router = machine.calls.index("systemctl kill --signal=KILL")
    assert router < machine.calls.index(f"systemctl stop {drain_node.ENGINE}")


def test_a_drain_with_a_long_limit_is_shortened_when_the_node_ends_earlier(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serve drain --limit 3600`, and then EC2's warning: it can't wait for an hour."""
    machine.busy, seconds = [URL], iter(range(3600))
    monkeypatch.setattr(f"{drain_node.__name__}.time.monotonic", lambda: float(next(seconds)))

    def warned(_: float) -> None:
        drain_node.write(drain_node.ASKED, {"why": "EC2 takes the instance back", "limit": 60})

    drain_node.write(drain_node.ASKED, {"why": "a test", "limit": 3600})
    monkeypatch.setattr(f"{drain_node.__name__}.time.sleep", warned)
    assert machine.drain(3600)["left"] == f"{URL}"
    assert next(seconds) < 70
    # A limit that ends later does not count.
    began = next(seconds)
    machine.drain(5)
    assert next(seconds) - began < 10


def test_requests_of_other_nodes_are_waited_for_and_not_told(machine: Machine) -> None:
    """A consumer waits for what a producer may compute for it; that is not ended at its limit."""
    machine.busy = [CONFIG["engines"][1]]
    assert machine.drain()["left"] == ""


def test_a_drain_tells_from_its_beginning_why_and_where_to(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, told = machine.root / "run/nixl-efa/drained.json", []

    def wait(*_: object) -> str:
        told.append(json.loads(done.read_text(encoding="utf-8")))
        return ""

    monkeypatch.setattr(drain_node, "wait", wait)
    machine.drain()
    place = "s3://bucket/nixl-efa-drain/prod/consumer/20261201T100000Z"
    assert told == [{"at": "20261201T100000Z", "why": "a test", "saved": place}]


def test_engines_are_asked_side_by_side(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone takes until the timeout, and Spot leaves two minutes."""
    together = threading.Barrier(len(CONFIG["engines"]), timeout=10)
    monkeypatch.setattr(drain_node, "running", lambda *_: together.wait() * 0.0)
    assert machine.drain()["left"] == ""


def test_results_that_come_while_requests_end_are_copied(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = machine.root / "opt/nixl-efa/results/row.csv"
    row.unlink()
    monkeypatch.setattr(drain_node, "wait", lambda *_: row.write_text("1\n", encoding="utf-8") and "")
    assert machine.drain()["problems"] == []
    assert machine.calls.count("aws s3 sync") == 1


@pytest.mark.parametrize(
    ("failing", "problem"),
    [
        ({"s3 sync": "AccessDenied"}, "/opt/nixl-efa/results: AccessDenied"),
        ({"router.log.gz": "AccessDenied"}, "consumer/20261201T100000Z/router.log.gz: AccessDenied"),
        ({f"stop {drain_node.ENGINE}": "timed out"}, "nixl-efa-engine.service does not end: timed out"),
    ],
)
def test_what_fails_keeps_nothing_else_from_being_done(
    machine: Machine, failing: dict[str, str], problem: str
) -> None:
    machine.failing = failing
    [told] = machine.drain()["problems"]
    assert told.endswith(problem)
    assert len(machine.calls) == 11


def test_where_no_service_was_started_a_drain_only_copies(machine: Machine) -> None:
    """systemd 252: "Unit %s not loaded.". The watch, which is there before the first engine, ends too."""
    unit = drain_node.ENGINE
    machine.failing = {f"stop {unit}": f"Failed to stop {unit}: Unit {unit} not loaded."}
    assert machine.drain()["problems"] == []
    assert f"systemctl stop {WATCH_UNIT}" in machine.calls


def test_a_folder_that_can_not_be_read_is_told_and_the_rest_is_saved(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a network disk that is gone."""

    def stale(_: str) -> list[str]:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(f"{drain_node.__name__}.os.listdir", stale)
    machine.failing = {"s3 sync": "Stale file handle"}
    assert machine.drain()["problems"] == ["/opt/nixl-efa/results: Stale file handle"]


def test_all_files_that_are_not_copied_are_in_the_journal(capsys: pytest.CaptureFixture[str]) -> None:
    script = "printf 'upload failed: ./%s\\n' a b >&2; exit 1"
    _, why = drain_node.run("sh", "-c", script)
    assert why == "upload failed: ./b (the last of 2 lines in the journal)"
    assert capsys.readouterr().out == "upload failed: ./a\nupload failed: ./b\n"
    assert drain_node.run("sh", "-c", "echo one >&2; exit 1")[1] == "one"
    assert drain_node.run("sh", "-c", "printf 'a\\nb\\n' >&2")[1] == ""


def test_logs_are_asked_for_by_the_names_of_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd 252 fails for a pattern of units that nothing fits, as on a node without a router, and for no name."""
    command(tmp_path, "journalctl", f'printf "%s\\n" "$@" >>{tmp_path}/asked')
    command(tmp_path, "aws", "cat >/dev/null")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert drain_node.copy_logs("s3://b/x") == []
    lines = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    names = [one.partition("=")[2].removesuffix(".service") for one in lines if one.startswith("--unit=")]
    asked = sorted(f"{one}.service" for one in names)  # as journalctl takes it (systemd.unit)
    assert asked == sorted([ENGINE_UNIT, ROUTER_UNIT, PD_ROUTER_UNIT, WATCH_UNIT, DRAIN_UNIT])


@pytest.mark.parametrize("error", [ConnectionRefusedError(), BadStatusLine("another program's words")])
def test_a_node_without_the_router_is_taken_off_its_list(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked: list[Any] = []

    def post(request: Any, timeout: float) -> Any:
        asked.append((request.get_method(), request.full_url))
        raise error  # the router has ended: nothing new comes either way

    monkeypatch.setattr(drain_node._DIRECTLY, "open", post)
    assert machine.drain(has_router=False)["problems"] == []
    assert asked == [
        ("POST", "http://10.0.0.12:8000/remove_worker?url=http%3A%2F%2F10.0.0.11%3A8100"),
    ]
    assert not any("router" in one for one in machine.calls if one.startswith("systemctl"))


def test_the_units_have_the_names_of_the_services() -> None:
    ours = (
        drain_node.ENGINE,
        drain_node.ROUTER,
        drain_node.BOOT,
        drain_node.WATCH,
        drain_node.DRAIN,
    )
    assert ours == (ENGINE_UNIT, ROUTER_UNIT, BOOT_UNIT, WATCH_UNIT, DRAIN_UNIT)
