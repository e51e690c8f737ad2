"""Which project a command is about: a folder with cdktf.json and environments/, named by --project or found."""

import os
from contextvars import ContextVar
from pathlib import Path

import typer

from nixl_efa.failure import BadInput, Failure

# Of cdktf's project and of ours: only a folder that has both is found from below.
MARKS = ("cdktf.json", "environments")
WHAT_IT_IS = (
    "a project is a folder with cdktf.json and environments/. Run nixl-efa in it or below it, or name it with "
    "nixl-efa --project DIR"
)
_CHOSEN: ContextVar[Path | None] = ContextVar("_CHOSEN", default=None)


def choose(folder: Path | None) -> None:
    """The project that --project names, for the rest of this run; None: it is searched. BadInput for none."""
    if folder is not None and not os.path.isdir(folder / "environments"):
        raise BadInput(f"--project {folder}: there is no environments/ in it; {WHAT_IT_IS}.")
    _CHOSEN.set(folder)


def named() -> str:
    """The folder as --project names it; empty without."""
    return str(_CHOSEN.get() or "")


def project_folder() -> Path:
    """The project's folder: the one that --project names, else the nearest from here upwards, else this folder.

    It may be no project: what needs the settings says so (environment_settings). Path() for this folder, else absolute.
    """
    return _found(_CHOSEN.get())


def _found(chosen: Path | None) -> Path:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise Failure("this shell's folder was deleted: change to one that exists.") from None
    if chosen is not None:
        found = Path(os.path.abspath(chosen))
    else:
        found = next((one for one in (here, *here.parents) if is_project(one)), here)
    return Path() if found == here else found


def is_project(folder: Path) -> bool:
    """Whether it is a project's folder."""
    return all(os.path.exists(folder / mark) for mark in MARKS)


def environments(context: typer.Context, incomplete: str) -> list[str]:
    """The project's environments that begin so, for the shell's completion, in which no command runs."""
    from nixl_efa.settings import environment_names

    given = context.find_root().params.get("project")
    folder = _found(Path(given) if given else None)
    return [name for name in environment_names(folder / "environments") if name.startswith(incomplete)]
