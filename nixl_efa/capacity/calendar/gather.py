"""Requests everything that a calendar shows. A failed request is named in the calendar and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from nixl_efa.aws_errors import explain
from nixl_efa.capacity import history
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.calendar.model import UNSURE, Calendar, Owned, Wanted, ends_findings
from nixl_efa.capacity.extension import Extension, extensions_everywhere, finding, newest, payments
from nixl_efa.capacity.recover import open_purchases
from nixl_efa.capacity.reservation import Reservation, reservations_of
from nixl_efa.capacity.search import Request, search_in_turn
from nixl_efa.capacity.users import NOT_SAVED, misfits, stored_values, users
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, Level, failed, warned, worst_first
from nixl_efa.instance_types import find
from nixl_efa.launch import Launch
from nixl_efa.ultra_servers import ULTRA_SERVERS

_NOTHING_KEPT = history.History()


@dataclass(frozen=True, slots=True)
class Questions:
    """What to ask for.

    requests: the searches for offers, each with the environments that it would be for.
    launches: the launches whose reservations are read, by target. others: whether the project has more that these
              credentials can't see.
    until:    the end of the time line; None: the last end that is shown.
    names:    the environments of the project, whose purchases may be open.
    earlier:  the history of searches.
    """

    regions: tuple[str, ...]
    requests: tuple[tuple[Request, tuple[str, ...]], ...]
    launches: Mapping[str, Launch]
    others: bool = False
    until: datetime | None = None
    names: tuple[str, ...] = ()
    earlier: history.History = _NOTHING_KEPT


def gather(
    buyer: Buyer, asked: Questions, done: Callable[[str, int], None] = lambda _what, _left: None
) -> Calendar:
    """The calendar. Failure when no region answers anything.

    done: called after each answer about offers, with its request and the number of questions that are left.
    """
    ec2_of, sleep, now = buyer.clients.ec2, buyer.clock.sleep, buyer.clock.now()
    not_asked: dict[str, str] = {}
    found, errors = reservations_of(ec2_of, asked.regions, sleep)
    _note(not_asked, errors)
    wanted = []
    for request, environments in asked.requests:
        what = request.instance_type
        offers = search_in_turn(ec2_of, asked.regions, request, sleep, partial(done, what))
        _note(not_asked, offers.failed)
        earlier = asked.earlier.of(request.instance_type, request.count, buyer.account.endpoint)
        look = history.look(request, asked.regions, offers, now, buyer.account.endpoint)
        # The clock may have been set back since an earlier search: this one must stay the last.
        looks = (*(one for one in earlier if one.at < now), look)
        home = tuple(sorted({asked.launches[name].region for name in environments}))
        wanted.append(Wanted(request, offers, environments, home, _accelerators(request), looks))
    if len(errors) == len(asked.regions) and not any(one.found.answered for one in wanted):
        raise Failure(f"no region answered: {explain(next(iter(errors.values())))}")
    owned, findings, silent = _owned(buyer, asked, found, now, not_asked)
    findings += _open(buyer, asked.names)
    silent |= errors.keys()
    targets = {
        name: one.region
        for name, one in asked.launches.items()
        if one.region in asked.regions and (one.reservation.is_named or one.market == "capacity-block")
    }
    calendar = Calendar(
        now=now,
        account=buyer.account,
        regions=asked.regions,
        targets=tuple(sorted(targets)),
        unknown=tuple(sorted(name for name, region in targets.items() if region in silent)),
        users_known=not silent and not asked.others,
        owned=owned,
        wanted=tuple(wanted),
        not_asked=tuple(sorted(not_asked.items())),
        until=asked.until,
        lost=asked.earlier.lost,
    )
    findings += ends_findings(calendar)
    return replace(calendar, warnings=tuple(worst_first(findings)))


def _note(not_asked: dict[str, str], errors: Mapping[str, Exception]) -> None:
    for region, error in errors.items():
        not_asked.setdefault(region, explain(error))


def _accelerators(request: Request) -> int:
    known = ULTRA_SERVERS.get(request.instance_type)
    facts = find(known.instance_type if known else request.instance_type)
    return facts.accelerator_count if facts else 0


def _owned(
    buyer: Buyer,
    asked: Questions,
    found: Sequence[Reservation],
    now: datetime,
    not_asked: dict[str, str],
) -> tuple[tuple[Owned, ...], list[Finding], set[str]]:
    """The living blocks and reservations of this account, and those of other accounts that an environment uses; the
    findings about them; and the regions whose parameters can't be read."""
    sources = [one.reservation for one in asked.launches.values() if one.region in asked.regions]
    stored, silent = stored_values(buyer.clients.ssm, sources)
    _note(not_asked, {f"Parameter Store in {region}": error for region, error in silent.items()})
    unread = {one.environment for one in sources if one.region in silent}
    using = {
        each: tuple((name, UNSURE if kept == NOT_SAVED and name in unread else kept) for name, kept in owners)
        for each, owners in users(found, sources, stored).items()
    }
    mine = [
        one for one in found if one.lives(now) and (one.owner in ("", buyer.account.id) or one.id in using)
    ]
    extensions, errors = extensions_everywhere(buyer.clients.ec2, mine, buyer.clock.sleep)
    _note(not_asked, {f"extensions in {region}": error for region, error in errors.items()})
    owned = [_one(one, using.get(one.id, ()), extensions.get(one.region)) for one in mine]
    findings = [
        failed("misfit", f"{name}: {one.message}", one.remedy)
        for name, one in misfits(mine, using, asked.launches, now)
    ]
    told = (finding(one.extension) for one in owned)
    findings += [one for one in told if one is not None and one.level is not Level.PASS]
    owned.sort(key=lambda one: (one.reservation.end is None, one.reservation.end, one.reservation.id))
    return tuple(owned), findings, {*silent}


def _one(
    one: Reservation, using: tuple[tuple[str, str], ...], extensions: Sequence[Extension] | None
) -> Owned:
    if extensions is None:
        return Owned(one, using, paid=f"{one.fee} without extensions" if one.fee else "")
    costs = payments(one, extensions)
    paid = f"{costs.paid} for {one.ultra_servers}" if costs.paid and one.ultra_servers else costs.paid
    return Owned(one, using, newest(extensions, one.id), paid, costs.pending)


def _open(buyer: Buyer, names: Iterable[str]) -> list[Finding]:
    """A finding for each purchase whose outcome was not reported, or that is not saved."""
    try:
        return [
            warned("purchase", one.state_text(), one.recover_text()) for one in open_purchases(buyer, names)
        ]
    except Exception as error:
        return [warned("purchase", f"open purchases could not be looked for: {explain(error)}", "")]
