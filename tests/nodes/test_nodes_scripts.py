"""The node scripts, run by sh against stand-ins of the node's commands and devices."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nixl_efa.nodes.facts import Planned, node_facts
from nixl_efa.nodes.run_command import OUTPUT_LIMIT_CHARACTERS, Script
from nixl_efa.nodes.sections import Section, script, sections
from nixl_efa.nodes.transfer import Attempt, results
from nixl_efa.nodes.transfer_rules import findings
from tests.nodes.stand_in import ADDRESSES, LINK, StandIn, nixl_document

FACTS = Script(script("node-facts.sh"))


@pytest.fixture
def producer(tmp_path: Path) -> StandIn:
    return StandIn("producer", tmp_path / "producer")


@pytest.mark.parametrize("name", ["node-facts.sh", "node-files.sh", "write-files.sh", "transfer.sh"])
def test_the_scripts_are_posix_and_pass_shellcheck(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(script(name), encoding="utf-8")
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([shellcheck, "--shell=sh", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_facts_of_a_node_come_through(producer: StandIn) -> None:
    producer.command("nixlbench", "")
    facts = node_facts(sections(producer.run(FACTS.commands)))
    assert facts.cloud_init.status == "done"
    assert (facts.last_stage_ended, facts.failed_units, facts.cuda) == (True, (), 0)
    assert facts.gpu_fabric == (("Completed", "Success"),) * 8
    assert facts.fabric_manager == "Started NVIDIA fabric manager service."
    assert facts.boot_report == {"ok": True, "transport": "EFA", "checks": []}
    assert len(facts.efa_devices) == len(facts.domains) == 32
    assert (facts.efa_driver, facts.libfabric, facts.efa_installer) == ("2.17.2g", "2.1.0amzn3.0", "1.47.0")
    assert (facts.accelerators, facts.accelerator) == (8, "NVIDIA H100 80GB HBM3")
    assert facts.memlock == "unlimited"
    assert facts.local_disks == "/dev/mapper/vg.01-lv_ephemeral"
    assert facts.disk_used == 12
    assert (facts.nixl.version, facts.nixl.provider) == ("1.5.0", "efa")
    assert facts.nixlbench.endswith("/nixlbench")
    assert facts.pair is not None
    assert facts.pair["node"] == "producer"


def test_the_kernels_own_efa_module_is_a_driver_though_it_tells_no_version(producer: StandIn) -> None:
    version = producer.root / "sys/module/efa/version"
    version.unlink()
    assert node_facts(sections(producer.run(FACTS.commands))).efa_driver == "of the kernel"
    version.parent.rmdir()
    assert node_facts(sections(producer.run(FACTS.commands))).efa_driver == ""


def test_what_a_node_does_not_have_is_empty_and_the_rest_still_comes(producer: StandIn) -> None:
    producer.efa(0)
    for command in ("cloud-init", "nvidia-smi", "nixlbench"):
        producer.without(command)
    (producer.root / "etc/nixl-efa/pair.json").unlink()
    (producer.root / "opt/nixl-efa/venv/bin/python").unlink()
    facts = node_facts(sections(producer.run(FACTS.commands)))
    assert (facts.cloud_init.status, facts.accelerators, facts.nixlbench, facts.pair) == ("", 0, "", None)
    assert facts.domains == ()
    assert facts.fi_info_error == "fi_getinfo: -61"
    assert (facts.nixl.provider, facts.nixl.message) == ("", "No module named 'nixl'")
    assert facts.libfabric == "2.1.0amzn3.0"


def test_the_boot_report_of_this_very_node_is_read(producer: StandIn) -> None:
    producer.command(
        "nvidia-smi", 'for i in 1 2 3; do echo "GPU $i: NVIDIA H100 80GB HBM3 (UUID: GPU-$i)"; done'
    )
    producer.run([f"bash {producer.root}/opt/nixl-efa/bin/boot-report {producer.root} || true"])
    report = node_facts(sections(producer.run(FACTS.commands))).boot_report
    assert report is not None
    assert report["ok"] is False
    faulty = {one["check"]: (one["planned"], one["seen"]) for one in report["checks"] if not one["ok"]}
    assert faulty["accelerators"] == ("8", "3")
    assert "efa_devices" not in faulty


def test_neuron_devices_are_counted(producer: StandIn) -> None:
    producer.without("nvidia-smi")
    producer.command("neuron-ls", f"echo '{json.dumps([{'neuron_device': one} for one in range(16)])}'")
    assert node_facts(sections(producer.run(FACTS.commands))).accelerators == 16


def transfer(
    node: StandIn,
    tool: str = "nixl",
    backend: str = "LIBFABRIC",
    provider: str = "",
    program: str = "import nixl",
) -> dict[str, Section]:
    own, other = ADDRESSES[node.name], next(one for name, one in ADDRESSES.items() if name != node.name)
    arguments = (tool, node.name, own, other, backend, "DRAM", provider, "60", program)
    return dict(sections(node.run(Script(script("transfer.sh"), arguments).commands)))


def test_the_outputs_of_32_devices_fit_into_what_run_command_gives(producer: StandIn) -> None:
    for index in range(32):
        device = producer.root / f"sys/class/infiniband/rdmap{index}s0"
        device.rename(device.with_name(f"rdmap{100 + index}s0"))
        for counter in (producer.root / "sys/class/infiniband").glob(
            f"rdmap{100 + index}s0/ports/1/hw_counters/*"
        ):
            counter.write_text("113939005799538\n", encoding="utf-8")
    assert len(producer.run(FACTS.commands)) < OUTPUT_LIMIT_CHARACTERS * 0.8
    # Beside the counters stand a document of some 1,000 characters and a log of some 25 lines.
    read = transfer(producer)
    assert (
        len(read["counters_before"].text) + len(read["counters_after"].text) < OUTPUT_LIMIT_CHARACTERS - 7000
    )


def test_a_transfer_stands_between_two_readings_of_the_counters(producer: StandIn) -> None:
    producer.over_efa(32 * 4096)
    read = transfer(producer)
    assert "rdmap0s0 tx_bytes=1000 rx_bytes=1000" in read["counters_before"].text
    assert "rdmap0s0 tx_bytes=5096 rx_bytes=1000" in read["counters_after"].text
    assert [line for line in read["counters_after"].text.splitlines() if line.startswith("net/")] == [
        "net/ens32 tx_bytes=5000 rx_bytes=5000"
    ]
    assert len(read["counters_after"].text.splitlines()) == 33
    assert json.loads(read["transfer"].text) == nixl_document("producer")
    assert "using provider=efa" in read["log"].text


@pytest.mark.parametrize(
    ("role", "tool", "backend", "words"),
    [
        (
            "producer",
            "nixlbench",
            "LIBFABRIC",
            "--asio_address 10.0.0.11 --asio_port 12345 --backend LIBFABRIC",
        ),
        ("consumer", "nixlbench", "UCX", "--asio_address 10.0.0.11 --asio_port 12345 --backend UCX"),
        ("producer", "fi_pingpong", "efa", "-p efa -e rdm -I 1000 -P 18601 10.0.0.12"),
        ("consumer", "fi_pingpong", "efa", "-p efa -e rdm -I 1000 -B 18601"),
        ("producer", "fi_pingpong", "tcp", "-p tcp -e rdm -I 1000 -P 18601 10.0.0.12"),
    ],
)
def test_each_end_starts_its_part(role: str, tool: str, backend: str, words: str, tmp_path: Path) -> None:
    node = StandIn(role, tmp_path / role)
    node.command(tool, 'echo "called: $*."')
    text = transfer(node, tool, backend)["transfer"].text
    assert words in text
    assert ("10.0.0.12." in text) is (tool == "fi_pingpong" and role == "producer")


@pytest.mark.parametrize(
    ("role", "tool", "failures", "words", "calls", "code"),
    [
        ("consumer", "nixlbench", 3, "ASIO Connection failed: Connection refused", 4, 0),
        ("producer", "fi_pingpong", 9, "connect(): Connection refused", 10, 0),
        ("producer", "fi_pingpong", 10, "connect(): Connection refused", 10, 1),
        ("consumer", "nixlbench", 1, "CUDA out of memory", 1, 1),
        ("producer", "nixlbench", 1, "Connection refused", 1, 1),
    ],
)
def test_the_end_that_connects_tries_again_while_the_other_does_not_listen(
    role: str, tool: str, failures: int, words: str, calls: int, code: int, tmp_path: Path
) -> None:
    node = StandIn(role, tmp_path / role)
    log = node.root / "calls"
    node.command(
        tool,
        f"echo >> {log}; if [ $(wc -l < {log}) -le {failures} ]; then echo '{words}' >&2; exit 1; fi; echo fine",
    )
    section = transfer(node, tool)["transfer"]
    assert (len(log.read_text(encoding="utf-8").splitlines()), section.code) == (calls, code)
    assert section.text == ("fine" if code == 0 else words)


def test_of_nixlbench_only_what_is_read_comes_back(producer: StandIn) -> None:
    """Its options and NIXL's log would not leave room for the counters of 32 devices."""
    producer.command(
        "nixlbench",
        """echo 'Num threads (--num_threads=N)                               : 1'
        echo 'I0101 00:00:00.0 1 libfabric_rail_manager.cpp:5] Created 32 rails using provider=efa'
        echo 'I0101 00:00:00.1 1 nixl_agent.cpp:5] a word'
        echo 'W0101 00:00:00.1 1 libfabric_rail_manager.cpp:5] a warning' >&2
        echo "level $NIXL_LOG_LEVEL: $*"
        """,
    )
    warning, called, rails = transfer(producer, "nixlbench")["transfer"].text.splitlines()
    assert warning.endswith("a warning")
    assert called.startswith("level INFO: ")
    assert rails.endswith("Created 32 rails using provider=efa")


