"""The image, the key pair, and the answers of the dry run."""

import json
import shlex
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nixl_efa.checks.facts import DryRun, KeyPair
from nixl_efa.checks.launch_request import request
from nixl_efa.checks.rules import judge
from nixl_efa.checks.runner import findings
from nixl_efa.findings import Level
from nixl_efa.launch import Launch
from tests.checks.in_order import (
    BLOCK,
    BLOCK_FACTS,
    BLOCK_ID,
    BLOCK_LAUNCH,
    BROKEN,
    DEMAND_LAUNCH,
    DENIED,
    IMAGE,
    NOW,
    instance,
    known,
    type_in_ec2,
)
from tests.checks.judging import FAIL, PASS, SKIP, WARN, assert_says, finding


def image(**changes: Any) -> dict[str, Any]:
    """The facts with a changed image."""
    return {"image": replace(IMAGE, **changes)}


UEFI_ONLY = replace(type_in_ec2("p5.48xlarge"), boot_modes=("uefi",))


@pytest.mark.parametrize(
    ("launch", "facts", "check", "level", "words"),
    [
        ({}, {}, "image", PASS, "ami-1 (Deep Learning), from /aws/image"),
        ({}, {"image_id": None}, "image", FAIL, "The parameter /aws/image does not exist in us-east-2"),
        ({}, {"image_id": DENIED}, "image", SKIP, "ec2:Something"),
        ({}, {"image": None}, "image", FAIL, "ami-1 (from /aws/image) is not in us-east-2"),
        ({"image_id": "ami-1"}, {"image": None}, "image", FAIL, "ami-1 (ami_id) is not"),
        ({}, {"image": BROKEN}, "image", FAIL, "InternalError"),
        ({}, image(state="pending"), "image", FAIL, "is pending"),
        ({}, image(ena=False), "image", FAIL, "has no ENA support"),
        ({}, image(virtualization="paravirtual"), "image", FAIL, "virtualization paravirtual"),
        (
            {},
            image(deprecated_at=NOW - timedelta(days=1)),
            "image",
            WARN,
            "deprecated since 2026-11-30 08:00 UTC",
        ),
        ({}, image(deprecated_at=NOW + timedelta(days=1)), "image", PASS, "ami-1"),
        (
            {},
            image(architecture="arm64"),
            "image architecture",
            FAIL,
            "is arm64, but p5.48xlarge runs x86_64",
        ),
        (
            {},
            {**image(architecture="arm64"), "type_in_ec2": DENIED},
            "image architecture",
            FAIL,
            "runs x86_64",
        ),
        (
            {},
            {**image(boot_mode="legacy-bios"), "type_in_ec2": UEFI_ONLY},
            "image architecture",
            FAIL,
            "with uefi",
        ),
        (
            {},
            {**image(boot_mode="uefi-preferred"), "type_in_ec2": UEFI_ONLY},
            "image architecture",
            PASS,
            "x86_64",
        ),
        ({}, image(root_device_type="instance-store"), "image root device", FAIL, "of type instance-store"),
        ({}, image(root_gib=1001), "image root volume", FAIL, "at least 1001 GiB, but volume_size is 1000"),
        ({}, image(root_gib=1000), "image root volume", PASS, "1000 of 1000 GiB"),
        ({}, image(platform="Windows"), "image platform", FAIL, "the pair runs Linux"),
        (
            {},
            image(platform="SUSE Linux"),
            "image platform",
            FAIL,
            "is SUSE Linux, but cr-0123456789abcdef0 is for",
        ),
        ({}, image(platform="Red Hat BYOL Linux"), "image platform", PASS, "as cr-0123456789abcdef0 asks"),
        ({}, {**image(platform="SUSE Linux"), "reservations": ()}, "image platform", PASS, "SUSE Linux"),
        ({"key_name": "ann"}, {"key_pair": None}, "key pair", FAIL, "ann (key_name) is not in us-east-2"),
        ({"key_name": "ann"}, {"key_pair": KeyPair("ann", "ed25519")}, "key pair", PASS, "ed25519"),
        ({"key_name": "ann"}, {"key_pair": DENIED}, "key pair", SKIP, "ec2:Something"),
    ],
)
def test_each_fault_of_the_image(
    launch: dict[str, Any], facts: dict[str, Any], check: str, level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, launch, facts), level, words)


