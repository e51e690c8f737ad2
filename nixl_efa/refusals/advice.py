"""The advice for a refusal. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nixl_efa.refusals.account import ACCOUNT
from nixl_efa.refusals.capacity import CAPACITY
from nixl_efa.refusals.denied import denial
from nixl_efa.refusals.model import Advice, Asked, Refusal
from nixl_efa.refusals.resources import BY_THE_LOOK_OF_THE_CODE, DIED_OF_ITS_KEY, RESOURCES

# The first row that matches is used: a row with a text must be before the row of the same code without one.
TABLE = (DIED_OF_ITS_KEY, *ACCOUNT, *CAPACITY, *RESOURCES, *BY_THE_LOOK_OF_THE_CODE)
_FROM_EC2 = ("Client.", "Server.")


def advice_for(refusal: Refusal, asked: Asked | None = None) -> Advice | None:
    """The advice for AWS's answer; None for an unknown code.

    A code can have the form that EC2 uses for an instance that ended during its launch: Client.VolumeLimitExceeded.
    """
    if found := denial(refusal):
        return found
    asked = asked or Asked()
    codes = {refusal.code, *(refusal.code.removeprefix(prefix) for prefix in _FROM_EC2)}
    for row in TABLE:
        fits = row.text in refusal.message.lower() and row.when(asked)
        if fits and any(fnmatchcase(code, each) for code in codes for each in row.codes):
            return row
    return None


def said(refusal: Refusal) -> str:
    """AWS's own words in one line: "CODE: MESSAGE"."""
    return f"{refusal.code}: {' '.join(refusal.message.split())}".rstrip(": ")
