"""What AWS has of an environment that another engine is to be told: the reservations by their ids, and the subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixl_efa.aws_calls import Sleep
from nixl_efa.capacity.judge import id_finding, judge
from nixl_efa.capacity.reservation import Reservation, find_reservation
from nixl_efa.checks.facts import Subnet
from nixl_efa.checks.gather import launch as named
from nixl_efa.checks.gather import network
from nixl_efa.clock import Clock
from nixl_efa.export.engines import Found
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, failures
from nixl_efa.launch import Launch

if TYPE_CHECKING:
    from nixl_efa.aws import Clients


def find(requests: tuple[Launch, ...], clients: Clients, clock: Clock) -> list[Found]:
    """Each request with its reservation and subnet. Failure when none names a reservation, when one is not there or
    does not fit, or when no subnet is in its zone."""
    whole = requests[0]
    if not any(one.reservation.is_named for one in requests):
        raise Failure(
            f"{whole.environment} names no reservation, and there is nothing else to export: "
            "set capacity_reservation_id, or capacity_reservation_parameter to the parameter that holds it."
        )
    reservations = [_reservation(one, clients, clock.sleep) for one in requests]
    stored = _zone(whole, clients)
    subnet = _subnet(whole, clients, stored or next(one.zone for one in reservations if one is not None))
    found = [Found(one, subnet, each) for one, each in zip(requests, reservations, strict=True)]
    for one in found:
        if faults := _faults(one, stored, clock):
            raise Failure(f"{one.request.reservation.target}: {faults[0].line()}")
    return found


def _faults(one: Found, stored: str, clock: Clock) -> list[Finding]:
    if one.reservation is None:
        return []
    subnet = one.subnet
    judged = judge(
        one.reservation,
        one.request,
        clock.now(),
        zone=stored,
        subnet_id=subnet.id,
        subnet_zone=subnet.zone,
    )
    return failures(judged)


def _reservation(request: Launch, clients: Clients, sleep: Sleep) -> Reservation | None:
    source = request.reservation
    if not source.is_named:
        return None
    name = source.id or named.parameter(clients.ssm(source.region), source.id_parameter) or ""
    if fault := id_finding(request, name):
        raise Failure(f"{source.target}: {fault.line()}")
    found = find_reservation(clients.ec2(source.region), source.region, name, sleep)
    if found is None:
        raise Failure(
            f"there is no reservation {name} in {source.region}, which {source.target} names. "
            "`nixl-efa capacity list --region all` shows those of this account."
        )
    return found


def _zone(request: Launch, clients: Clients) -> str:
    """The zone that the settings name or that is stored beside the reservation's id; empty for none."""
    source = request.reservation
    if source.zone or not source.reads_zone:
        return source.zone
    return named.parameter(clients.ssm(source.region), source.zone_parameter) or ""


def _subnet(request: Launch, clients: Clients, zone: str) -> Subnet:
    """The one that the stack's plan chooses for all nodes on its first deployment."""
    ec2 = clients.ec2(request.region)
    chosen = network.choose_subnet(
        request, network.subnets(ec2, request.subnet_id, request.vpc_id), zone, offered=None
    )
    if chosen is None and request.subnet_id:
        raise Failure(f"{request.subnet_id} (subnet_id) is not in {request.region}.")
    if chosen is None:
        raise Failure(
            f"{request.vpc_id or 'the default VPC'} has no subnet in {zone}: set vpc_id or subnet_id."
        )
    return chosen
