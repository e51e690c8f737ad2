"""The reservations of a rehearsal, created with the commands that a user will type."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from local_aws.control import Control
from nixl_efa.aws_errors import explain
from nixl_efa.capacity import shown
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.search import ORDERS
from nixl_efa.failure import Failure
from nixl_efa.files import state_directory
from nixl_efa.launch import Launch
from nixl_efa.rehearse.programs import Programs
from nixl_efa.rehearse.tools import Tools

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

Tell = Callable[[str], None]
HOURS = 24
# Each block ends at 11:30 UTC and is up to a day longer than requested: a block requested for two more days ends later.
HOURS_LATER = 48
AFTER_START = timedelta(minutes=5)
AFTER_END = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Block:
    """A Capacity Block that was bought. target: what the command line calls the reservation ("prod/2")."""

    target: str
    id: str
    zone: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Market:
    """Where a rehearsal gets its capacity: the commands, and the local AWS that answers them.

    types: of all nodes of the environment.
    """

    region: str
    tools: Tools
    programs: Programs
    control: Control
    tell: Tell
    ec2: EC2Client
    types: tuple[str, ...]

    def buy_blocks(self, wanted: Mapping[str, Launch]) -> list[Block]:
        """Search, buy and save a Capacity Block for each, all in one zone; the clock is moved until all are active.

        wanted: by what the command line calls the reservation. Each is bought for as many nodes as its launch has. The
        first one ends a day or more before the others.
        """
        lengths = {name: HOURS + HOURS_LATER * place for place, name in enumerate(wanted)}
        found = {name: self._search(one, lengths[name]) for name, one in wanted.items()}
        source = next(iter(wanted.values())).reservation
        zones = [source.zone] if source.zone else self._zones()
        chosen = choose(found, lengths, zones)
        blocks = [self._buy(name, offering) for name, offering in chosen.items()]
        self._wait(blocks)
        return blocks

    def buy_successor(self, ended: Block, launch: Launch) -> Block:
        """Search, buy and save the block that follows one that has ended, in its zone, and wait until it is active."""
        found = {ended.target: self._search(launch, HOURS)}
        chosen = choose(found, {ended.target: HOURS}, [ended.zone], soonest=True)
        block = self._buy(ended.target, chosen[ended.target])
        self._wait([block])
        return block

    def reserve(self, wanted: Mapping[str, Launch], zone: str) -> None:
        """Create and save an On-Demand Capacity Reservation for each, all in `zone`; empty: one that has the types."""
        zone = zone or self._zones()[0]
        for name, one in wanted.items():
            self.tell(
                f"$ aws ec2 create-capacity-reservation --instance-type {one.instance_type} "
                f"--instance-count {one.count} --availability-zone {zone} --instance-platform Linux/UNIX "
                f"--region {self.region}"
            )
            try:
                created = self.ec2.create_capacity_reservation(
                    InstanceType=one.instance_type,
                    InstanceCount=one.count,
                    AvailabilityZone=zone,
                    InstancePlatform="Linux/UNIX",
                )
            except Exception as error:
                raise Failure(f"no reservation for {name}: {explain(error)}") from error
            self._capacity("save", created["CapacityReservation"]["CapacityReservationId"], "--env", name)

    def end_of(self, block: Block) -> None:
        """Move the clock past a block's end: EC2 has then terminated the instances in it."""
        self._move_clock(block.end + AFTER_END, f"the end of {block.id}")

    def _search(self, launch: Launch, hours: int) -> list[Offering]:
        """What the search has shown, the cheapest first: what is bought then has an id that was seen."""
        self._capacity("search", launch.instance_type, str(launch.count), str(hours))
        return sorted(shown.latest(shown.path_in(state_directory(self.programs.environ))), key=ORDERS["fee"])

    def _buy(self, target: str, offering: Offering) -> Block:
        buy = ["buy", offering.id, "--env", target, "--yes", "--max-fee", str(offering.fee)]
        buy += ["--region", self.region]
        self.tell(f"$ nixl-efa capacity {' '.join(buy)}")
        bought = json.loads(self.programs.read([*self.tools.nixl_efa, "capacity", *buy, "--json"]))
        [reservation] = bought["reservation_ids"]
        return Block(target, reservation, offering.zone, offering.start, offering.end)

    def _wait(self, blocks: Sequence[Block]) -> None:
        self._capacity("list")
        last = max(blocks, key=lambda block: block.start)
        self._move_clock(last.start + AFTER_START, f"the start of {last.id}")
        for block in blocks:
            self._capacity("wait", block.id, "--for", "active", "--timeout", "1m")

    def _move_clock(self, moment: datetime, after: str) -> None:
        self.tell(
            f"The clock of the local AWS is moved to {moment:%Y-%m-%d %H:%M} UTC, five minutes after {after}."
        )
        self.control.clock.set(moment)
        self.control.clock.run(1.0)

    def _capacity(self, *arguments: str) -> None:
        command = ["capacity", *arguments, "--region", self.region]
        self.tell(f"$ nixl-efa {' '.join(command)}")
        self.programs.show([*self.tools.nixl_efa, *command])

    def _zones(self) -> list[str]:
        """Those that have every type of the environment, in order. Failure without one."""
        answer = self.ec2.describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": list(self.types)}],
        )
        found: dict[str, set[str]] = {}
        for one in answer["InstanceTypeOfferings"]:
            found.setdefault(one["Location"], set()).add(one["InstanceType"])
        zones = sorted(zone for zone, types in found.items() if types == set(self.types))
        if not zones:
            raise Failure(
                f"no zone of {self.region} has {' and '.join(self.types)}, and EFA does not cross zones. "
                "Set another region"
            )
        return zones


def choose(
    found: Mapping[str, Sequence[Offering]],
    lengths: Mapping[str, int],
    zones: Collection[str],
    *,
    soonest: bool = False,
) -> dict[str, Offering]:
    """An offering for each reservation, of one zone, which lasts for the hours asked for; AWS offers shorter ones too.

    found: a search's offerings, the best first; one alone takes the first. Several take those that start soonest, so
    that all are active before one ends; so does one that is to be soonest. zones: which are meant.
    """
    fit = {
        name: [
            one
            for one in offerings
            if not one.unusable and one.length >= timedelta(hours=lengths[name]) and one.zone in zones
        ]
        for name, offerings in found.items()
    }
    common = set.intersection(*({one.zone for one in offerings} for offerings in fit.values()))
    if not common:
        raise Failure(
            f"the local AWS offers no Capacity Block for {', '.join(f'{name} ({lengths[name]} h)' for name in fit)} "
            f"in {' or '.join(zones)}: it sells them, as AWS does, in some regions only. "
            "Set another region (docs/local-aws.md)."
        )
    if len(fit) == 1 and not soonest:
        return {name: offerings[0] for name, offerings in fit.items()}
    chosen = min(common)
    return {
        name: min((one for one in offerings if one.zone == chosen), key=lambda one: one.start)
        for name, offerings in fit.items()
    }
