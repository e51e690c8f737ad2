"""The refusals of AWS in what Terraform printed. Pure.

The provider prints the AWS SDK's words (aws-sdk-go-v2): "operation error EC2: RunInstances, https response error
StatusCode: 500, RequestID: ..., api error InsufficientInstanceCapacity: We currently ...", an error with a type of its
own without "api error"; and for an instance that died at its launch "last error: Client.VolumeLimitExceeded: ...".
Terraform breaks long lines at blanks, and draws a frame and colors. An error that another one led to holds that one's
words: the last "operation error" is the one that AWS answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nixl_efa.refusals.model import Refusal

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = " \t│╷╵"
# Not the end of a code: "Client.InternalError: Client error on launch".
_ERROR = re.compile(r"(?<!\w)Error: ")
# The address and the place in the configuration, below an error's words.
_PLACE = re.compile(r"\n\s*with [\w.\[\]\"-]+,.*", re.DOTALL)
_CODE = r"(?P<code>[A-Z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*): ?(?P<message>.*)"
_SDK = re.compile(
    rf"operation error [\w ]+: (?P<operation>\w+), (?:(?!operation error ).)*?"
    rf"RequestID: [^,]*, (?:HostID: [^,]*, )?(?:api error )?{_CODE}"
)
_DIED = re.compile(rf"(?P<operation>)last error: {_CODE}")


def refusals_in(text: str) -> list[Refusal]:
    """Each refusal once, in the order in which Terraform told them."""
    return list(dict.fromkeys(_found(text)))


def _found(text: str) -> Iterator[Refusal]:
    lines = [_COLOR.sub("", line).strip(_FRAME) for line in text.splitlines()]
    for error in _ERROR.split("\n".join(lines))[1:]:
        words = " ".join(_PLACE.sub("", error).split())
        if match := _SDK.search(words) or _DIED.search(words):
            yield Refusal(match["code"], match["message"], match["operation"])
