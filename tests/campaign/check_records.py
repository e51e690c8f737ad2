"""What must never be found in a history about the parameters, the lock, the journals and the files."""

import json
from collections.abc import Callable, Iterator

from tests.campaign.facts import (
    JOURNAL_NAME,
    LOCK_REGION,
    Facts,
    environment_of,
    is_extension,
    is_open,
    named_as_not_saved,
    order_of,
    orders_closed,
)
from tests.campaign.history import History, Purchase, Write


def somebody_elses_value_is_not_overwritten(facts: Facts) -> Iterator[str]:
    """Parameter Store can't compare and set: what a person writes between a command's last look and its write is lost
    for a moment. Then the command puts it back or names it."""
    places = {
        (home.region, name)
        for home in facts.scenario.environments.values()
        for name in (home.id_parameter, home.next_parameter)
    }
    for write in facts.history.writes:
        command = facts.history.commands.get(write.by)
        before = write.before or ""
        if (
            command is None
            or command.replace
            or command.kind == "switch"
            or (write.region, write.name) not in places
        ):
            continue
        block = facts.ec2.blocks.get(before)
        in_use = before.startswith("cr-") and (block is None or block.lives(write.at))
        if not in_use or write.after == before or _stands_elsewhere(facts, write):
            continue
        overwritten = _last_write(facts.history, write)
        if overwritten is not None and overwritten.by == write.by:
            continue
        raced = overwritten is not None and overwritten.at >= write.read_at
        said = any(
            write.name in text and ("overwritten" in text or before in text) for _, text in command.said
        )
        if raced and (command.is_stopped or said or _restored(facts.history, write)):
            continue
        yield f"{write.by} wrote {write.after} over {before} in {write.name} ({'race' if raced else 'no race'})"


def a_purchase_is_sent_under_its_own_lock(facts: Facts) -> Iterator[str]:
    for purchase in facts.history.purchases:
        command = facts.history.commands[purchase.by]
        mine = {
            name: one
            for name, one in purchase.journals.items()
            if environment_of(name) == command.environment
        }
        orders = orders_closed(mine)
        opened = [number for number, is_closed in orders.items() if not is_closed]
        if not orders or opened != [max(orders)]:
            yield f"{purchase.by} bought {purchase.id} while {opened or 'nothing'} of {list(orders)} was open"
        elif not any(_is_of(purchase, one) for name, one in mine.items() if order_of(name) == opened[0]):
            yield f"{purchase.by} bought {purchase.id} while somebody else had {opened[0]}"


def what_changes_while_the_user_thinks_stops_the_purchase(facts: Facts) -> Iterator[str]:
    """What is in the environment's parameter when the lock is taken has been read by who then buys."""
    for purchase in facts.history.purchases:
        command = facts.history.commands[purchase.by]
        home = facts.scenario.environments.get(command.environment)
        if home is None or purchase.is_extension:
            continue
        locked = [
            one.at
            for one in facts.history.writes
            if one.by == purchase.by and JOURNAL_NAME.fullmatch(one.name)
        ]
        for write in facts.history.writes:
            is_its = (write.region, write.name) == (home.region, home.id_parameter)
            if is_its and locked and purchase.read_at <= write.at < locked[0]:
                yield f"{purchase.by} bought {purchase.id} without a look at {write.name} = {write.after}"


def the_shared_journal_only_grows(facts: Facts) -> Iterator[str]:
    """Nothing is deleted, and no order is opened again that was closed."""
    values: dict[str, str] = {}
    for write in facts.history.writes:
        if not JOURNAL_NAME.fullmatch(write.name):
            continue
        if write.region != LOCK_REGION:
            yield f"{write.by} wrote {write.name} in {write.region}"
        if write.after is None:
            yield f"{write.by} deleted {write.name}"
            continue
        before = {name for name, is_closed in orders_closed(values).items() if is_closed}
        values[write.name] = write.after
        opened = before - {name for name, is_closed in orders_closed(values).items() if is_closed}
        if opened:
            yield f"{write.by} opened {', '.join(opened)} again"


