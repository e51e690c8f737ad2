"""What the checks are given: the history, what AWS has, and what the journals and parameters hold at the end."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.campaign.ec2 import Block, Ec2
from tests.campaign.history import Command, History
from tests.campaign.scenario import NO_ENVIRONMENT, Scenario

LOCK_REGION = "us-east-1"
# An order has a parameter of its own, and one beside it that closes it.
JOURNAL_NAME = re.compile(r"/nixl-efa/([^/]+)/purchases/(\d+)(?:-closed)?")
NOT_SAVED = re.compile(r"not saved|capacity save|could not be saved|is not written|was not kept")
_CLOSED = ("done", "not-bought")


@dataclass(slots=True)
class Facts:
    """What a check looks at.

    files: the local journals' entries at the end, by machine and name. values: those of the shared journals, by the
    parameter's name. unsynced: the files that took their name before they were on the disk, by command.
    """

    scenario: Scenario
    history: History
    ec2: Ec2
    ended: float
    files: dict[tuple[str, str], str]
    values: dict[str, str]
    unsynced: dict[str, list[str]]

    def bought(self) -> list[tuple[Command, Block]]:
        """Every block that a command of the product bought, with the command, in the order of the purchases."""
        commands = self.history.commands
        found = [
            (commands[one.bought_by], one) for one in self.ec2.blocks.values() if one.bought_by in commands
        ]
        return sorted(found, key=lambda pair: pair[1].bought_at)


def is_open(entry: str) -> bool:
    """Whether an entry of a journal, as it is in its file or parameter, is open."""
    return json.loads(entry)["state"] not in _CLOSED


def short(entry: str) -> str:
    """An entry in a few words; any other long value cut."""
    try:
        document = json.loads(entry)
        return f"{document['state']} {document['tag']} {' '.join(document['reservation_ids'])}"
    except (ValueError, KeyError, TypeError):
        return f"{entry[:60]}..."


def order_of(name: str) -> str:
    """The order that a parameter of a shared journal is about: its path without what is behind the number."""
    return name.removesuffix("-closed")


def orders_closed(journals: Mapping[str, str]) -> dict[str, bool]:
    """Whether each order of shared journals is closed."""
    orders: dict[str, bool] = {}
    for name, entry in journals.items():
        orders[order_of(name)] = orders.get(order_of(name), False) or not is_open(entry)
    return orders


def environment_of(name: str) -> str:
    match = JOURNAL_NAME.fullmatch(name)
    name = match[1] if match else ""
    return NO_ENVIRONMENT if name.startswith("_") else name


def named_as_not_saved(history: History, id: str, until: float) -> bool:
    return any(
        id in text and NOT_SAVED.search(text) and at <= until
        for command in history.commands.values()
        for at, text in command.said
    )


def names(command: Command, id: str) -> bool:
    return any(id in text for _, text in command.said) or any(id in ids for _, _, _, ids in command.reported)


def is_extension(entry: Mapping[str, Any]) -> bool:
    return str(entry["order"]["offering"]["id"]).startswith("cbe-")
