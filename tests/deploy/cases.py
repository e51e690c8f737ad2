"""Settings changed under a running pair, and what a deployment must say of each.

The plans in plans/ are what the real Terraform and its provider made of them on the local AWS, cut down to what is read
(test_against_terraform.py makes them, and writes them again with --snapshot-update).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANS = Path(__file__).parent / "plans"
# Attributes that are read of each type; of any other type only the first.
_READ = {
    "terraform_data": ("input", "triggers_replace"),
    "aws_instance": (
        "id",
        "instance_state",
        "instance_type",
        "ami",
        "key_name",
        "placement_group",
        "capacity_reservation_specification",
        "root_block_device",
        "tags",
    ),
    "aws_s3_bucket": ("bucket",),
    "aws_eip": ("public_ip",),
    "aws_network_interface": ("private_ip",),
}


@dataclass(frozen=True)
class Case:
    """One change of settings of dev.

    variables: the settings by name; a value in angle brackets stands for a thing that the account has.
    action:    what happens to both nodes. causes: words that the causes hold, in order, and no other cause.
    """

    name: str
    variables: Mapping[str, str]
    action: str
    causes: tuple[str, ...] = ()


CASES = [
    Case("nothing", {}, "keep"),
    Case(
        "key",
        {"key_name": "ann"},
        "replace",
        ("key_name went from none to ann (variable NIXL_EFA_DEV_KEY_NAME)",),
    ),
    Case(
        "type",
        {"instance_type": "g7e.12xlarge"},
        "replace",
        ("instance_type went from g7e.8xlarge to g7e.12xlarge (variable NIXL_EFA_DEV_INSTANCE_TYPE)",),
    ),
    Case("spot", {"spot": "true"}, "replace", ("spot went from false to true (variable NIXL_EFA_DEV_SPOT)",)),
    Case("image", {"ami_id": "<image>"}, "replace", ("ami_id went from ami-",)),
    Case(
        "image-parameter",
        {"ami_parameter": "/team/image"},
        "replace",
        ("ami_parameter went from /aws/service/",),
    ),
    Case("group", {"security_group_id": "<group>"}, "replace", ("security_group_id went from sg-",)),
    Case("subnet", {"subnet_id": "<other subnet>"}, "replace", ("subnet_id went from ",)),
    Case("zone", {"availability_zone": "<other zone>"}, "replace", ("availability_zone went from ",)),
    Case(
        "reservation",
        {"capacity_reservation_id": "cr-0123456789abcdef0"},
        "replace",
        ("capacity_reservation_id went from none to cr-0123456789abcdef0",),
    ),
    Case("volume", {"volume_size": "700"}, "change", ("volume_size went from 300 to 700",)),
    Case("throughput", {"volume_throughput": "250"}, "change", ("volume_throughput went from 125 to 250",)),
    Case("owner", {"owner": "ann"}, "change", ("the tag Owner went from none to ann",)),
    Case("addresses", {"elastic_ip": "false"}, "keep"),
]


def trimmed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A plan cut down to what is read of it."""
    return {
        "format_version": document["format_version"],
        "terraform_version": document["terraform_version"],
        "resource_changes": [
            _change(one)
            for one in document.get("resource_changes", ())
            if one["type"] in ("aws_instance", "terraform_data") or one["change"]["actions"] != ["no-op"]
        ],
        "resource_drift": [
            _change(one)
            for one in document.get("resource_drift", ())
            if one["change"]["actions"] == ["delete"]
        ],
        "output_changes": {
            name: {"actions": one["actions"]} for name, one in document.get("output_changes", {}).items()
        },
    }


def recorded(name: str) -> Any:
    """A plan of plans/."""
    return json.loads((PLANS / f"{name}.json").read_text(encoding="utf-8"))


def _change(one: Mapping[str, Any]) -> dict[str, Any]:
    change, names = one["change"], _READ.get(one["type"], ())
    kept = {name: one[name] for name in ("address", "mode", "type", "name", "action_reason") if name in one}
    kept["change"] = {"actions": change["actions"]}
    if "replace_paths" in change:
        kept["change"]["replace_paths"] = change["replace_paths"]
    for moment in ("before", "after", "after_unknown"):
        values = change.get(moment)
        kept["change"][moment] = (
            {name: values[name] for name in names if name in values} if isinstance(values, Mapping) else None
        )
    return kept
