"""`nixl-efa nodes sync` on machines that have booted with the product's user data: real cloud-init, sh, systemd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nixl_efa.bootstrap import bootstrap_of, plain, user_data
from nixl_efa.clock import SystemClock
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.sync import SyncReport, sync
from nixl_efa.settings import Settings
from tests.real_nodes.conftest import REGION, Account, wait_until
from tests.real_nodes.test_machines import booted, machine_state

NAMES = ("producer", "consumer")
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
    names = iter(NAMES)

    def first_boot(addresses: list[str]) -> str:
        name = next(names)
        known = dict(zip(NAMES if name == "producer" else NAMES[::-1], addresses, strict=True))
        return plain(user_data(bootstrap_of(launch(), name, addresses=known, scripts_bucket="trial-scripts")))

    made = account.launch(first_boot, count=2)
    account.wait_until_managed(*made)
    told = {}
    for name, instance_id in zip(NAMES, made, strict=True):
        account.run(instance_id, "cloud-init status --wait")
        told[name] = json.loads(account.out(instance_id, f"cat {PAIR_JSON}"))
    addresses = {one["name"]: one["address"] for one in told["producer"]["nodes"]}
    nodes = tuple(
        Node(name, name, one, addresses[name], "", 1) for name, one in zip(NAMES, made, strict=True)
    )
    return PairOutputs("trial", nodes, "trial-scripts")


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


def test_what_cloud_init_wrote_is_what_sync_would_write(account: Account, pair: PairOutputs) -> None:
    report = synced(account, pair, check=True)
    assert [(one.differing, one.problem) for one in report.nodes] == [((), ""), ((), "")]


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
