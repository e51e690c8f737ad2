"""The logs of a node, and the shell command that prints them. Pure. To add a log, add a line to SOURCES."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

CLOUD_INIT = "/var/log/cloud-init-output.log"


@dataclass(frozen=True, slots=True)
class Source:
    """A log. file: its path, or unit: the unit of its journal ("kernel" for the kernel log). lines: a pattern for grep
    -E that selects lines, empty for all. what: the text for the help."""

    name: str
    what: str
    file: str = ""
    unit: str = ""
    lines: str = ""


SOURCES = (
    Source("boot", "the boot reports: planned and seen, at each boot", unit="nixl-efa-boot-report.service"),
    Source("cloud-init", "all that the first boot printed", file=CLOUD_INIT),
    Source("nixl", "how NIXL was installed", file=CLOUD_INIT, lines="^install-nixl: "),
    Source("kernel", "the kernel: EFA's driver, the accelerators' errors (Xid)", unit="kernel"),
)
NAMES = tuple(one.name for one in SOURCES)
DEFAULT = ("boot", "cloud-init")


def command(names: Sequence[str], lines: int, *, follow: bool) -> str:
    """The bash command that prints the last `lines` of each of the logs, and with `follow` also new lines.

    With several logs, each line begins with the log's name.
    """
    chosen = [next(one for one in SOURCES if one.name == name) for name in dict.fromkeys(names)]
    parts = [_of(one, lines, follow=follow) for one in chosen]
    if len(chosen) == 1:
        return parts[0]
    labelled = [
        f"{{ {part}; }} 2>&1 | sed -u 's/^/{one.name}: /'" for one, part in zip(chosen, parts, strict=True)
    ]
    return " & ".join(labelled) + " & wait" if follow else "; ".join(labelled)


def _of(one: Source, lines: int, *, follow: bool) -> str:
    if one.unit:
        of = "--dmesg" if one.unit == "kernel" else f"--unit={one.unit}"
        more = " --follow" if follow else ""
        return f"journalctl --no-pager --output=short-iso --lines={lines} {of}{more}"
    file = shlex.quote(one.file)
    if not one.lines:
        # -F: the file may not exist yet, and may be replaced later.
        return f"tail -F -n {lines} {file}" if follow else f"tail -n {lines} {file}"
    pattern = shlex.quote(one.lines)
    if follow:
        return f"tail -F -n +1 {file} | grep --line-buffered -a -E {pattern}"
    return f"grep -a -E {pattern} {file} | tail -n {lines}"
