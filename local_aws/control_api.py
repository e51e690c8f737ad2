"""The control API of the local AWS: clock, faults, calls and knobs over HTTP, under /nixl-efa-api/.

A request is read and checked completely before anything is changed: a wrong request changes nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from local_aws.authorization.policy import read as read_policy
from local_aws.clock import SPEED_LIMIT
from local_aws.faults import LONGEST_DELAY, Fault
from local_aws.machines.host import Device
from local_aws.quotas import QUOTAS
from local_aws.world import Cause, CommandOutput, Interconnect, world

PREFIX = "/nixl-efa-api/"

_YEAR = 366 * 24 * 3600
_Minutes = Annotated[float, Field(ge=0, le=_YEAR / 60)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Clock(_Body):
    now: datetime | None = None
    advance_seconds: float = Field(default=0, ge=-_YEAR, le=_YEAR)
    speed: float | None = Field(default=None, ge=0, le=SPEED_LIMIT)


_FAULT_TYPES = get_type_hints(Fault)
_FAULT_MEMBERS: dict[str, Any] = {one.name: (_FAULT_TYPES[one.name], one.default) for one in fields(Fault)}
_Fault = create_model("_Fault", __base__=_Body, **_FAULT_MEMBERS)


class _Settings(_Body):
    payment_minutes: _Minutes = 0
    slot_return_minutes: _Minutes = 0
    offering_life_minutes: _Minutes = 0
    payment_fails: bool = False
    price_factor: float = Field(default=1, ge=0, le=1000)
    visible_after: int = Field(default=0, ge=0)
    visible_delay_minutes: _Minutes = 0
    account_alias: str = Field(default="", pattern=r"^([a-z0-9](-?[a-z0-9]){2,62})?$")
    image_generation: int = 1
    one_spot_p_quota: bool = False
    pending_seconds: float = Field(default=0, ge=0, le=LONGEST_DELAY)
    interconnect: Interconnect = "ok"
    machines_lack: list[Device] = []
    quotas: dict[Literal[*QUOTAS], Annotated[float, Field(ge=0)]] = {}  # type: ignore[valid-type]


class _Command(_Body):
    instance_id: str = "*"
    stdout: str = ""
    stderr: str = ""
    response_code: int = 0
    status: Literal["Success", "Failed", "TimedOut", "Cancelled", "InProgress", "Pending", "Delayed"] = (
        "Success"
    )


class _Ending(_Body):
    instance_id: str = Field(pattern=r"^i-[0-9a-f]{8,17}$")
    cause: Cause


class _Notice(_Body):
    instance_id: str = Field(pattern=r"^i-[0-9a-f]{8,17}$")
    # EC2 user guide, spot-instance-termination-notices: two minutes.
    seconds: float = Field(default=120, ge=0, le=_YEAR)


T = TypeVar("T", bound=_Body)


def handle(method: str, path: str, body: bytes) -> tuple[int, str]:
    """Carry out one request: the HTTP status and a JSON document."""
    resource = _RESOURCES.get(path.strip("/"))
    if resource is None:
        return 404, json.dumps({"error": f"unknown: {path}; there are {', '.join(sorted(_RESOURCES))}"})
    read, write, clear = resource
    try:
        if method == "POST":
            write(body or b"{}")
        elif method == "DELETE":
            clear()
        elif method != "GET":
            return 405, json.dumps({"error": f"{method} is not one of GET, POST, DELETE"})
    except ValidationError as error:
        return 400, json.dumps({"error": _words(error)})
    except ValueError as error:
        return 400, json.dumps({"error": str(error)})
    return 200, json.dumps(read(), default=str)


def _words(error: ValidationError) -> str:
    """What is wrong with a body, in one line."""
    faults = []
    for fault in error.errors(include_url=False):
        name = ".".join(map(str, fault["loc"]))
        faults.append(f"{name}: {fault['msg']}, not {fault['input']!r}" if name else fault["msg"])
    return "; ".join(faults)


def _read_body(kind: type[T], body: bytes) -> T:
    """The body as `kind`; ValueError if it does not have this form."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        unknown = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "extra_forbidden"]
        if not unknown:
            raise
        there = ", ".join(sorted(kind.model_fields))
        raise ValueError(f"unknown: {', '.join(unknown)}; there are {there}") from error


def _read_clock() -> Mapping[str, Any]:
    clock = world().clock
    return {"now": clock.now().isoformat(), "speed": clock.speed}


