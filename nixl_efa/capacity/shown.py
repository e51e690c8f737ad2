"""The offerings that searches on this machine have shown. AWS has no call that finds an offering by its id, so each is
kept in a file with the question that it answered; a purchase asks that question again."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nixl_efa.capacity import offering as offerings
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.search import Question, Request
from nixl_efa.files import write_durably

# Offerings are kept for this long; AWS stops offering them long before that.
KEPT_DAYS = 7


def path_in(state: Path) -> Path:
    """The file in the state directory."""
    return state / "searches.json"


def remember(path: Path, found: Iterable[Offering], request: Request, now: datetime) -> None:
    """Adds the offerings, with their question, to the file and drops those that are old. OSError when it can't be
    written."""
    oldest = (now - timedelta(days=KEPT_DAYS)).isoformat()
    kept = {name: one for name, one in _read(path).items() if str(one.get("at", "")) >= oldest}
    window = {
        "earliest_start": request.earliest_start.isoformat(),
        "latest_end": request.latest_end.isoformat() if request.latest_end else None,
    }
    for one in found:
        kept[one.id] = {"at": now.isoformat(), **window, "offering": offerings.to_json(one)}
    write_durably(path, json.dumps(kept, indent=1) + "\n")


def recall(path: Path, offering_id: str) -> Question | None:
    """The question that finds an offering again; None when no search on this machine has shown it."""
    try:
        one = _read(path)[offering_id]
        shown = offerings.from_json(one["offering"])
        latest = one["latest_end"]
        request = Request(
            shown.ultra_server or shown.instance_type,
            shown.ultra_server_count or shown.count,
            (shown.asked_hours,),
            datetime.fromisoformat(one["earliest_start"]),
            datetime.fromisoformat(latest) if latest else None,
        )
    except (KeyError, TypeError, ValueError):
        return None
    return Question(offering_id, shown.region, request, shown)


def latest(path: Path) -> list[Offering]:
    """The offerings that the last search on this machine has shown, as AWS ordered them."""
    kept = _read(path).values()
    last = max((str(one["at"]) for one in kept), default="")
    return [offerings.from_json(one["offering"]) for one in kept if one["at"] == last]


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """The file's offerings. A missing or damaged file counts as empty: the user can give the options instead."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: one for name, one in document.items() if isinstance(one, dict)}
    except (OSError, ValueError, AttributeError):
        return {}
