"""Text from a variable or the context, read as the type that its setting has."""

import json
import re
from collections.abc import Callable
from types import NoneType
from typing import Annotated, get_args, get_origin

from nixl_efa.settings.model import Settings
from nixl_efa.settings.parts import Group
from nixl_efa.settings.service import ServiceTable

CLEARING_WORDS = ("", "none")
_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def can_be_absent(setting: str) -> bool:
    """Whether a source may make the setting absent with "none"."""
    field = Settings.model_fields[setting]
    return not field.is_required() and field.default is None


def clears(setting: str, value: object, is_text: bool) -> bool:
    """Whether a value makes the setting absent: "none" or "", and JSON's null in the context."""
    if not can_be_absent(setting):
        return False
    if value is None:
        return is_text
    return isinstance(value, str) and value.strip().casefold() in CLEARING_WORDS


def from_text(setting: str, value: object) -> object:
    """A value, with its texts read as the setting's type. A text that can't be read is kept; the model refuses it."""
    reader = _READERS.get(_core_type(Settings.model_fields[setting].annotation), _stripped)
    return reader(value)


def _core_type(annotation: object) -> object:
    """The type behind Annotated and a union with None: the generic's origin for a tuple or dict."""
    if get_origin(annotation) is Annotated:
        return _core_type(get_args(annotation)[0])
    members = [part for part in get_args(annotation) if part is not NoneType]
    if NoneType in get_args(annotation) and len(members) == 1:
        return _core_type(members[0])
    return get_origin(annotation) or annotation


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _yes_no(value: object) -> object:
    return _YES_NO.get(value.strip().casefold(), value) if isinstance(value, str) else value


def _whole_number(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return value


def _numbers(value: object) -> object:
    if isinstance(value, str):
        words = value.strip()
        if words.casefold() in CLEARING_WORDS:
            return []
        value = _json(words) if words.startswith(("[", "{")) else [word.strip() for word in words.split(",")]
    return [_whole_number(item) for item in value] if isinstance(value, (list, tuple)) else value


def _table(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = value.strip()
    if words.casefold() in CLEARING_WORDS:
        return {}
    if words.startswith("{"):
        return _json(words)
    pairs = [pair.partition("=") for pair in words.split(",")]
    if not all(equals for _, equals, _ in pairs):
        return value
    return {key.strip(): item.strip() for key, _, item in pairs}


def _word_or_json(value: object) -> object:
    return (
        _json(value.strip()) if isinstance(value, str) and value.strip().startswith("{") else _stripped(value)
    )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_READERS: dict[object, Callable[[object], object]] = {
    bool: _yes_no,
    int: _whole_number,
    tuple: _numbers,
    dict: _table,
    _core_type(Settings.model_fields["backend"].annotation): _word_or_json,
    _core_type(Settings.model_fields["assume_role"].annotation): _word_or_json,
    Group: _word_or_json,
    ServiceTable: _word_or_json,
}
