"""What must never be found in a history about what was bought and what the users were told. Each check is a sentence of
the promise.
"""

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from tests.campaign.facts import NOT_SAVED, Facts, named_as_not_saved, names
from tests.campaign.scenario import NO_ENVIRONMENT
from tests.campaign.schedule import moment

_NOTHING = re.compile(r"nothing (?:was|is) bought|bought nothing", re.IGNORECASE)
_NONE_OPEN = re.compile(r"no purchase is open", re.IGNORECASE)


def one_order_is_bought_once(facts: Facts) -> Iterator[str]:
    """By one command never, whatever happens. By another one only from another machine, where its user asks for it to
    be put in the first one's place, or buys for no environment."""
    for (first, one), (second, other) in combinations(facts.bought(), 2):
        same = (first.environment, one.offer.id) == (second.environment, other.offer.id)
        asked = (second.replace or second.environment == NO_ENVIRONMENT) and first.machine != second.machine
        if first is second:
            yield f"{first.name} bought {one.id} and {other.id}"
        elif same and not asked and one.lives(other.bought_at):
            yield f"{one.offer.id} for {first.environment}: {one.id} by {first.name}, {other.id} by {second.name}"


def an_environment_has_one_living_block_and_a_next_one(facts: Facts) -> Iterator[str]:
    bought = facts.bought()
    for place, (command, block) in enumerate(bought):
        if command.replace or command.environment == NO_ENVIRONMENT:
            continue
        living = [
            one
            for other, one in bought[:place]
            if other.environment == command.environment and one.lives(block.bought_at)
        ]
        names = ", ".join(one.id for one in living)
        if len(living) > 1:
            yield f"{block.id} by {command.name} while {names} live"
        elif living and block.offer.end <= living[0].offer.end:
            yield f"{block.id} by {command.name} ends before {names}, which lives"


def a_second_block_is_never_bought_in_silence(facts: Facts) -> Iterator[str]:
    """Whoever buys while another block of the environment lives has been told of that one before."""
    bought = facts.bought()
    for place, (command, block) in enumerate(bought):
        for other, one in bought[:place]:
            if other.environment != command.environment or not one.lives(block.bought_at):
                continue
            if command.environment == NO_ENVIRONMENT:
                continue
            told = facts.history.told_at(one.id)
            if told is None or told > block.bought_at:
                yield f"{block.id} was bought by {command.name} while nobody knew of {one.id} by {other.name}"
            elif command.how == "done" and not names(command, one.id):
                yield f"{command.name} bought {block.id} without a word of {one.id}, which lives"


def what_was_bought_is_told(facts: Facts) -> Iterator[str]:
    for command, block in facts.bought():
        commands = facts.history.commands.values()
        told = [one for one in commands for _, _, _, ids in one.reported if block.id in ids]
        if not told and not any(block.id == one.block for one in commands):
            yield f"{block.id}, bought by {command.name}, is in no command's result"


def what_was_bought_is_saved_or_named(facts: Facts) -> Iterator[str]:
    for command, block in facts.bought():
        home = facts.scenario.environments.get(command.environment)
        if home is None or not block.lives(facts.ended):
            continue
        saved = any(
            write.after == block.id and write.name in (home.id_parameter, home.next_parameter)
            for write in facts.history.writes
        )
        if not saved and not named_as_not_saved(facts.history, block.id, facts.ended):
            yield f"{block.id}, bought by {command.name}, is in no parameter, and nobody was told that it is not"


