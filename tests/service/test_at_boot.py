"""Engines that start when their nodes boot: real cloud-init, systemd, pip and NIXL; the engine is a stand-in."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap import Bootstrap, PeerNode
from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import run_command
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.service import run
from nixl_efa.service.model import Service
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.router import ROUTER, ROUTER_VERSION
from nixl_efa.service.stage import FromS3, stage
from nixl_efa.service.staged import MANIFEST, folder, packages_folder
from tests.real_nodes.conftest import BUCKET, Account, boot, wait_until
from tests.service.conftest import MODEL, PLANNED, WAY, first_boot, on, stand_in

SERVICE = Service("vllm", MODEL, "0.32.0", (), ("--seconds", "0.6"), ("--seconds", "0.7"))
SECONDS = 240


def with_service(own: PeerNode) -> Bootstrap:
    return replace(first_boot(own), service=SERVICE)


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """What AWS is asked every two seconds, and engines every five, the local one is asked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "POLL_SECONDS", 0.1)
        patch.setattr(run, "LOOK_SECONDS", 0.3)
        yield


@pytest.fixture(scope="module")
def nodes(account: Account) -> OnNodes:
    """A pair whose first boot has ended; its engines may not be there yet."""
    return on(
        account, PairOutputs("trial", tuple(boot(account, with_service, "producer", "consumer")), BUCKET)
    )


