"""How a service is shown: a line for each finding, a row for what each engine does, the last line; or one document."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nixl_efa.checks import rendering
from nixl_efa.cli import nodes_view, output
from nixl_efa.cli.commands import shown
from nixl_efa.findings import Level, counted
from nixl_efa.lines import Column, folded
from nixl_efa.service.model import FLAGS
from nixl_efa.service.status import Status

if TYPE_CHECKING:
    from nixl_efa.service.run import Report

# What an engine does, by the members of Activity, each with its heading.
_ACTIVITY = {
    "prompt_tokens": "PROMPT TOKENS/S",
    "generated_tokens": "GENERATED TOKENS/S",
    "running": "RUNNING",
    "waiting": "WAITING",
}


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    service = report.service
    return {
        "environment": report.environment,
        "ok": not report.is_stopped,
        "ready": report.ready,
        "engine": service.engine if service else "",
        "version": service.version if service else "",
        "model": service.model if service else "",
        **{name: list(getattr(service, name)) if service else [] for name in FLAGS},
        "url": report.url,
        **(_looked_at(report) if isinstance(report, Status) else {}),
        "findings": [{"node": where, **asdict(one), "level": one.level.value} for where, one in report.found],
    }


def _looked_at(status: Status) -> dict[str, Any]:
    return {
        "engines": [{"node": name, **asdict(one)} for name, one in status.activity.items()],
        "metrics": status.metrics,
        "reservations": nodes_view.reservations(status.held),
    }


def tell(report: Report) -> None:
    """The findings in the order of the steps, then what the engines do."""
    width = output.width_of(sys.stdout)
    for where, one in report.found:
        about = f"{one.check} ({where})" if where else one.check
        for line in folded(shown(one.line()), width, f"{one.level.value} {about}: ", rendering.INDENT):
            output.data(line)
        if one.command and one.level is Level.FAIL:
            for line in rendering.by_hand(one, width, shown):
                output.data(line)
    if isinstance(report, Status) and report.metrics:
        _activity(report)


def _activity(status: Status) -> None:
    """A row for each engine that answers, and for the router, with where Prometheus finds its metrics."""
    columns = [
        Column("NODE"),
        *(Column(title, right=True) for title in _ACTIVITY.values()),
        Column("METRICS", 1),
    ]
    rows = []
    for name, url in status.metrics.items():
        does = asdict(status.activity[name]) if name in status.activity else {}
        rows.append([name, *(_figure(does.get(member)) for member in _ACTIVITY), url])
    output.data("")
    output.print_rows(columns, rows)
    output.data("")


def _figure(value: float | None) -> str:
    """One digit behind the point of what is a second; a dash for what is not told."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def end(report: Report) -> str:
    """Ready, or not."""
    if report.ready and report.service:
        return f"Ready: {report.url}/v1 answers for {report.name}."
    bad = [one for _, one in report.found if one.level is not Level.PASS]
    return f"Not ready: {counted(len(bad), 'step')} of {len(report.found)} did not pass."
