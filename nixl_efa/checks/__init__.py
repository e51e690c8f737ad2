"""The check before the launch: every reason for which it would fail, or succeed and disappoint.

facts   what was seen (frozen values)       gather  boto3 clients -> facts, a module a subject
rules   facts -> findings, pure             runner  all questions side by side, then the rules
"""

from __future__ import annotations

from nixl_efa.checks.runner import run

__all__ = ["run"]
