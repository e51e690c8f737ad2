"""What `nixl-efa capacity recover` does, environment by environment."""

from __future__ import annotations

from typing import Any

from nixl_efa.capacity.evidence import WaitingRule, pause_between
from nixl_efa.capacity.journal import Entry
from nixl_efa.capacity.locks import machine_lock
from nixl_efa.capacity.recover import declare_unbought, settle_all, settle_foreign
from nixl_efa.cli.capacity.forms import order_form
from nixl_efa.cli.capacity.till import Till, open_till
from nixl_efa.cli.capacity.tools import Tools, all_settings, settings_of, tools
from nixl_efa.cli.output import ask


def recover(
    environment: str | None,
    not_bought: str | None,
    profile: str | None,
    region: str | None,
    settle_seconds: float,
    *,
    yes: bool,
    replace: bool,
) -> tuple[list[Entry], list[str]]:
    """Settles what is open; returns the closed entries, and what went wrong with handing them over."""
    own = settings_of(environment) if environment is not None else None
    kit = tools(profile, region or (own.region if own else None))
    rule = WaitingRule(settle_seconds=settle_seconds, pause_seconds=pause_between(settle_seconds))
    regions = {settings.name: settings.region for settings in all_settings()}
    home = kit.region()
    till = open_till(kit, home, rule, replace=replace)
    if not_bought is not None:
        return [_declare(kit, till, not_bought)], till.problems
    known = till.desk.journal.entries()
    names = {environment} if environment else {*regions, *(entry.order.environment for entry in known)}
    closed: list[Entry] = []
    for name in sorted(names):
        with machine_lock(kit.state / "locks", name):
            closed += settle_all(till.desk, name, till.hand_over)
            # Also where orders of this machine have had their lock: one that could not be removed is there.
            places = {entry.order.lock_region for entry in known if entry.order.environment == name}
            for place in sorted({region or regions.get(name, home), *places}):
                lock = till.desk.lock_in(place, name)
                foreign = settle_foreign(
                    till.desk, lock, lambda question: yes or _agrees(question), till.hand_over
                )
                closed += [foreign] if foreign else []
    till.told(entry.tag for entry in closed)
    return closed, till.problems


def _declare(kit: Tools, till: Till, tag: str) -> Entry:
    entry = till.desk.journal.find(tag)
    name = entry.order.environment if entry else "unknown"
    with machine_lock(kit.state / "locks", name):
        return declare_unbought(till.desk, tag)


def _agrees(question: str) -> bool:
    return ask(f"{question} [y/N]").lower() in ("y", "yes")


def form(entry: Entry) -> dict[str, Any]:
    """A closed purchase as JSON."""
    return {
        "tag": entry.tag,
        "outcome": "bought" if entry.reservation_ids else "not-bought",
        "reservation_ids": list(entry.reservation_ids),
        "order": order_form(entry.order),
    }