def shown(account: Account, node: Node, unit: str, *names: str) -> dict[str, str]:
    """What systemd says of a unit."""
    text = account.out(node.instance_id, f"systemctl show {unit} --property={','.join(names)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def process(account: Account, node: Node) -> str:
    """The engine's; "0" while there is none."""
    return shown(account, node, "nixl-efa-engine", "MainPID")["MainPID"]


def report(account: Account, node: Node) -> dict[str, tuple[bool, str]]:
    """Whether each check of the boot report is as planned, and what was seen."""
    text = account.out(node.instance_id, "cat /var/lib/nixl-efa/boot-report.json")
    return {one["check"]: (one["ok"], one["seen"]) for one in json.loads(text)["checks"]}


def wait_for_engine(account: Account, node: Node) -> None:
    """Until its boot report has it."""
    wait_until(lambda: "engine" in report(account, node), f"the engine of the {node.name}", SECONDS)


def reboot(account: Account, node: Node) -> None:
    """Boots a node anew, until its boot report has ended."""
    ran = shown(account, node, "nixl-efa-boot-report", "InvocationID")
    account.ec2.reboot_instances(InstanceIds=[node.instance_id])

    def is_up() -> bool:
        try:
            told = shown(account, node, "nixl-efa-boot-report", "InvocationID", "ActiveState")
        except (account.ssm.exceptions.InvalidInstanceId, AssertionError):
            return False
        return told["InvocationID"] not in ("", ran["InvocationID"]) and told["ActiveState"] != "activating"

    wait_until(is_up, f"another boot of the {node.name}", SECONDS)


def started(nodes: OnNodes, **more: Any) -> run.Report:
    planned = {node.name: PLANNED for node in nodes.pair.nodes}
    clock = SystemClock()
    return run.start(nodes, SERVICE, planned, WAY, clock=clock, say=lambda _: None, **more)


def failed(report: run.Report) -> list[tuple[str, str]]:
    return [(where, one.line()) for where, one in report.found if one.level in (Level.FAIL, Level.WARN)]


def test_a_start_waits_for_the_engines_of_a_first_boot_and_only_proves_them(
    nodes: OnNodes, account: Account
) -> None:
    found = started(nodes, at_boot=True)
    assert failed(found) == []
    assert found.ready
    for node in nodes.pair.nodes:
        wait_for_engine(account, node)
        assert report(account, node)["engine"] == (True, "started")
        assert account.out(node.instance_id, "cat /etc/nixl-efa/service.json") == SERVICE.text
        told = account.out(node.instance_id, "journalctl -o cat -u nixl-efa-service")
        assert " from the index\n" in told
        # Nobody has started it again.
        log = account.out(node.instance_id, "journalctl -u nixl-efa-engine | grep -c 'Started '")
        assert log.strip() == "1"
        command = account.out(node.instance_id, f"tr '\\0' ' ' </proc/{process(account, node)}/cmdline")
        assert f"--seconds {'0.6' if node.role == 'producer' else '0.7'}" in command


def test_after_a_reboot_the_engine_runs_and_no_router(nodes: OnNodes, account: Account) -> None:
    consumer = nodes.router_node
    reboot(account, consumer)
    wait_until(lambda: process(account, consumer) != "0", "the engine", SECONDS)
    assert shown(account, consumer, "nixl-efa-router", "ActiveState") == {"ActiveState": "inactive"}
    wait_for_engine(account, consumer)
    assert started(nodes, at_boot=True).ready


def test_a_service_that_was_stopped_stays_so_until_the_next_start(nodes: OnNodes, account: Account) -> None:
    producer = nodes.pair.nodes[0]
    assert failed(run.stop(nodes)) == []
    enabled = "systemctl is-enabled nixl-efa-service || true"
    reboot(account, producer)
    assert (process(account, producer), account.out(producer.instance_id, enabled).strip()) == (
        "0",
        "disabled",
    )
    assert "engine" not in report(account, producer)
    assert started(nodes, at_boot=True).ready
    assert account.out(producer.instance_id, enabled).strip() == "enabled"
    assert started(nodes, at_boot=False).ready
    assert account.out(producer.instance_id, enabled).strip() == "disabled"


def test_an_installation_that_fails_is_in_the_boot_report(account: Account) -> None:
    def without_engine(own: PeerNode) -> Bootstrap:
        return replace(first_boot(own), service=replace(SERVICE, version="9.9.9"))

    [node] = boot(account, without_engine, "producer")
    wait_for_engine(account, node)
    ok, seen = report(account, node)["engine"]
    assert not ok
    assert seen.startswith(
        "not installed: vllm==9.9.9: ERROR: No matching distribution found for vllm==9.9.9"
    )
    assert process(account, node) == "0"


def test_a_staged_model_is_copied_at_boot_while_staged_packages_are_installed(account: Account) -> None:
    s3, name = account.client("s3"), "acme/at-boot"
    config = b'{"architectures": ["StandIn"], "dtype": "bfloat16", "vocab_size": 2048}'
    for key, data in {"config.json": config, "model.safetensors": b"1" * (9 << 20)}.items():
        s3.put_object(Bucket=BUCKET, Key=f"runs/boot/{key}", Body=data)
    source, bucket = FromS3(s3, f"s3://{BUCKET}/runs/boot"), Bucket(s3, BUCKET)

    def prepared() -> str:
        return stage(name, folder(name), source, bucket, SystemClock(), lambda _: lambda _: None).text

    manifest = prepared()
    # No index of the machines has this version.
    wheel, content = stand_in("0.32.7")
    packages = (
        f"{packages_folder(('vllm==0.32.7', f'{ROUTER}=={ROUTER_VERSION}'))}/python3.11-{platform.machine()}"
    )
    for key, data in {wheel: content, MANIFEST: b"{}"}.items():
        s3.put_object(Bucket=BUCKET, Key=f"{packages}/{key}", Body=data)

    def staged(own: PeerNode) -> Bootstrap:
        return replace(first_boot(own), service=replace(SERVICE, model=name, version="0.32.7"))

    [node] = boot(account, staged, "producer")
    wait_for_engine(account, node)
    assert report(account, node)["engine"] == (True, "started")
    journal = account.out(node.instance_id, "journalctl -o cat -u nixl-efa-service")
    assert f"vllm==0.32.7 from s3://{BUCKET}/{packages}\n" in journal
    place = f"/opt/nixl-efa/models/{BUCKET}/{folder(name)}"
    command = account.out(node.instance_id, f"tr '\\0' ' ' </proc/{process(account, node)}/cmdline")
    assert f" {place} --served-model-name {name} " in command
    assert account.out(node.instance_id, f"cat {place}/{MANIFEST}") == manifest
    assert account.out(node.instance_id, f"stat -c %s {place}/model.safetensors").strip() == str(9 << 20)
    # The disks of an instance that was stopped are empty. The manifest is written anew, the content is the same.
    prepared()
    account.out(node.instance_id, f"rm -r {place}")
    reboot(account, node)
    wait_until(lambda: process(account, node) != "0", "the engine", SECONDS)
    assert account.out(node.instance_id, f"cat {place}/{MANIFEST}") == manifest
    # Other nodes run this content: another one is not started by a boot, which finds the old one or copies the new one.
    s3.put_object(Bucket=BUCKET, Key="runs/boot/model.safetensors", Body=b"2" * (9 << 20))
    newer = prepared()
    changed = f"s3://{BUCKET}/{folder(name)} has changed since the last start here"
    seen = f"not started: {changed}: nixl-efa serve restart trial"
    for empties, has, told in (("", manifest, (True, "started")), (f"rm -r {place};", newer, (False, seen))):
        at_boot = "rm -f /run/nixl-efa/engine.json; systemctl restart nixl-efa-boot-report"
        stop = f"systemctl stop nixl-efa-service nixl-efa-engine; {empties}"
        account.out(node.instance_id, f"{stop} {at_boot}; systemctl start nixl-efa-service")
        wait_for_engine(account, node)
        assert report(account, node)["engine"] == told
        assert account.out(node.instance_id, f"cat {place}/{MANIFEST}") == has
