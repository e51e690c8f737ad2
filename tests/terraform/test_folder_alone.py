"""A stack's folder by itself, copied elsewhere, is all that a run needs: Terraform's side of docs/hcp-terraform.md."""

import json
import shutil
from pathlib import Path

from nixl_efa.provider_lock import LOCK_FILE
from tests.terraform.conftest import Terraform, synthesize_to

BACKENDS: dict[str, object] = {
    "local": "local",
    "s3": {"type": "s3", "bucket": "my-terraform-states"},
    "cloud": {"type": "cloud", "organization": "acme", "project": "inference"},
}


def test_the_folder_alone_is_valid_elsewhere_with_every_backend_and_takes_the_locked_provider(
    tmp_path: Path, plain_environ: dict[str, str]
) -> None:
    kept = tmp_path / "state" / "nixl-efa-prod.lock.hcl"
    for kind, backend in BACKENDS.items():
        stacks = synthesize_to(
            tmp_path / "cdktf.out",
            NIXL_EFA_ENVIRONMENTS="prod",
            NIXL_EFA_PROD_BACKEND=backend if isinstance(backend, str) else json.dumps(backend),
        )
        elsewhere = tmp_path / "elsewhere" / kind
        shutil.move(stacks / "nixl-efa-prod", elsewhere)
        terraform = Terraform(elsewhere, plain_environ)
        first = not kept.exists()
        assert (elsewhere / LOCK_FILE).exists() != first
        terraform("init", "-backend=false", "-input=false", *([] if first else ["-lockfile=readonly"]))
        assert "Success! The configuration is valid." in terraform("validate", "-no-color").stdout
        if first:
            kept.parent.mkdir()
            shutil.copy(elsewhere / LOCK_FILE, kept)
        assert sorted(one.name for one in elsewhere.iterdir()) == [".terraform", LOCK_FILE, "cdk.tf.json"]
