"""How a node drains: the programs by stand-ins."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import BadStatusLine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.service import drain_node, vllm
from nixl_efa.service.model import BOOT_UNIT, ENGINE_UNIT, PD_ROUTER_UNIT, ROUTER_UNIT
from nixl_efa.service.units import DRAIN_UNIT, WATCH_UNIT
from tests.records import answer
from tests.service.programs import DRAIN_CONFIG as CONFIG
from tests.service.programs import DRAIN_ENVIRON as ENVIRON
from tests.service.programs import OWN as URL
from tests.service.programs import command

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)


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
        self.active = {drain_node.ENGINE, drain_node.ROUTER}
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
            return ("active" if command[2] in self.active else "inactive"), ""
        self.calls.append(line.rpartition("--unit=")[2] if command[0] == "bash" else " ".join(command[:3]))
        if command[:2] == ("systemctl", "kill") and self.router_ends:
            self.active.discard(drain_node.ROUTER)
        if command[:2] == ("systemctl", "stop"):
            self.active.discard(command[-1])
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
    refused, early, *routers = machine.calls[:4]
    *logs, late, boot, engine, watch = machine.calls[4:]
    assert (refused, early, routers) == (
        "systemctl kill --signal=TERM",
        "aws s3 sync",
        ["systemctl stop nixl-efa-router.service", "systemctl stop nixl-efa-pd-router.service"],
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


def test_nothing_of_the_other_router_runs_after_a_drain(machine: Machine) -> None:
    """It ends by itself up to 20 s later than the first one."""
    machine.active.add(PD_ROUTER_UNIT)
    assert machine.drain()["left"] == ""
    end = machine.calls.index(f"systemctl stop {PD_ROUTER_UNIT}")
    assert machine.calls[end - 1] == "systemctl kill --signal=KILL"
    assert PD_ROUTER_UNIT not in machine.active


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
    assert len(machine.calls) == 12


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
        drain_node.PD_ROUTER,
        drain_node.BOOT,
        drain_node.WATCH,
        drain_node.DRAIN,
    )
    assert ours == (ENGINE_UNIT, ROUTER_UNIT, PD_ROUTER_UNIT, BOOT_UNIT, WATCH_UNIT, DRAIN_UNIT)
