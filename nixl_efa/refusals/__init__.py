"""What a refusal of AWS means and what to do. Check, deploy, purchases and all other calls use the same table. Pure."""

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
