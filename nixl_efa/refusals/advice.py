"""The advice for a refusal. Pure."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase

from nixl_efa.refusals.account import ACCOUNT
from nixl_efa.refusals.capacity import CAPACITY
from nixl_efa.refusals.denied import denial
from nixl_efa.refusals.model import Advice, Asked, Refusal
from nixl_efa.refusals.resources import BY_THE_LOOK_OF_THE_CODE, DIED_OF_ITS_KEY, RESOURCES

# The first row that matches is used: a row with a text must be before the row of the same code without one.
TABLE = (DIED_OF_ITS_KEY, *ACCOUNT, *CAPACITY, *RESOURCES, *BY_THE_LOOK_OF_THE_CODE)
_FROM_EC2 = ("Client.", "Server.")
_RESERVATION_ID = re.compile(r"\bcr-[0-9a-f]+\b")


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
            return _with_id(row, refusal, asked)
    return None


def _with_id(row: Advice, refusal: Refusal, asked: Asked) -> Advice:
    """The advice for the reservation that AWS names, or for the only one that the launch names."""
    ids = set(_RESERVATION_ID.findall(refusal.message)) or {asked.reservation_id} - {""}
    if len(ids) != 1:
        return row
    return replace(row, remedy=row.remedy.replace("capacity wait ID", f"capacity wait {ids.pop()}"))


def said(refusal: Refusal) -> str:
    """AWS's own words in one line: "CODE: MESSAGE"."""
    return f"{refusal.code}: {' '.join(refusal.message.split())}".rstrip(": ")
