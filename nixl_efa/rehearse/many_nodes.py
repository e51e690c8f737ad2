"""Decides the steps of a rehearsal with several nodes: the settings, and whether a deployment did exactly what its step
is for. Pure."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nixl_efa.capacity.targets import targets
from nixl_efa.checks.quota_codes import ELASTIC_IPS, vcpu_quotas
from nixl_efa.launch import Launch, launch_of
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable
from nixl_efa.settings.parts import CONSUMER, ROLES
from nixl_efa.settings.values import MAX_NODES

# The shared resource that changes with the nodes: the list of members.
_MEMBERS = "aws_s3_object.members"
_NODE = "aws_instance."
# The words of Terraform's apply, by what happened to the resource.
_DONE = re.compile(r"(\S+): (Creation|Modifications|Destruction) complete after")


@dataclass(frozen=True, slots=True)
class Changes:
    """What an apply did, by the address of each resource."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    destroyed: tuple[str, ...]

    def __str__(self) -> str:
        """How many nodes, then how many resources in all."""
        every = (self.added, self.changed, self.destroyed)
        nodes = [sum(one.startswith(_NODE) for one in found) for found in every]
        return f"nodes: {_counts(nodes)}; of all resources {_counts([len(found) for found in every])}"


def _counts(found: list[int]) -> str:
    return ", ".join(f"{count} {word}" for count, word in zip(found, _WORDS, strict=True))


_WORDS = ("added", "changed", "destroyed")


def changes_of(lines: Iterable[str]) -> Changes:
    """What Terraform's apply says that it did."""
    found: dict[str, list[str]] = {"Creation": [], "Modifications": [], "Destruction": []}
    for line in lines:
        if done := _DONE.match(line.strip()):
            found[done[2]].append(done[1])
    return Changes(*(tuple(sorted(one)) for one in found.values()))


def faults(changes: Changes, built: Collection[str]) -> list[str]:
    """What an apply did beyond building the nodes `built`, or left out, in words.

    Nothing of the other nodes may be changed or destroyed; of the shared resources, only the list of members may
    change.
    """
    wanted = {f"{_NODE}{_in_terraform(name)}" for name in built}
    nodes = {one for one in changes.added if one.startswith(_NODE)}
    found = [f"{one} was not built" for one in sorted(wanted - nodes)]
    found += [f"{one} was built" for one in sorted(nodes - wanted)]
    found += [f"{one} was destroyed" for one in changes.destroyed if not _is_of(one, built)]
    found += [f"{one} was changed" for one in changes.changed if one != _MEMBERS and not _is_of(one, built)]
    return found


def _is_of(address: str, names: Collection[str]) -> bool:
    """Whether a resource belongs to one of the nodes by its address."""
    own = address.rpartition(".")[2].removeprefix("launch_")
    return own in {_in_terraform(name) for name in names}


def _in_terraform(name: str) -> str:
    return name.replace("-", "_")


def with_parameters(settings: Settings) -> Settings:
    """The settings by which the rehearsal finds the reservations that `buy` and `save` write.

    A reservation that is named by its id is one of the real account: it is read from the parameter that these commands
    write by default. So is a block for which nothing is named.
    """
    changed: dict[str, Any] = {}
    for request in launch_of(settings).requests:
        source = request.reservation
        if source.reads_id or not (source.id or request.market == "capacity-block"):
            continue
        named = {"capacity_reservation_id": None, "capacity_reservation_parameter": source.id_parameter}
        own = request.role if source.part in ROLES else ""
        if settings.capacity and source.part not in ROLES:
            entries = list(changed.get("capacity", settings.capacity))
            place = int(source.part or 1) - 1
            entries[place] = entries[place].model_copy(update=named)
            changed["capacity"] = tuple(entries)
        elif own:
            changed[own] = getattr(settings, own).model_copy(update=named)
        else:
            changed |= named
        changed |= {"availability_zone": None, "availability_zone_parameter": source.zone_parameter}
    return settings.model_copy(update=changed)


def with_one_more(settings: Settings) -> Settings:
    """With one more consumer, in the last entry of `capacity` that has consumers; as it is where no more may be."""
    if settings.producers + settings.consumers >= MAX_NODES:
        return settings
    number = settings.consumers + 1
    entries = list(settings.capacity)
    for place in reversed(range(len(entries))):
        share = entries[place].share(CONSUMER)
        if share:
            more = share + 1 if isinstance(share, int) else (*share, number)
            entries[place] = entries[place].model_copy(update={"consumers": more})
            break
    return settings.model_copy(update={"consumers": number, "capacity": tuple(entries)})


def variables(settings: Settings, changed: Settings) -> dict[str, str]:
    """The variables that make an environment's settings the changed ones."""
    found = {}
    for name in type(settings).model_fields:
        value = getattr(changed, name)
        if value is not None and value != getattr(settings, name):
            found[variable(name, settings.name)] = (
                value if isinstance(value, str) else json.dumps(_plain(value))
            )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, BaseModel):
        return value
    # An entry that takes 0 nodes says so.
    return {name: one for name, one in value.model_dump(exclude_unset=True).items() if one is not None}


def reserved(launch: Launch) -> dict[str, Launch]:
    """The launch into each reservation, by its name on the command line; empty if no node has one."""
    return {
        name: one
        for name, one in targets(launch).items()
        if one.reservation.is_named or one.market == "capacity-block"
    }


def has_several(launch: Launch) -> bool:
    """Whether there is more to rehearse than a pair in one reservation."""
    return launch.count > 2 or len(reserved(launch)) > 1


def quotas(launch: Launch) -> dict[str, int]:
    """What the nodes take of each quota, by its code: vCPUs, and addresses."""
    found = {ELASTIC_IPS: launch.count} if launch.elastic_ip else {}
    for one in launch.requests:
        for code in vcpu_quotas(one.instance_type, one.market):
            vcpus = one.type_facts.vcpu if one.type_facts else 0
            found[code] = found.get(code, 0) + one.count * vcpus
    return found
