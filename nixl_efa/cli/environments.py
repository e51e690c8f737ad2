"""One environment's settings for the command line, from the same sources as at synthesis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nixl_efa.failure import BadInput
from nixl_efa.findings import failures
from nixl_efa.settings import Settings, load


def environment_settings(name: str, environ: Mapping[str, str], project: Path) -> Settings:
    """The settings of the environment that a user named. BadInput, in one message, for one that has a fault.

    project: the folder with environments/ and cdktf.json.
    """
    directory = project / "environments"
    if not directory.is_dir():
        raise BadInput(f"there is no {directory}: run nixl-efa in the project's folder.")
    loaded = load(directory, environ, _context(environ, project / "cdktf.json"), only=[name])
    if faults := failures(loaded.findings):
        raise BadInput("\n".join(fault.line() for fault in faults))
    return loaded.environments[0]


def _context(environ: Mapping[str, str], cdktf_json: Path) -> Mapping[str, object]:
    """cdktf's context, as the cdktf CLI would hand it to the app. It may be absent, and is then empty."""
    text = environ.get("CDKTF_CONTEXT_JSON")
    try:
        if text:
            context = json.loads(text)
        elif cdktf_json.is_file():
            context = json.loads(cdktf_json.read_text(encoding="utf-8")).get("context", {})
        else:
            context = {}
    except ValueError as error:
        source = "CDKTF_CONTEXT_JSON" if text else str(cdktf_json)
        raise BadInput(f"{source} is no JSON: {error}.") from None
    if not isinstance(context, dict):
        raise BadInput("cdktf's context must be a JSON object.")
    return context
