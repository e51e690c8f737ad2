"""The output format of the node scripts: a section for each command, with its output and exit code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BEGIN = re.compile(r"@@ begin (\w+)")
_END = re.compile(r"@@ end (\w+) (\d+)")
# The SSM agent's mark where it cuts an output, on a separate line (aws/amazon-ssm-agent). A cut between two sections
# leaves no other sign.
_CUT = re.compile(r"^-{2,}output truncated-{2,}$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """One command on the node. code: its exit code; 127 if the node doesn't have the command, 124 after a timeout."""

    text: str
    code: int

    @property
    def first_line(self) -> str:
        """The first line that isn't empty."""
        return next((line.strip() for line in self.text.splitlines() if line.strip()), "")

    @property
    def last_line(self) -> str:
        """The last line that isn't empty: with most tools, the error."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""

    @property
    def error(self) -> str:
        """The error of a command that failed: its last line, or that it timed out."""
        return self.last_line or ("no answer within 60 s" if self.code == TIMED_OUT else "")


MISSING = Section("", 127)
# The exit code of timeout(1) if the time is over; node-facts.sh gives each command 60 seconds.
TIMED_OUT = 124


class IncompleteOutputError(ValueError):
    """The output was cut: Run Command returns 24,000 characters at most."""


def is_cut(output: str) -> bool:
    """Whether the agent has cut it: its mark is on a separate line."""
    return _CUT.search(output) is not None


def sections(output: str) -> Mapping[str, Section]:
    """The sections by name; lines outside of them are left out. IncompleteOutputError when it was cut."""
    found: dict[str, Section] = {}
    name, lines = "", list[str]()
    for line in output.splitlines():
        if _CUT.fullmatch(line):
            raise IncompleteOutputError(f"the output was cut after {len(found)} sections")
        if begin := _BEGIN.fullmatch(line):
            name, lines = begin[1], []
        elif (end := _END.fullmatch(line)) and end[1] == name:
            found[name] = Section("\n".join(lines), int(end[2]))
            name = ""
        elif name:
            lines.append(line)
    if name:
        raise IncompleteOutputError(f"the output ends within the section {name!r}")
    return found


def script(name: str) -> str:
    """The text of one of this package's node scripts."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
