"""What must hold between environments: no two keep their Terraform state in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nixl_efa.findings import Finding
from nixl_efa.settings.backend import CloudBackend, S3Backend
from nixl_efa.settings.faults import fault
from nixl_efa.settings.model import Settings


def shared_states(environments: Iterable[Settings]) -> Iterator[tuple[str, Finding]]:
    """Each environment whose state another one before it has in the same place, and the fault."""
    seen: dict[tuple[str, ...], Settings] = {}
    for settings in environments:
        place = _place(settings)
        if not place:
            continue
        other = seen.setdefault(place, settings)
        if other is not settings:
            yield settings.name, _shared(settings, other, place)


def _shared(settings: Settings, other: Settings, place: tuple[str, ...]) -> Finding:
    sources = f"{settings.source('backend').label} and {other.source('backend').label}"
    own = "key" if isinstance(settings.backend, S3Backend) else "workspace"
    return fault(
        "backend",
        f"{settings.name}: the Terraform state would lie in one place with that of {other.name}: "
        f"{' '.join(place)} ({sources}). Each would destroy what the other made.",
        f"Give each environment a backend.{own} of its own.",
    )


def _place(settings: Settings) -> tuple[str, ...]:
    """Where a state lies; empty on this machine, in a file of the stack's name, and where tags choose."""
    backend = settings.backend
    if isinstance(backend, S3Backend):
        return ("s3", backend.bucket, settings.state_key)
    if isinstance(backend, CloudBackend) and not backend.tags:
        return ("cloud", backend.hostname, backend.organization, settings.cloud_workspace)
    return ()
