"""Capacity of an environment with several reservations: each is bought and kept by itself, and nodes go into them."""

from pathlib import Path
from typing import Any

from local_aws import LocalAws
from tests.cli.conftest import BLOCK, ID_NAME, Cli, stored, usable, write_environment
from tests.cli.test_money_next import at, run_nodes


def two_entries(before: str, *shares: str) -> None:
    """prod's file, with two entries of capacity."""
    entry = '[[capacity]]\ncapacity_reservation_parameter = "/nixl-efa/prod{}/capacity-reservation-id"\n{}\n'
    text = BLOCK.format(name="prod", parameter="").replace('capacity_reservation_parameter = ""\n', "")
    entries = "".join(entry.format(at, share) for at, share in zip(("", "/2"), shares, strict=True))
    write_environment(Path.cwd(), "prod", f"{text}{before}{entries}")


def test_an_environment_has_a_current_and_a_next_block_of_each_of_its_reservations(
    cli: Cli, aws: LocalAws
) -> None:
    two_entries("consumers = 3\n", "producers = 1\nconsumers = 1", "consumers = 2")
    first = cli.offer()
    assert cli.buy(first).code == 0
    zone = first["availability_zone"]
    elsewhere = next(one for one in usable(cli) if one["availability_zone"] != zone)
    refused = cli.buy(elsewhere, "--env", "prod/2")
    assert refused.code == 1
    assert f"the other reservations of prod are in {zone}: EFA does not cross zones" in refused.err
    second = cli.buy(
        next(one for one in usable(cli) if one["availability_zone"] == zone), "--env", "prod/2", "--json"
    )
    assert (second.code, second.json["kept_as"]) == (0, "current"), second.err
    third = cli.buy(
        next(one for one in usable(cli, "--from", first["end"]) if one["availability_zone"] == zone), "--json"
    )
    assert (third.code, third.json["kept_as"]) == (0, "next"), third.err
    assert (
        len({stored(ID_NAME), stored("/nixl-efa/prod/2/capacity-reservation-id"), stored(f"{ID_NAME}-next")})
        == 3
    )
    used = [one["used_by"] for one in cli.reservations()]
    assert sorted((user["environment"], user["as"]) for users in used for user in users) == [
        ("prod", "current"),
        ("prod", "next"),
        ("prod/2", "current"),
    ]
    assert cli("capacity", "load", "--env", "prod/2", "--json").json["reservation_id"] in second.out
    unknown = cli("capacity", "load", "--env", "prod/3")
    assert (unknown.code, "prod has no such reservation. Did you mean prod/2?" in unknown.err) == (2, True)
    recovered = cli("capacity", "recover", "--env", "prod/2")
    assert (recovered.code, "no purchase is open" in recovered.err) == (0, True)
    # Also when its entry is there no more.
    file = Path("environments/prod.toml")
    first_entry = "[[capacity]]".join(file.read_text().split("[[capacity]]")[:2])
    file.write_text(first_entry.replace("consumers = 3", "consumers = 1"))
    recovered = cli("capacity", "recover", "--env", "prod/2")
    assert (recovered.code, "no purchase is open" in recovered.err) == (0, True), recovered.err
    assert "no such environment" in cli("capacity", "recover", "--env", "prodd/2").err


