"""The environments' settings for the command line, from the same sources as at synthesis."""

from collections.abc import Callable, Mapping
from pathlib import Path

from nixl_efa.cli import commands
from nixl_efa.cli.project import WHAT_IT_IS
from nixl_efa.failure import BadInput
from nixl_efa.findings import failures
from nixl_efa.launch import Launch, launch_of
from nixl_efa.old_states import abandoned
from nixl_efa.settings import Loaded, Settings, app_context, environment_names, load


def environment_settings(
    name: str, environ: Mapping[str, str], project: Path, profile: str | None = None, *, filled: bool = True
) -> Settings:
    """The settings of the environment that a user named. BadInput, in one message, for one that does not exist (with
    the nearest name) or has a fault.

    project: the folder with environments/ and cdktf.json.
    profile: instead of one that the settings name, as the option --profile says. Where they name none, Terraform is
             told it by AWS_PROFILE: what is synthesized stays as it is for `cdktf deploy`.
    filled:  with the nodes in the entries of `capacity`; else these may be left to `nixl-efa capacity fill`, as they
             are where capacity is bought.
    """
    directory = project / "environments"
    if not directory.is_dir():
        raise BadInput(f"there is no {directory}: {WHAT_IT_IS}.")
    commands.remember(environment=name, profile=profile, acts_as=profile)
    settings = _settings_of(name, environ, project, _context(environ, project), filled=filled)
    commands.remember(acts_as=profile or settings.profile, region=settings.region)
    return settings.model_copy(update={"profile": profile}) if profile and settings.profile else settings


def environment_regions(environ: Mapping[str, str], project: Path) -> tuple[str, ...]:
    """The regions of all environments of a project, those with a fault too; none outside of a project."""
    directory = project / "environments"
    names = environment_names(directory)
    loaded = load(directory, environ, _context(environ, project), only=names) if names else Loaded((), ())
    return tuple(dict.fromkeys(one.region for one in (*loaded.environments, *loaded.faulty)))


def _settings_of(
    name: str,
    environ: Mapping[str, str],
    project: Path,
    context: Mapping[str, object],
    everyone: Loaded | None = None,
    *,
    filled: bool = True,
) -> Settings:
    """everyone: all environments of the project, where they are loaded already. filled: see environment_settings."""
    directory = project / "environments"
    loaded = load(directory, environ, context, only=[name], filled=filled)
    # Faults between two environments are found only when all of them are loaded.
    everyone = everyone or load(directory, environ, context, only=environment_names(directory))
    beside = everyone.by_environment.get(name, ())
    faults = failures(dict.fromkeys((*loaded.findings, *beside)))
    if not filled and loaded.faulty and loaded.faulty[0].is_unfilled:
        faults = [one for one in faults if one.check != "capacity"]
        if not faults:
            return loaded.faulty[0]
    if faults:
        raise BadInput("\n".join([*(fault.line() for fault in faults), *left_behind(name, project)]))
    return loaded.environments[0]


def _context(environ: Mapping[str, str], project: Path) -> Mapping[str, object]:
    try:
        return app_context(environ, project / "cdktf.json")
    except ValueError as error:
        raise BadInput(str(error)) from error


def left_behind(name: str, project: Path) -> list[str]:
    """What to do about the state of an environment that has no file any more, as a line; none where it has."""
    found = abandoned(project, environment_names(project / "environments")).get(name)
    return [found.line()] if found else []


def tell_left_behind(project: Path, tell: Callable[[str], None]) -> None:
    """Names the states that still hold resources and whose environments have no file any more."""
    for finding in abandoned(project, environment_names(project / "environments")).values():
        tell(f"{finding.level.value}: {finding.line()}")


def launches(
    environ: Mapping[str, str], project: Path, profile: str, tell: Callable[[str], None]
) -> dict[str, Launch]:
    """The launch of every environment of the project, by name; none outside of a project. One whose settings have a
    fault is said and left out: a fault there must not stop what is about another one."""
    found: dict[str, Launch] = {}
    directory = project / "environments"
    names = environment_names(directory)
    if not names:
        return found
    try:
        context = _context(environ, project)
    except BadInput as fault:
        tell(f"the project's environments are ignored: {fault.message}")
        return found
    everyone = load(directory, environ, context, only=names)
    for name in names:
        try:
            settings = _settings_of(name, environ, project, context, everyone, filled=False)
            found[name] = launch_of(settings, profile=profile)
        except BadInput as fault:
            tell(f"the settings of {name} are ignored: {fault.message}")
    return found
