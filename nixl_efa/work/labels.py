"""What several nodes print, as lines that begin with the node's name. Pure."""

from __future__ import annotations


class Labels:
    """Puts names in front of lines. A line is passed on when it is complete; the last one at the end, even without a
    line end."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], bytes] = {}

    def lines(self, name: str, stream: str, data: bytes) -> bytes:
        """The lines of `name` that `data` ends, "NAME: LINE\\n" each."""
        *whole, rest = (self._open.get((name, stream), b"") + data).split(b"\n")
        self._open[name, stream] = rest
        return b"".join(_line(name, line) for line in whole)

    def rest(self) -> list[tuple[str, bytes]]:
        """The beginning of an incomplete line, by output."""
        left = [(stream, _line(name, line)) for (name, stream), line in self._open.items() if line]
        self._open.clear()
        return left


def _line(name: str, line: bytes) -> bytes:
    return f"{name}: ".encode() + line + b"\n" if line else f"{name}:\n".encode()