def bought(cli: Cli) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two blocks of one zone: the one that ends first, for prod/2, and a later one, for prod."""
    found = usable(cli)
    later = max(found, key=lambda one: str(one["end"]))
    early = next(
        one
        for one in found
        if one["end"] < later["end"] and one["availability_zone"] == later["availability_zone"]
    )
    assert cli.buy(later).code == 0
    assert cli.buy(early, "--env", "prod/2").code == 0
    return early, later


def test_nodes_are_filled_into_the_blocks_by_their_ends_and_move_when_their_own_ends(
    cli: Cli, aws: LocalAws
) -> None:
    two_entries("consumers = 2\n", "", "")
    unfilled = cli("check", "prod")
    assert (unfilled.code, "`nixl-efa capacity fill prod`" in unfilled.err) == (2, True)
    empty = cli("capacity", "fill", "prod")
    assert (
        empty.code,
        "3 nodes need a place, and the reservations that have not ended have 0" in empty.err,
    ) == (1, True)
    early, _ = bought(cli)
    filled = cli("capacity", "fill", "prod", "--json")
    assert filled.code == 0, filled.err
    assert [(one["producers"], one["consumers"]) for one in filled.json["entries"]] == [([], [2]), ([1], [1])]
    file = Path("environments/prod.capacity.json")
    written = file.read_bytes()
    assert cli("capacity", "fill", "prod").code == 0
    assert file.read_bytes() == written
    for text in (
        "{",
        "[" * 100_000,
        written.decode().replace("[1]", "1"),
        written.decode().replace("producers", "prod"),
    ):
        file.write_text(text)
        damaged = cli("capacity", "fill", "prod")
        assert (damaged.code, "Put it back from version control" in damaged.err) == (1, True), damaged.err
        assert "RecursionError" not in cli("check", "prod").err
    file.write_bytes(written)
    toml = Path("environments/prod.toml")
    before = toml.read_text()
    toml.write_text(before.replace("consumers = 2", "consumers = 3"))
    more = cli("check", "prod").err
    assert "filled in by `nixl-efa capacity fill prod`) takes 2 of the 3 consumers" in more
    toml.write_text(before)
    at(aws, early["end"], 1)
    too_few = cli("capacity", "fill", "prod")
    assert (too_few.code, "have 2" in too_few.err) == (1, True)
    assert file.read_bytes() == written
    text = Path("environments/prod.toml").read_text().replace("consumers = 2", "consumers = 1")
    Path("environments/prod.toml").write_text(text)
    moved = cli("capacity", "fill", "prod", "--json").json["entries"]
    assert [(one["producers"], one["consumers"]) for one in moved] == [([1], [1]), ([], [])]


def test_nodes_that_run_stay_where_they_run_when_the_entries_are_filled_for_the_first_time(
    cli: Cli, aws: LocalAws
) -> None:
    """Before, they were launched into the one reservation that there was."""
    two_entries("", "", "")
    early, later = bought(cli)
    at(aws, max(later["start"], early["start"]), 1)
    run_nodes({**later, "reservation_id": stored(ID_NAME)})
    filled = cli("capacity", "fill", "prod", "--json")
    assert filled.code == 0, filled.err
    assert [(one["producers"], one["consumers"]) for one in filled.json["entries"]] == [([1], [1]), ([], [])]
    # An entry that comes later takes none until the next time, and is in the way of no command.
    with Path("environments/prod.toml").open("a", encoding="utf-8") as file:
        file.write(
            '[[capacity]]\ncapacity_reservation_parameter = "/nixl-efa/prod/3/capacity-reservation-id"\n'
        )
    assert cli("capacity", "load", "--env", "prod/3").code == 1
    checked = cli("check", "prod")
    assert "takes no node" not in checked.err, checked.err


def test_entries_in_another_order_have_each_its_block(cli: Cli, aws: LocalAws) -> None:
    """A block keeps the tag of the entry that it was bought for."""
    two_entries("", "producers = 1", "consumers = 1")
    first = cli.offer()
    assert cli.buy(first).code == 0
    zone = first["availability_zone"]
    assert (
        cli.buy(next(one for one in usable(cli) if one["availability_zone"] == zone), "--env", "prod/2").code
        == 0
    )
    file = Path("environments/prod.toml")
    head, *entries = file.read_text().split("[[capacity]]")
    file.write_text("\n[[capacity]]".join([head, *reversed(entries)]))
    users = {one["reservation_id"]: one["used_by"] for one in cli.reservations()}
    assert users[stored(ID_NAME)] == [{"environment": "prod/2", "as": "current"}]
    following = next(one for one in usable(cli, "--from", first["end"]) if one["availability_zone"] == zone)
    bought = cli.buy(following, "--json")
    assert (bought.code, bought.json["kept_as"]) == (0, "next"), bought.err
