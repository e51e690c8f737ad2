"""Real Terraform with the real AWS provider, on JSON that `python main.py` wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_aws.server import LocalAws
from nixl_efa.rehearse.plugin_mirror import terraform_environ

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Terraform:
    """`terraform` in one folder, with what it needs to find the provider and the local AWS."""

    folder: Path
    environ: Mapping[str, str]

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"terraform {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def apply(self) -> None:
        """`terraform apply`, unasked."""
        self("apply", "-auto-approve", "-input=false", "-no-color")

    def changes(self, *options: str) -> dict[str, dict[str, Any]]:
        """What a plan changes: the `change` of each managed resource by address (Terraform, JSON output format)."""
        self("plan", "-input=false", "-no-color", "-out=plan", *options)
        plan = json.loads(self("show", "-json", "plan").stdout)
        return {
            one["address"]: one["change"]
            for one in plan["resource_changes"]
            if one["mode"] == "managed" and one["change"]["actions"] != ["no-op"]
        }

    def ids(self) -> dict[str, str]:
        """The ids of what the state holds, by address."""
        root = json.loads(self("show", "-json").stdout)["values"]["root_module"]
        return {
            one["address"]: one["values"].get("id", "")
            for one in root["resources"]
            if one["mode"] == "managed"
        }


def destroyed(changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The addresses of what changes destroy, for good or to replace it."""
    return [address for address, change in changes.items() if "delete" in change["actions"]]


def place(root: Path, stack: Mapping[str, Any], environ: Mapping[str, str], name: str = "stack") -> Terraform:
    """Terraform in a folder with a stack's JSON, as deep below `root` as cdktf puts it: its state is in root/state."""
    folder = root / "cdktf.out" / "stacks" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cdk.tf.json").write_text(json.dumps(stack), encoding="utf-8")
    return Terraform(folder, environ)


def synthesize_to(outdir: Path, **variables: str) -> Path:
    """Run `python main.py`; the folder of the stacks."""
    environ = {**os.environ, **variables, "CDKTF_OUTDIR": str(outdir)}
    subprocess.run([sys.executable, "main.py"], cwd=ROOT, env=environ, check=True, capture_output=True)
    return outdir / "stacks"


@pytest.fixture(scope="session")
def plain_environ() -> Iterator[dict[str, str]]:
    """For commands that call no AWS."""
    with terraform_environ(os.environ) as environ:
        yield environ


@pytest.fixture(scope="module")
def aws_environ(local_aws: LocalAws, plain_environ: dict[str, str]) -> dict[str, str]:
    """For commands that call the local AWS."""
    return {
        **plain_environ,
        **local_aws.environ("us-east-2"),
        "TF_CLI_CONFIG_FILE": plain_environ.get("TF_CLI_CONFIG_FILE", ""),
    }
