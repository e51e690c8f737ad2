"""`nixl-efa nodes sync`: the very scripts that are sent, run on stand-ins of a running pair."""

import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap.files import FORM, NodeFile
from nixl_efa.failure import Failure
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes import files
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.sync import SyncReport, sync
from nixl_efa.settings import Settings
from tests.bootstrap.conftest import earlier_files
from tests.nodes.stand_in import CONSUMER_ID, PRODUCER_ID, FakeClock, FakeEc2, FakeSsm, StandIn

Nodes = dict[str, StandIn]
ENV, PAIR_JSON, CONFIGURE = "/etc/nixl-efa/env", "/etc/nixl-efa/pair.json", "/opt/nixl-efa/bin/configure"
INSTALLER = "/opt/nixl-efa/bin/install-nixl"


def launch(**changes: Any) -> Launch:
    """The pair's, by settings that may have changed since its first boot."""
    chosen: dict[str, Any] = {"name": "prod", "instance_type": "p5.48xlarge", "region": "us-east-1"}
    return replace(launch_of(Settings(**chosen | changes)), nixl_pinned="nixl_version" in changes)


@pytest.fixture
def synced(ec2: Any, ssm: Any, pair: PairOutputs, clock: FakeClock) -> Any:
    """Syncs the pair of the tests."""

    def run(check: bool = False, pair: PairOutputs = pair, **changes: Any) -> SyncReport:
        return sync(ec2, ssm, pair, launch(**changes), check=check, clock=clock, say=print)

    return run


def content(node: StandIn, path: str) -> str:
    return (node.root / path.lstrip("/")).read_text(encoding="utf-8")


def change(node: StandIn, path: str, old: str, new: str) -> str:
    """Changes a file on a node; what it was before."""
    before = content(node, path)
    assert old in before
    node.file(path.lstrip("/"), before.replace(old, new))
    return before


