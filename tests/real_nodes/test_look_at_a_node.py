"""What `nixl-efa verify` asks of a node, asked of one that has booted: the script, what it says, what is too long."""

from typing import Any

import boto3
import pytest

from nixl_efa.bootstrap import PeerNode
from nixl_efa.clock import SystemClock
from nixl_efa.findings import Level
from nixl_efa.nodes import rules, run_command
from nixl_efa.nodes.facts import NodeFacts, node_facts, planned
from nixl_efa.nodes.run_command import Bucket, Script
from nixl_efa.nodes.sections import script, sections
from tests.real_nodes.conftest import REGION, Account, boot
from tests.real_nodes.test_machines import of_a_pair

BUCKET = "nixl-efa-trial-scripts"


@pytest.fixture(scope="module")
def node(account: Account) -> str:
    """An instance whose cloud-init has ended, with an error: it has nothing of what was planned."""
    known = [PeerNode("consumer", "consumer", "172.31.0.99")]
    [made] = boot(account, of_a_pair, "producer", known=known)
    return made.instance_id


def looked_at(account: Account, node: str) -> NodeFacts:
    asked = {node: Script(script("node-facts.sh"))}
    outcome = run_command.run(account.ssm, asked, SystemClock(), 120, "facts")[node]
    assert outcome.problem == ""
    return node_facts(sections(outcome.stdout))


def test_a_node_that_has_booted_is_read(account: Account, node: str) -> None:
    facts = looked_at(account, node)
    assert (facts.cloud_init.status, facts.last_stage_ended) == ("error", False)
    assert facts.failed_units
    assert facts.boot_report is not None
    assert (facts.rdma_devices, facts.domains, facts.engines) == ({}, (), ())
    assert facts.fi_info_error.startswith("fi_getinfo: -61")
    assert facts.libfabric
    assert facts.service_memlock == "infinity"
    found = {one.check: one for one in rules.node_findings(facts, planned("g7e.8xlarge", None, 1, ""))}
    assert found["cloud-init"].remedy == "It is the boot report that failed: see its row."
    assert "fi_info_domains (planned 1, seen 0: fi_getinfo: -61" in found["boot report"].message
    assert found["containers"].level is Level.PASS


def test_an_engine_and_its_container_are_found_in_a_machine(account: Account, node: str) -> None:
    account.run(
        node,
        "cp /bin/sleep /run/containerd; cp /bin/sh /run/containerd-shim-runc-v2; cp /bin/sleep /run/engine-core",
        "systemd-run --unit=engine --property=LimitMEMLOCK=4194304 /run/containerd 600",
        "systemd-run --unit=shim /run/containerd-shim-runc-v2 -c '/run/engine-core 600; true'",
    )
    found = {one.name: one for one in looked_at(account, node).engines}
    account.run(node, "systemctl stop engine shim")
    assert set(found) == {"containerd", "engine-core"}
    assert found["containerd"].locked == str(4 << 20)
    assert found["engine-core"].is_container


def test_what_is_too_long_for_run_command_comes_whole_and_leaves_nothing_in_the_bucket(
    account: Account, node: str
) -> None:
    made: Any = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local")
    s3 = made.client("s3", region_name=REGION, endpoint_url=account.aws.endpoint)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    long = {node: Script('for i in $(seq 9000); do echo "line $i of $1"; done; echo error >&2', ("nine",))}
    clock = SystemClock()
    cut = run_command.run(account.ssm, long, clock, 60, "long")[node]
    assert len(cut.stdout) == run_command.OUTPUT_LIMIT_CHARACTERS
    whole = run_command.run(account.ssm, long, clock, 60, "long", Bucket(s3, BUCKET))[node]
    assert whole.problem == ""
    assert whole.stdout.splitlines() == [f"line {one} of nine" for one in range(1, 9001)]
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
