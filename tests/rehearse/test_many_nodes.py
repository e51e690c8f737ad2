"""What a rehearsal of several nodes runs with, buys and expects of each deployment."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nixl_efa.capacity.offering import Offering, Segment
from nixl_efa.cli.environments import environment_settings
from nixl_efa.failure import Failure
from nixl_efa.launch import launch_of
from nixl_efa.rehearse.block import choose
from nixl_efa.rehearse.many_nodes import (
    changes_of,
    faults,
    has_several,
    quotas,
    reserved,
    variables,
    with_one_more,
    with_parameters,
)
from nixl_efa.settings import Settings
from tests.calendars import offer

BLOCKS = """\
region = "us-east-2"
instance_type = "p5.48xlarge"
use_capacity_block = true
availability_zone_parameter = "/zone"
"""
TWO = """
[[capacity]]
capacity_reservation_parameter = "/first"
producers = {producers}
consumers = {first}

[[capacity]]
capacity_reservation_parameter = "/second"
consumers = {second}
"""


def settings_of(folder: Path, text: str, given: dict[str, str] | None = None) -> Settings:
    (folder / "environments").mkdir(exist_ok=True)
    (folder / "environments" / "many.toml").write_text(text, encoding="utf-8")
    return environment_settings("many", given or {}, folder)


def placed(settings: Settings) -> dict[str, list[str]]:
    """The nodes' names by their reservation."""
    return {name: [node.name for node in one.nodes] for name, one in reserved(launch_of(settings)).items()}


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (
            BLOCKS
            + "producers = 2\nconsumers = 4\n"
            + TWO.format(producers=2, first=1, second=3),
            {"many": ["producer", "producer-2", "consumer"],
             "many/2": ["consumer-2", "consumer-3", "consumer-4", "consumer-5"]},
        ),
        (
            BLOCKS + "consumers = 3\n" + TWO.format(producers=1, first="[2]", second="[1, 3]"),
            {"many": ["producer", "consumer-2"], "many/2": ["consumer", "consumer-3", "consumer-4"]},
        ),
        (
            BLOCKS + 'capacity_reservation_parameter = "/first"\nconsumers = 2\n',
            {"many": ["producer", "consumer", "consumer-2", "consumer-3"]},
        ),
    ],
)  # fmt: skip
def test_one_more_consumer_goes_into_the_last_entry_and_moves_no_other(
    tmp_path: Path, text: str, more: dict[str, list[str]]
) -> None:
    before = settings_of(tmp_path, text)
    grown = with_one_more(before)

    assert placed(grown) == more
    for name, nodes in placed(before).items():
        assert set(nodes) <= set(more[name])
    # The variables make the same of the environment's file.
    assert placed(settings_of(tmp_path, text, variables(before, grown))) == more


def test_where_no_more_nodes_may_be_there_is_none(tmp_path: Path) -> None:
    full = settings_of(tmp_path, 'region = "us-east-2"\ninstance_type = "g7e.8xlarge"\nconsumers = 63\n')
    assert with_one_more(full) == full


def test_reservations_of_the_account_are_read_from_parameters(tmp_path: Path) -> None:
    text = """\
region = "us-east-2"
instance_type = "p5.48xlarge"
use_capacity_block = true
availability_zone = "us-east-2a"

[producer]
instance_type = "g6e.12xlarge"
capacity_reservation_id = "cr-0123456789abcdef0"

[[capacity]]
capacity_reservation_id = "cr-0123456789abcdef1"
consumers = 1

[[capacity]]
capacity_reservation_id = "cr-0123456789abcdef2"
consumers = 0
"""
    settings = settings_of(tmp_path, text)
    given = variables(settings, with_parameters(settings))

    assert json.loads(given["NIXL_EFA_MANY_CAPACITY"]) == [
        {"capacity_reservation_parameter": "/nixl-efa/many/capacity-reservation-id", "consumers": 1},
        {"capacity_reservation_id": "cr-0123456789abcdef2", "consumers": 0},
    ]
    assert json.loads(given["NIXL_EFA_MANY_PRODUCER"]) == {
        "instance_type": "g6e.12xlarge",
        "capacity_reservation_parameter": "/nixl-efa/many/producer/capacity-reservation-id",
    }
    assert given["NIXL_EFA_MANY_AVAILABILITY_ZONE_PARAMETER"] == "/nixl-efa/many/availability-zone"
    read = reserved(launch_of(settings_of(tmp_path, text, given)))
    assert [(name, one.reservation.id) for name, one in read.items()] == [("many/producer", ""), ("many", "")]


