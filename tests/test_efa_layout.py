"""Where the interfaces go: every known type, made-up types against a search of all layouts, and a table."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nixl_efa import instance_types
from nixl_efa.efa_layout import PRIMARY, Interface, efa_interface_count, layout
from nixl_efa.instance_types import InstanceType, NetworkCard

KINDS = [("interface",), ("interface", "efa"), ("interface", "efa", "efa-only")]


def made_up(efa_interfaces: int, max_interfaces: int, cards: Sequence[NetworkCard]) -> InstanceType:
    return InstanceType(
        name="x1test.large",
        vcpu=8,
        memory_gib=16,
        accelerators=(),
        efa_interfaces=efa_interfaces,
        network_cards=tuple(cards),
        network_gbps=100,
        usage_classes=("on-demand",),
        placement_strategies=("cluster",),
        architectures=("x86_64",),
        instance_storage_gb=0,
        max_interfaces=max_interfaces,
    )


def card(index: int, max_interfaces: int, interface_types: tuple[str, ...]) -> NetworkCard:
    return NetworkCard(index, max_interfaces, interface_types, 100, 100)


def faults(one: InstanceType, interfaces: Sequence[Interface]) -> list[str]:
    """Every rule of EC2 that a launch with these interfaces would break."""
    cards = {card.index: card for card in one.network_cards}
    on_card = Counter(interface.network_card_index for interface in interfaces)
    efa_on_card = Counter(interface.network_card_index for interface in interfaces if interface.is_efa)
    places = [(interface.network_card_index, interface.device_index) for interface in interfaces]
    primary = interfaces[0]
    rules = {
        "no card and device is used twice": len(set(places)) == len(places),
        "no card holds more than its limit": all(on_card[i] <= cards[i].max_interfaces for i in on_card),
        "no more than the type's interfaces": len(interfaces) <= one.max_interfaces,
        "no more than the type's EFA interfaces": efa_interface_count(interfaces) <= one.efa_interfaces,
        "one EFA interface a card": all(count == 1 for count in efa_on_card.values()),
        "every card takes the type of its interfaces": all(
            interface.interface_type in cards[interface.network_card_index].interface_types
            for interface in interfaces
        ),
        "the primary is card 0's device 0": (primary.network_card_index, primary.device_index) == (0, 0),
        "the primary has an address": primary.has_address,
        "device indexes of a card start at 0 without gaps": all(
            {device for index, device in places if index == i} == set(range(on_card[i])) for i in on_card
        ),
    }
    return [rule for rule, kept in rules.items() if not kept]


@pytest.mark.parametrize("name", instance_types.all_types())
def test_every_known_type_gets_a_valid_layout_with_all_its_efa_interfaces(name: str) -> None:
    one = instance_types.all_types()[name]

    interfaces = layout(one)

    assert faults(one, interfaces) == []
    assert efa_interface_count(interfaces) == one.efa_interfaces


def test_only_the_primary_of_a_known_type_has_an_address() -> None:
    for name, one in instance_types.all_types().items():
        assert not any(interface.has_address for interface in layout(one)[1:]), name


@pytest.mark.parametrize(
    ("name", "efa"),
    [
        ("p5.48xlarge", 32),
        ("p5en.48xlarge", 16),
        ("p6-b200.48xlarge", 8),
        ("p6-b300.48xlarge", 16),
        ("p4d.24xlarge", 4),
        ("p5.4xlarge", 1),
        ("g7e.48xlarge", 4),
        ("g7e.24xlarge", 2),
        ("g7e.12xlarge", 1),
        ("g7e.8xlarge", 1),
        ("g7e.2xlarge", 0),
        ("trn1.32xlarge", 8),
        ("trn2.48xlarge", 16),
        ("inf2.48xlarge", 0),
        ("i7ie.48xlarge", 1),  # two cards that can do EFA, one EFA interface
    ],
)
def test_a_plain_primary_and_that_many_efa_interfaces(name: str, efa: int) -> None:
    kinds = [interface.interface_type for interface in layout(instance_types.find(name))]

    assert kinds == ["interface"] + ["efa-only"] * efa


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("p5.48xlarge", [(0, 1), *((index, 0) for index in range(1, 32))]),
        ("p6-b300.48xlarge", [(index, 0) for index in range(1, 17)]),  # card 0 can't do EFA
        ("g7e.8xlarge", [(0, 1)]),
    ],
)
def test_efa_stands_beside_the_primary_on_card_0_and_first_on_the_other_cards(
    name: str, places: list[tuple[int, int]]
) -> None:
    efa = layout(instance_types.find(name))[1:]

    assert [(interface.network_card_index, interface.device_index) for interface in efa] == places


def test_the_primary_carries_efa_itself_where_card_0_takes_one_interface() -> None:
    assert layout(instance_types.find("hpc6id.32xlarge")) == (
        Interface(0, 0, "efa"),
        Interface(1, 0, "efa-only"),
    )


def test_an_ultra_server_of_gb200_has_one_efa_interface_for_each_gpu() -> None:
    """EC2 user guide, efa-acc-inst-types, "EFA configuration for a P6e-GB200 instances": its example."""
    one = instance_types.find("p6e-gb200.36xlarge")
    assert one is not None

    interfaces = layout(one)

    assert interfaces == (PRIMARY, *(Interface(card, 0, "efa-only") for card in (1, 5, 9, 13)))
    assert faults(one, interfaces) == []
    assert efa_interface_count(interfaces) == one.accelerator_count
    assert (one.architectures, one.usage_classes) == (("arm64",), ("capacity-block",))


def test_an_unknown_type_gets_the_primary_alone() -> None:
    assert layout(None) == (PRIMARY,)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(
            made_up(1, 4, [card(0, 4, KINDS[1])]),
            [Interface(0, 0, "interface"), Interface(0, 1, "efa")],
            id="a card that takes efa but not efa-only",
        ),
        pytest.param(
            made_up(3, 4, [card(0, 4, KINDS[2])]),
            [Interface(0, 0, "interface"), Interface(0, 1, "efa-only")],
            id="more EFA interfaces than cards: one a card",
        ),
        pytest.param(
            made_up(2, 2, [card(0, 2, KINDS[2]), card(1, 2, KINDS[2])]),
            [Interface(0, 0, "efa"), Interface(1, 0, "efa-only")],
            id="the type's limit leaves no room for a plain primary",
        ),
        pytest.param(
            made_up(1, 1, [card(0, 1, KINDS[2])]), [Interface(0, 0, "efa")], id="a single interface at all"
        ),
        pytest.param(
            made_up(1, 2, [card(0, 1, KINDS[2]), card(1, 1, KINDS[2])]),
            [Interface(0, 0, "interface"), Interface(1, 0, "efa-only")],
            id="card 0 is full, but another card has room for all EFA",
        ),
        pytest.param(made_up(2, 4, [card(0, 4, KINDS[0])]), [PRIMARY], id="no card that can do EFA"),
        pytest.param(
            made_up(2, 8, [card(1, 4, KINDS[2]), card(0, 4, KINDS[2])]),
            [Interface(0, 0, "interface"), Interface(0, 1, "efa-only"), Interface(1, 0, "efa-only")],
            id="cards in any order",
        ),
    ],
)
def test_types_that_ec2_may_bring(one: InstanceType, expected: list[Interface]) -> None:
    assert list(layout(one)) == expected


@st.composite
def types(draw: st.DrawFn) -> InstanceType:
    count = draw(st.integers(1, 4))
    cards = [card(i, draw(st.integers(1, 3)), draw(st.sampled_from(KINDS))) for i in range(count)]
    return made_up(draw(st.integers(0, count + 1)), draw(st.integers(1, 3 * count)), cards)


def most_efa_interfaces(one: InstanceType) -> int:
    """The most EFA interfaces of any valid launch, found by trying every set of cards with either primary."""
    cards = [card for card in one.network_cards if card.supports_efa]
    best = 0
    for count in range(len(cards) + 1):
        for chosen in combinations(cards, count):
            for primary in ("interface", "efa"):
                rest = [card for card in chosen if not (primary == "efa" and card.index == 0)]
                if primary == "efa" and len(rest) == len(chosen):
                    continue
                interfaces = [Interface(0, 0, primary)]
                interfaces += [
                    Interface(one.index, int(one.index == 0), one.interface_types[-1]) for one in rest
                ]
                if not faults(one, interfaces):
                    best = max(best, count)
    return best


@settings(deadline=None, max_examples=400)
@given(types())
def test_any_type_gets_a_valid_layout_with_the_most_efa_interfaces_possible(one: InstanceType) -> None:
    interfaces = layout(one)

    assert faults(one, interfaces) == []
    assert efa_interface_count(interfaces) == most_efa_interfaces(one)
