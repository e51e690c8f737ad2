"""Times as a person gives them to --from and --to."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from nixl_efa.failure import BadInput

_AHEAD = re.compile(r"\+(\d{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_FORMS = "a date (2026-12-01), a time (2026-12-01T09:30, with Z or +02:00 if it isn't UTC) or +12h, +7d, +2w"


def moment(text: str, option: str, now: datetime) -> datetime:
    """The moment that `text` means, in UTC: a date (its midnight), a time, or a distance from `now`.

    A time without a zone is UTC, as everything this command prints. BadInput names `option`.
    """
    if text == "now":
        return now
    ahead = _AHEAD.fullmatch(text)
    if ahead:
        return now + int(ahead[1]) * _UNITS[ahead[2]]
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text!r}: give {_FORMS}") from None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def earliest_start(text: str | None, now: datetime) -> datetime:
    """The earliest start to ask for: `text`, but not before now, since AWS refuses a start in the past."""
    return now if text is None else max(moment(text, "--from", now), now)


def latest_end(text: str | None, now: datetime) -> datetime | None:
    """The latest end to ask for; None when none was given. A date means the end of that day."""
    if text is None:
        return None
    end = moment(text, "--to", now)
    return end + timedelta(days=1) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else end
