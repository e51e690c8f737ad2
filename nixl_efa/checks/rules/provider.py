"""Terraform and its AWS provider, compared with the versions that wrote the state.

A state does not hold the provider's version. It holds Terraform's version, and the schema version of each resource,
which a new major version of the provider may raise. The provider's version is in the lock file of the machine that
deployed, if that is kept.
"""

from collections.abc import Iterator
from datetime import datetime

from nixl_efa.checks.facts import Facts
from nixl_efa.checks.rules.machine import version_of
from nixl_efa.findings import Finding, failed, passed, warned
from nixl_efa.launch import Launch
from nixl_efa.provider_lock import CHECK, Seen, shown
from nixl_efa.state import State

# A schema version of aws_instance, and the first provider version that writes it: it was raised when cpu_core_count was
# removed (terraform-provider-aws, ec2_instance_migrate).
_RAISED = {2: (6, 0, 0)}
_NO_WAY_BACK = (
    "Look at the plan before it is applied: an older provider may not read what the newer one writes."
)


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The provider that the next run uses; and Terraform, when a newer Terraform wrote the state."""
    if facts.provider is None:
        return []
    if facts.provider.fault is not None:
        return [facts.provider.fault]
    held = facts.state if isinstance(facts.state, State) and facts.state.resources else None
    findings = list(_against_state(launch.environment, facts.provider, held)) if held is not None else []
    if held is not None and facts.machine is not None:
        findings += _terraform(held, facts.machine.terraform.version)
    return findings or [passed(CHECK, in_order(facts.provider))]


def in_order(seen: Seen) -> str:
    if seen.lock is None:
        return f"The first run takes the newest AWS provider of {seen.constraint}, and locks it."
    return f"AWS provider {seen.lock.version}, by {shown(seen.lock.path)}."


def _against_state(environment: str, seen: Seen, held: State) -> Iterator[Finding]:
    written = _schema(held)
    first = max((version for schema, version in _RAISED.items() if written >= schema), default=None)
    next_major = min((version for schema, version in _RAISED.items() if written < schema), default=None)
    if seen.lock is None:
        yield warned(
            CHECK,
            "The state holds a pair, and no lock says with which AWS provider it was deployed: the next "
            "run uses the newest "
            f"of {seen.constraint}.",
            f"Copy the lock of whoever deployed it to environments/{environment}.lock.hcl, or set provider_version to "
            "the version that they use.",
        )
        return
    taken, by = seen.lock.version, shown(seen.lock.path)
    if first is not None and version_of(taken) < first:
        yield failed(
            CHECK,
            f"The state was written by an AWS provider {_written(first)} or newer (aws_instance has the schema "
            f"{written}), and {by} locks {taken}, which can't read it.",
            f"Take one from {_written(first)} on: set provider_version, and remove that lock.",
        )
    elif seen.last and seen.last != taken:
        yield warned(
            CHECK,
            f"Terraform last ran here with the AWS provider {seen.last}, and the next run takes {taken} ({by}).",
            _NO_WAY_BACK,
        )
    elif next_major is not None and version_of(taken) >= next_major:
        yield warned(
            CHECK,
            f"The state was written by an AWS provider before {_written(next_major)} (aws_instance has the schema "
            f"{written}), and the next run takes {taken} ({by}).",
            _NO_WAY_BACK,
        )


def _terraform(held: State, version: str) -> Iterator[Finding]:
    wrote = str(held.document.get("terraform_version", ""))
    if version_of(version) and version_of(wrote) > version_of(version):
        yield warned(
            CHECK,
            f"The state was written by Terraform (or OpenTofu) {wrote}, and the one here is {version}.",
            f"Install {wrote} or newer: an older one may not understand this state.",
        )


def _schema(held: State) -> int:
    """The highest schema version of a node in the state; 0 without a node."""
    return max(
        (
            int(instance.get("schema_version") or 0)
            for one in held.document.get("resources", ())
            if one.get("type") == "aws_instance" and one.get("mode") == "managed"
            for instance in one["instances"]
        ),
        default=0,
    )


def _written(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
