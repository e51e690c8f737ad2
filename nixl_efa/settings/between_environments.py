"""What must hold between environments: no two keep their Terraform state in one place, or share their names in AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nixl_efa.findings import Finding
from nixl_efa.settings.backend import CloudBackend, S3Backend
from nixl_efa.settings.model import Settings
from nixl_efa.settings.source import fault

Place = tuple[str, ...]


def shared_places(environments: Iterable[Settings]) -> Iterator[tuple[str, Finding]]:
    """Each environment that is in the same place as another one before it, and the fault."""
    environments = tuple(environments)
    for settings, other, place in _second(environments, _state):
        yield settings.name, _one_state(settings, other, place)
    for settings, other, place in _second(environments, _names):
        yield settings.name, _one_name(settings, other, place)


def _second(
    environments: Iterable[Settings], place_of: Callable[[Settings], Place]
) -> Iterator[tuple[Settings, Settings, Place]]:
    first: dict[Place, Settings] = {}
    for settings in environments:
        place = place_of(settings)
        if place and (other := first.setdefault(place, settings)) is not settings:
            yield settings, other, place


def _state(settings: Settings) -> Place:
    """Where a state lies; empty on this machine, in a file of the stack's name, and where tags choose."""
    backend = settings.backend
    if isinstance(backend, S3Backend):
        return ("s3", backend.bucket, settings.state_key)
    if isinstance(backend, CloudBackend) and not backend.tags:
        return ("cloud", backend.hostname, backend.organization, settings.cloud_workspace)
    return ()


def _one_state(settings: Settings, other: Settings, place: Place) -> Finding:
    sources = f"{settings.source('backend').label} and {other.source('backend').label}"
    own = "key" if isinstance(settings.backend, S3Backend) else "workspace"
    return fault(
        "backend",
        f"{settings.name}: the Terraform state would lie in one place with that of {other.name}: "
        f"{' '.join(place)} ({sources}). Each would destroy what the other made.",
        f"Give each environment a backend.{own} of its own.",
    )


def _names(settings: Settings) -> Place:
    """Where the names of the stack's resources must be unlike all others. An IAM role's holds the region."""
    return (settings.account_id or "", settings.region, settings.name_prefix)


def _one_name(settings: Settings, other: Settings, place: Place) -> Finding:
    sources = f"{settings.source('project_prefix').label} and {other.source('project_prefix').label}"
    return fault(
        "project_prefix",
        f"{settings.name}: its names in AWS begin with {place[-1]}, as those of {other.name} do ({sources}). "
        "AWS refuses the second of a name.",
        "Give each environment a project_prefix with which its names differ.",
    )
