"""One environment's settings for the command line, from the same sources as at synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nixl_efa.failure import BadInput
from nixl_efa.findings import failures
from nixl_efa.settings import Settings, app_context, load


def environment_settings(name: str, environ: Mapping[str, str], project: Path) -> Settings:
    """The settings of the environment that a user named. BadInput, in one message, for one that has a fault.

    project: the folder with environments/ and cdktf.json.
    """
    directory = project / "environments"
    if not directory.is_dir():
        raise BadInput(f"there is no {directory}: run nixl-efa in the project's folder.")
    try:
        context = app_context(environ, project / "cdktf.json")
    except ValueError as error:
        raise BadInput(str(error)) from error
    loaded = load(directory, environ, context, only=[name])
    if faults := failures(loaded.findings):
        raise BadInput("\n".join(fault.line() for fault in faults))
    return loaded.environments[0]
