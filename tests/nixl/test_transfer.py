"""The transfer that verify makes, for real: two network namespaces with a wire between them, the script and the program
that go to the nodes, the real NIXL over the real libfabric with its provider tcp."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Level
from nixl_efa.nodes import nixl_transfer, transfer, transfer_rules
from nixl_efa.nodes.facts import planned
from nixl_efa.nodes.nixl_transfer import SIZES, SMALL
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.sections import Section, sections
from nixl_efa.nodes.transfer import DRAM, NIXL, Attempt
from tests.nixl.node import PYTHON

PAIR = PairOutputs(
    "dev",
    (
        Node("producer", "producer", "i-1", "10.77.0.1", "", 32),
        Node("consumer", "consumer", "i-2", "10.77.0.2", "", 32),
    ),
)
LINK = transfer.Link(*PAIR.nodes)
P5 = planned("p5.48xlarge", instance_types.find("p5.48xlarge"), 32, "1.5.0")
OVER_TCP = Attempt(NIXL, "LIBFABRIC", DRAM, "tcp")

# In the place of NIXL's API: the real one, with a fault, and a program that does not take its time.
FAULTY_API = """
import os, sys
import nixl_cu13._api as real
from nixl_cu13._api import nixl_agent_config

main, fault = sys.modules["__main__"], os.environ["FAULT"]
main.SIZES, main.COMPLETE_SECONDS = (65536,), 1.0

class nixl_agent(real.nixl_agent):
    def get_new_notifs(self, *given):
        found = super().get_new_notifs(*given)
        if fault == "corrupt" and any(one.endswith(b":7") for several in found.values() for one in several):
            import ctypes
            ctypes.c_ubyte.from_address(self.begin + 7 * 65536 + 100).value ^= 0xFF
        if fault == "unheard":
            return {}
        return found
    def register_memory(self, regions, *given):
        self.begin = regions[0][0]
        return super().register_memory(regions, *given)
    def get_xfer_descs(self, descriptors, *given):
        if fault == "lose" and len(descriptors) > 1:
            descriptors = [*descriptors[:4], descriptors[3], *descriptors[5:]]
        return super().get_xfer_descs(descriptors, *given)
    def transfer(self, request, tag):
        if fault == "hang" and tag.endswith(b":3"):
            self.hangs = request
            return "PROC"
        return super().transfer(request, tag)
    def check_xfer_state(self, request):
        return "PROC" if request is getattr(self, "hangs", None) else super().check_xfer_state(request)
"""


# /sys/class/net shows the network of whoever has mounted it; UCX and libfabric look there.
HOLD = "mount -t sysfs sysfs /sys && echo && exec sleep infinity"


@dataclass
class Wire:
    """Both nodes: a folder each that stands for their root, and the process that holds their network."""

    roots: Mapping[str, Path]
    holders: Mapping[str, int]
    libraries: str

    def environment(self, **more: str) -> None:
        """What is in /etc/nixl-efa/env of both."""
        given = {"FI_PROVIDER": "efa", "LD_LIBRARY_PATH": self.libraries, **more}
        for root in self.roots.values():
            text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())
            (root / "etc/nixl-efa/env").write_text(text, encoding="utf-8")

    def transfer(self, attempt: Attempt, late: str = "") -> transfer.Result:
        """The attempt by both nodes; one may come late."""
        return transfer.results(attempt, [LINK], self.ends(attempt, late=late))[0]

    def ends(
        self, attempt: Attempt, *, late: str = "", without: str = ""
    ) -> Mapping[str, Mapping[str, Section]]:
        """What the nodes print; one may come late, or not at all."""
        scripts = transfer.scripts(attempt, [LINK])
        running = {}
        for node in sorted(PAIR.nodes, key=lambda node: node.name == late):
            if node.name == without:
                continue
            if node.name == late:
                time.sleep(2)
            file = self.roots[node.name] / "script.sh"
            file.write_text("\n".join(scripts[node.instance_id].commands), encoding="utf-8")
            running[node.name] = subprocess.Popen(
                [*inside(self.holders[node.name]), "/bin/sh", file],
                stdout=subprocess.PIPE,
                text=True,
                env={"PATH": os.environ["PATH"], "NIXL_EFA_ROOT": str(self.roots[node.name])},
            )
        return {name: sections(process.communicate(timeout=240)[0]) for name, process in running.items()}


def inside(holder: int) -> list[str]:
    """A command's begin that runs it on a node."""
    return ["nsenter", "--target", str(holder), "--net", "--mount"]


