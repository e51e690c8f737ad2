"""NIXL's log, which nixlbench prints between its figures: the provider of its rails, and its errors. Pure.

The text differs by version: data rails and control rails until 1.0, which name no provider; then rails "using
provider=efa". The backend LIBFABRIC can also run over tcp, so its name proves nothing
(tests/recorded/nixl).
"""

import re
from dataclasses import dataclass

_RAILS = re.compile(r"\b(\d+) (?:data )?rails(?: and \d+ control rails)?(?: using provider[=:] ?(\S+))?")
# abseil's form ("E0304 13:57:19.440196   53869 libfabric_rail.cpp:455] text"), or shortened ("E file.cpp:1] text").
# W is a warning: NIXL prints harmless ones on healthy EFA nodes.
_ERROR = re.compile(r"^E(?:\d{4} \S+\s+\d+)? ?\S+\.cpp:\d+\] (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NixlLog:
    """What the log says. rails: 0 when it names none. provider: of libfabric, empty when it is not named."""

    rails: int
    provider: str
    errors: tuple[str, ...]


def read(text: str) -> NixlLog:
    """The result for a log of any level."""
    rails, provider = 0, ""
    for count, named in _RAILS.findall(text):
        rails, provider = max(rails, int(count)), named or provider
    return NixlLog(rails, provider.strip(",;."), tuple(one.strip(" .") for one in _ERROR.findall(text)))
