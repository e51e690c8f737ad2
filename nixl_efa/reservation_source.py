"""Where the reservation of nodes, and its zone, are read from. Pure."""

from dataclasses import dataclass

from nixl_efa.settings import Settings
from nixl_efa.settings.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationSource:
    """Where an environment's reservation and its zone are read from: an id, or a parameter of Parameter Store.

    id, zone:       given by the settings themselves; empty where a parameter holds them, or nothing does.
    id_parameter, zone_parameter: the parameters of the environment's region. Where the settings name none, those
                    that `nixl-efa capacity save` writes by default.
    reads_id, reads_zone: whether the stack reads the parameter.
    set_by:         which setting decides it and where that was given ("capacity_reservation_id, environments/
                    prod.toml: capacity_reservation_id"); empty when none does.
    part:           of an environment with several reservations, which it is: "2" for the second entry of `capacity`,
                    "producer" for that of the producers' own; empty for the first or only one.
    beside:         the parameters of the ids of the environment's other reservations and of their next ones, as
                    capacity.targets fills it in; all are of one zone.
    """

    environment: str
    part: str = ""
    beside: tuple[str, ...] = ()
    region: str
    id: str = ""
    zone: str = ""
    id_parameter: str
    zone_parameter: str
    reads_id: bool = False
    reads_zone: bool = False
    set_by: str = ""

    @property
    def target(self) -> str:
        """How the command line calls it: "prod", or "prod/2"."""
        return f"{self.environment}/{self.part}" if self.part else self.environment

    @property
    def is_named(self) -> bool:
        """Whether the settings name a reservation for the launch."""
        return bool(self.id) or self.reads_id

    @property
    def next_id_parameter(self) -> str:
        """The parameter that holds the id of the block that follows the current one."""
        return f"{self.id_parameter}-next"

    @property
    def next_zone_parameter(self) -> str:
        """The parameter that holds the zone of the block that follows the current one."""
        return f"{self.zone_parameter}-next"


def reservation_source(settings: Settings, part: Part) -> ReservationSource:
    """Where a part's reservation and the environment's zone are read from."""
    id_setting = (
        "capacity_reservation_id" if settings.capacity_reservation_id else "capacity_reservation_parameter"
    )
    named = settings.capacity_reservation_id or settings.capacity_reservation_parameter
    folder = f"/nixl-efa/{settings.name}"
    return ReservationSource(
        environment=settings.name,
        part=part.reservation,
        region=settings.region,
        id=settings.capacity_reservation_id or "",
        zone=settings.availability_zone or "",
        id_parameter=settings.capacity_reservation_parameter
        or "/".join(filter(None, (folder, part.reservation, "capacity-reservation-id"))),
        zone_parameter=settings.availability_zone_parameter or f"{folder}/availability-zone",
        reads_id=settings.capacity_reservation_parameter is not None,
        reads_zone=settings.availability_zone_parameter is not None,
        set_by=f"{id_setting}, {settings.source(id_setting).label}" if named else "",
    )


def environment_of(target: str) -> str:
    """The environment of what the command line calls a target ("prod/2")."""
    return target.partition("/")[0]
