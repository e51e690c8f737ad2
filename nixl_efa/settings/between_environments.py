"""Rules between environments: no two may keep their Terraform state in the same place or share names in AWS, and saving
a reservation for one must not change what another one reads."""

from collections.abc import Callable, Iterable, Iterator

from nixl_efa.findings import Finding
from nixl_efa.settings.backend import CloudBackend, S3Backend
from nixl_efa.settings.model import Settings
from nixl_efa.settings.source import Source, fault

Place = tuple[str, ...]


def shared_places(environments: Iterable[Settings]) -> Iterator[tuple[str, Finding]]:
    """Each environment that has the same place as an earlier one, with the fault. For two that mix up their parameters,
    both are returned."""
    environments = tuple(environments)
    for settings, other, place in _second(environments, _state):
        yield settings.name, _one_state(settings, other, place)
    for settings, other, place in _second(environments, _names):
        yield settings.name, _one_name(settings, other, place)
    for settings in environments:
        for other in environments:
            if name := _mixed_parameter(settings, other):
                yield settings.name, _one_parameter(settings, other, name)


def _second(
    environments: Iterable[Settings], place_of: Callable[[Settings], Place]
) -> Iterator[tuple[Settings, Settings, Place]]:
    first: dict[Place, Settings] = {}
    for settings in environments:
        place = place_of(settings)
        if place and (other := first.setdefault(place, settings)) is not settings:
            yield settings, other, place


def _state(settings: Settings) -> Place:
    """The place of a state; empty for a state on this machine, whose file has the stack's name, and when tags choose
    the workspace."""
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
        f"{' '.join(place)} ({sources}). Each would destroy the other's resources.",
        f"Give each environment a backend.{own} of its own.",
    )


def _names(settings: Settings) -> Place:
    """The place in which the names of the stack's resources must be unique. An IAM role's name contains the region."""
    return (settings.account_id or "", settings.region, settings.name_prefix)


def _one_name(settings: Settings, other: Settings, place: Place) -> Finding:
    sources = f"{settings.source('project_prefix').label} and {other.source('project_prefix').label}"
    return fault(
        "project_prefix",
        f"{settings.name}: its names in AWS begin with {place[-1]}, as those of {other.name} do ({sources}). "
        "AWS refuses the second of a name.",
        "Give each environment a project_prefix with which its names differ.",
    )


def _mixed_parameter(settings: Settings, other: Settings) -> str:
    """The parameter in which both keep different things; empty for none. It is no fault when both read the same
    reservation and its zone."""
    if (settings.account_id or "", settings.region) != (other.account_id or "", other.region):
        return ""
    mine, theirs = _parameters(settings), _parameters(other)
    zones = {one.availability_zone_parameter for one in (settings, other)}
    blocks = [_block_parameters(one) for one in (settings, other)]
    if len(zones - {None}) == 2 and (shared := next((one for one in blocks[0] if one in blocks[1]), "")):
        return shared
    return next((name for name, kept in mine.items() if theirs.get(name, kept) != kept), "")


def _block_parameters(settings: Settings) -> dict[str, Source]:
    """The parameters that hold the ids of an environment's reservations, and where each is given."""
    own = [settings.of(part) for part in settings.parts]
    return {
        name: one.source("capacity_reservation_parameter")
        for one in own
        if (name := one.capacity_reservation_parameter)
    }


def _parameters(settings: Settings) -> dict[str, tuple[str, str]]:
    """What each parameter of the environment's reservations holds, including those of the next blocks. All its
    reservations share the parameter of the zone."""
    own = [settings.of(part) for part in settings.parts]
    every = [one.capacity_reservation_id or one.capacity_reservation_parameter for one in own]
    reservations = list(dict.fromkeys(one for one in every if one))
    zone = settings.availability_zone_parameter
    kept = [("id", name, name) for name in _block_parameters(settings)]
    if zone and reservations:
        kept.append(("zone", zone, " ".join(reservations)))
    return {f"{name}{which}": (f"{what}{which}", of) for what, name, of in kept for which in ("", "-next")}


def _given_in(settings: Settings, name: str) -> str:
    """The source in which the environment names the parameter, or the parameter without "-next"."""
    blocks = _block_parameters(settings)
    of_block = blocks.get(name) or blocks.get(name.removesuffix("-next"))
    return (of_block or settings.source("availability_zone_parameter")).label


def _one_parameter(settings: Settings, other: Settings, name: str) -> Finding:
    setting = "capacity_reservation_parameter"
    sources = " and ".join(dict.fromkeys(_given_in(one, name) for one in (settings, other)))
    return fault(
        setting,
        f"{settings.name}: the parameter {name} would be written for {other.name}, too, and would not fit both: what "
        f"is saved for one would change what the other reads ({sources}).",
        "Give each environment a capacity_reservation_parameter and an availability_zone_parameter of its own, "
        "or both the same two.",
    )
