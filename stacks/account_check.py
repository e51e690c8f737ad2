"""The check of the account during synthesis, for environments whose setting `check` asks for it.

With check = "error", a FAIL stops synthesis through cdktf's validation; every other finding becomes a warning.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsii
from cdktf import TerraformStack
from constructs import IValidation

from nixl_efa import checks
from nixl_efa.aws import clients_of
from nixl_efa.clock import clock_of
from nixl_efa.findings import Finding, Level
from nixl_efa.settings import Settings


def look_at_accounts(environments: Iterable[Settings], project: Path) -> Mapping[str, list[Finding]]:
    """The findings for each environment that asks for the check, by name. The environments are checked in parallel.

    project: the folder below which local states lie.
    """
    asking = [settings for settings in environments if settings.check != "off"]
    if not asking:
        return {}
    with ThreadPoolExecutor(len(asking)) as pool:
        found = pool.map(lambda settings: _look(settings, project), asking)
    return {settings.name: findings for settings, findings in zip(asking, found, strict=True)}


def _look(settings: Settings, project: Path) -> list[Finding]:
    # With "error", a block that has not started yet is also a FAIL: a deployment into it would fail.
    must_be_active = settings.check == "error"
    findings = checks.run(
        settings,
        clients_of(settings),
        clock_of(os.environ),
        must_be_active=must_be_active,
        project=project,
        at_synthesis=True,
        environ=os.environ,
    )
    return [_as_asked(finding, settings) for finding in findings if finding.level in (Level.FAIL, Level.WARN)]


def _as_asked(finding: Finding, settings: Settings) -> Finding:
    level = finding.level if settings.check == "error" else Level.WARN
    message = f"{settings.stack_name}: {finding.check}: {finding.message}"
    return Finding(level, finding.check, message, finding.remedy, finding.command)


def refuse(stack: TerraformStack, faults: Iterable[Finding]) -> None:
    """Let cdktf's validation of the stack fail with these findings."""
    stack.node.add_validation(_Refusal([fault.line() for fault in faults]))


@jsii.implements(IValidation)
class _Refusal:
    def __init__(self, errors: list[str]) -> None:
        self._errors = errors

    def validate(self) -> list[str]:
        return self._errors
