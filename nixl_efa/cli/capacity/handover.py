"""`nixl-efa capacity save` and `load`: a reservation and the environment that launches into it."""

from __future__ import annotations

import typer

from nixl_efa.cli.capacity.options import AsJson, Environment, Profile, Region, Replace, ReservationId
from nixl_efa.cli.capacity.tools import locate, settings_of, tools
from nixl_efa.cli.output import Failure, both_times, data, print_json, say


def save(
    reservation_id: ReservationId,
    environment: Environment = "prod",
    replace: Replace = False,
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Write a reservation's id and zone to Parameter Store, where the environment's stack reads them.

    Asks before another value is replaced, and never overwrites what somebody else wrote in between.
    """
    from nixl_efa.cli.capacity.saving import asks, save_reservation

    kit = tools(profile, _region(region, environment))
    found = locate(kit, reservation_id)
    if found.is_dead:
        raise Failure(f"{found.id} is {found.state}: nothing can be launched into it, so it was not saved")
    names = save_reservation(kit, found.region, environment, found.id, found.zone, asks(replace=replace))
    if as_json:
        print_json(
            "capacity-save",
            {
                "environment": environment,
                "region": found.region,
                "reservation_id": found.id,
                "availability_zone": found.zone,
                "parameters": names,
            },
        )


def load(
    environment: Environment = "prod",
    region: Region = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Print the reservation that is stored for an environment, and whether it still fits.

    Exits with 1 when a launch into it would fail for good.
    """
    from nixl_efa.capacity import handover, parameters
    from nixl_efa.capacity.reservations import find_reservation
    from nixl_efa.cli.capacity import forms
    from nixl_efa.findings import failures, worst_first

    kit = tools(profile, _region(region, environment))
    where = kit.region()
    settings = settings_of(environment)
    ssm = kit.clients.ssm(where)
    id_name = (settings and settings.capacity_reservation_parameter) or parameters.id_name(environment)
    zone_name = (settings and settings.availability_zone_parameter) or parameters.zone_name(environment)
    stored_id, stored_zone = parameters.read(ssm, id_name).value, parameters.read(ssm, zone_name).value
    found = None
    if stored_id.startswith("cr-"):
        found = find_reservation(kit.clients.ec2(where), where, stored_id, kit.clock.sleep)
    now = kit.clock.now()
    findings = worst_first(handover.fit(stored_id, stored_zone, found, settings, now))
    if as_json:
        print_json(
            "capacity-load",
            {
                "environment": environment,
                "region": where,
                "reservation_id": stored_id or None,
                "availability_zone": stored_zone or None,
                "parameters": [zone_name, id_name],
                "fits": not failures(findings),
                "findings": [
                    {"level": one.level.value, "message": one.message, "remedy": one.remedy}
                    for one in findings
                ],
                "reservation": forms.reservation_form(found, (environment,), now) if found else None,
            },
        )
    else:
        data(f"{id_name:<40} {stored_id or '-'}")
        data(f"{zone_name:<40} {stored_zone or '-'}")
        if found is not None and found.end is not None:
            data(f"{'ends':<40} {both_times(found.end)}")
        for finding in findings:
            say(f"{finding.level.value}: {finding.line()}")
    if failures(findings):
        raise typer.Exit(1)


def _region(given: str | None, environment: str) -> str | None:
    """The region given, else the environment's own: its parameters are read there."""
    settings = settings_of(environment)
    return given or (settings.region if settings else None)
