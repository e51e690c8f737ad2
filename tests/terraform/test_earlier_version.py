"""A pair that an earlier version has built stays as it is: that version's JSON is applied, then today's.

earlier/*.tf.json is what 7f570d7 synthesized for the repository's environments, without cdktf's notes. Its state is
made by applying it: a recorded one would name things that no other local AWS has.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws.server import LocalAws
from nixl_efa import image, instance_types
from nixl_efa.efa_layout import layout
from tests.offerings import soonest_offering
from tests.synthesis import Json, settings_of, synthesize_settings, without_metadata
from tests.terraform.conftest import ROOT, Terraform, destroyed, place

# In the matrix they are one environment's, which is deployed once.
EARLIER = Path(__file__).with_name("earlier")
REGION = "us-east-2"
# The larger pair, in its block; the other one repeats it.
ENVIRONMENTS = ("prod", pytest.param("dev", marks=pytest.mark.matrix))
CHANGELOG = ROOT / "CHANGELOG.md"
Deployed = Callable[[str], Terraform]
# The actions of a plan, and the attributes that it changes in place.
Planned = tuple[tuple[str, ...], frozenset[str]]
# What the nodes' role had of AWS's own policy is in its inline policy now: nothing of a node.
GONE = ["aws_iam_role_policy_attachment.session_manager"]


@pytest.fixture(scope="module")
def earlier(
    local_aws: LocalAws, aws_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    """An environment as the earlier version deployed it, prod in its block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.environ(REGION).items():
            patch.setenv(name, value)
        ec2, ssm = boto3.client("ec2", REGION), boto3.client("ssm", REGION)
        offering = soonest_offering(ec2)
        block = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )["CapacityReservation"]
        local_aws.clock.set(max(offering["StartDate"], local_aws.clock.now()) + timedelta(minutes=5))
        for name, value in (
            ("/nixl-efa/capacity-reservation-id", block["CapacityReservationId"]),
            ("/nixl-efa/prod/availability-zone", block["AvailabilityZone"]),
        ):
            ssm.put_parameter(Name=name, Value=value, Type="String")

    @cache
    def deploy(environment: str) -> Terraform:
        stack = json.loads((EARLIER / f"{environment}.tf.json").read_text(encoding="utf-8"))
        terraform = place(tmp_path_factory.mktemp(environment), stack, aws_environ)
        terraform("init", "-input=false")
        terraform.apply()
        return terraform

    return deploy


def today(environment: str) -> Json:
    stack: Json = without_metadata(synthesize_settings(settings_of(environment)))
    return stack


def with_other_defaults(environment: str, patch: pytest.MonkeyPatch) -> Json:
    """The JSON of a version that differs from today's in every default that reaches a node."""
    settings = settings_of(environment)
    patch.setattr(image, "_NVIDIA", "/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id")
    patch.setattr(instance_types, "default_volume_gib", lambda name: 2345)
    patch.setattr("nixl_efa.launch.layout", lambda facts: layout(facts)[:1])
    other = {"nixl_version": "9.9.9", "volume_iops": 7000, "volume_throughput": 700}
    assert all(settings.is_default(name) for name in other)
    stack: Json = without_metadata(synthesize_settings(settings.model_copy(update=other)))
    node = stack["resource"]["aws_instance"]["producer"]
    assert (node["root_block_device"]["volume_size"], node["root_block_device"]["iops"]) == (2345, 7000)
    assert len(stack["resource"]["aws_launch_template"]["producer"]["network_interfaces"]) == 1
    assert stack["resource"]["terraform_data"]["launch"]["input"]["nixl_version"] == "9.9.9"
    assert "neuron" in stack["locals"]["newest_image"]
    return stack


def without_tags(change: dict[str, Any]) -> tuple[Any, Any]:
    """A node's values before and after a change, but for the tags on it and on its volume."""

    def kept(node: dict[str, Any]) -> dict[str, Any]:
        [root] = node["root_block_device"]
        return {
            **{name: value for name, value in node.items() if name not in ("tags", "tags_all")},
            "root_block_device": {
                name: value for name, value in root.items() if name not in ("tags", "tags_all")
            },
        }

    return kept(change["before"]), kept({**change["before"], **change["after"]})


def planned(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Planned]:
    """What a plan does to each address, and with which attributes in place. What Terraform derives is left out."""
    return {address: (tuple(change["actions"]), changed(change)) for address, change in changes.items()}


def changed(change: Mapping[str, Any]) -> frozenset[str]:
    if change["actions"] != ["update"]:
        return frozenset()
    before, after = change["before"], change["after"]
    # A value that is known only after the apply is in no "after".
    differing = {name for name in before if before[name] != after.get(name)}
    return frozenset(differing - {"tags_all"})


def told() -> dict[str, Planned]:
    """The same as the changelog's table says it."""
    table = CHANGELOG.read_text(encoding="utf-8").partition("### Over a running pair of 7f570d7")[2]
    rows = re.findall(r"^\| (\w+) \| `([^`]+)` \|([^|]*)\|", table, re.MULTILINE)
    return {
        address.replace("NODE", node): ((plan,), frozenset(re.findall(r"`(\w+)`", attributes)))
        for plan, address, attributes in rows
        for node in ("producer", "consumer")
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_first_deployment_over_it_does_what_the_changelog_says_and_replaces_and_destroys_no_node(
    environment: str, earlier: Deployed
) -> None:
    changes = place_over(earlier(environment), today(environment)).changes()

    assert planned(changes) == told()
    assert destroyed(changes) == GONE
    assert_nodes_keep_all_but_tags(changes)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_other_defaults_destroy_nothing_and_change_tags_alone_of_the_nodes(
    environment: str, earlier: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = with_other_defaults(environment, monkeypatch)
    changes = place_over(earlier(environment), stack).changes("-refresh=false")

    assert destroyed(changes) == GONE
    assert_nodes_keep_all_but_tags(changes)


def assert_nodes_keep_all_but_tags(changes: Mapping[str, dict[str, Any]]) -> None:
    for node in ("aws_instance.producer", "aws_instance.consumer"):
        before, after = without_tags(changes[node])
        assert after == before


def place_over(terraform: Terraform, stack: Json) -> Terraform:
    """The same deployed environment, now with this JSON."""
    (terraform.folder / "cdk.tf.json").write_text(json.dumps(stack), encoding="utf-8")
    return terraform


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_applied_it_keeps_every_thing_and_a_second_plan_is_empty_also_with_other_defaults(
    environment: str, earlier: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform = earlier(environment)
    before = terraform.ids()
    place_over(terraform, today(environment)).apply()

    after = terraform.ids()
    assert {address: after.get(address) for address in before if address not in GONE} == {
        address: one for address, one in before.items() if address not in GONE
    }
    assert terraform.changes() == {}
    changes = place_over(terraform, with_other_defaults(environment, monkeypatch)).changes("-refresh=false")
    # The template is what the next node would be launched from.
    assert set(changes) == {"aws_launch_template.producer", "aws_launch_template.consumer"}
    assert destroyed(changes) == []
