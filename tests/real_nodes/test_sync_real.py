"""`nixl-efa nodes sync` on machines that have booted with the product's user data: real cloud-init, sh, systemd."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap import Bootstrap, PeerNode, bootstrap_of
from nixl_efa.clock import SystemClock
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.sync import SyncReport, sync
from nixl_efa.settings import Settings
from tests.real_nodes.conftest import BUCKET, REGION, Account, boot, wait_until
from tests.real_nodes.test_machines import booted, machine_state

NAMES = ("producer", "consumer")
MEMBERS_JSON = "/etc/nixl-efa/members.json"
ENV, PAIR_JSON, CONFIGURE = "/etc/nixl-efa/env", "/etc/nixl-efa/pair.json", "/opt/nixl-efa/bin/configure"


def launch(**changes: Any) -> Launch:
    """The pair's. NIXL is not installed: nothing here is about it."""
    chosen: dict[str, Any] = {
        "name": "trial",
        "instance_type": "g7e.8xlarge",
        "region": REGION,
        "install_nixl": False,
    }
    return launch_of(Settings(**chosen | changes))


@pytest.fixture(scope="module")
def pair(account: Account) -> PairOutputs:
    """A pair after its first boot."""
    return PairOutputs("trial", tuple(boot(account, first_boot, *NAMES)), BUCKET)


def first_boot(own: PeerNode) -> Bootstrap:
    """Of one of the nodes; the others' addresses are not told."""
    addresses = dict.fromkeys((*NAMES, "consumer-2"), own.address)
    return bootstrap_of(launch(consumers=2), own.name, addresses=addresses, scripts_bucket=BUCKET)


def synced(account: Account, pair: PairOutputs, check: bool = False, **changes: Any) -> SyncReport:
    return sync(
        account.ec2,
        account.ssm,
        pair,
        launch(**changes),
        check=check,
        clock=SystemClock(),
        say=lambda _: None,
    )


def nodes_known(account: Account, instance_id: str) -> list[str]:
    """By both names of the file."""
    told = account.out(instance_id, f"cat {PAIR_JSON}"), account.out(instance_id, f"cat {MEMBERS_JSON}")
    assert told[0] == told[1]
    return [one["name"] for one in json.loads(told[0])["nodes"]]


def test_what_cloud_init_wrote_is_what_sync_would_write(account: Account, pair: PairOutputs) -> None:
    report = synced(account, pair, check=True)
    assert [(one.differing, one.problem) for one in report.nodes] == [((), ""), ((), "")]
    # The user data held each alone: the other one was read from the bucket, with the role of the stack.
    for node in pair.nodes:
        assert nodes_known(account, node.instance_id) == ["producer", "consumer"]


def test_changed_files_are_written_and_the_boot_report_is_made_anew(
    account: Account, pair: PairOutputs
) -> None:
    producer = pair.nodes[0].instance_id
    unit = "/etc/systemd/system/nixl-efa-boot-report.service"
    account.out(
        producer,
        f"echo MY_TOKEN=secret >>{ENV}; sed -i s/^FI_PROVIDER=.*/FI_PROVIDER=tcp/ {ENV}",
        f"echo '# of another release' | tee -a {CONFIGURE} >>{unit}; systemctl daemon-reload",
        "rm /var/lib/nixl-efa/boot-report.json",
    )
    first, second = synced(account, pair, service_ports=(9000,)).nodes
    assert set(first.differing) == {PAIR_JSON, ENV, unit, CONFIGURE}
    assert second.differing == (PAIR_JSON,)
    # These machines have no EFA and no GPU, and the boot report says so.
    for one in (first, second):
        assert one.written
        assert one.boot_report.startswith("not as planned: efa_devices")
    told = account.out(producer, f"cat {ENV}; systemctl show -p NeedDaemonReload nixl-efa-boot-report")
    lines = told.splitlines()
    assert {"FI_PROVIDER=efa", "MY_TOKEN=secret", "NeedDaemonReload=no"} <= set(lines)
    assert [line for line in lines if line.startswith("LD_PRELOAD=")] != []
    assert "of another release" in account.out(producer, f"cat {CONFIGURE}.previous {unit}.previous")
    again = synced(account, pair, service_ports=(9000,))
    assert [(one.differing, one.problem) for one in again.nodes] == [((), ""), ((), "")]


def test_a_node_that_is_stopped_is_told_and_written_when_it_is_back(
    account: Account, pair: PairOutputs
) -> None:
    consumer = pair.nodes[1].instance_id
    account.ec2.stop_instances(InstanceIds=[consumer])
    wait_until(lambda: account.state(consumer) == "stopped", "a stopped instance")
    first, second = synced(account, pair).nodes
    assert (first.written, second.written) == (False, False)
    assert second.problem.startswith(f"{consumer} is stopped")
    wait_until(lambda: machine_state(account, consumer) == "off", "the machine's end")
    account.ec2.start_instances(InstanceIds=[consumer])
    wait_until(lambda: booted(account, consumer) != "", "another boot")
    back = synced(account, pair)
    assert [(one.differing, one.written) for one in back.nodes] == [((PAIR_JSON,), True)] * 2, back


def test_a_third_node_knows_all_at_its_first_boot_and_the_first_two_after_nodes_sync(
    account: Account, pair: PairOutputs
) -> None:
    known = [PeerNode(one.name, one.role, one.private_ip) for one in pair.nodes]
    [third] = boot(account, first_boot, "consumer-2", known=known)
    every = ["producer", "consumer", "consumer-2"]
    assert nodes_known(account, third.instance_id) == every
    three = replace(pair, nodes=(*pair.nodes, third))
    report = synced(account, three, consumers=2)
    assert [one.differing for one in report.nodes] == [(PAIR_JSON,), (PAIR_JSON,), ()]
    for node in pair.nodes:
        assert nodes_known(account, node.instance_id) == every
        assert "NOTE members: 3 known" in account.out(
            node.instance_id, "cat /var/lib/nixl-efa/boot-report.txt"
        )