PENDING = DryRun("InvalidCapacityReservationState.PendingActivation", "not active yet")
FULL = DryRun("ReservationCapacityExceeded", "no room")
STRANGERS = (instance(reservation_id=BLOCK_ID), instance(reservation_id=BLOCK_ID))
OWN = tuple(replace(each, own=True) for each in STRANGERS)
ELSEWHERE = tuple(replace(each, reservation_id="cr-fedcba98765432100") for each in OWN)


def room(free: int) -> dict[str, Any]:
    """The facts where the block has so many free slots."""
    return {"reservations": (replace(BLOCK, free=free),)}


def refused(code: str, message: str) -> dict[str, Any]:
    """The facts where EC2 answers the dry run with this."""
    return {"dry_run": DryRun(code, message)}


SCHEDULED = {"dry_run": PENDING, "reservations": (replace(BLOCK, state="scheduled"),)}


@pytest.mark.parametrize(
    ("launch", "facts", "level", "words"),
    [
        ({}, {}, PASS, "EC2 would accept this launch of 2 x p5.48xlarge"),
        ({}, {"dry_run": None}, SKIP, "Mend those first"),
        ({}, {"dry_run": BROKEN}, FAIL, "InternalError"),
        ({}, refused("UnauthorizedOperation", "not authorized"), FAIL, "ec2:RunInstances"),
        (
            {},
            refused("InvalidParameterValue", "The market type (purchasing) option is not valid."),
            FAIL,
            "needs use_capacity_block = true and its reservation's id",
        ),
        (
            {},
            refused(
                "InvalidParameterValue",
                "Capacity Reservation's attribute does not match. Attribute: AvailabilityZone",
            ),
            FAIL,
            "Compare instance_type, availability_zone",
        ),
        ({}, refused("InvalidParameterValue", "Value (x) is odd."), FAIL, "Value (x) is odd. Read EC2's"),
        ({}, refused("InvalidAMIID.NotFound", "gone"), FAIL, "the image is not there"),
        ({}, {"dry_run": FULL}, FAIL, "no room for the pair"),
        ({}, {"dry_run": FULL, "running": OWN, **room(0)}, PASS, "This stack's own nodes use the capacity"),
        # One is gone, and its slot is back: the dry run asks for both.
        (
            {},
            {"dry_run": FULL, "running": OWN[:1], **room(1)},
            PASS,
            "This stack's own nodes use the capacity",
        ),
        ({}, {"dry_run": FULL, "running": (*ELSEWHERE, *STRANGERS), **room(0)}, FAIL, "no room for the pair"),
        ({}, {"dry_run": FULL, "running": STRANGERS, **room(0)}, FAIL, "no room for the pair"),
        ({}, {"dry_run": PENDING}, FAIL, "has not started"),
        # Also where a parameter holds the id.
        (
            {"reservation": replace(BLOCK_LAUNCH.reservation, id="", reads_id=True)},
            {"dry_run": PENDING},
            FAIL,
            f"`nixl-efa capacity wait {BLOCK_ID}`",
        ),
        ({}, SCHEDULED, WARN, "has not started"),
        ({"must_be_active": True}, SCHEDULED, FAIL, "has not started"),
    ],
)
def test_the_answer_to_the_dry_run(
    launch: dict[str, Any], facts: dict[str, Any], level: Level, words: str
) -> None:
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, "dry run", launch, facts), level, words)


