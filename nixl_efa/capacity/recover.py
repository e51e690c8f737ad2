"""Settling purchases that were left open by this machine or another one. Nothing is ever bought here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from nixl_efa.aws_calls import ask_all
from nixl_efa.aws_errors import explain
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.journal import SharedJournal, machine_lock, open_entries, shared_names
from nixl_efa.capacity.order import UNBOUND, Entry, State
from nixl_efa.capacity.purchase import (
    LONGEST_PREPARATION_SECONDS,
    TRIES,
    close_unbought,
    find_until,
    finish,
    record_bought,
    settle,
)
from nixl_efa.failure import Failure

Agree = Callable[[str], bool]

# By how much the clocks of two machines can differ while both buy: AWS refuses what is signed more than 5 minutes
# before or after its own time (IAM user guide, signing elements).
CLOCKS_DIFFER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Recovered:
    """The outcome of the open purchases, and messages about what the user must still do and how."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def recover(
    names: Iterable[str], buyer: Buyer, agree: Agree, *, replace_living: bool = False, declared: str = ""
) -> Recovered:
    """Settles every open purchase under these names of locks: environments, their targets, extensions, UNBOUND.

    agree:    asks whether to close an order of another machine that was not found.
    declared: the tag of an order that the user says was not bought; then only this one is closed.
    """
    if declared:
        return Recovered((_declare_unbought(buyer, declared),), ())
    entries: list[Entry] = []
    problems: list[str] = []
    for name in sorted({*names}):
        try:
            with machine_lock(buyer.locks, name):
                for entry in _settled(name, buyer, agree):
                    entries.append(entry)
                    if entry.state is State.DONE:
                        buyer.talk.report(entry, "already-bought")
                    elif entry.state is State.BOUGHT:
                        finished = finish(entry, buyer, "bought", replace_living=replace_living)
                        entries[-1] = finished.entry or entry
                        problems += [finished.problem] if finished.problem else []
                    else:
                        buyer.talk.report(entry, "not-bought")
        except Failure as failure:
            if failure.exit_code == 130:
                raise
            problems.append(failure.message)
    return Recovered(tuple(entries), tuple(problems))


def known_names(buyer: Buyer) -> set[str]:
    """The environments of this machine's journal and of the shared ones, and UNBOUND."""
    own = {entry.order.lock_name for entry in buyer.journal.entries()}
    return {UNBOUND, *own, *shared_names(buyer.clients.ssm(buyer.lock_region), buyer.clock.sleep)}


def open_purchases(buyer: Buyer, names: Iterable[str]) -> list[Entry]:
    """The open purchases of these environments, and of all that are in a journal. It does not find out whether they
    were bought. Raises when a journal can't be read."""
    known = sorted({*names, *known_names(buyer)})
    found, failed = ask_all(known, lambda name: open_entries(buyer.shared_journal(name), buyer.journal, name))
    for error in failed.values():
        raise error
    return [one for entries in found.values() for one in entries]


def _settled(name: str, buyer: Buyer, agree: Agree) -> Iterable[Entry]:
    """This machine's open orders, then those of others; each BOUGHT or NOT_BOUGHT."""
    own = buyer.journal.entries()
    for entry in buyer.journal.open_entries(name):
        yield settle(buyer, entry)
    # Also the regions of the locks of this machine's orders: the variable that sets the region may have been changed.
    regions = {entry.order.lock_region for entry in own if entry.order.lock_name == name}
    for region in sorted({buyer.lock_region, *regions}):
        shared = buyer.shared_journal(name, region)
        for entry in shared.entries():
            if not entry.is_open:
                continue
            known = buyer.journal.find(entry.tag)
            if known is None:
                yield _settle_foreign(buyer, shared, entry, agree)
            elif not known.is_open:
                shared.write(known)


def _settle_foreign(buyer: Buyer, shared: SharedJournal, entry: Entry, agree: Agree) -> Entry:
    """Settles an open order of another machine: returns it BOUGHT or NOT_BOUGHT. Failure while its purchase may still
    be running, and when the user does not agree to close one that was not found."""
    order = entry.order
    buyer.talk.tell(f"{shared.path} in {shared.region} has an open purchase of {entry.text()}")
    if entry.state is State.BOUGHT:
        return entry
    latest = _as_called(entry)
    now = buyer.clock.now()
    found = find_until(buyer, latest, now, whole=now < buyer.rule.settled_at(latest))
    if found:
        # The machine that bought it may not exist any more.
        return record_bought(buyer, latest, found)
    settled_at = buyer.rule.settled_at(latest) + CLOCKS_DIFFER
    if buyer.clock.now() < settled_at:
        raise Failure(
            f"the purchase of {order.by} can't be found, but it may still be in progress. "
            f"Try again after {settled_at:%H:%M:%S} UTC."
        )
    question = (
        f"No reservation has the tag {entry.tag}, so {order.by} bought nothing. "
        "Ask them whether their command has ended. Close it?"
    )
    if not agree(question):
        raise Failure(f"{shared.path} in {shared.region} was not changed")
    closed = buyer.journal.moved(latest, State.NOT_BOUGHT, note="not found by its tag, on another machine")
    shared.write(closed)
    return closed


def _as_called(entry: Entry) -> Entry:
    """Another machine's entry, with the latest time at which its call can have begun. The shared journal has only the
    time of its preparation."""
    if entry.state is not State.PREPARED:
        return entry
    begun = entry.changed_at + timedelta(seconds=LONGEST_PREPARATION_SECONDS)
    return replace(entry, state=State.CALLING, changed_at=begun)


def _declare_unbought(buyer: Buyer, tag: str) -> Entry:
    """Closes an open entry because the user says that nothing was bought. Looks for the purchase once more before.

    Failure when there is no such open entry, or when the purchase is found after all.
    """
    entry = buyer.journal.find(tag)
    if entry is None or not entry.is_open:
        known = "is closed already" if entry else "is not in this machine's journal"
        raise Failure(
            f"--not-bought {tag}: that purchase {known}. `nixl-efa capacity recover` lists open ones."
        )
    with machine_lock(buyer.locks, entry.order.lock_name):
        try:
            found = entry.reservation_ids or find_until(buyer, entry, buyer.clock.now())
        except Failure:
            raise
        except Exception as error:
            raise Failure(f"--not-bought {tag}: could not look for it: {explain(error)}") from error
        if found:
            raise Failure(
                f"--not-bought {tag}: it was bought, as {', '.join(found)}. "
                f"Run `nixl-efa capacity recover{entry.order.env_option}`."
            )
        closed = close_unbought(buyer, entry, f"closed by hand after {TRIES} searches")
    buyer.talk.report(closed, "not-bought")
    return closed
