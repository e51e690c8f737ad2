"""What the local AWS holds in addition to moto's state: clock, faults, calls and the knobs that tests set.

moto creates its backends itself, without arguments, so they get this object from `world()`; a process has one.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from local_aws.authorization.policy import Document
from local_aws.clock import Clock
from local_aws.faults import CallLog, Faults
from local_aws.machines.fleet import Fleet
from local_aws.machines.host import Device, lacking

# What ends an instance without a call of its user: a shutdown by its operating system, a Spot reclaim, and an EBS key
# that may not be used or a full quota of volumes, which end it while it is pending.
Cause = Literal["shutdown", "spot", "volume-key", "volume-limit"]
# DescribeCapacityBlockStatus's words (botocore).
Interconnect = Literal["ok", "impaired", "insufficient-data"]


@dataclass(slots=True)
class CommandOutput:
    """What Run Command answers for one instance."""

    stdout: str = ""
    stderr: str = ""
    response_code: int = 0
    status: str = "Success"


@dataclass(frozen=True, slots=True)
class AskedLaunch:
    """What one RunInstances call requested, also if it was refused.

    request: the members of RunInstances by name, with the launch template's merged in, as EC2 merges them; without
             LaunchTemplate, MinCount, MaxCount, DryRun and ClientToken. User data is base64.
    """

    region: str
    dry_run: bool
    count: int
    request: dict[str, Any]


@dataclass(slots=True)
class World:
    """State that `/moto-api/reset` sets back together with moto's.

    payment:          how long a Capacity Block stays payment-pending (AWS: 5 minutes to 12 hours;
                      EC2 user guide, capacity-blocks-view).
    slot_return:      how long after a terminate or stop a reserved slot is free again
                      (EC2 user guide, capacity-blocks-launch: "some minutes").
    payment_fails:    the next purchases end in payment-failed.
    price_factor:     every fee is multiplied by it: a fee that changes between search and purchase.
    visible_after:    how many DescribeCapacityReservations calls do not show a new reservation yet.
    visible_delay:    how long on the clock a new reservation or block is not shown (beside visible_after).
    account_alias:    the account's alias in IAM; empty: none.
    offering_life:    how long after it was last shown an offering can be bought.
    image_generation: the public image parameters' `latest` resolves to another image for each number.
    interconnect:     what joins the instances of UltraServers is "ok", "impaired", or its state is not known.
    closed_zones:     zones that offer no instance type at the moment.
    command_outputs:  Run Command's answers by instance id; "*" is for every other instance.
    invocation_outputs: what machines printed, by command and instance id, once a command has ended.
    quotas:           Service Quotas values that differ from the defaults, by quota code.
    one_spot_p_quota: Service Quotas has one quota for every P on Spot, instead of P5's own.
    pending_seconds:  how long on this machine's clock a launched instance is pending.
    notices:          when EC2 takes Spot Instances back, by id, as it tells them in their metadata.
    endings:          instances, by id, that end before the next call of EC2 is answered, and why.
    launches: what every RunInstances call requested, in order.
    inferred: the inferred rows of docs/facts.md that answers depended on.
    policy:           what the caller may do; None: everything.
    permissions:      while a policy is set, each action that a request needed, in order.
    billed:           what Cost Explorer has in USD, by service.
    machines:         the machines that instances run on; None: there are none, and Run Command answers as told.
    machines_lack:    what those machines can't have on this machine, whatever their instances' type has.
    emptied: how often everything was reset: a call in progress at that time belongs to the old state.
    """

    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    calls: CallLog = field(default_factory=CallLog)
    payment: timedelta = timedelta(minutes=5)
    slot_return: timedelta = timedelta(minutes=5)
    payment_fails: bool = False
    price_factor: float = 1.0
    visible_after: int = 0
    visible_delay: timedelta = timedelta()
    account_alias: str = ""
    offering_life: timedelta = timedelta(hours=1)
    image_generation: int = 1
    interconnect: Interconnect = "ok"
    closed_zones: set[str] = field(default_factory=set)
    command_outputs: dict[str, CommandOutput] = field(default_factory=dict)
    invocation_outputs: dict[tuple[str, str], CommandOutput] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)
    one_spot_p_quota: bool = False
    pending_seconds: float = 0.0
    notices: dict[str, datetime] = field(default_factory=dict)
    endings: dict[str, Cause] = field(default_factory=dict)
    launches: list[AskedLaunch] = field(default_factory=list)
    inferred: set[str] = field(default_factory=set)
    policy: Document | None = None
    permissions: list[str] = field(default_factory=list)
    billed: dict[str, str] = field(default_factory=dict)
    machines: Fleet | None = None
    machines_lack: list[Device] = field(default_factory=lacking)
    emptied: int = 0


_world = World()


def world() -> World:
    """The state in force."""
    return _world


def reset() -> World:
    """Start again: real time, no faults, no calls, default knobs. References that callers hold stay valid."""
    fresh = World()
    for name in World.__slots__:
        if name not in ("clock", "faults", "calls", "emptied", "machines"):
            setattr(_world, name, getattr(fresh, name))
    _world.emptied += 1
    _world.clock.reset()
    _world.faults.clear()
    _world.calls.clear()
    return _world
