"""An environment whose nodes are not all launched alike: the tables of the roles, and the entries of capacity."""

from typing import Any

import pytest

from nixl_efa.launch import launch_of, summary
from nixl_efa.settings import Loaded
from nixl_efa.settings.parts import CapacityEntry, entries_of, misfits
from tests.settings.conftest import DEV, P5, Load, Said

ONE = '[[capacity]]\ncapacity_reservation_id = "cr-00000001"\n'
TWO = '[[capacity]]\ncapacity_reservation_parameter = "/team/second"\n'
BLOCKS = f"{P5}use_capacity_block = true\n"


def launched(loaded: Loaded) -> list[tuple[list[str], str, str, str]]:
    """Of each request its nodes, type, market and reservation."""
    [settings] = loaded.environments
    return [
        (
            [node.name for node in one.nodes],
            one.instance_type,
            one.market,
            one.reservation.id or (one.reservation.id_parameter if one.reservation.reads_id else ""),
        )
        for one in launch_of(settings).requests
    ]


P, C = "producer", "consumer"
BLOCK, DEMAND = "capacity-block", "on-demand"

REQUESTS: list[tuple[str, list[tuple[list[str], str, str, str]]]] = [
    (P5, [([P, C], "p5.48xlarge", DEMAND, "")]),
    # A table that changes nothing makes no second request.
    (P5 + "[producer]\n", [([P, C], "p5.48xlarge", DEMAND, "")]),
    (
        P5 + 'consumers = 2\n[producer]\ninstance_type = "g6e.12xlarge"\nspot = true',
        [([P], "g6e.12xlarge", "spot", ""), ([C, "consumer-2"], "p5.48xlarge", DEMAND, "")],
    ),
    # Another type takes neither the block's market nor its reservation: these are of one type.
    (
        BLOCKS + 'capacity_reservation_id = "cr-00000001"\n[producer]\ninstance_type = "g6e.12xlarge"',
        [([P], "g6e.12xlarge", DEMAND, ""), ([C], "p5.48xlarge", BLOCK, "cr-00000001")],
    ),
    # One that differs in its volume alone is launched into the same reservation.
    (
        BLOCKS + 'capacity_reservation_id = "cr-00000001"\n[consumer]\nvolume_size = 2000',
        [([P], "p5.48xlarge", BLOCK, "cr-00000001"), ([C], "p5.48xlarge", BLOCK, "cr-00000001")],
    ),
    (
        BLOCKS + f"consumers = 4\n{ONE}producers = 1\nconsumers = 1\n{TWO}consumers = 3",
        [
            ([P, C], "p5.48xlarge", BLOCK, "cr-00000001"),
            (["consumer-2", "consumer-3", "consumer-4"], "p5.48xlarge", BLOCK, "/team/second"),
        ],
    ),
    # A node that is added to the first entry by its number moves none of the second.
    (
        BLOCKS + f"consumers = 4\n{ONE}producers = 1\nconsumers = [1, 4]\n{TWO}consumers = 2",
        [
            ([P, C, "consumer-4"], "p5.48xlarge", BLOCK, "cr-00000001"),
            (["consumer-2", "consumer-3"], "p5.48xlarge", BLOCK, "/team/second"),
        ],
    ),
    # A role that no entry takes is launched as its own table says.
    (
        BLOCKS + f'{ONE}consumers = 1\n[producer]\ninstance_type = "g6e.12xlarge"',
        [([P], "g6e.12xlarge", DEMAND, ""), ([C], "p5.48xlarge", BLOCK, "cr-00000001")],
    ),
]


@pytest.mark.parametrize(("text", "requests"), REQUESTS)
def test_each_role_and_each_entry_of_capacity_is_a_request_of_its_own(
    text: str, requests: list[tuple[list[str], str, str, str]], load_texts: Load
) -> None:
    loaded = load_texts({"dev": text})
    assert loaded.findings == ()
    assert launched(loaded) == requests


