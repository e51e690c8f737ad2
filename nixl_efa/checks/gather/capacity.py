"""Questions about a launch's reservation, and about what was bought for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nixl_efa.account import Account
from nixl_efa.capacity.buyer import lock_region, own_endpoint
from nixl_efa.capacity.extension import Extension, extensions_of, newest
from nixl_efa.capacity.journal import Journal, SharedJournal, open_entries
from nixl_efa.capacity.judge import is_well_formed
from nixl_efa.capacity.order import Entry, Place
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.checks.facts import Answer, BlockHealth, Elsewhere, NoAnswer
from nixl_efa.checks.gather import reservation
from nixl_efa.checks.gather.asking import Asking, answer_of, known
from nixl_efa.clock import Clock
from nixl_efa.files import state_directory
from nixl_efa.launch import Launch
from nixl_efa.nodes.topology import NetworkNodes
from nixl_efa.ultra_servers import is_ultra_server

if TYPE_CHECKING:
    from nixl_efa.aws import Clients


class AskingForCapacity(Asking):
    """Each method answers directly, in the caller's thread."""

    def __init__(
        self,
        launch: Launch,
        clients: Clients,
        environ: Mapping[str, str],
        clock: Clock,
        beside: Asking | None = None,
    ) -> None:
        super().__init__(launch, clients, beside)
        self._environ = environ
        self._clock = clock

    @property
    def _counts_reservations(self) -> bool:
        """Whether reservations are read: when the launch names one; and for On-Demand, since unused reservations count
        against the quota."""
        return self._launch.reservation.is_named or self._launch.market == "on-demand"

    def _reservations(self) -> Answer[tuple[Reservation, ...]]:
        if not self._counts_reservations:
            return ()
        return answer_of(
            "ec2:DescribeCapacityReservations",
            lambda: reservation.reservations(self._ec2(), self._launch.region),
        )

    def _other_regions(self) -> Answer[tuple[str, ...]]:
        """The other regions. They are read before it is known whether the reservation is missing: it takes long to make
        the clients of all these regions, so this is done while other questions wait for AWS."""
        if not self._launch.reservation.is_named:
            return ()
        return answer_of(
            "ec2:DescribeRegions", lambda: reservation.other_regions(self._ec2(), self._launch.region)
        )

    def _elsewhere(
        self,
        name: Answer[str | None],
        seen: Answer[tuple[Reservation, ...]],
        regions: Answer[tuple[str, ...]],
    ) -> Answer[Elsewhere | None]:
        """The search in other regions; only for a well-formed id that is not in the launch's region."""
        if isinstance(name, NoAnswer) or isinstance(seen, NoAnswer) or not name or not is_well_formed(name):
            return None
        if any(each.id == name for each in seen):
            return None
        if isinstance(regions, NoAnswer):
            return regions
        return reservation.elsewhere(lambda region: self._clients.ec2(region), regions, name)

    def _used_by(self, reservation_id: str | None) -> Answer[tuple[tuple[str, int], ...]]:
        if not reservation_id or not is_well_formed(reservation_id):
            return ()
        return answer_of(
            "ec2:GetCapacityReservationUsage",
            lambda: reservation.used_by(self._ec2(), reservation_id, self._clock.sleep),
        )

    def _health(self) -> Answer[tuple[BlockHealth, ...]]:
        if self._launch.market != "capacity-block" or not is_ultra_server(self._launch.instance_type):
            return ()
        return answer_of("ec2:DescribeCapacityBlockStatus", lambda: reservation.block_health(self._ec2()))

    def _network_nodes(self, ids: Sequence[Answer[str | None]]) -> Answer[Mapping[str, NetworkNodes]]:
        """Asked only where the environment has several reservations."""
        named = list(dict.fromkeys(name for one in ids if (name := known(one)) and is_well_formed(name)))
        if len(named) < 2:
            return {}
        return answer_of(
            "ec2:DescribeCapacityReservationTopology",
            lambda: reservation.network_nodes(self._ec2(), named, self._clock.sleep),
        )

    def _extension(self, block_id: str | None) -> Answer[Extension | None]:
        if self._launch.market != "capacity-block" or not block_id or not is_well_formed(block_id):
            return None
        return answer_of(
            "ec2:DescribeCapacityBlockExtensionHistory",
            lambda: newest(extensions_of(self._ec2(), [block_id], self._clock.sleep), block_id),
        )

    def _purchases(self, account: Answer[Account]) -> Answer[tuple[Entry, ...]]:
        if self._launch.market != "capacity-block" or isinstance(account, NoAnswer):
            return ()
        name = self._launch.reservation.target

        def ask() -> tuple[Entry, ...]:
            region = lock_region(account, self._environ)
            place = Place(account.id, own_endpoint(self._ec2().meta.endpoint_url))
            own = Journal(state_directory(self._environ) / "purchases", place, self._clock)
            ssm = self._clients.ssm(region)
            return open_entries(SharedJournal(ssm, region, name, self._clock.sleep), own, name)

        return answer_of("ssm:GetParametersByPath", ask)