def nobody_is_told_that_nothing_was_bought(facts: Facts) -> Iterator[str]:
    """By the command that bought it, or by `recover` while an untold purchase is in its scope."""
    tags = {tag: block for _, block in facts.bought() for tag in block.tags.values()}
    for command in facts.history.commands.values():
        for at, outcome, tag, _ in command.reported:
            if outcome == "not-bought" and tag in tags:
                yield f"{command.name} reported at {moment(at)} that {tags[tag].id} was not bought"
        for at, text in command.said:
            own = [one.id for other, one in facts.bought() if other is command]
            if own and _NOTHING.search(text) and not any(name in text for name in own):
                yield f"{command.name} bought {own[0]} and said {text!r}"
            if _NONE_OPEN.search(text):
                for other, block in facts.bought():
                    in_scope = command.environment in ("", other.environment)
                    told = facts.history.told_at(block.id)
                    untold = block.bought_at < command.started and (told is None or told > at)
                    if in_scope and untold:
                        yield f"{command.name} said {text!r} when nobody knew of {block.id} by {other.name}"


def exit_0_means_that_it_is_bought(facts: Facts) -> Iterator[str]:
    for command in facts.history.commands.values():
        if command.kind != "buy" or command.how != "done":
            continue
        ids = [name for _, _, _, names in command.reported for name in names]
        if not ids:
            yield f"{command.name} ended with exit 0 and no id"
        for name in ids:
            block = facts.ec2.blocks.get(name)
            buyer = facts.history.commands.get(block.bought_by) if block else None
            if block is None or buyer is None or buyer.environment != command.environment:
                yield f"{command.name} reported {name}, which was not bought for {command.environment}"
        if not any(
            facts.ec2.blocks[name].offer.id == command.offer for name in ids if name in facts.ec2.blocks
        ):
            yield f"{command.name} ended with exit 0, and its offering is not what it reported: {ids}"


def a_block_is_bought_where_its_environment_is(facts: Facts) -> Iterator[str]:
    for command, block in facts.bought():
        home = facts.scenario.environments.get(command.environment)
        if home is not None and block.offer.region != home.region:
            yield f"{command.name} bought {block.id} in {block.offer.region}, {home.name} is in {home.region}"


def an_extension_is_bought_once_and_told(facts: Facts) -> Iterator[str]:
    bought = [one for one in facts.history.purchases if one.is_extension]
    for one, other in combinations(bought, 2):
        paid = [own for own in facts.ec2.blocks[one.id].extensions if own.bought_by == one.by]
        failed = all(own.fails and own.pays_at <= other.at for own in paid)
        if one.offer == other.offer and not failed:
            yield f"{one.offer} was bought by {one.by} and by {other.by}"
    for one in bought:
        results = [line for command in facts.history.commands.values() for line in command.reported]
        if not any(at >= one.at and one.id in ids for at, _, _, ids in results):
            yield f"the extension {one.offer} of {one.id} by {one.by} is in no command's result"


def a_command_ends_with_a_message(facts: Facts) -> Iterator[str]:
    for command in facts.history.commands.values():
        if command.how in ("broken", "hung", "running"):
            yield f"{command.name} ended as {command.how}: {command.said[-1:]}"


def who_buys_alone_in_calm_gets_it(facts: Facts) -> Iterator[str]:
    """After everything was recovered nobody is locked out: the driver's own last purchase, which fits, is made."""
    for command in facts.history.commands.values():
        last = command.said[-1][1] if command.said else ""
        if (
            command.is_calm
            and command.kind == "recover"
            and command.how != "done"
            and not NOT_SAVED.search(last)
        ):
            yield f"{command.name} ended as {command.how}: {command.said[-1:]}"
        elif command.is_calm and command.kind == "buy" and command.how != "done":
            yield f"{command.name} could not buy at the end: {command.said[-1:]}"


CHECKS: tuple[Callable[[Facts], Iterator[str]], ...] = (
    one_order_is_bought_once,
    an_environment_has_one_living_block_and_a_next_one,
    a_second_block_is_never_bought_in_silence,
    what_was_bought_is_told,
    what_was_bought_is_saved_or_named,
    nobody_is_told_that_nothing_was_bought,
    exit_0_means_that_it_is_bought,
    a_block_is_bought_where_its_environment_is,
    an_extension_is_bought_once_and_told,
    a_command_ends_with_a_message,
    who_buys_alone_in_calm_gets_it,
)
