"""Lets Terraform find the AWS provider on a machine that can't reach Terraform's registry.

Only for such a machine: where TF_CLI_CONFIG_FILE names a file that exists, or no mirror is found, Terraform uses its
defaults (its configuration file, its registry).
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nixl_efa.provider_version import BEFORE, LEAST

PROVIDER_FILE = "terraform-provider-aws_v"
NOT_SEARCHED = {"proc", "sys", "dev", "run", "node_modules", ".git", ".terraform", "site-packages"}
# HOST/hashicorp/aws/VERSION/PLATFORM/terraform-provider-aws_v...: the mirror is this many folders above PLATFORM.
# Source: Terraform CLI documentation, "Provider Installation", the unpacked layout of a filesystem mirror.
LEVELS = 5
SEARCH_SECONDS = 5.0


def find_mirror(
    environ: Mapping[str, str], root: Path = Path("/"), seconds: float = SEARCH_SECONDS
) -> Path | None:
    """The folder of a filesystem mirror with the AWS provider: TF_PLUGIN_MIRROR, else the first found below root.

    None when nothing was found within some seconds: on most machines there is a registry to go to instead.
    """
    given = environ.get("TF_PLUGIN_MIRROR")
    if given:
        return Path(given)
    deadline = time.monotonic() + seconds
    for folder, folders, files in os.walk(root, onerror=None):
        if time.monotonic() > deadline:
            return None
        folders[:] = sorted(name for name in folders if name not in NOT_SEARCHED)
        if any(name.startswith(PROVIDER_FILE) for name in files):
            mirror = _mirror_of(Path(folder))
            if mirror is not None:
                return mirror
    return None


def _mirror_of(platform: Path) -> Path | None:
    """The mirror above HOST/hashicorp/aws/VERSION/PLATFORM; None for another layout or an unusable version."""
    if len(platform.parents) <= LEVELS or platform.parents[1].name != "aws":
        return None
    try:
        version = tuple(int(part) for part in platform.parent.name.split("."))
    except ValueError:
        return None
    return platform.parents[LEVELS - 1] if LEAST <= version < BEFORE else None


@contextmanager
def terraform_environ(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment for Terraform and the cdktf CLI, for as long as the block runs.

    CHECKPOINT_DISABLE keeps both from asking for newer versions of themselves.
    """
    result = {**environ, "CHECKPOINT_DISABLE": "1"}
    configured = environ.get("TF_CLI_CONFIG_FILE")
    if configured and Path(configured).is_file():
        yield result
        return
    result.pop("TF_CLI_CONFIG_FILE", None)
    mirror = find_mirror(environ)
    if mirror is None:
        yield result
        return
    with TemporaryDirectory(prefix="nixl-efa-") as folder:
        config = Path(folder, "terraform.rc")
        config.write_text(_installation(mirror), encoding="utf-8")
        yield {**result, "TF_CLI_CONFIG_FILE": str(config)}


def _installation(mirror: Path) -> str:
    """Terraform's configuration: what the mirror has by its folder of a host comes from there, all else as before.

    Another host is another registry: OpenTofu takes "hashicorp/aws" to be of registry.opentofu.org. Source: Terraform
    CLI documentation, "Provider Installation", include and exclude; OpenTofu's has the same.
    """
    hosts = sorted(one.name for one in mirror.iterdir() if one.is_dir()) if mirror.is_dir() else []
    patterns = ", ".join(f'"{host}/*/*"' for host in hosts)
    return f"""provider_installation {{
  filesystem_mirror {{
    path    = "{mirror.as_posix()}"
    include = [{patterns}]
  }}
  direct {{
    exclude = [{patterns}]
  }}
}}
"""
