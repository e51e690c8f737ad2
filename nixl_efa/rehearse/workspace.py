"""The folder of a rehearsal: it is separate from the state, the journal and the account of a real deployment."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_aws.server import client_environ
from nixl_efa.bench.results import FOLDER as RESULTS_FOLDER
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable
from nixl_efa.state import STATE_FOLDER

FOLDER = ".rehearsal"
# What a run writes into the project's folder. The app and the command line read everything else there.
WRITTEN = (FOLDER, "cdktf.out", STATE_FOLDER, RESULTS_FOLDER, "bin", "journal", "rehearsal.log", ".git")
# Terraform's own variables that could lead it to another state.
FOREIGN = ("TF_WORKSPACE", "TF_DATA_DIR", "TF_CLI_ARGS", "NIXL_EFA_ENVIRONMENTS")
# Settings that name something of the real account; the local AWS has a default VPC and public images.
OF_THE_ACCOUNT = ("vpc_id", "subnet_id", "security_group_id", "ami_id", "key_name")


@dataclass(frozen=True, slots=True)
class Workspace:
    """folder: where everything is run; set_aside: settings that the local AWS can't have, as "name value"."""

    folder: Path
    set_aside: tuple[str, ...]
    overrides: Mapping[str, str]

    @property
    def log(self) -> Path:
        """What cdktf and Terraform said."""
        return self.folder / "rehearsal.log"


def make(project: Path, settings: Settings) -> Workspace:
    """An empty folder of its own for the environment's rehearsal."""
    folder = project / FOLDER / settings.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in project.iterdir():
        if path.name not in WRITTEN and not path.name.startswith("cdktf.out."):
            (folder / path.name).symlink_to(path)
    named = [name for name in OF_THE_ACCOUNT if getattr(settings, name)]
    overrides = {variable(name, settings.name): "none" for name in named}
    if settings.backend.type != "local":
        # A state in S3 or Terraform Cloud belongs to the real pair, and Terraform Cloud would run on the real AWS.
        overrides[variable("backend", settings.name)] = "local"
        named.append("backend")
    set_aside = tuple(
        f"{name} ({getattr(settings, name) if name != 'backend' else settings.backend.type})"
        for name in named
    )
    return Workspace(folder, set_aside, overrides)


def environ_of(
    workspace: Workspace, settings: Settings, endpoint: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """What every program of the rehearsal gets: the local AWS and no other, a journal of its own, one environment."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith("AWS_") and name not in FOREIGN
    }
    return {
        **kept,
        **client_environ(endpoint, settings.region),
        **workspace.overrides,
        "NIXL_EFA_ENVIRONMENTS": settings.name,
        "XDG_STATE_HOME": str(workspace.folder / "journal"),
    }