@pytest.mark.parametrize(
    ("role", "own", "other"), [("producer", "10.0.0.11", "10.0.0.12"), ("consumer", "10.0.0.12", "10.0.0.11")]
)
@pytest.mark.parametrize(("provider", "used"), [("", "efa"), ("tcp", "tcp")])
def test_our_program_runs_in_the_nodes_environment(
    role: str, own: str, other: str, provider: str, used: str, tmp_path: Path
) -> None:
    node = StandIn(role, tmp_path / role)
    node.nixl('shift; echo "$FI_PROVIDER $PAIR_ROLE $NIXL_LOG_LEVEL: $*"')
    section = transfer(node, provider=provider, program="print('it''s')\nexit(\"1\")")["transfer"]
    assert (
        section.text
        == f"{used} {role} INFO: print('it''s')\nexit(\"1\") {role} LIBFABRIC DRAM 60 {own} {other}"
    )


def test_of_nixls_log_what_is_read_comes_back_and_its_last_lines(producer: StandIn) -> None:
    producer.nixl(
        """for one in $(seq 100); do echo "I0101 00:00:00.0 1 nixl_agent.cpp:1000] word $one" >&2; done
        echo 'I0101 00:00:00.0 1 nixl_plugin_manager.cpp:352] Failed to load plugin from /a/libplugin_UCX.so: why' >&2
        for one in $(seq 100); do echo "E0101 00:00:00.0 1 nixl_agent.cpp:1000] error $one" >&2; done
        echo "terminate called after throwing an instance of 'std::runtime_error'" >&2
        exit 134"""
    )
    read = transfer(producer)
    assert (read["transfer"].text, read["transfer"].code) == ("", 134)
    lines = read["log"].text.splitlines()
    assert lines[0].endswith("libplugin_UCX.so: why")
    assert lines[-1].startswith("terminate called")
    assert len(lines) == 23