@pytest.fixture(scope="session")
def venv(real_nixl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment as install-nixl makes it."""
    folder = tmp_path_factory.mktemp("nixl") / "venv"
    subprocess.run([PYTHON, "-m", "venv", folder], check=True)
    wheels = ["nixl==1.5.0", "nixl-cu13==1.5.0", "numpy", "nvidia-cuda-runtime"]
    pip = [
        f"{folder}/bin/pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        f"--find-links={real_nixl}/wheels",
    ]
    subprocess.run([*pip, *wheels], check=True)
    return folder


@pytest.fixture(scope="session")
def wire(real_nixl: Path, venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The nodes. What holds their networks dies with the tests, and with it all that was made here."""
    tools = [tool for tool in ("ip", "unshare", "nsenter", "setpriv") if not shutil.which(tool)]
    if os.geteuid() != 0 or tools:
        message = f"network namespaces need root{f', and {tools}' if tools else ''}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    holders = {
        node.name: subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", HOLD],
            stdout=subprocess.PIPE,
        )
        for node in PAIR.nodes
    }
    roots = {name: tmp_path_factory.mktemp(name) for name in holders}
    try:
        for holder in holders.values():
            assert holder.stdout is not None
            holder.stdout.readline()
        pids = {name: holder.pid for name, holder in holders.items()}
        peer = ["peer", "name", "veth0", "netns", str(pids["consumer"])]
        ip = [*inside(pids["producer"]), "ip"]
        subprocess.run([*ip, "link", "add", "veth0", "type", "veth", *peer], check=True)
        for node in PAIR.nodes:
            for words in (
                ("address", "add", f"{node.private_ip}/24", "dev", "veth0"),
                ("link", "set", "veth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                subprocess.run([*inside(pids[node.name]), "ip", *words], check=True)
            (roots[node.name] / "etc/nixl-efa").mkdir(parents=True)
            (roots[node.name] / "opt/nixl-efa").mkdir(parents=True)
            (roots[node.name] / "opt/nixl-efa/venv").symlink_to(venv)
        # A wire carries, and an IPv6 address may be used, a second or two later; libfabric's endpoints fail until then.
        ready = "until ip link show veth0 | grep -q 'state UP' && ! ip address | grep -q tentative; do sleep 0.1; done"
        for pid in pids.values():
            subprocess.run([*inside(pid), "sh", "-c", ready], check=True, timeout=10)
        libraries = f"{real_nixl}/libfabric-2.5.1/lib:{real_nixl}/lib"
        yield Wire(roots, pids, libraries)
    finally:
        for holder in holders.values():
            holder.kill()
            holder.wait()


@pytest.fixture
def faulty(wire: Wire, tmp_path: Path) -> Path:
    """A folder with an API of NIXL that has a fault."""
    (tmp_path / "nixl").mkdir()
    (tmp_path / "nixl/__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "nixl/_api.py").write_text(FAULTY_API, encoding="utf-8")
    return tmp_path


def test_bytes_move_over_tcp_and_each_is_checked(wire: Wire) -> None:
    wire.environment()
    measured = wire.transfer(OVER_TCP)
    assert measured.error == ""
    assert measured.provider == "tcp"
    assert [row.size_bytes for row in measured.rows] == list(SIZES)
    assert all(row.gbps > 0 and row.latency_us > 0 for row in measured.rows)
    assert measured.handshake_seconds is not None
    assert measured.small is not None
    assert (measured.small.writes, measured.small.error) == (sum(one * each for one, each in SMALL), "")
    (found,) = transfer_rules.findings([measured], P5, {})
    assert found.level is Level.WARN
    assert "MiB, provider tcp. NIXL and the network between the nodes work; EFA does not." in found.message


@pytest.mark.parametrize("late", ["producer", "consumer"])
def test_an_end_may_come_some_seconds_later(wire: Wire, faulty: Path, late: str) -> None:
    wire.environment(PYTHONPATH=str(faulty), FAULT="")
    assert wire.transfer(OVER_TCP, late=late).error == ""


def test_ucx_moves_bytes_over_tcp_where_a_type_has_no_efa(wire: Wire) -> None:
    wire.environment(UCX_TLS="tcp")
    measured = wire.transfer(Attempt(NIXL, "UCX", DRAM))
    assert measured.error == ""
    assert measured.rows
    plan = planned("g7e.2xlarge", instance_types.find("g7e.2xlarge"), 0, "1.5.0")
    levels = {one.check: one.level for one in transfer_rules.findings([measured], plan, {})}
    assert levels == {"fabric": Level.WARN, "transfer": Level.PASS, "small writes": Level.PASS}


@pytest.mark.parametrize(
    ("fault", "error", "small"),
    [
        (
            "corrupt",
            "producer and consumer: 1 of 64 writes of 64 KiB are not as they were sent; the first is write 7, from its "
            "byte 100 on (",
            "",
        ),
        (
            "hang",
            "producer and consumer: 61 of 64 notifications did not arrive within 1 s; 61 of 64 writes of 64 KiB are "
            "not as they were sent; the first is write 3",
            "",
        ),
        ("unheard", "producer and consumer: NIXL's first notification did not arrive", ""),
        (
            "lose",
            "",
            "1 of 10 writes of 8 KiB are not as they were sent; the first is write 4, from its byte 0 on (",
        ),
    ],
)
def test_what_is_lost_or_changed_on_the_way_is_one_message(
    wire: Wire, faulty: Path, fault: str, error: str, small: str
) -> None:
    wire.environment(PYTHONPATH=str(faulty), FAULT=fault)
    measured = wire.transfer(OVER_TCP)
    assert measured.error.startswith(error)
    assert bool(measured.error) == bool(error)
    assert (measured.small.error if measured.small else "").startswith(small)


@pytest.mark.parametrize(
    ("without", "error"),
    [
        ("consumer", "no consumer at 10.77.0.2 port 18600 within 2 s ([Errno 111] Connection refused)"),
        ("producer", "no producer came to port 18600 within 2 s"),
    ],
)
def test_an_end_without_the_other_one_gives_up_in_its_time(
    wire: Wire, faulty: Path, without: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PEER_SECONDS", 2)
    wire.environment(PYTHONPATH=str(faulty), FAULT="")
    (end,) = wire.ends(OVER_TCP, without=without).values()
    document = json.loads(end["transfer"].text)
    [peer] = document["peers"]
    assert (document["error"], peer["step"], peer["error"]) == ("", "connect", error)
    assert end["transfer"].code == 1


def test_without_efa_the_planned_backend_is_told_in_libfabrics_words(wire: Wire) -> None:
    wire.environment()
    measured = wire.transfer(Attempt(NIXL, "LIBFABRIC", DRAM))
    assert measured.error == "producer and consumer: NIXL_ERR_BACKEND (fi_getinfo failed No data available)"
    (found,) = transfer_rules.findings([measured], P5, {})
    assert found.level is Level.FAIL
    assert (
        found.remedy == "libfabric offers NIXL no EFA: look at the rows EFA devices, EFA driver and fi_info."
    )


def test_a_plugin_that_does_not_load_is_told_in_the_loaders_words(wire: Wire, real_nixl: Path) -> None:
    wire.environment(LD_LIBRARY_PATH=f"{real_nixl}/lib")
    measured = wire.transfer(OVER_TCP)
    assert measured.error == (
        "producer and consumer: NIXL_ERR_NOT_FOUND (libplugin_LIBFABRIC.so: libfabric.so.1: cannot open shared object "
        "file: No such file or directory)"
    )


def test_without_nixl_that_is_what_is_said(wire: Wire, tmp_path: Path) -> None:
    wire.environment()
    venv = wire.roots["consumer"] / "opt/nixl-efa/venv"
    real = venv.readlink()
    venv.unlink()
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    venv.symlink_to(tmp_path / "venv")
    try:
        (end,) = wire.ends(OVER_TCP, without="producer").values()
    finally:
        venv.unlink()
        venv.symlink_to(real)
    assert json.loads(end["transfer"].text)["error"] == "No module named 'nixl'"


def test_every_producer_writes_to_every_consumer(wire: Wire, faulty: Path) -> None:
    """Two of each, on the two nodes: the program takes lists."""
    addresses = {"producer": ["10.77.0.1", "10.77.0.3"], "consumer": ["10.77.0.2", "10.77.0.4"]}
    wire.environment(PYTHONPATH=str(faulty), FAULT="", FI_PROVIDER="tcp")
    running = []
    for role, others in (("consumer", addresses["producer"]), ("producer", addresses["consumer"])):
        node = inside(wire.holders[role])
        second = ["ip", "address", "add", f"{addresses[role][1]}/24", "dev", "veth0"]
        subprocess.run([*node, *second], check=True)
        for own in addresses[role]:
            root = wire.roots[role]
            words = shlex.join([nixl_transfer.__file__, role, "LIBFABRIC", "DRAM", "30", own, *others])
            command = f"set -a; . {root}/etc/nixl-efa/env; exec {root}/opt/nixl-efa/venv/bin/python {words}"
            running.append(subprocess.Popen([*node, "sh", "-c", command], stdout=subprocess.PIPE, text=True))
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert [one["error"] for one in documents] == [""] * 4
    met = [sorted((peer["address"], peer["error"]) for peer in one["peers"]) for one in documents]
    producers, consumers = ([(one, "") for one in several] for several in addresses.values())
    assert met == [producers] * 2 + [consumers] * 2
