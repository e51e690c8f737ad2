"""The environments' files: which there are, which are wanted, and what one holds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.faults import fault
from nixl_efa.settings.model import SETTING_NAMES
from nixl_efa.settings.source import Given, Layer, Source
from nixl_efa.settings.values import MAX_ENVIRONMENT_NAME

_NAME = re.compile(rf"(?=.{{1,{MAX_ENVIRONMENT_NAME}}}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selection:
    """known: every environment that has a file; chosen: those of this run; both sorted."""

    known: tuple[str, ...]
    chosen: tuple[str, ...]
    findings: tuple[Finding, ...]


def select(directory: Path, environ: Mapping[str, str]) -> Selection:
    """The environments that have a file in the directory, limited to those of NIXL_EFA_ENVIRONMENTS."""
    try:
        known = tuple(sorted(path.stem for path in directory.iterdir() if path.suffix == ".toml"))
    except OSError as error:
        message = f"The directory of the environments' files can't be read: {directory} ({error.strerror})."
        return Selection(
            (), (), (fault("environments", message, "Each environment is a file NAME.toml in it."),)
        )
    if not known:
        message = f"There is no environment: {directory} holds no .toml file."
        return Selection((), (), (fault("environments", message, "Add a file such as dev.toml."),))
    wanted = _wanted(environ)
    findings = [_unknown_environment(name, known) for name in wanted if name not in known]
    chosen = [name for name in known if name in wanted or not wanted]
    findings += [finding for name in chosen if (finding := _name_fault(name, directory))]
    valid = tuple(name for name in chosen if _name_fault(name, directory) is None)
    return Selection(known, valid, tuple(findings))


def _wanted(environ: Mapping[str, str]) -> list[str]:
    words = (word.strip() for word in environ.get(names.ENVIRONMENTS_VARIABLE, "").split(","))
    return list(dict.fromkeys(word for word in words if word))


def _unknown_environment(name: str, known: tuple[str, ...]) -> Finding:
    return fault(
        "environments",
        f'There is no environment "{name}" (variable {names.ENVIRONMENTS_VARIABLE}).',
        names.did_you_mean(name, known),
    )


def _name_fault(name: str, directory: Path) -> Finding | None:
    file = f"{directory.name}/{name}.toml"
    if not _NAME.fullmatch(name):
        return fault(
            "environments",
            f'"{name}" can\'t be the name of an environment ({file}): it must be at most '
            f"{MAX_ENVIRONMENT_NAME} lower-case letters, digits and single hyphens, a letter first.",
            "Rename the file.",
        )
    taken = {spelling for setting in SETTING_NAMES for spelling in (setting, names.camel_case(setting))}
    if name in taken:
        return fault(
            "environments",
            f'"{name}" can\'t be the name of an environment ({file}): it is the name of a setting.',
            "Rename the file.",
        )
    return None


def read_file(directory: Path, environment: str) -> tuple[dict[str, Given], list[Finding]]:
    """The settings in an environment's file, and what is wrong with the file or with its names."""
    path = directory / f"{environment}.toml"
    label = f"{directory.name}/{path.name}"
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        return {}, [fault("environments", f"{label} can't be read: {error.strerror}.")]
    except UnicodeDecodeError as error:
        return {}, [fault("environments", f"{label} is not UTF-8: byte {error.start} can't be decoded.")]
    except RecursionError:
        return {}, [fault("environments", f"{label} is not valid TOML: it is nested too deeply.")]
    except ValueError as error:  # tomllib's own error, and Python's for a number with thousands of digits
        return {}, [fault("environments", f"{label} is not valid TOML: {error}.")]
    findings = [
        fault(key, f"{key} is not a setting ({label}: {key}).", names.did_you_mean(key, SETTING_NAMES))
        for key in table
        if key not in SETTING_NAMES
    ]
    settings = {
        key: Given(value, Source(Layer.FILE, f"{label}: {key}"))
        for key, value in table.items()
        if key in SETTING_NAMES
    }
    return settings, findings