def test_the_summary_has_a_line_for_each_request_with_its_nodes(load_texts: Load) -> None:
    [settings] = load_texts(
        {"dev": BLOCKS + f"consumers = 2\n{ONE}producers = 1\n{TWO}consumers = 2"}
    ).environments
    head, *lines = summary(launch_of(settings)).splitlines()
    assert head == "nixl-efa-dev:"
    assert [line.partition(", 32 EFA")[0] for line in lines] == [
        "  producer: 1 x p5.48xlarge",
        "  consumer, consumer-2: 2 x p5.48xlarge",
    ]


def test_the_tables_can_be_given_as_json_in_a_variable(load_texts: Load) -> None:
    variables = {
        "NIXL_EFA_DEV_PRODUCER": '{"instance_type": "g6e.12xlarge"}',
        "NIXL_EFA_DEV_CAPACITY": '[{"capacity_reservation_id": "cr-00000001", "consumers": 1}]',
    }
    assert launched(load_texts({"dev": BLOCKS}, variables)) == REQUESTS[-1][1]


def test_an_entry_that_is_no_list_is_one_fault(said: Said) -> None:
    [fault] = said(
        {"dev": P5}, {"NIXL_EFA_DEV_CAPACITY": '{"capacity_reservation_id": "cr-00000001", "producers": 1}'}
    )
    assert "(variable NIXL_EFA_DEV_CAPACITY) must be a list of tables (JSON in a variable)" in fault


@pytest.mark.parametrize(
    ("text", "target", "parameter"),
    [
        (f"{ONE}producers = 1\n{TWO}consumers = 1", "dev/2", "/team/second"),
        ('[consumer]\ncapacity_reservation_id = "cr-00000002"', "dev/consumer", "/nixl-efa/dev/consumer/"),
        ("[consumer]\nvolume_size = 2000", "dev", "/nixl-efa/dev/capacity"),
        # Those of another type, or in no entry, are in none by themselves.
        ('[consumer]\ninstance_type = "g6e.12xlarge"', "dev/consumer", "/nixl-efa/dev/consumer/"),
        (f"{ONE}producers = 1", "dev/consumer", "/nixl-efa/dev/consumer/"),
    ],
)
def test_each_reservation_has_a_name_and_a_parameter_of_its_own(
    text: str, target: str, parameter: str, load_texts: Load
) -> None:
    [settings] = load_texts({"dev": BLOCKS + text}).environments
    first, second = (one.reservation for one in launch_of(settings).requests)
    assert (first.target, second.target) == ("dev", target)
    assert second.id_parameter.startswith(parameter)


