"""Creates an environment's first file, and a project, if there is none yet. It never overwrites a file."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Finding, failures, warnings
from nixl_efa.launch import Market
from nixl_efa.settings import Loaded, Settings, environment_names, load
from nixl_efa.settings.files import name_fault

# The text of a new environment after the two settings that each has. A block has its own parameters: two environments
# of one region that share them are refused.
_MARKETS: dict[Market, tuple[str, str]] = {
    "on-demand": ("On-Demand", ""),
    "spot": ("Spot", "spot = true\n"),
    "capacity-block": (
        "in a Capacity Block",
        """use_capacity_block = true
# `nixl-efa capacity buy` and `save` write the block's id and zone there; Terraform reads both when it plans.
capacity_reservation_parameter = "/nixl-efa/{name}/capacity-reservation-id"
availability_zone_parameter = "/nixl-efa/{name}/availability-zone"
""",
    ),
}
_TEXT = """# 2 x {instance_type} {market}. All settings: docs/settings.md of nixl-efa.
region = {region}
instance_type = {quoted_type}
{more}
# account_id = "123456789012"   # no command then works with another account's credentials
# volume_size = 500             # GiB; without it the instance type's default
# consumers = 2                 # nodes that decode
# [backend]                     # for a team: the state in S3 in place of state/ on this machine
# type = "s3"
# bucket = "my-terraform-states"
"""
# The files of a new project. `python -m stacks` is the app in the package.
_PROJECT = {
    "cdktf.json": json.dumps(
        {
            "language": "python",
            "app": "python -m stacks",
            "projectId": "nixl-efa",
            "sendCrashReports": "false",
            "terraformProviders": [],
            "terraformModules": [],
            "context": {},
        },
        indent=2,
    )
    + "\n",
    # A state and a copy of a provider do not belong in a repository.
    ".gitignore": "cdktf.out/\ncdktf.out.*/\nstate/\n.rehearsal/\nnode_modules/\n.venv/\n",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user enters for an environment. region, instance_type: unchecked text."""

    name: str
    region: str
    instance_type: str
    market: Market = "on-demand"

    def text(self) -> str:
        """The file."""
        market, more = _MARKETS[self.market]
        return _TEXT.format(
            instance_type=" ".join(self.instance_type.split()),
            market=market,
            region=_quoted(self.region),
            quoted_type=_quoted(self.instance_type),
            more=more.format(name=self.name),
        )


@dataclass(frozen=True, slots=True)
class Made:
    """What was written, as paths below the project's folder; the settings, and what is warned about."""

    files: tuple[str, ...]
    settings: Settings
    warnings: tuple[Finding, ...]


def make(wish: Wish, project: Path) -> Made:
    """Write the environment's file, and the missing files of the project. BadInput, and nothing is written, if the name
    or a value is invalid, or the file exists; Failure if it can't be written."""
    for option, value in (("--instance-type", wish.instance_type), ("--region", wish.region)):
        if not value.isprintable():  # it can't be written as TOML
            raise BadInput(f"{option} {value!r} has characters that can't be in a name: type it again.")
    if wrong := name_fault(wish.name):
        raise BadInput(f'"{wish.name}" can\'t be the name of an environment: {wrong}.')
    file = project / "environments" / f"{wish.name}.toml"
    taken = BadInput(f"environments/{file.name} is there already and stays as it is: choose another name.")
    if os.path.lexists(file):
        raise taken
    loaded = _loaded(wish, project)
    found = loaded.by_environment.get(wish.name, ())
    if failures([*loaded.general, *found]):
        # With the warnings: for an unknown type, they suggest the right name.
        said = [*failures([*loaded.general, *found]), *warnings(found)]
        raise BadInput("\n".join(finding.line() for finding in said))
    written = []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A checkout, and every existing project, has these files already.
        project_files = {} if (project / "cdktf.json").exists() else _PROJECT
        for name, text in {**project_files, f"environments/{file.name}": wish.text()}.items():
            if _write(project / name, text):
                written.append(name)
            elif name.endswith(file.name):  # another process has written it first
                raise taken
    except OSError as error:
        raise Failure(f"{file} can't be written: {error.strerror or error}.") from error
    (settings,) = (one for one in loaded.environments if one.name == wish.name)
    return Made(tuple(written), settings, tuple(warnings(found)))


def next_commands(settings: Settings) -> tuple[str, str, str]:
    """The next commands to run, in this order."""
    name = settings.name
    if settings.use_capacity_block:
        return (
            f"nixl-efa doctor {name}",
            f"nixl-efa capacity search --env {name}",
            f"nixl-efa capacity buy cb-... --env {name}",
        )
    return f"nixl-efa doctor {name}", f"nixl-efa check {name}", f"nixl-efa deploy {name}"


def _loaded(wish: Wish, project: Path) -> Loaded:
    """The environment beside the project's others, as if its file were there."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "environments")
        directory.mkdir()
        for other in (project / "environments").glob("*"):
            if other.stem != wish.name:
                (directory / other.name).symlink_to(other.absolute())
        (directory / f"{wish.name}.toml").write_text(wish.text(), encoding="utf-8")
        # Only the file is checked, without the variables of this shell.
        names = [name for name in environment_names(directory) if not name_fault(name)]
        return load(directory, {}, {}, only=names)


def _quoted(text: str) -> str:
    """A string in the form that both TOML and JSON use."""
    return json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> bool:
    """Whether it was written: False if it exists. After an OSError, it does not exist."""
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise
    except FileExistsError:
        return False
    return True
