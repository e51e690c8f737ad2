"""Rules for the table `service`. What may be served is judged as for `nixl-efa serve start`."""

import re
from collections.abc import Iterator

from nixl_efa import instance_types
from nixl_efa.findings import Finding
from nixl_efa.service.asked import faults
from nixl_efa.service.engine import unfit
from nixl_efa.service.engines import ENGINES
from nixl_efa.settings.rule import Facts, Rule, rule
from nixl_efa.settings.service import named
from nixl_efa.settings.source import given, within

# EC2 gives user data 16 KiB (nixl_efa.bootstrap), of which the rest is for the other files.
MOST_AT_BOOT = 1000


def _asked(facts: Facts) -> Iterator[Finding]:
    if facts.settings.service is None:
        return
    for one in faults(facts.settings.service.asked):
        yield facts.fault(
            "service",
            " ".join(filter(None, (named(facts.source("service"), one.member), one.value, one.says))),
        )


def _at_boot(facts: Facts) -> Iterator[Finding]:
    service = facts.settings.service
    if service is not None and service.start_at_boot and not facts.settings.install_nixl:
        source = within(facts.source("service"), ".start_at_boot")
        yield facts.fault(
            "service",
            f"{given('service.start_at_boot', True, source)} and {facts.shown('install_nixl')} exclude each other: the "
            "engine is installed beside NIXL.",
            f"Change one of them, or {facts.set_to('install_nixl', 'true')}.",
        )


def _name(facts: Facts) -> Iterator[Finding]:
    """A script of the boot writes the model's place into the engine's unit."""
    service = facts.settings.service
    if service is None or not service.start_at_boot:
        return
    if odd := "".join(dict.fromkeys(re.findall(r"[^\w./:+=@-]", service.model or "", re.ASCII))):
        source = within(facts.source("service"), ".start_at_boot")
        yield facts.fault(
            "service",
            f"{given('service.start_at_boot', True, source)}: the model's name {service.model!r} has {odd!r}, which a "
            "node can't take at its boot.",
            "Give the model's folder a name of letters, digits and ._-+=@/, or leave start_at_boot out.",
        )


def _length(facts: Facts) -> Iterator[Finding]:
    service = facts.settings.service
    if service is None or not service.start_at_boot:
        return
    flags = (*service.flags, *service.producer_flags, *service.consumer_flags)
    # As they are in the user data: beyond ASCII, service.json has them escaped.
    length = sum(len(one.encode("ascii", "backslashreplace")) for one in (service.model, *flags))
    if length > MOST_AT_BOOT:
        source = within(facts.source("service"), ".start_at_boot")
        yield facts.fault(
            "service",
            f"{given('service.start_at_boot', True, source)}: model and flags have {length} characters, and the nodes' "
            f"user data has room for {MOST_AT_BOOT}.",
            "Put long values into a file on the nodes that a flag names, or leave start_at_boot out.",
        )


def _accelerators(facts: Facts) -> Iterator[Finding]:
    known = instance_types.find(facts.settings.instance_type)
    if (service := facts.settings.service) is None or known is None or service.engine not in ENGINES:
        return
    if why := unfit(ENGINES[service.engine], known.name, known.accelerator_kind):
        yield facts.fault(
            "service",
            f"service ({facts.source('service').label}) and {facts.shown('instance_type')} exclude each other: {why}",
            "Take a type with NVIDIA GPUs, or leave service out.",
        )


SERVICE_RULES: tuple[Rule, ...] = (
    rule(_asked, "service"),
    rule(_at_boot, "service", "install_nixl"),
    rule(_name, "service"),
    rule(_length, "service"),
)

# Applied to each part of an environment.
SERVICE_PART_RULES: tuple[Rule, ...] = (rule(_accelerators, "service", "instance_type"),)
