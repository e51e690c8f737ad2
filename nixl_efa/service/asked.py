"""What may be asked to be served, on the command line and in the settings. Pure; the settings read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nixl_efa.failure import BadInput
from nixl_efa.service.engines import DEFAULT, ENGINES, engine_of
from nixl_efa.service.model import FLAGS, Service

# How messages name what the command line gives; flags are named by themselves.
OPTIONS: Mapping[str, str] = {
    "engine": "--engine",
    "model": "--model",
    "version": "--engine-version",
    "flags": "",
    "producer_flags": "--producer-flags:",
    "consumer_flags": "--consumer-flags:",
}
_NAME = r"[a-zA-Z0-9_][\w.-]*"
_MODEL = re.compile(rf"s3://[^/\s]+/\S+|/\S+|{_NAME}(/{_NAME})?")
# As a package names its own: the normal form (PEP 440) with three numbers, or four. pip takes other spellings for the
# same, but a node would not find them among what is installed, and install at each start.
_NUMBER = "(0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(\.[1-9][0-9]*)?((a|b|rc){_NUMBER})?(\.post{_NUMBER})?(\.dev{_NUMBER})?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a service can't be. member: of Service. value: what is wrong in it, as text. says: the rest of a sentence."""

    member: str
    value: str
    says: str


def faults(service: Service) -> Iterator[Fault]:
    """What can't be right about a service. Of flags that may hold secrets, no value is shown."""
    if service.engine not in ENGINES:
        yield Fault("engine", repr(service.engine), f"can't be served: give {', '.join(sorted(ENGINES))}.")
        return
    engine = ENGINES[service.engine]
    model = service.model.rstrip("/")
    if not _MODEL.fullmatch(model) or ".." in model.split("/"):
        yield Fault(
            "model",
            repr(service.model),
            "is neither a hub's name (Qwen/Qwen3-32B), nor a folder of the nodes (/models/x), nor one in S3 "
            "(s3://bucket/x).",
        )
    if not _VERSION.fullmatch(service.version):
        yield Fault(
            "version",
            repr(service.version),
            f"is not a version of {engine.NAME}: give {_in_full(service.version) or f'one such as {engine.VERSION}'}.",
        )
    for member in FLAGS:
        flags: tuple[str, ...] = getattr(service, member)
        if flags and not flags[0].startswith("-"):
            # It may be a token: values of flags are not shown.
            yield Fault(member, "", f"the first word is not a flag of {engine.NAME}: they begin with a dash.")
        refused = engine.REFUSED if member == "flags" else {**engine.REFUSED, **engine.ALIKE}
        for flag in flags:
            # "--flag.key VALUE" is a part of a flag's JSON; an engine takes "--fla" for "--flag".
            given = flag.partition("=")[0].partition(".")[0]
            if len(given) > 2 and given.startswith("--"):
                whole = given.replace("_", "-")
                if why := next((why for one, why in refused.items() if one.startswith(whole)), ""):
                    yield Fault(member, given, f"can't be given to {engine.NAME} here: {why}")


def _in_full(version: str) -> str:
    """The same version in its normal form with three numbers; empty if there is none."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)*)([^+]*)(\+.*)?", version)
    if found is None:
        return ""
    numbers = [str(int(one)) for one in found[1].split(".")]
    while len(numbers) > 3 and numbers[-1] == "0":
        numbers.pop()
    full = ".".join([*numbers, *["0"] * (3 - len(numbers))]) + found[2]
    return full if _VERSION.fullmatch(full) else ""


def asked(
    options: Mapping[str, Any], of_settings: Service | None, sources: Mapping[str, str], environment: str
) -> Service:
    """The service that a command line and the settings describe together. BadInput, which names where it was given, for
    what can't be right.

    options: the members of Service that the command line gives, without those that it does not. A model there is
    another service, for which nothing of the settings counts; else each option replaces its member.
    sources: how messages name the members in the settings.
    """
    if "model" in options:
        of_settings = None
    elif of_settings is None:
        raise BadInput(
            f"there is no model to serve: give --model, or set service.model in environments/{environment}.toml."
        )
    name = options.get("engine", of_settings.engine if of_settings else DEFAULT)
    base = of_settings or Service(name, "", "")
    if base.engine != name or not base.version:
        # Another engine's version and flags mean nothing to this one.
        base = Service(name, base.model, engine_of(name, "--engine").VERSION)
    service = replace(base, **options)
    for one in faults(service):
        where = OPTIONS[one.member] if one.member in options or of_settings is None else sources[one.member]
        raise BadInput(" ".join(filter(None, (where, one.value, one.says))))
    return replace(service, model=service.model.rstrip("/"))
