"""Moments and lengths of time in words."""

from datetime import UTC, datetime, timedelta


def utc(when: datetime) -> datetime:
    """The same moment with UTC as its zone; a moment without a zone is taken as UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def moment(when: datetime) -> str:
    """A moment in UTC: 2026-12-01 11:30 UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(length: timedelta) -> str:
    """A length of time in its two largest units: "6 d 3 h", "5 h 20 min", "45 min", "20 s". The rest is cut off."""
    if abs(length) < timedelta(minutes=1):
        return f"{int(length.total_seconds())} s"
    minutes = int(length.total_seconds() // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"
