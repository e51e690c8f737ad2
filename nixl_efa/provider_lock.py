"""The lock file of an environment's AWS provider: the version that Terraform chose. A copy is kept, because cdktf.out
may be deleted.

Three places, the first of which wins:

    environments/NAME.lock.hcl              a team's, under version control; nothing here writes it
    cdktf.out/stacks/STACK/.terraform.lock.hcl   what Terraform last wrote on this machine
    state/STACK.lock.hcl                    a copy of that, kept if cdktf.out is deleted

A synthesis puts the one that wins into the stack's folder, so that the folder by itself makes every later run, a remote
one too, take the same provider.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nixl_efa import provider_version
from nixl_efa.files import put
from nixl_efa.findings import Finding, failed
from nixl_efa.settings import Settings
from nixl_efa.state import STATE_FOLDER

LOCK_FILE = ".terraform.lock.hcl"
CHECK = "provider"

# Terraform's documentation, Dependency Lock File. The host is Terraform's registry or OpenTofu's.
_BLOCK = re.compile(r'^provider "[^"]+/hashicorp/aws" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_VERSION = re.compile(r'^\s*version\s*=\s*"([^"]+)"', re.MULTILINE)
# What a merge leaves in a file (git, merge): Terraform could not read it either.
_CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
_CONSTRAINTS = re.compile(r'^(\s*constraints\s*=\s*)"[^"]*"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where an environment's lock may lie. team, kept: below the project's folder. folder: the stack's."""

    team: Path
    folder: Path
    kept: Path

    @property
    def in_order(self) -> tuple[Path, Path, Path]:
        """The first one that exists is used."""
        return self.team, self.folder, self.kept


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file and the version of the AWS provider in it ("5.100.0")."""

    path: Path
    text: str
    version: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the locks mean for an environment's next run.

    constraint: the setting. lock: the one in force; None: the run is free to choose. last: the version that Terraform
    last took here, as far as its lock is left; empty for none. fault: of a lock that the setting leaves out.
    """

    constraint: str
    lock: Lock | None = None
    last: str = ""
    fault: Finding | None = None


def places(settings: Settings, project: Path, stack_folder: Path, environments: Path) -> Places:
    """project: the folder of cdktf.out, below which local states lie. environments: that of the settings' files."""
    return Places(
        environments / f"{settings.name}.lock.hcl",
        stack_folder / LOCK_FILE,
        project / STATE_FOLDER / f"{settings.stack_name}.lock.hcl",
    )


def locked(text: str) -> str:
    """The AWS provider's version in the text of a lock file; empty where it has none."""
    block = _BLOCK.search(text)
    found = _VERSION.search(block[1]) if block else None
    return found[1] if found else ""


def read(path: Path) -> Lock | None:
    """The lock in a file; None where there is none, or none for the AWS provider."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    version = locked(text)
    return Lock(path, text, version) if version and not _CONFLICT.search(text) else None


def in_force(where: Places) -> Lock | None:
    """The lock that the next run takes; None where it is free to choose."""
    return next((found for path in where.in_order if (found := read(path)) is not None), None)


def contradiction(settings: Settings, where: Places) -> Finding | None:
    """A FAIL where the lock is of a version that the setting leaves out: Terraform's init would stop, and the cdktf
    command line would take another version without a word. And where a team's lock can't be read as one: the run would
    take what this machine has, or the newest."""
    if where.team.exists() and read(where.team) is None:
        return failed(
            CHECK,
            f"{settings.name}: {shown(where.team)} holds no lock of the AWS provider that can be read.",
            f"Restore it from version control; or let each machine choose for itself: `rm {shown(where.team)}`.",
        )
    lock = in_force(where)
    if lock is None or provider_version.takes(settings.provider_version, lock.version):
        return None
    there = " ".join(shown(path) for path in where.in_order if read(path) is not None)
    return failed(
        CHECK,
        f"{settings.name}: {shown(lock.path)} locks the AWS provider {lock.version}, and provider_version ="
        f' "{settings.provider_version}" ({settings.source("provider_version").label}) excludes it.',
        f"Set provider_version so that it takes {lock.version}; or let the next run choose anew: `rm {there}`.",
    )


def see(settings: Settings, project: Path) -> Seen:
    """project: the folder of cdktf.json."""
    folder = project / "cdktf.out" / "stacks" / settings.stack_name
    where = places(settings, project, folder, project / "environments")
    last = read(where.folder) or read(where.kept)
    return Seen(
        settings.provider_version,
        in_force(where),
        last.version if last is not None else "",
        contradiction(settings, where),
    )


def keep(where: Places) -> None:
    """Copies what Terraform wrote in the stack's folder to where it outlives cdktf.out. OSError.

    With a team's lock there is nothing to keep: that one is copied over the folder's at the next synthesis."""
    written = read(where.folder)
    if written is None or read(where.team) is not None:
        return
    kept = read(where.kept)
    if kept is None or kept.text != written.text:
        where.kept.parent.mkdir(parents=True, exist_ok=True)
        put(where.kept, written.text)


def placed(settings: Settings, where: Places) -> str | None:
    """The text of the lock file that belongs into the stack's folder; None where nothing is to be written there.

    `constraints`, which only records how the version was chosen, is set to the setting's value: if the two differ, the
    cdktf command line runs `terraform init -upgrade`, which ignores the lock."""
    lock = in_force(where)
    if lock is None:
        return None
    # Those of the AWS provider: a lock may hold others.
    text = _BLOCK.sub(
        lambda block: _CONSTRAINTS.sub(
            lambda found: f'{found[1]}"{settings.provider_version}"', block[0], count=1
        ),
        lock.text,
    )
    return text if lock.path != where.folder or text != lock.text else None


def shown(path: Path) -> str:
    """A place as a user in the project's folder types it: the same on every machine."""
    if path.name == LOCK_FILE:
        return f"cdktf.out/stacks/{path.parent.name}/{LOCK_FILE}"
    return f"{path.parent.name}/{path.name}"
