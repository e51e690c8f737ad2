"""cdktf's context as the app is given it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "CDKTF_CONTEXT_JSON"


def app_context(environ: Mapping[str, str], cdktf_json: Path) -> Mapping[str, object]:
    """What CDKTF_CONTEXT_JSON holds (the cdktf CLI sets it), else the context of cdktf.json; empty without either.

    Raises ValueError, with a message for the user, when what is there is no JSON object.
    """
    text, source = environ.get(VARIABLE), f"The variable {VARIABLE}"
    try:
        if text:
            context = json.loads(text)
        elif cdktf_json.is_file():
            source = f"{cdktf_json.name} (its key context)"
            context = json.loads(cdktf_json.read_text(encoding="utf-8")).get("context", {})
        else:
            context = {}
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{source} can't be read: {error}.") from error
    if not isinstance(context, dict):
        raise ValueError(f'{source} must be a JSON object, such as {{"prod": {{"volumeSize": 1000}}}}.')
    return context