# What is wrong, then all that is said about it.
FAULTS: list[tuple[str, ...]] = [
    (
        BLOCKS + f"consumers = 4\n{ONE}producers = 1\nconsumers = 1\n{TWO}consumers = 2",
        f"FAIL dev: capacity ({DEV}: capacity) takes 3 of the 4 consumers (consumers = 4, {DEV}: consumers). Its "
        "entries together must take each consumer once, or no consumer at all.",
    ),
    (
        BLOCKS + f"{ONE}producers = 1\nconsumers = [2]",
        f"FAIL dev: capacity ({DEV}: capacity) names consumer 2, and there are 1 (consumers = 1, default). Its "
        "entries together must take each consumer once, or no consumer at all.",
    ),
    (
        BLOCKS + ONE,
        f"FAIL dev: capacity ({DEV}: capacity) does not say which nodes are launched into its reservations. Give "
        "each entry producers or consumers, or let `nixl-efa capacity fill dev` put them in by the reservations' "
        "ends and free places.",
    ),
    (
        BLOCKS + f'capacity_reservation_id = "cr-00000003"\n{ONE}producers = 1\nconsumers = 1',
        f'FAIL dev: capacity_reservation_id = "cr-00000003" ({DEV}: capacity_reservation_id) and capacity ({DEV}: '
        "capacity) exclude each other: both say into which reservation the nodes are launched. Move it into an "
        "entry of capacity, or set NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none.",
    ),
    (
        BLOCKS + f'{ONE}producers = 1\nconsumers = 1\n[consumer]\ncapacity_reservation_id = "cr-00000003"',
        f"FAIL dev: consumer.capacity_reservation_id ({DEV}: consumer) and capacity ({DEV}: capacity) both say "
        "into which reservation the consumers are launched. Keep one of them.",
    ),
    (
        BLOCKS + "[[capacity]]\nproducers = 1\nconsumers = 1",
        f"FAIL dev: entry 1 of capacity ({DEV}: capacity) names no reservation. Give it capacity_reservation_id, "
        'or capacity_reservation_parameter = "/nixl-efa/dev/capacity-reservation-id".',
    ),
    (
        BLOCKS + f"{ONE}producers = 1\n{ONE}consumers = 1",
        f"FAIL dev: entries 1 and 2 of capacity ({DEV}: capacity) name the same reservation: cr-00000001. Make one "
        "entry of them.",
    ),
    (
        BLOCKS + f'{ONE}producers = 1\nconsumers = 1\n[consumer]\ninstance_type = "p5e.48xlarge"',
        "FAIL dev: nodes of p5.48xlarge, p5e.48xlarge are to be launched into cr-00000001, and a reservation is "
        "of one type. Give each type a reservation of its own.",
    ),
    (
        P5 + '[producer]\ninstance_type = "p4d.24xlarge"',
        "FAIL dev: p4d.24xlarge, p5.48xlarge can't use EFA with each other: p4d can do so only with its own kind "
        f"({DEV}: instance_type, {DEV}: producer). Take one of these families for producers and consumers.",
    ),
    (
        P5 + '[producer]\ninstance_typ = "g6e.12xlarge"',
        f"FAIL producer.instance_typ is not known ({DEV}: producer.instance_typ). Did you mean instance_type?",
    ),
    (
        BLOCKS + '[[capacity]]\ncapacity_reservation_id = "cr-1"\nconsumers = true',
        f'FAIL capacity[1].capacity_reservation_id = "cr-1" ({DEV}: capacity) must be a Capacity '
        "Reservation's id: cr- and 8 or 17 hexadecimal digits.",
        f"FAIL capacity[1].consumers = true ({DEV}: capacity) must be how many of these nodes it takes, or a list "
        "of which by number ([1, 4]: the first and the fourth).",
    ),
    # What holds for an environment, holds for the nodes of a table by themselves.
    (
        P5 + 'spot = true\n[consumer]\ncapacity_reservation_id = "cr-00000001"',
        f'FAIL dev: spot = true ({DEV}: spot) and capacity_reservation_id = "cr-00000001" ({DEV}: '
        "consumer.capacity_reservation_id) exclude each other: Spot Instances can't run in a reservation. Change "
        f"one of them, or set NIXL_EFA_DEV_SPOT=false or leave out {DEV}: consumer.capacity_reservation_id.",
    ),
    (
        P5 + 'capacity_reservation_id = "cr-00000001"\n[producer]\nspot = true',
        f'FAIL dev: spot = true ({DEV}: producer.spot) and capacity_reservation_id = "cr-00000001" ({DEV}: '
        "capacity_reservation_id) exclude each other: Spot Instances can't run in a reservation. Change one of "
        "them, or give capacity_reservation_id to the role that runs in it, in its table.",
    ),
    (
        BLOCKS + 'capacity_reservation_id = "cr-00000001"\n[producer]\nuse_capacity_block = false',
        "FAIL dev: nodes are to be launched into cr-00000001 as into a Capacity Block, and others as into an "
        f"On-Demand reservation (use_capacity_block: {DEV}: producer.use_capacity_block, {DEV}: "
        "use_capacity_block). It can only be one of the two. Name it in the table of the only role that runs in "
        "it, with use_capacity_block.",
    ),
    # Two names of one reservation: two blocks would be bought, and neither is looked at for all of its nodes.
    (
        BLOCKS
        + '[producer]\ncapacity_reservation_id = "cr-00000001"\n[consumer]\ncapacity_reservation_id = "cr-00000001"',
        f"FAIL dev: cr-00000001 is named more than once ({DEV}: producer.capacity_reservation_id, {DEV}: "
        "consumer.capacity_reservation_id). Name it once: outside the tables for all nodes, or in an entry of "
        "capacity.",
    ),
    (
        BLOCKS
        + 'capacity_reservation_id = "cr-00000001"\n[producer]\ncapacity_reservation_id = "cr-00000002"\n'
        'capacity_reservation_parameter = "/team/second"\nami_id = "ami-01234567"\nami_parameter = "/team/image"',
        f"FAIL dev: producer.capacity_reservation_id and producer.capacity_reservation_parameter ({DEV}: producer) "
        "exclude each other. Keep one of them.",
        f"FAIL dev: producer.ami_id and producer.ami_parameter ({DEV}: producer) exclude each other. Keep one of "
        "them.",
    ),
    (
        BLOCKS + f"{ONE}producers = 1\nconsumers = 1\n{TWO}",
        f"FAIL dev: entry 2 of capacity ({DEV}: capacity) takes no node, so nothing would be launched into its "
        "reservation. Give it producers or consumers: how many of them it takes.",
    ),
    (
        BLOCKS
        + f'{TWO}producers = 1\n[[capacity]]\ncapacity_reservation_parameter = "/team/second-next"\nconsumers = 1',
        f"FAIL dev: /team/second ({DEV}: capacity[1].capacity_reservation_parameter) and /team/second-next ({DEV}: "
        "capacity[2].capacity_reservation_parameter) exclude each other: the second is where the next block of the "
        "first is kept. Change one of them.",
    ),
]


