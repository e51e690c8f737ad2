"""What the stacks ask of the AWS provider, compared with the schema of the newest one, which needn't be here.

provider_schema.json is a record of it, written by scripts/provider_schema.py.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.settings.names import camel_case
from tests.checks.test_dry_run_is_the_launch import CHANGES
from tests.synthesis import synthesize

RECORD = json.loads((Path(__file__).parent / "provider_schema.json").read_text(encoding="utf-8"))
# Terraform's own, of any resource, data source and provider.
META = {"//", "alias", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"}
_REFERENCE = re.compile(r"\b(data\.)?(aws_[a-z0-9_]+)\.[a-z_]+(?:\[[^\]]*\])?\.([a-z0-9_]+)")
LOCAL_ZONE = {
    "region": "us-east-1",
    "availability_zone": "us-east-1-bos-1a",
    "ami_id": "ami-0123456789abcdef0",
}


def wrong(stack: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """What a stack has that the provider of the record does not take any more, or takes with a warning, each once."""
    return list(dict.fromkeys([*_of_blocks(stack, record), *_of_references(stack, record)]))


def _of_blocks(stack: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    for place in ("resource", "data", "provider"):
        for kind, named in stack.get(place, {}).items():
            if kind == "terraform_data":
                continue  # Terraform's own
            known = record[place].get(kind)
            if known is None:
                yield f"{place} {kind} is not in the record: add it to KINDS in scripts/provider_schema.py"
                continue
            for body in named.values() if isinstance(named, Mapping) else named:
                for path in _arguments(body, known["arguments"]):
                    at = f"{place} {kind}: {path.removesuffix('?')}"
                    if path.endswith("?"):
                        yield f"{at} is not known"
                    elif path in known["deprecated"]:
                        yield f"{at} is deprecated: {known['deprecated'][path]}"


def _arguments(body: Mapping[str, Any], schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The path of each argument and block, with "?" behind one that the schema lacks."""
    for name, value in body.items():
        if not before and name in META:
            continue
        if name not in schema:
            yield f"{before}{name}?"
            continue
        yield before + name
        if schema[name]:
            for inner in value if isinstance(value, list) else [value]:
                yield from _arguments(inner, schema[name], f"{before}{name}.")


def _of_references(stack: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    for data, kind, attribute in _REFERENCE.findall(json.dumps(stack)):
        known = record["data" if data else "resource"].get(kind)
        if known is None:
            continue  # said of the block
        if camel_case(attribute) not in known["attributes"]:
            yield f"{data}{kind}: {attribute} is read, and is not known"
        elif attribute in known["deprecated"]:
            yield f"{data}{kind}: {attribute} is read, and is deprecated: {known['deprecated'][attribute]}"


def test_the_record_is_of_a_provider_6() -> None:
    assert RECORD["version"].startswith("6.")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_nothing_in_the_environments_is_unknown_to_the_newest_provider_or_deprecated(
    environment: str,
) -> None:
    assert wrong(synthesize(environment), RECORD) == []


def test_nor_is_it_with_any_setting_changed() -> None:
    found = {}
    for setting, changes in {**CHANGES, "a Local Zone": LOCAL_ZONE}.items():
        given = changes if "instance_type" in changes else {"instance_type": "g7e.8xlarge", **changes}
        if faults := wrong(synthesize("dev", **given), RECORD):
            found[setting] = faults
    assert found == {}


@pytest.mark.parametrize(
    ("place", "kind", "body", "said"),
    [
        ("resource", "aws_instance", {"cpu_core_count": 4}, "cpu_core_count is not known"),
        (
            "resource",
            "aws_instance",
            {"network_interface": [{"device_index": 0}]},
            "network_interface is deprecated: ",
        ),
        (
            "resource",
            "aws_instance",
            {"root_block_device": {"iopps": 4}},
            "root_block_device.iopps is not known",
        ),
        (
            "resource",
            "aws_launch_template",
            {"elastic_gpu_specifications": {}},
            "elastic_gpu_specifications is not",
        ),
        ("data", "aws_vpc", {"id": "vpc-1", "name": "a"}, "name is not known"),
        ("provider", "aws", {"skip_get_ec2_platforms": True}, "skip_get_ec2_platforms is not known"),
    ],
)
def test_an_argument_that_a_provider_6_has_removed_or_deprecated_is_seen(
    place: str, kind: str, body: dict[str, Any], said: str
) -> None:
    [fault] = wrong({place: {kind: [body] if place == "provider" else {"a": body}}}, RECORD)
    assert fault.startswith(f"{place} {kind}: {said}")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("${data.aws_partition.a.id}", "data.aws_partition: id is read, and is deprecated"),
        ("${aws_eip.a[0].vpc}", "aws_eip: vpc is read, and is not known"),
    ],
)
def test_an_attribute_that_a_provider_6_has_removed_or_deprecated_is_seen(read: str, said: str) -> None:
    [fault] = wrong({"output": {"a": {"value": read}}}, RECORD)
    assert fault.startswith(said)


def test_a_kind_that_the_record_lacks_is_named() -> None:
    assert wrong({"resource": {"aws_fsx_lustre_file_system": {"a": {}}}}, RECORD) == [
        "resource aws_fsx_lustre_file_system is not in the record: add it to KINDS in scripts/provider_schema.py"
    ]