def everything(node: StandIn) -> dict[str, tuple[str, int]]:
    """Each file of a node below /etc, /opt and /usr: what it holds, and its permissions."""
    found = [
        path
        for folder in ("etc", "opt", "usr")
        for path in (node.root / folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    return {str(path): (path.read_text(encoding="utf-8"), path.stat().st_mode) for path in found}


def sent(ssm: FakeSsm) -> list[tuple[str, str]]:
    return [(request["InstanceIds"][0], request["Comment"].rpartition(" ")[2]) for request in ssm.sent]


def test_a_pair_with_the_files_of_its_settings_is_only_looked_at(synced: Any, ssm: FakeSsm) -> None:
    report = synced()
    assert report.is_done
    assert [one.differing for one in report.nodes] == [(), ()]
    assert sent(ssm) == [(PRODUCER_ID, "look"), (CONSUMER_ID, "look")]


def test_a_changed_setting_reaches_both_nodes_and_no_other_file_is_touched(synced: Any, nodes: Nodes) -> None:
    before = {name: everything(node) for name, node in nodes.items()}
    report = synced(service_ports=(9000,))
    assert report.is_done
    for name, node in nodes.items():
        pair_json, was = str(node.root / PAIR_JSON[1:]), before[name]
        after = everything(node)
        assert json.loads(after[pair_json][0])["service_ports"] == [9000]
        assert after.pop(f"{pair_json}.previous") == was.pop(pair_json)
        del after[pair_json]
        assert after == was
    assert [one.differing for one in report.nodes] == [(PAIR_JSON,)] * 2
    assert [one.boot_report for one in report.nodes] == ["as planned"] * 2
    assert [one.differing for one in synced(service_ports=(9000,)).nodes] == [(), ()]


def test_a_script_of_another_release_gets_todays_text_and_its_permissions(synced: Any, nodes: Nodes) -> None:
    node = nodes["consumer"]
    before = change(node, CONFIGURE, "set -euo pipefail", "# of an earlier release")
    (node.root / CONFIGURE[1:]).chmod(0o644)
    report = synced()
    assert [one.differing for one in report.nodes] == [(), (CONFIGURE,)]
    assert [one.written for one in report.nodes] == [False, True]
    assert content(node, CONFIGURE) == before
    assert (node.root / CONFIGURE[1:]).stat().st_mode & 0o777 == 0o755


def test_the_users_own_variables_and_the_preload_stay_and_ours_are_the_settings(
    synced: Any, nodes: Nodes
) -> None:
    node = nodes["producer"]
    preload = node.file("usr/lib64/libibverbs.so.1", "")
    change(node, ENV, "FI_PROVIDER=efa\n", "FI_PROVIDER=tcp\nUCX_TLS=tcp\nMY_TOKEN='s e c r e t'\n")
    change(node, ENV, "PAIR_NODE=", f"LD_PRELOAD=/{preload.relative_to(node.root)}\nPAIR_NODE=")
    own = content(nodes["consumer"], ENV).replace("consumer", "producer").replace(".12", ".11")
    report = synced()
    lines = content(node, ENV).splitlines()
    assert lines == [*own.splitlines(), "MY_TOKEN='s e c r e t'", "LD_PRELOAD=/usr/lib64/libibverbs.so.1"]
    assert [one.differing for one in report.nodes] == [(ENV,), ()]
    assert "s e c r e t" not in repr(report)
    assert synced().nodes[0].differing == ()


def test_nodes_that_an_earlier_release_built_are_brought_up_to_date(synced: Any, nodes: Nodes) -> None:
    every = [one for one in earlier_files() if '"prod"' in one[PAIR_JSON]]
    assert {json.loads(one[PAIR_JSON])["node"] for one in every} == set(nodes)
    for one in every:
        node = nodes[json.loads(one[PAIR_JSON])["node"]]
        for path, text in one.items():
            node.file(path.lstrip("/"), text)
    report = synced()
    assert report.is_done
    for node, one in zip(nodes.values(), report.nodes, strict=True):
        assert {PAIR_JSON, ENV, CONFIGURE} <= set(one.differing)
        assert {file.path: file.content for file in node.files} == {
            file.path: content(node, file.path) for file in node.files
        }
    assert [one.differing for one in synced().nodes] == [(), ()]


def test_a_node_that_lost_a_file_gets_it_again(synced: Any, nodes: Nodes) -> None:
    (nodes["producer"].root / ENV[1:]).unlink()
    report = synced()
    assert report.nodes[0].differing == (ENV,)
    assert "PAIR_NODE=producer" in content(nodes["producer"], ENV)
    assert not (nodes["producer"].root / f"{ENV[1:]}.previous").exists()


def test_the_earlier_file_is_kept_once(synced: Any, nodes: Nodes) -> None:
    for port in (9001, 9002):
        synced(service_ports=(port,))
    folder = nodes["producer"].root / "etc/nixl-efa"
    assert sorted(path.name for path in folder.iterdir()) == [
        "env",
        "members.json",
        "pair.json",
        "pair.json.previous",
    ]
    assert "9001" in content(nodes["producer"], f"{PAIR_JSON}.previous")


def test_check_tells_what_differs_and_writes_nothing(synced: Any, nodes: Nodes, ssm: FakeSsm) -> None:
    before = {name: everything(node) for name, node in nodes.items()}
    report = synced(check=True, service_ports=(9000,))
    assert not report.is_done
    assert [one.differing for one in report.nodes] == [(PAIR_JSON,)] * 2
    assert {name: everything(node) for name, node in nodes.items()} == before
    assert {what for _, what in sent(ssm)} == {"look"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"environment": "prod"', '"environment": "dev"', "is the consumer of environment dev"),
        ('"node": "consumer"', '"node": "producer"', "is the producer of environment prod"),
        (f'"form": {FORM}', '"form": 99', "files of a newer nixl-efa (form 99) than this one"),
        ("{", "", "has no readable /etc/nixl-efa/pair.json"),
    ],
)
def test_where_one_node_is_not_to_be_written_neither_is(
    old: str, new: str, words: str, synced: Any, nodes: Nodes, ssm: FakeSsm
) -> None:
    change(nodes["consumer"], PAIR_JSON, old, new)
    report = synced(service_ports=(9000,))
    producer, consumer = report.nodes
    assert not report.is_done
    assert words in consumer.problem
    assert (producer.differing, producer.problem, producer.written) == ((PAIR_JSON,), "", False)
    assert {what for _, what in sent(ssm)} == {"look"}


def test_a_node_that_does_not_answer_keeps_the_other_from_being_written(synced: Any, ssm: FakeSsm) -> None:
    ssm.unregistered.add(CONSUMER_ID)
    report = synced(service_ports=(9000,))
    assert "not registered with Systems Manager" in report.nodes[1].problem
    assert sent(ssm) == [(PRODUCER_ID, "look")]


def test_a_node_that_is_stopped_is_told_and_nothing_is_asked(synced: Any, ec2: FakeEc2, ssm: FakeSsm) -> None:
    ec2.instances[0]["State"]["Name"] = "stopped"
    report = synced()
    assert "stopped" in report.nodes[0].problem
    assert report.nodes[1].problem == "was not checked, because another node does not run."
    assert not report.is_done
    assert ssm.sent == []


def test_a_pair_of_which_one_node_was_written_is_completed_by_the_next_run(
    synced: Any, nodes: Nodes, ssm: FakeSsm
) -> None:
    blocked = nodes["consumer"].root / "var/lib/nixl-efa/sync.lock"
    with blocked.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        report = synced(service_ports=(9000,))
    producer, consumer = report.nodes
    assert (producer.written, producer.problem) == (True, "")
    assert not consumer.written
    assert consumer.problem.endswith(
        "another sync is at work on this node. Run it again: it writes only what differs."
    )
    assert "9000" not in content(nodes["consumer"], PAIR_JSON)
    ssm.sent.clear()
    assert synced(service_ports=(9000,)).is_done
    assert sent(ssm)[-1] == (CONSUMER_ID, "write")
    assert (PRODUCER_ID, "write") not in sent(ssm)


@pytest.mark.parametrize(
    "place", ["/etc/nixl-efa/env/below-a-file", "/etc/a-folder-is-in-the-way", "/etc/nixl-efa"]
)
def test_when_one_file_can_not_be_written_none_is(place: str, nodes: Nodes) -> None:
    node = nodes["producer"]
    broken = NodeFile(place, "0644", "x")
    (node.root / "etc/a-folder-is-in-the-way.new").mkdir()
    before = everything(node)
    good = NodeFile(CONFIGURE, "0755", "#!/bin/sh\n")
    with pytest.raises(subprocess.CalledProcessError):
        node.run(files.writer([good, broken]).commands)
    assert everything(node) == before


def test_a_node_that_goes_down_while_it_is_written_has_whole_files_and_the_next_run_completes_it(
    nodes: Nodes,
) -> None:
    node = nodes["producer"]
    before = {file.path: file.content for file in node.files}
    after = [replace(file, content=f"{file.content}PAIR_RELEASE=2\n") for file in node.files]
    script = node.file("sync.sh", "\n".join(files.writer(after).commands))
    for milliseconds in range(0, 120, 8):
        killed = subprocess.Popen(
            ["/bin/sh", script],
            env={"PATH": f"{node.commands}:{os.environ['PATH']}", "NIXL_EFA_ROOT": str(node.root)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(milliseconds / 1000)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        for file in after:
            assert content(node, file.path) in (before[file.path], file.content)
    # What a killed shell had started holds the lock for some moments more.
    with (node.root / "var/lib/nixl-efa/sync.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert "@@ end boot_report 0" in node.run(files.writer(after).commands)
    assert {file.path: content(node, file.path) for file in after} == {
        file.path: file.content for file in after
    }
    assert list(node.root.rglob("*.new")) == []


def test_a_file_that_does_not_arrive_whole_is_not_put_in_place(nodes: Nodes) -> None:
    node = nodes["producer"]
    before = everything(node)
    first, text = files.writer(
        [NodeFile(ENV, "0644", "A=1\n"), NodeFile(CONFIGURE, "0755", "#!/bin/sh\n")]
    ).commands
    with pytest.raises(subprocess.CalledProcessError) as failed:
        node.run([first, text.replace("IyEvYmluL3NoCg==", "IyEvYmlu")])
    assert failed.value.stderr == f"{CONFIGURE} did not arrive whole\n"
    assert everything(node) == before


def test_what_configure_and_the_boot_report_say_is_told(synced: Any, nodes: Nodes) -> None:
    nodes["producer"].command("systemctl", "case $* in daemon-reexec) echo 'no such bus' >&2; exit 1 ;; esac")
    nodes["consumer"].command("systemctl", "case $* in restart*) exit 1 ;; esac")
    faults = (
        '{"ok": false, "checks": [{"check": "memlock", "ok": false}, {"check": "efa_devices", "ok": true}]}'
    )
    nodes["consumer"].file("var/lib/nixl-efa/boot-report.json", faults)
    report = synced(service_ports=(9000,))
    producer, consumer = report.nodes
    assert (producer.written, producer.problem) == (True, "configure failed: no such bus.")
    assert consumer.boot_report == "not as planned: memlock"
    assert consumer.problem == "the boot report is not as planned: memlock. Look at `nixl-efa verify prod`."
    assert not report.is_done


def test_another_instance_type_in_the_settings_is_left_to_deploy(synced: Any) -> None:
    report = synced(instance_type="g6e.12xlarge")
    assert [one.differing for one in report.nodes] == [(), ()]
    assert report.to_do == (
        "instance_type is g6e.12xlarge in the settings, and the nodes are p5.48xlarge: `nixl-efa deploy prod` replaces "
        "them.",
    )


def test_nixl_is_not_installed_and_the_command_is_told(synced: Any, nodes: Nodes) -> None:
    change(nodes["producer"], INSTALLER, "set -euo pipefail", "set -e")
    report = synced()
    assert report.nodes[0].differing == (INSTALLER,)
    assert report.to_do == (f"NIXL itself is as it was: `{INSTALLER}` on a node reinstalls it.",)
    pinned = synced(nixl_version="1.4.0")
    assert [one.differing for one in pinned.nodes] == [("/opt/nixl-efa/releases.txt",)] * 2
    assert pinned.to_do == (f"NIXL itself is as it was: `{INSTALLER} 1.4.0` on a node reinstalls it.",)
    left_out = synced(install_nixl=False)
    assert [one.differing for one in left_out.nodes] == [(ENV,), (ENV,)]
    assert left_out.to_do == ()


def test_without_the_bucket_in_the_outputs_nothing_is_guessed(
    synced: Any, pair: PairOutputs, ssm: FakeSsm
) -> None:
    with pytest.raises(Failure, match="no scripts_bucket"):
        synced(pair=replace(pair, scripts_bucket=""))
    assert ssm.sent == []


def test_all_files_at_once_fit_a_command(nodes: Nodes) -> None:
    """64 KB is what Systems Manager takes of a document (botocore, MaxDocumentSizeExceeded)."""
    every = files.writer(nodes["producer"].files)
    assert len(json.dumps(every.commands)) < 48 * 1024


def test_nothing_of_a_command_looks_like_a_parameter_of_systems_manager(nodes: Nodes) -> None:
    every = [NodeFile("/opt/x", "0755", "docker ps --format '{{.Names}}'\n"), *nodes["producer"].files]
    assert "{{" not in "".join(files.writer(every).commands)
