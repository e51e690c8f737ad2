"""The check before the launch: every reason why it would fail, or succeed without useful nodes.

facts   what was seen (frozen values)       gather  boto3 clients -> facts, one module for each subject
rules   facts -> findings, pure             runner  all questions in parallel, then the rules
"""

from nixl_efa.checks.runner import run

__all__ = ["run"]
