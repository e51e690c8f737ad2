"""The cdktf app: one stack, nixl-efa-<name>, for each environments/<name>.toml.

Run by the cdktf CLI (`cdktf synth`, `cdktf deploy nixl-efa-prod`) or by itself (`python main.py`). A wrong setting
ends it with exit code 2, before anything is written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from nixl_efa.findings import Finding, failures, warnings, worst_first
from nixl_efa.settings import Loaded, load

ROOT = Path(__file__).resolve().parent


def main(environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Synthesize every chosen environment. Returns 0, or 2 for a wrong setting."""
    try:
        context = app_context(environ, ROOT / "cdktf.json")
    except ValueError as error:
        print(f"Error: {error}", file=err)
        return 2
    loaded = load(ROOT / "environments", environ, context)
    if failures(loaded.findings):
        _print(loaded.findings, err)
        return 2
    return _synthesize(loaded, environ, out, err)


def app_context(environ: Mapping[str, str], cdktf_json: Path) -> Mapping[str, object]:
    """cdktf's context: what CDKTF_CONTEXT_JSON holds (the cdktf CLI sets it), else that of cdktf.json.

    Raises ValueError, with a message for the user, when neither can be read as an object.
    """
    text, source = environ.get("CDKTF_CONTEXT_JSON"), "The variable CDKTF_CONTEXT_JSON"
    try:
        if text:
            context = json.loads(text)
        else:
            source = f"{cdktf_json.name} (its key context)"
            context = json.loads(cdktf_json.read_text(encoding="utf-8")).get("context", {})
    except (OSError, ValueError) as error:
        raise ValueError(f"{source} can't be read: {error}.") from error
    if not isinstance(context, dict):
        raise ValueError(f'{source} must be a JSON object, such as {{"prod": {{"volumeSize": 1000}}}}.')
    return context


def _synthesize(loaded: Loaded, environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    # Node.js and the AWS bindings are started for settings that are right, only.
    from stacks.app import build_app, under_cdktf_cli

    annotate = under_cdktf_cli(environ)
    app, lines = build_app(loaded, annotate=annotate)
    app.synth()
    for line in lines:
        print(line, file=out)
    if not annotate:
        _print(warnings(loaded.findings), err)
    return 0


def _print(findings: tuple[Finding, ...] | list[Finding], err: TextIO) -> None:
    words = {"FAIL": "Error", "WARN": "Warning"}
    for finding in worst_first(findings):
        print(f"{words[finding.level.value]}: {finding.line()}", file=err)


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.stdout, sys.stderr))