@pytest.mark.parametrize(
    ("text", "several"),
    [
        (BLOCKS, False),
        (BLOCKS + "consumers = 2\n", True),
        (BLOCKS + TWO.format(producers=1, first=0, second=1), True),
    ],
)
def test_a_pair_in_one_reservation_is_rehearsed_without_the_further_steps(
    tmp_path: Path, text: str, several: bool
) -> None:
    assert has_several(launch_of(settings_of(tmp_path, text))) is several


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (BLOCKS + "consumers = 4\n", {"L-0263D0A3": 5}),
        (
            BLOCKS + 'elastic_ip = false\nconsumers = 4\n[producer]\ninstance_type = "g6e.12xlarge"\n',
            {"L-DB2E81BA": 48},
        ),
        (
            'region = "us-east-2"\ninstance_type = "g6e.12xlarge"\nconsumers = 3\n',
            {"L-0263D0A3": 4, "L-DB2E81BA": 192},
        ),
    ],
)
def test_a_block_takes_addresses_and_no_quota_of_vcpus(
    tmp_path: Path, text: str, wanted: dict[str, int]
) -> None:
    assert quotas(launch_of(settings_of(tmp_path, text))) == wanted


APPLIED = """\
terraform_data.launch_consumer_5: Creation complete after 0s [id=a97c]
aws_launch_template.consumer_5: Creation complete after 5s [id=lt-1]
aws_instance.consumer_5: Creation complete after 11s [id=i-1]
aws_s3_object.members: Modifications complete after 0s [id=members.json]
Apply complete! Resources: 3 added, 1 changed, 0 destroyed.
"""


def test_what_an_apply_did_is_read_from_its_own_lines() -> None:
    done = changes_of(APPLIED.splitlines())

    assert str(done) == (
        "nodes: 1 added, 0 changed, 0 destroyed; of all resources 3 added, 1 changed, 0 destroyed"
    )
    assert done.changed == ("aws_s3_object.members",)
    assert faults(done, {"consumer-5"}) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("aws_instance.consumer: Modifications complete after 1s", "aws_instance.consumer was changed"),
        ("aws_eip.consumer_2: Destruction complete after 1s", "aws_eip.consumer_2 was destroyed"),
        ("aws_instance.producer: Creation complete after 1s", "aws_instance.producer was built"),
        ("aws_launch_template.consumer: Modifications complete after 0s", "aws_launch_template.consumer was changed"),
        ("terraform_data.launch: Modifications complete after 0s", "terraform_data.launch was changed"),
        ("aws_security_group.pair: Modifications complete after 0s", "aws_security_group.pair was changed"),
    ],
)  # fmt: skip
def test_anything_beyond_the_nodes_that_are_to_be_built_is_a_fault(line: str, fault: str) -> None:
    assert faults(changes_of([*APPLIED.splitlines(), line]), {"consumer-5"}) == [fault]


def test_a_node_that_was_not_built_is_a_fault() -> None:
    assert faults(changes_of([]), {"consumer-5"}) == ["aws_instance.consumer_5 was not built"]


def offering(name: str, zone: str, start: str, hours: int = 24, *, usable: bool = True) -> Offering:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    end = begin + timedelta(hours=hours)
    parts = () if usable else tuple(Segment(one, 2, begin, end) for one in "ab")
    return offer(1, id=name, zone=zone, start=begin, end=end, segments=parts)


FIRST = [
    offering("cheap", "a", "2026-11-28"),
    offering("short", "b", "2026-11-26", 17),
    offering("early", "b", "2026-11-26", 41),
]
SECOND = [
    offering("cut", "b", "2026-11-26", 72, usable=False),
    offering("late", "b", "2026-11-27", 72),
    offering("soon", "b", "2026-11-26", 89),
]


@pytest.mark.parametrize(
    ("found", "zones", "soonest", "chosen"),
    [
        ({"many": FIRST}, "ab", False, ["cheap"]),
        ({"many": FIRST}, "b", False, ["early"]),
        ({"many": FIRST}, "ab", True, ["cheap"]),
        ({"many": [*FIRST, offering("earlier", "a", "2026-11-25")]}, "ab", True, ["earlier"]),
        ({"many": FIRST, "many/2": SECOND}, "ab", False, ["early", "soon"]),
    ],
)
def test_several_blocks_are_of_one_zone_and_of_the_soonest_start(
    found: dict[str, list[Offering]], zones: str, soonest: bool, chosen: list[str]
) -> None:
    lengths = {"many": 24, "many/2": 72}
    assert [one.id for one in choose(found, lengths, zones, soonest=soonest).values()] == chosen


def test_no_common_zone_is_one_line() -> None:
    with pytest.raises(Failure, match=r"no Capacity Block for many \(24 h\), many/2 \(72 h\) in a: it sells"):
        choose({"many": FIRST, "many/2": SECOND}, {"many": 24, "many/2": 72}, "a")
