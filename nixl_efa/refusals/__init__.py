"""What a refusal of AWS means for what was asked, and what to do: one table for check, deploy, buying and every other
call. Pure."""

from nixl_efa.refusals.advice import advice_for, said
from nixl_efa.refusals.denied import denial, missing, names_cause
from nixl_efa.refusals.model import THROTTLING, Advice, Asked, Refusal

__all__ = [
    "THROTTLING",
    "Advice",
    "Asked",
    "Refusal",
    "advice_for",
    "denial",
    "missing",
    "names_cause",
    "said",
]
