"""The refusals of AWS in Terraform's output. Pure.

The provider prints the AWS SDK's text (aws-sdk-go-v2): "operation error EC2: RunInstances, https response error
StatusCode: 500, RequestID: ..., api error InsufficientInstanceCapacity: We currently ..."; an error with its own type
has no "api error"; for an instance that ended during its launch it is "last error: Client.VolumeLimitExceeded: ...".
Terraform breaks long lines at blanks, and draws a frame and colors. An error that was caused by another one contains
its text: the last "operation error" is AWS's answer.
"""

import re
from collections.abc import Iterator

from nixl_efa.refusals.model import Refusal

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = " \t│╷╵"
# The lookbehind excludes the end of a code: "Client.InternalError: Client error on launch".
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
    """Each refusal once, in Terraform's order."""
    return list(dict.fromkeys(_found(text)))


def _found(text: str) -> Iterator[Refusal]:
    lines = [_COLOR.sub("", line).strip(_FRAME) for line in text.splitlines()]
    for error in _ERROR.split("\n".join(lines))[1:]:
        words = " ".join(_PLACE.sub("", error).split())
        if match := _SDK.search(words) or _DIED.search(words):
            yield Refusal(match["code"], match["message"], match["operation"])
