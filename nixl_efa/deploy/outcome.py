"""How a deployment ends: its exit code, and all of it as plain values. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from nixl_efa.deploy.plan import Plan
from nixl_efa.findings import Finding
from nixl_efa.settings import Settings


class Outcome(Enum):
    """The word in the document and the exit code; 2 is bad input, as in every command.

    DONE:          the pair is as the settings say, and verified unless the user switched that off.
    STOPPED:       it ended before anything was changed.
    APPLY_FAILED:  something may have been changed, and the pair is not as the settings say.
    VERIFY_FAILED: the pair is built, and verify FAILs.
    INTERRUPTED:   by Ctrl-C, at any point; 128 plus the signal's number, as in shells.
    """

    DONE = ("done", 0)
    STOPPED = ("stopped", 1)
    APPLY_FAILED = ("apply-failed", 3)
    VERIFY_FAILED = ("verify-failed", 4)
    INTERRUPTED = ("interrupted", 130)

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return self.value[1]


def document(
    settings: Settings,
    outcome: Outcome,
    message: str,
    findings: Sequence[Finding],
    plan: Plan | None,
    verified: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything as plain values.

    message: why it ended; empty when it is done. plan: None when it ended before there was one.
    verified: the document of verify; None when verify did not run.
    """
    return {
        "environment": settings.name,
        "stack": settings.stack_name,
        "region": settings.region,
        "outcome": outcome.value[0],
        "exit_code": outcome.exit_code,
        "message": message,
        "findings": [{**asdict(finding), "level": finding.level.value} for finding in findings],
        "nodes": [
            {
                "name": node.name,
                "action": node.action.value,
                "instance_id": node.instance_id,
                "reservation_id": node.target_id or node.reservation_id,
                "causes": [asdict(cause) for cause in node.causes],
            }
            for node in (plan.nodes if plan else ())
        ],
        "added": plan.added if plan else 0,
        "changed": plan.changed if plan else 0,
        "destroyed": plan.destroyed if plan else 0,
        "missed": list(plan.missed) if plan else [],
        "verify": verified,
    }