@pytest.mark.parametrize(("text", "messages"), [(text, told) for text, *told in FAULTS])
def test_tables_that_do_not_go_together_are_told_by_what_to_change(
    text: str, messages: list[str], said: Said
) -> None:
    assert said({"dev": text}) == messages


def test_an_entry_that_says_0_keeps_its_number(load_texts: Load) -> None:
    loaded = load_texts({"dev": f"{BLOCKS}{ONE}producers = 0\n{TWO}producers = 1\nconsumers = 1"})
    assert (loaded.findings, launched(loaded)) == ((), [([P, C], "p5.48xlarge", BLOCK, "/team/second")])
    assert launch_of(loaded.environments[0]).reservation.target == "dev/2"


SECOND_AND_ZONE = f'availability_zone_parameter = "/team/zone"\n{TWO}consumers = 1\n'


@pytest.mark.parametrize(
    ("other", "name", "where"),
    [
        (
            'capacity_reservation_parameter = "/team/second"\navailability_zone_parameter = "/team/b"',
            "/team/second",
            "capacity_reservation_parameter",
        ),
        (
            'capacity_reservation_parameter = "/team/second-next"',
            "/team/second-next",
            "capacity_reservation_parameter",
        ),
        (
            '[consumer]\ncapacity_reservation_parameter = "/team/zone"',
            "/team/zone",
            "consumer.capacity_reservation_parameter",
        ),
    ],
)
def test_the_parameters_of_entries_and_tables_are_no_other_environments(
    other: str, name: str, where: str, said: Said
) -> None:
    found = said({"dev": BLOCKS + SECOND_AND_ZONE + ONE + "producers = 1\n", "qa": BLOCKS + other})
    told = [one for one in found if "would be written for" in one]
    assert [one.partition(" would be")[0] for one in told] == [
        f"FAIL {environment}: the parameter {name}" for environment in ("dev", "qa")
    ]
    assert all(f"environments/qa.toml: {where}" in one for one in told)


def entry(**shares: Any) -> CapacityEntry:
    return CapacityEntry(capacity_reservation_id="cr-00000001", **shares)


@pytest.mark.parametrize(
    ("count", "shares", "places", "wrong"),
    [
        (3, [1, 2], {1: 1, 2: 2, 3: 2}, []),
        (4, [[1, 4], 2], {1: 1, 4: 1, 2: 2, 3: 2}, []),
        (3, [2, [1]], {1: 2, 2: 1, 3: 1}, []),
        (2, [0, 0], {}, []),
        (2, [1, 2], {1: 1, 2: 2}, ["takes 3 of the 2 consumers"]),
        (3, [[1, 2], [2, 3]], {1: 1, 2: 2, 3: 2}, ["puts consumer 2 into two entries"]),
    ],
)
def test_each_node_of_a_role_has_one_entry(
    count: int, shares: list[Any], places: dict[int, int], wrong: list[str]
) -> None:
    entries = tuple(entry(consumers=one) for one in shares)
    assert entries_of("consumer", count, entries) == places
    assert [what for _, what in misfits({"producer": 1, "consumer": count}, entries)] == wrong
