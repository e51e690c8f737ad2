"""A run of the cdktf app: one stack, nixl-efa-<name>, for each environments/<name>.toml of a project."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO

from nixl_efa import jsii_node, provider_lock
from nixl_efa.cdk import BINDINGS, library, under_command_line
from nixl_efa.files import filled_at_once
from nixl_efa.findings import Finding, Level, failures, warnings, worst_first
from nixl_efa.old_states import abandoned, in_cdktf_out, selected_workspace, settle_changed_backend
from nixl_efa.processes import started_by
from nixl_efa.settings import Loaded, Settings, app_context, environment_names, load
from nixl_efa.settings.cdk_options import without_effect
from nixl_efa.state import read
from nixl_efa.terraform import as_chosen


def main(
    root: Path,
    environ: Mapping[str, str],
    out: TextIO,
    err: TextIO,
    program: str = "python main.py",
    arguments: Sequence[str] = (),
) -> int:
    """Synthesize the chosen environments. Either all files are written or none.

    root:      the project's folder, with environments/ and cdktf.json.
    program:   the program's name as the user calls it.
    arguments: its arguments. It uses none, and warns about options of the AWS CDK.
    Returns 0; 2 for a wrong setting; 1 when the check refuses, when a deployment would lose an existing state, or when
    the disk does not take the files.
    """
    try:
        library(environ)
        jsii_node.start(environ)  # starts while Python reads the settings; a wrong setting stops it
        context = app_context(environ, root / "cdktf.json")
    except ValueError as error:
        print(f"Error: {error}", file=err)
        return 2
    directory = root / "environments"
    # The cdktf CLI sets this variable. Terraform keeps its own files in this folder; local states are next to it.
    outdir = Path(environ.get("CDKTF_OUTDIR") or "cdktf.out")
    loaded = load(directory, environ, context)
    known = environment_names(directory)
    beside = [
        *abandoned(outdir.resolve().parent, known).values(),
        *_options_of_the_aws_cdk(loaded, known, environ, program, arguments),
    ]
    if failures(loaded.findings):
        _print([*loaded.findings, *beside], err)
        return 2
    if in_danger := in_cdktf_out(outdir):
        _print([_as_chosen(finding, environ) for finding in in_danger], err)
        return 1
    loaded = replace(loaded, findings=(*loaded.findings, *beside), general=(*loaded.general, *beside))
    try:
        return _synthesize(loaded, directory, outdir, environ, out, err)
    except jsii_node.NodeError as error:
        print(f"Error: {error}.", file=err)
        return 1
    except KeyboardInterrupt:
        return 130  # the exit code of a shell after SIGINT


def _options_of_the_aws_cdk(
    loaded: Loaded, known: Sequence[str], environ: Mapping[str, str], program: str, arguments: Sequence[str]
) -> Iterator[Finding]:
    """Warnings about `-c KEY=VALUE` in the arguments of the app, or in those of the command that runs the app."""
    started = started_by(BINDINGS, os.getppid()) if under_command_line(environ) else None
    chosen = list(loaded.by_environment)
    for name, given in ((program, arguments), *([started] if started else [])):
        if (found := without_effect(name, given, known, chosen)) is not None:
            yield found


def _synthesize(
    loaded: Loaded, directory: Path, outdir: Path, environ: Mapping[str, str], out: TextIO, err: TextIO
) -> int:
    # directory: of the settings' files.
    # Imported here, so that Node.js and the AWS bindings are loaded only when the settings are right.
    from stacks.app import RefusedError, build_app

    seen = _look_at_accounts(loaded, outdir.resolve().parent)
    locks = {settings.name: _places_of_lock(settings, outdir, directory) for settings in loaded.environments}
    for name, finding in _look_at_states(loaded, outdir, locks, environ):
        if finding.level is Level.PASS:
            print(finding.line(), file=out)
        seen[name] = [*seen.get(name, []), finding]
    found = [*loaded.findings, *(finding for findings in seen.values() for finding in findings)]
    annotate = under_command_line(environ)
    try:
        with filled_at_once(outdir, last="manifest.json") as folder:
            synthesis = build_app(loaded, annotate=annotate, outdir=folder, seen=seen)
            synthesis.write()
            for settings in loaded.environments:
                lock = locks[settings.name]
                provider_lock.keep(lock)
                if (text := provider_lock.placed(settings, lock)) is not None:
                    (folder / "stacks" / settings.stack_name / lock.folder.name).write_text(
                        text, encoding="utf-8"
                    )
    except RefusedError:
        _print([*failures(found), *warnings(found)], err)
        return 1
    except OSError as error:
        print(f"Error: {outdir} could not be written and is as it was: {error.strerror or error}.", file=err)
        return 1
    for line in synthesis.lines:
        print(line, file=out)
    if not annotate:
        _print(warnings(found), err)
    return 0


def _look_at_accounts(loaded: Loaded, project: Path) -> dict[str, list[Finding]]:
    if all(settings.check == "off" for settings in loaded.environments):
        return {}  # without importing boto3
    from stacks.account_check import look_at_accounts

    return dict(look_at_accounts(loaded.environments, project))


def _places_of_lock(settings: Settings, outdir: Path, directory: Path) -> provider_lock.Places:
    folder = outdir / "stacks" / settings.stack_name
    return provider_lock.places(settings, outdir.resolve().parent, folder, directory)


def _look_at_states(
    loaded: Loaded, outdir: Path, locks: Mapping[str, provider_lock.Places], environ: Mapping[str, str]
) -> Iterator[tuple[str, Finding]]:
    """Findings, by name, about environments whose backend was changed, whose workspace is another one, or whose lock
    file has a provider version that their settings exclude."""
    for settings in loaded.environments:
        project, folder = outdir.resolve().parent, outdir / "stacks" / settings.stack_name
        backend = settle_changed_backend(settings, project, folder, partial(read, settings, project, environ))
        lock = provider_lock.contradiction(settings, locks[settings.name])
        for found in (selected_workspace(settings, folder), backend, lock):
            if found is not None:
                yield settings.name, _as_chosen(found, environ)


def _as_chosen(finding: Finding, environ: Mapping[str, str]) -> Finding:
    """The finding, with the name of the program that the user chose in Terraform's commands."""
    return replace(finding, remedy=as_chosen(finding.remedy, environ))


def _print(findings: Iterable[Finding], err: TextIO) -> None:
    words = {"FAIL": "Error", "WARN": "Warning"}
    for finding in worst_first(findings):
        print(f"{words[finding.level.value]}: {finding.line()}", file=err)