def _write_clock(body: bytes) -> None:
    given = _read_body(_Clock, body)
    clock = world().clock
    if given.now is not None:
        clock.set(given.now)
    if given.advance_seconds:
        clock.advance(timedelta(seconds=given.advance_seconds))
    if given.speed is not None:
        clock.run(given.speed)


def _read_faults() -> Mapping[str, Any]:
    return {"faults": [{**asdict(fault), "times": times} for fault, times in world().faults.pending()]}


def _write_faults(body: bytes) -> None:
    world().faults.add(**_read_body(_Fault, body).model_dump())


def _read_calls() -> Mapping[str, Any]:
    return {"calls": [asdict(call) for call in world().calls.all()]}


def _read_launches() -> Mapping[str, Any]:
    return {"launches": [asdict(launch) for launch in list(world().launches)]}


def _read_inferred() -> Mapping[str, Any]:
    return {"inferred": sorted(world().inferred)}


def _no_write(_body: bytes) -> None:
    raise ValueError("this can be read and cleared, not written")


_MINUTES = {
    "payment_minutes": "payment",
    "slot_return_minutes": "slot_return",
    "offering_life_minutes": "offering_life",
    "visible_delay_minutes": "visible_delay",
}
_PLAIN = (
    "payment_fails",
    "price_factor",
    "visible_after",
    "account_alias",
    "image_generation",
    "one_spot_p_quota",
    "pending_seconds",
    "interconnect",
    "machines_lack",
)


def _read_settings() -> Mapping[str, Any]:
    state = world()
    minutes = {name: getattr(state, field).total_seconds() / 60 for name, field in _MINUTES.items()}
    plain = {name: getattr(state, name) for name in _PLAIN}
    return {**minutes, **plain, "quotas": dict(state.quotas)}


def _write_settings(body: bytes) -> None:
    state = world()
    for name, value in _read_body(_Settings, body).model_dump(exclude_unset=True).items():
        if name in _MINUTES:
            setattr(state, _MINUTES[name], timedelta(minutes=value))
        elif name == "quotas":
            state.quotas.update(value)
        else:
            setattr(state, name, value)


def _read_commands() -> Mapping[str, Any]:
    return {instance: asdict(output) for instance, output in dict(world().command_outputs).items()}


def _write_commands(body: bytes) -> None:
    given = _read_body(_Command, body).model_dump()
    instance = given.pop("instance_id")
    world().command_outputs[instance] = CommandOutput(**given)


def _read_endings() -> Mapping[str, Any]:
    return {"endings": dict(world().endings)}


def _write_endings(body: bytes) -> None:
    given = _read_body(_Ending, body)
    world().endings[given.instance_id] = given.cause


def _read_notices() -> Mapping[str, Any]:
    return {"notices": {instance: moment.isoformat() for instance, moment in world().notices.items()}}


def _write_notices(body: bytes) -> None:
    given = _read_body(_Notice, body)
    world().notices[given.instance_id] = world().clock.now() + timedelta(seconds=given.seconds)


def _read_machines() -> Mapping[str, Any]:
    fleet = world().machines
    return {"machines": {} if fleet is None else fleet.describe()}


def _read_policy() -> Mapping[str, Any]:
    return {"policy": world().policy, "permissions": list(world().permissions)}


def _write_policy(body: bytes) -> None:
    world().policy = read_policy(json.loads(body))
    world().permissions.clear()


def _clear_policy() -> None:
    world().policy = None
    world().permissions.clear()


def _nothing() -> None:
    raise ValueError("there is nothing to clear here")


_Resource = tuple[Callable[[], Mapping[str, Any]], Callable[[bytes], None], Callable[[], None]]
_RESOURCES: dict[str, _Resource] = {
    "clock": (_read_clock, _write_clock, lambda: world().clock.reset()),
    "faults": (_read_faults, _write_faults, lambda: world().faults.clear()),
    "calls": (_read_calls, _no_write, lambda: world().calls.clear()),
    "launches": (_read_launches, _no_write, lambda: world().launches.clear()),
    "inferred": (_read_inferred, _no_write, lambda: world().inferred.clear()),
    "policy": (_read_policy, _write_policy, _clear_policy),
    "machines": (_read_machines, _no_write, _nothing),
    "settings": (_read_settings, _write_settings, _nothing),
    "endings": (_read_endings, _write_endings, lambda: world().endings.clear()),
    "notices": (_read_notices, _write_notices, lambda: world().notices.clear()),
    "commands": (_read_commands, _write_commands, lambda: world().command_outputs.clear()),
}