@pytest.mark.parametrize(("help_text", "begin"), [(" -f <fabric>  fabric name", "-f efa "), ("", "")])
def test_fi_pingpong_names_efas_fabric_where_it_can(help_text: str, begin: str, producer: StandIn) -> None:
    """Usage to stderr, as it prints it."""
    producer.command("fi_pingpong", f'[ "$1" = -h ] && echo "{help_text}" >&2 || echo "called: $*"')
    assert transfer(producer, "fi_pingpong", "efa")["transfer"].text == (
        f"called: -p efa -e rdm -I 1000 {begin}-P 18601 10.0.0.12"
    )
    assert "-f" not in transfer(producer, "fi_pingpong", "tcp")["transfer"].text


def test_efas_own_tools_go_before_the_distributions(producer: StandIn) -> None:
    producer.script("opt/amazon/efa/bin/fi_pingpong", "echo of the EFA installer")
    assert transfer(producer, "fi_pingpong", "efa")["transfer"].text == "of the EFA installer"


def test_interfaces_without_a_device_are_not_counted(producer: StandIn) -> None:
    """docker0 and lo have none: what goes by them stays on the machine."""
    assert "net/ens32 " in transfer(producer)["counters_after"].text
    assert "docker0" not in transfer(producer)["counters_after"].text


def test_counters_of_devices_that_are_no_efa_are_not_read(producer: StandIn) -> None:
    producer.file("sys/class/infiniband/ibp115s0f0/device/vendor", "0x15b3\n")
    producer.file("sys/class/infiniband/ibp115s0f0/ports/1/hw_counters/tx_bytes", "1\n")
    assert "ibp115s0f0" not in transfer(producer)["counters_before"].text
    facts = node_facts(sections(producer.run(FACTS.commands)))
    assert facts.rdma_devices["ibp115s0f0"] == "0x15b3"
    assert len(facts.efa_devices) == 32


def test_two_transfers_at_once_do_not_meet(
    producer: StandIn, p5_plan: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people verify one pair: the second one waits, and then says why it did not measure."""
    monkeypatch.setenv("NIXL_EFA_LOCK_SECONDS", "0")
    with producer.file("var/lib/nixl-efa/transfer.lock", "").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        read = transfer(producer)
    measured = results(Attempt("nixl", "LIBFABRIC", "DRAM"), [LINK], {"producer": read, "consumer": read})
    [found] = findings(measured, p5_plan, {})
    assert "producer and consumer: another verify measures on this node" in found.message
    assert found.remedy == "Verify again when the other one has ended."
    assert transfer(producer)["transfer"].code == 0


def test_an_unknown_tool_fails_and_still_reports(producer: StandIn) -> None:
    section = transfer(producer, "iperf")["transfer"]
    assert section.code == 64
    assert "unknown tool" in section.text
