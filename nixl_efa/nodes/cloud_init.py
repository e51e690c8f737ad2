"""What `cloud-init status` says of a node's first boot, and what that means. Pure.

The formats are from real output: cloud-init 18 to 25, long and JSON (tests/recorded/cloud_init).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nixl_efa.findings import Finding, Level

# The keys of the long form. A value can continue over any lines, so only these keys begin a new value.
_KEY = re.compile(
    r"(status|extended_status|boot_status_code|last_update|time|detail|errors|recoverable_errors):\s*(.*)"
)
# With --wait, cloud-init prints dots while it waits, also before the word "status" (canonical/cloud-init#5808).
_DOTS = re.compile(r"^\.+(?=status:)")
_LEVEL = re.compile(r"[A-Z]+:")
# Warnings that any healthy EC2 node may have: IMDS over IPv6 in a subnet without IPv6, and deprecations.
_HARMLESS = re.compile(r"fd00:ec2::254|^DEPRECATED: ")
CHECK, COMMAND = "cloud-init", "cloud-init status --long"
_LOG = "Read /var/log/cloud-init-output.log on the node."


@dataclass(frozen=True, slots=True)
class CloudInit:
    """What cloud-init says. An empty value: it did not say.

    status:   "done", "running", "error", "disabled", "not started" ("not run" until 24.1).
    extended: since 23.4, the status with "degraded" before it or, after an error, with its progress ("error -
    running").
    errors: the errors; until about 22.4, they were in the place of the data source.
    warnings: from recoverable_errors, each as "LEVEL: text".
    detail:   the data source, or why cloud-init is enabled or disabled.
    unread:   the first line of an output that has no status in it.
    """

    status: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    detail: str = ""
    unread: str = ""
    extended: str = ""


def read(text: str) -> CloudInit:
    """The output of `cloud-init status --long` or `--format json`."""
    lines = [line for line in text.splitlines() if line.strip(" .")]
    found = _of_json(text) or _of_lines(lines)
    if not found.status:
        return CloudInit(unread=lines[0].strip() if lines else "")
    # From 23.4 on, the status can have the first word of the extended status.
    status = found.status.removeprefix("degraded ")
    errors, detail = found.errors, found.detail
    if status == "error" and not errors and detail and not detail.startswith(("DataSource", "Cloud-init ")):
        errors, detail = (detail,), ""
    done = "done" if status == "degraded" else status
    return replace(found, status=done, errors=errors, detail=detail)


def _of_json(text: str) -> CloudInit | None:
    try:
        document = json.loads(text[text.index("{") :])
    except ValueError:
        return None
    if not isinstance(document, dict) or "status" not in document:
        return None
    recoverable = document.get("recoverable_errors")
    warnings = recoverable if isinstance(recoverable, Mapping) else {}
    return CloudInit(
        str(document.get("status") or ""),
        _texts(document.get("errors")),
        tuple(f"{level}: {one}" for level, listed in warnings.items() for one in _texts(listed)),
        str(document.get("detail") or ""),
        extended=str(document.get("extended_status") or ""),
    )


def _texts(listed: Any) -> tuple[str, ...]:
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _of_lines(lines: Sequence[str]) -> CloudInit:
    values: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        if found := _KEY.match(_DOTS.sub("", line)):
            key = found[1]
            values[key] = [found[2]] if found[2] else []
        elif key:
            values[key].append(line)
    warnings, level = [], ""
    for one in _items(values.get("recoverable_errors", ())):
        if _LEVEL.fullmatch(one):
            level = one
        else:
            warnings.append(f"{level} {one}".strip())
    status, detail, extended = (
        " ".join(values.get(name, ())).strip() for name in ("status", "detail", "extended_status")
    )
    errors = tuple(_items(values.get("errors", ())))
    return CloudInit(status, errors, tuple(warnings), detail, extended=extended)


def _items(lines: Sequence[str]) -> list[str]:
    """The items of a list: "- " begins an item, a level such as "WARNING:" is an item, other lines continue the last
    item."""
    items: list[str] = []
    for line in (line.strip() for line in lines):
        if line.startswith("- ") or _LEVEL.fullmatch(line) or not items:
            items.append(line.removeprefix("- "))
        else:
            items[-1] += f" {line}"
    return [item for item in items if item not in ("[]", "{}")]


def finding(seen: CloudInit, *, last_stage_ended: bool, failed_units: Sequence[str]) -> Finding:
    """What it means. last_stage_ended: whether cloud-final.service has ended; failed_units: of systemd, by name."""
    if seen.status == "done":
        return _done(seen)
    if seen.status == "error":
        return _error(seen, failed_units)
    if seen.status == "running" and last_stage_ended:
        message = "says running although its last stage has ended: this will not change (canonical/cloud-init#5304)."
        remedy = "The boot report below shows whether the node is as planned."
        return Finding(Level.WARN, CHECK, message, remedy, COMMAND)
    if seen.status == "running":
        remedy = "Wait some minutes and verify again; installing NIXL takes the longest."
        return Finding(Level.FAIL, CHECK, "not finished: running.", remedy, COMMAND)
    if seen.status == "disabled":
        remedy = "It writes this pair's files: take an image (ami_id) on which it is enabled."
        return Finding(Level.FAIL, CHECK, f"did not run: {_why(seen)}.", remedy, COMMAND)
    if seen.status in ("not started", "not run"):
        remedy = "Wait some minutes and verify again; then look at `systemctl status cloud-init.target`."
        return Finding(Level.FAIL, CHECK, f"not finished: {seen.status}.", remedy, COMMAND)
    if seen.status:
        return Finding(Level.FAIL, CHECK, f"its status is not known here: {seen.status!r}.", _LOG, COMMAND)
    message = f"its answer can't be read: {seen.unread}." if seen.unread else "cloud-init says nothing."
    return Finding(Level.FAIL, CHECK, message, "Read /var/log/cloud-init.log.", COMMAND)


def _done(seen: CloudInit) -> Finding:
    """Done, also with warnings: since 23.4 that is "degraded", with the exit code 2."""
    telling = _telling(seen)
    if telling:
        message = f"done, with {len(telling)} warning{'s'[: len(telling) > 1]}: {_short(telling)}"
        return Finding(Level.WARN, CHECK, message, _LOG, COMMAND)
    harmless = f", with {len(seen.warnings)} harmless warning{'s'[: len(seen.warnings) > 1]}"
    return Finding(Level.PASS, CHECK, f"done{harmless if seen.warnings else ''}")


def _error(seen: CloudInit, failed_units: Sequence[str]) -> Finding:
    """The text of the error is in its errors, else in its warnings (canonical/cloud-init#5836). If cloud-init gives
    none, a systemd unit failed (#5903). A warning that healthy nodes also have is not the cause."""
    how = "still runs, with an error" if seen.extended.endswith("running") else "ended with an error"
    if told := seen.errors or _telling(seen):
        return Finding(Level.FAIL, CHECK, f"{how}: {_short(told)}", _LOG, COMMAND)
    if failed_units:
        units = " ".join(failed_units)
        message = f"{how} that it does not name; units of systemd that failed: {units}."
        return Finding(
            Level.FAIL, CHECK, message, f"Read `journalctl -b -u {failed_units[0]}`.", "systemctl --failed"
        )
    message = f"{how} that it does not name."
    return Finding(Level.FAIL, CHECK, message, _LOG, "systemctl --failed; journalctl -b -u cloud-final")


def _telling(seen: CloudInit) -> list[str]:
    """The warnings that healthy nodes do not have."""
    return [one for one in seen.warnings if not _HARMLESS.search(one)]


def _why(seen: CloudInit) -> str:
    return " ".join(filter(None, (seen.status, f"({seen.detail})" if seen.detail else "")))


def _short(texts: Sequence[str]) -> str:
    """The first one, cut if it would fill the column, and how many more there are."""
    first = texts[0] if len(texts[0]) <= 200 else f"{texts[0][:200]} ..."
    return f"{first}." if len(texts) == 1 else f"{first} (and {len(texts) - 1} more)."