def test_the_command_of_the_dry_run_is_its_request() -> None:
    launch = replace(BLOCK_LAUNCH, key_name="ann", tags={"Cost Center": "a/b"})
    found = finding(launch, BLOCK_FACTS, NOW, "dry run", {}, {"key_pair": KeyPair("ann", "rsa")})
    words, interfaces = found.command.split(" --network-interfaces ")
    assert interfaces == (
        "NetworkCardIndex=0,DeviceIndex=0,InterfaceType=interface,SubnetId=subnet-1 "
        "NetworkCardIndex=0,DeviceIndex=1,InterfaceType=efa-only,SubnetId=subnet-1 "
        "NetworkCardIndex={1..31},DeviceIndex=0,InterfaceType=efa-only,SubnetId=subnet-1"
    )
    start = "aws ec2 run-instances --region us-east-2 --dry-run --count 2 --instance-type p5.48xlarge --image-id ami-1 "
    assert words.startswith(start)
    rest = shlex.split(words.removeprefix(start))
    given = dict(zip(rest[::2], rest[1::2], strict=True))
    body = request(launch, subnet_id="subnet-1", image=IMAGE, reservation_id=BLOCK_ID)
    assert given.pop("--key-name") == "ann"
    assert {option: json.loads(value) for option, value in given.items()} == {
        "--instance-market-options": body["InstanceMarketOptions"],
        "--capacity-reservation-specification": body["CapacityReservationSpecification"],
        "--block-device-mappings": body["BlockDeviceMappings"],
        "--metadata-options": body["MetadataOptions"],
        "--tag-specifications": body["TagSpecifications"],
    }


@pytest.mark.parametrize("launch", [BLOCK_LAUNCH, DEMAND_LAUNCH], ids=["32 cards", "1 card"])
def test_a_shell_makes_each_interface_of_the_dry_runs_command(launch: Launch) -> None:
    command = finding(launch, BLOCK_FACTS, NOW, "dry run", {}, {}).command
    words = command.split("--network-interfaces ")[1]
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"NetworkCardIndex={each.network_card_index},DeviceIndex={each.device_index},"
        f"InterfaceType={each.interface_type},SubnetId=subnet-1"
        for each in launch.interfaces
    ]


OPEN_DRIVER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
P3 = {"instance_type": "p3dn.24xlarge", "type_facts": known("p3dn.24xlarge")}


@pytest.mark.parametrize(
    ("launch", "name", "fails"),
    [
        ({**P3, "image_parameter": OPEN_DRIVER}, "", True),
        ({**P3, "image_id": "ami-1"}, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)", True),
        ({**P3, "image_id": "ami-1", "image_parameter": OPEN_DRIVER}, "", False),
        ({**P3, "image_id": "ami-1"}, "Deep Learning Base Proprietary Nvidia Driver GPU AMI", False),
        ({"image_parameter": OPEN_DRIVER}, "", False),
    ],
)
def test_the_open_driver_does_not_run_a_v100(launch: dict[str, Any], name: str, fails: bool) -> None:
    facts = replace(BLOCK_FACTS, image=replace(IMAGE, name=name))
    found = [
        each
        for each in judge([(replace(BLOCK_LAUNCH, **launch), facts)], NOW)
        if each.check == "image driver"
    ]
    assert [each.level for each in found] == ([FAIL] if fails else [])


@pytest.mark.parametrize(("parameter", "warns"), [(OPEN_DRIVER, True), ("/mine", False)])
def test_an_accelerator_without_a_deep_learning_image_is_a_warning(parameter: str, warns: bool) -> None:
    launch = replace(BLOCK_LAUNCH, type_facts=known("dl2q.24xlarge"), image_parameter=parameter)
    found = [each for each in judge([(launch, BLOCK_FACTS)], NOW) if each.check == "ami_id"]
    assert [each.level for each in found] == ([WARN] if warns else [])


def test_one_fault_of_the_credentials_is_shown_once() -> None:
    facts = replace(BLOCK_FACTS, account=BROKEN, reservations=BROKEN, vpc=BROKEN, type_in_ec2=DENIED)
    found = {each.check: each for each in findings([(BLOCK_LAUNCH, facts)], NOW)}
    assert_says(found["credentials"], FAIL, "InternalError")
    assert_says(found["reservation"], SKIP, "AWS can't be asked with these credentials")
    assert_says(found["vpc"], SKIP, "AWS can't be asked with these credentials")
    assert_says(found["instance type"], SKIP, "ec2:Something is not allowed")
