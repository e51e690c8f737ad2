"""Refusals of services that speak JSON."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class JsonError(ServiceException):  # type: ignore[misc]
    """An error with a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
