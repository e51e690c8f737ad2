"""Which environment uses which reservation: by its settings, and by what Parameter Store holds for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nixl_efa.capacity.parameters import DEFAULT_ENVIRONMENT, LEGACY_ID_NAME

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from nixl_efa.settings import Settings

ROOT = "/nixl-efa"
_ID_NAME = re.compile(r"/nixl-efa/([^/]+)/capacity-reservation-id")


def stored_parameters(ssm: SSMClient) -> dict[str, str]:
    """Every parameter below /nixl-efa of a region, by name."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=ROOT, Recursive=True)
    return {parameter["Name"]: parameter["Value"] for page in pages for parameter in page["Parameters"]}


def environments_by_reservation(
    parameters: Mapping[str, str], region: str, settings: Sequence[Settings]
) -> dict[str, tuple[str, ...]]:
    """The names of the environments that use each reservation of a region, by the reservation's id.

    An environment that has settings uses what they name, directly or by a parameter; of one without settings,
    the parameter of its name tells.
    """
    users: dict[str, set[str]] = {}
    for environment in settings:
        if environment.region != region:
            continue
        name = environment.capacity_reservation_parameter
        reservation_id = environment.capacity_reservation_id or parameters.get(name or "", "")
        users.setdefault(reservation_id, set()).add(environment.name)
    known = {environment.name for environment in settings}
    for name, value in parameters.items():
        match = _ID_NAME.fullmatch(name)
        owner = match[1] if match else DEFAULT_ENVIRONMENT if name == LEGACY_ID_NAME else ""
        if owner and owner not in known:
            users.setdefault(value, set()).add(owner)
    users.pop("", None)
    return {reservation_id: tuple(sorted(names)) for reservation_id, names in users.items()}
