"""`nixl-efa capacity fill`: which node goes into which reservation, where the entries of `capacity` leave it open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli.capacity.session import AsJson, Profile, Session, session
from nixl_efa.cli.output import BadInput, both_times, data, print_json, say
from nixl_efa.cli.project import environments

if TYPE_CHECKING:
    from nixl_efa.capacity.entries import Filled, Shares
    from nixl_efa.settings import Settings


def fill(
    environment: Annotated[str, typer.Argument(metavar="ENV", autocompletion=environments)],
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Distribute an environment's nodes over its reservations.

    For entries of `capacity` that don't say which nodes they take. The reservation that ends first is filled first. A
    node stays in its reservation until that ends. Writes environments/ENV.capacity.json: keep this file under version
    control.
    """
    run = session(profile)
    settings = unfilled_settings(environment, run)
    if settings is None:
        raise BadInput(
            f"{environment}: there are no entries of capacity that leave open which nodes they take (docs/settings.md)"
        )
    entries = filled(settings, run)
    if as_json:
        rows = [
            {"reservation_id": found.id if (found := one.room.reservation) else None, **one.shares}
            for one in entries
        ]
        print_json("capacity-fill", {"environment": environment, "entries": rows})
        return
    for number, one in enumerate(entries, 1):
        found = one.room.reservation
        end = f"until {both_times(found.end)}" if found is not None and found.end else "no end"
        data(f"{number}  {found.id if found else '-':<20}  {end:<26}  {', '.join(_names(one.shares)) or '-'}")


def unfilled_settings(environment: str, run: Session) -> Settings | None:
    """The environment's settings without what was filled in; None where its entries of capacity say themselves which
    nodes they take, or there are none."""
    from nixl_efa.cli.environments import environment_settings

    settings = environment_settings(environment, run.environ, run.project, run.profile, filled=False)
    return settings if settings.is_unfilled else None


def filled(settings: Settings, run: Session) -> list[Filled]:
    """Fills the entries of these settings, which leave it open."""
    from nixl_efa.capacity.entries import fill_entries
    from nixl_efa.capacity.targets import targets
    from nixl_efa.launch import launch_of

    acting = {
        name: (launch, (own := run.acting_for(launch)).buyer(launch.region), own.node_names(launch))
        for name, launch in targets(launch_of(settings, profile=run.profile)).items()
    }
    return fill_entries(settings, acting, run.project / "environments", say)


def _names(shares: Shares) -> list[str]:
    from nixl_efa.node_names import node_of
    from nixl_efa.settings.parts import COUNTS

    return [node_of("", role, number).name for role, setting in COUNTS.items() for number in shares[setting]]
