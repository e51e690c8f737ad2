"""The clock that is passed to all code that needs the time or waits."""

import re
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Protocol
from urllib.parse import urlsplit

_AWS = re.compile(r"https?://[\w.-]+\.amazonaws\.com(\.cn)?(:\d+)?(/|$)")
_PRECISION = timedelta(seconds=2)  # a Date header has whole seconds
_ANSWERS_WITHIN_SECONDS = 5


class Clock(Protocol):
    """Tells the time in UTC and waits."""

    def now(self) -> datetime:
        """The time, with UTC as its zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """The time, with UTC as its zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        time.sleep(seconds)


class EndpointClock(SystemClock):
    """The clock of a server that replaces AWS: it starts at the Date header of its first answer, then runs at normal
    speed.

    The start and end of a block on such a server follow the server's clock, which a rehearsal moves.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def now(self) -> datetime:
        """The server's time, to the second."""
        return super().now() + self._ahead

    @cached_property
    def _ahead(self) -> timedelta:
        ahead = _date_of(self._endpoint, super().now()) - super().now()
        return ahead if abs(ahead) > _PRECISION else timedelta()


class Waiting:
    """How long a wait has lasted. Whoever waits sleeps by this: a machine's clock can be set back, and a limit must be
    reached all the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began, self._slept = clock, clock.now(), 0.0

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        self._clock.sleep(seconds)
        self._slept += seconds

    @property
    def lasted(self) -> timedelta:
        """By the clock, and at least as long as was slept."""
        return max(self._clock.now() - self._began, timedelta(seconds=self._slept))


def replacement_of_aws(environ: Mapping[str, str]) -> str:
    """The URL of the server that replaces AWS, as in a rehearsal; empty if AWS itself is asked."""
    endpoint = environ.get("AWS_ENDPOINT_URL_EC2") or environ.get("AWS_ENDPOINT_URL", "")
    ignored = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    return "" if ignored or _AWS.match(endpoint) else endpoint


def clock_of(environ: Mapping[str, str]) -> Clock:
    """The clock that AWS's answers follow: this machine's clock for AWS, the server's clock if a server replaces
    AWS."""
    endpoint = replacement_of_aws(environ)
    return EndpointClock(endpoint) if endpoint else SystemClock()


def _date_of(endpoint: str, otherwise: datetime) -> datetime:
    """The time of a server; `otherwise` if it gives none: then the command's own calls report what is wrong."""
    # Imported here: few commands use such a server, and the import would slow down every start.
    import http.client
    from email.utils import parsedate_to_datetime

    try:
        parts = urlsplit(endpoint)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWERS_WITHIN_SECONDS)
        with closing(connection):
            connection.request("HEAD", "/")
            return parsedate_to_datetime(connection.getresponse().headers["Date"]).astimezone(UTC)
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        return otherwise