def an_entry_is_closed_when_told_and_saved(facts: Facts) -> Iterator[str]:
    bought = {tag: block for _, block in facts.bought() for tag in block.tags.values()}
    for write in facts.history.writes:
        if not JOURNAL_NAME.fullmatch(write.name) or write.after is None or is_open(write.after):
            continue
        entry = json.loads(write.after)
        block = bought.get(entry["tag"])
        if entry["state"] == "not-bought":
            if block is not None:
                yield f"{write.by} closed {write.name} as not bought, and {block.id} was"
        elif block is not None:
            told = facts.history.told_at(block.id)
            if told is None or told > write.at:
                yield f"{write.by} closed {write.name} before anybody was told of {block.id}"
            home = facts.scenario.environments.get(facts.history.commands[block.bought_by].environment)
            saved = home is None or any(
                one.after == block.id
                and one.at <= write.at
                and one.name in (home.id_parameter, home.next_parameter)
                for one in facts.history.writes
            )
            if (
                block.lives(write.at)
                and not saved
                and not named_as_not_saved(facts.history, block.id, write.at)
            ):
                yield f"{write.by} closed {write.name} before {block.id} was saved or named"


def nothing_stays_open(facts: Facts) -> Iterator[str]:
    """After the outage, `recover` on every machine settles everything but what a person must find a place for."""
    entries = {
        **facts.values,
        **{f"{name} on machine {machine}": text for (machine, name), text in facts.files.items()},
    }
    bought = {tag: block for _, block in facts.bought() for tag in block.tags.values()}
    closed = {name for name, is_closed in orders_closed(facts.values).items() if is_closed}
    for name, text in entries.items():
        block = bought.get(json.loads(text)["tag"])
        named = block is not None and named_as_not_saved(facts.history, block.id, facts.ended)
        if is_open(text) and not named and name not in closed:
            yield f"{name} is open at the end: {json.loads(text)['state']}"


def the_files_say_what_ec2_says(facts: Facts) -> Iterator[str]:
    bought = {tag: block for _, block in facts.bought() for tag in block.tags.values()}
    for (machine, name), text in facts.files.items():
        entry = json.loads(text)
        block = bought.get(entry["tag"])
        if entry["state"] == "not-bought" and block is not None:
            yield f"{name} on machine {machine} says not bought, and {block.id} was"
        bought_block = entry["state"] == "done" and not is_extension(entry)
        if bought_block and (block is None or [block.id] != entry["reservation_ids"]):
            yield f"{name} on machine {machine} says {entry['reservation_ids']}, EC2 says {block and block.id}"


def a_file_is_on_the_disk_before_it_has_its_name(facts: Facts) -> Iterator[str]:
    for name, files in facts.unsynced.items():
        for file in files:
            yield f"{name} gave the name {file} to a file that was not synced"


CHECKS: tuple[Callable[[Facts], Iterator[str]], ...] = (
    somebody_elses_value_is_not_overwritten,
    a_purchase_is_sent_under_its_own_lock,
    what_changes_while_the_user_thinks_stops_the_purchase,
    the_shared_journal_only_grows,
    an_entry_is_closed_when_told_and_saved,
    nothing_stays_open,
    the_files_say_what_ec2_says,
    a_file_is_on_the_disk_before_it_has_its_name,
)


def _is_of(purchase: Purchase, entry: str) -> bool:
    document = json.loads(entry)
    return document["tag"] in purchase.tags or (purchase.is_extension and purchase.offer in entry)


def _last_write(history: History, write: Write) -> Write | None:
    """What wrote the value that was overwritten."""
    earlier = [
        one
        for one in history.writes[: history.writes.index(write)]
        if (one.region, one.name) == (write.region, write.name)
    ]
    return earlier[-1] if earlier else None


def _restored(history: History, write: Write) -> bool:
    return any(
        one.after == write.before and (one.name, one.by) == (write.name, write.by)
        for one in history.writes[history.writes.index(write) + 1 :]
    )


def _stands_elsewhere(facts: Facts, write: Write) -> bool:
    """Whether what was overwritten is the environment's other block as well: the next one has become the current."""
    pairs = [{home.id_parameter, home.next_parameter} for home in facts.scenario.environments.values()]
    other = next(pair - {write.name} for pair in pairs if write.name in pair)
    before = facts.history.writes[: facts.history.writes.index(write)]
    return [one.after for one in before if one.name in other][-1:] == [write.before]
