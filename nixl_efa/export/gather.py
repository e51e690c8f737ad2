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
from nixl_efa.findings import failures
from nixl_efa.launch import Launch

if TYPE_CHECKING:
    from nixl_efa.aws import Clients


def find(requests: tuple[Launch, ...], clients: Clients, clock: Clock) -> list[Found]:
    """Each request with its reservation and subnet. Failure when none names a reservation, when one is not there or
    does not fit, or when no subnet is in its zone."""
    whole = requests[0]
    if not any(one.reservation.is_named for one in requests):
        raise Failure(
            f"{whole.environment} names no reservation, and nothing else in it is worth handing over: "
            "set capacity_reservation_id, or capacity_reservation_parameter to the parameter that holds it."
        )
    return [_of(one, clients, clock) for one in requests]


def _of(request: Launch, clients: Clients, clock: Clock) -> Found:
    reservation = _reservation(request, clients, clock.sleep)
    zone = _zone(request, clients)
    subnet = _subnet(request, clients, zone or (reservation.zone if reservation is not None else ""))
    if reservation is not None:
        judged = judge(
            reservation,
            request,
            clock.now(),
            zone=zone,
            subnet_id=subnet.id,
            subnet_zone=subnet.zone,
        )
        if faults := failures(judged):
            raise Failure(f"{request.environment}: {faults[0].line()}")
    return Found(request, subnet, reservation)


def _reservation(request: Launch, clients: Clients, sleep: Sleep) -> Reservation | None:
    source = request.reservation
    if not source.is_named:
        return None
    name = source.id or named.parameter(clients.ssm(source.region), source.id_parameter) or ""
    if fault := id_finding(request, name):
        raise Failure(f"{request.environment}: {fault.line()}")
    found = find_reservation(clients.ec2(source.region), source.region, name, sleep)
    if found is None:
        raise Failure(
            f"there is no reservation {name} in {source.region}, which {request.environment} names. "
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
    """The one that the stack's plan chooses on its first deployment. zone: empty for any that offers the type."""
    ec2 = clients.ec2(request.region)
    offered = None if zone else named.offered_zones(ec2, request.instance_type)
    seen = network.subnets(ec2, request.subnet_id, request.vpc_id)
    chosen = network.choose_subnet(request, seen, zone, offered)
    if chosen is None:
        if request.subnet_id:
            raise Failure(f"{request.subnet_id} (subnet_id) is not in {request.region}.")
        where, wanted = (
            request.vpc_id or "the default VPC",
            zone or f"a zone that offers {request.instance_type}",
        )
        raise Failure(f"{where} has no subnet in {wanted}: set vpc_id or subnet_id.")
    return chosen
