"""The environments' files: which exist, which are chosen, and what they hold."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.findings import Finding
from nixl_efa.settings import names
from nixl_efa.settings.model import SETTING_NAMES
from nixl_efa.settings.parts import COUNTS, RESERVATION
from nixl_efa.settings.source import Given, Layer, Source, fault, warning
from nixl_efa.settings.values import MAX_ENVIRONMENT_NAME

_SUBJECT = "environments"
_NAME = re.compile(rf"(?=.{{1,{MAX_ENVIRONMENT_NAME}}}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_SPELLINGS_OF_SETTINGS = {one for name in SETTING_NAMES for one in (name, names.camel_case(name))}


@dataclass(frozen=True, slots=True)
class Selection:
    """known: every environment that has a file; chosen: those of this run; both sorted."""

    known: tuple[str, ...]
    chosen: tuple[str, ...]
    findings: tuple[Finding, ...]


def environment_names(directory: Path) -> tuple[str, ...]:
    """The names of the environments that have a file in the directory, sorted; none where there is no directory."""
    return tuple(sorted(path.stem for path in directory.glob("*.toml")))


def select(directory: Path, environ: Mapping[str, str], only: Sequence[str] = ()) -> Selection:
    """The environments that have a file in the directory, limited to `only`, else by the variable."""
    try:
        known = tuple(sorted(path.stem for path in directory.iterdir() if path.suffix == ".toml"))
    except OSError as error:
        message = f"The directory of the environments' files can't be read: {directory} ({error.strerror})."
        return Selection((), (), (fault(_SUBJECT, message, "Each environment is a file NAME.toml in it."),))
    if not known:
        message = f"There is no environment: {directory} holds no .toml file."
        return Selection((), (), (fault(_SUBJECT, message, "Add a file such as dev.toml."),))
    asked_by = "" if only else f" (variable {names.ENVIRONMENTS_VARIABLE})"
    wanted = list(dict.fromkeys(only)) or _words(environ.get(names.ENVIRONMENTS_VARIABLE, ""))
    findings = [
        fault(_SUBJECT, f'There is no environment "{name}"{asked_by}.', names.did_you_mean(name, known))
        for name in wanted
        if name not in known
    ]
    chosen = []
    for name in known:
        if name in wanted or not wanted:
            if wrong := name_fault(name):
                file = _label(directory, name)
                message = f'"{name}" can\'t be the name of an environment ({file}): {wrong}.'
                findings.append(fault(_SUBJECT, message, "Rename the file."))
            else:
                chosen.append(name)
    return Selection(known, tuple(chosen), tuple(findings))


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word for part in text.split(",") if (word := part.strip())))


def name_fault(name: str) -> str:
    """Why an environment can't have this name, as text after a colon; empty when it can."""
    if not _NAME.fullmatch(name):
        return (
            f"it must be at most {MAX_ENVIRONMENT_NAME} lower-case letters, digits and single hyphens, "
            "a letter first"
        )
    return "it is the name of a setting" if name in _SPELLINGS_OF_SETTINGS else ""


def _label(directory: Path, environment: str) -> str:
    """The file's name in messages: without the path to the project, which differs on each machine."""
    return (Path(directory.name) / f"{environment}.toml").as_posix()


def shares_file(directory: Path, environment: str) -> Path:
    """The file that `nixl-efa capacity fill` writes: for each entry of `capacity` the numbers of its nodes by role."""
    return directory / f"{environment}.capacity.json"


def read_file(
    directory: Path, environment: str, *, filled: bool = True
) -> tuple[dict[str, Given] | None, list[Finding]]:
    """The settings in an environment's file, None when it can't be read, and what is wrong with its names.

    filled: with the nodes that were filled into entries of `capacity` that don't say which nodes they take.
    """
    label = _label(directory, environment)
    try:
        content = (directory / f"{environment}.toml").read_bytes()
        text = content.decode("utf-8-sig")
        table = tomllib.loads(text)
    except OSError as error:
        return None, [fault(_SUBJECT, f"{label} can't be read: {error.strerror}.")]
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [fault(_SUBJECT, f"{label}, line {line}: not UTF-8.", "Save the file as UTF-8.")]
    except tomllib.TOMLDecodeError as error:
        return None, [fault(_SUBJECT, _syntax(label, text, str(error)))]
    except RecursionError:
        return None, [fault(_SUBJECT, f"{label}: not valid TOML: it is nested too deeply.")]
    except ValueError:  # Python's limit on the digits of a number
        return None, [fault(_SUBJECT, f"{label}: not valid TOML: a number has thousands of digits.")]
    findings = [
        fault(key, f"{key} is not a setting ({label}: {key}).", names.did_you_mean(key, SETTING_NAMES))
        for key in table
        if key not in SETTING_NAMES
    ]
    by: dict[str, str] = {}
    if filled and takes_none(table.get("capacity")):
        entries = table["capacity"]
        table["capacity"], problems = _filled(directory, environment, entries)
        findings += problems
        if table["capacity"] != entries:
            by["capacity"] = f", filled in by `nixl-efa capacity fill {environment}`"
    settings = {
        key: Given(value, Source(Layer.FILE, f"{label}: {key}{by.get(key, '')}"))
        for key, value in table.items()
        if key in SETTING_NAMES
    }
    return settings, findings


def takes_none(entries: object) -> bool:
    """Whether these are entries of `capacity` and none of them says which nodes it takes."""
    tables = entries if isinstance(entries, list) else []
    return bool(tables) and all(
        isinstance(one, dict) and not {*COUNTS.values()} & one.keys() for one in tables
    )


def reservation_of(entry: Mapping[str, object]) -> str:
    """The id or the parameter in an entry of `capacity`. It identifies the entry, wherever it is in the list."""
    return str(next((entry[name] for name in RESERVATION if entry.get(name)), ""))


def _filled(
    directory: Path, environment: str, entries: list[dict[str, object]]
) -> tuple[list[dict[str, object]], list[Finding]]:
    """The entries with the nodes that were filled in; unchanged when there are none."""
    file = shares_file(directory, environment)
    try:
        shares = {reservation_of(one): one for one in json.loads(file.read_text(encoding="utf-8"))}
        # An entry that was added after the last `fill` takes no node before the next one.
        none: dict[str, object] = dict.fromkeys(COUNTS.values(), 0) if shares else {}
        return [{**entry, **shares.get(reservation_of(entry), none)} for entry in entries], []
    except FileNotFoundError:
        return entries, []
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not what that command writes"
        label = f"{directory.name}/{file.name}"
        return entries, [
            warning(
                "capacity",
                f"{label} is ignored: {why}.",
                f"`nixl-efa capacity fill {environment}` writes it.",
            )
        ]


def _syntax(label: str, text: str, problem: str) -> str:
    """tomllib's message with the place before it, as editors and compilers write it."""
    what, _, where = problem.removesuffix(")").rpartition(" (at ")
    place = where if where.startswith("line ") else f"line {text.count(chr(10)) + 1}, the end"
    return f"{label}, {place}: not valid TOML: {what}."
