"""Real Terraform makes of the user data what cloud-init should get."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nixl_efa.bootstrap import Bootstrap, PeerNode, plain, user_data


@pytest.fixture
def terraform(tmp_path: Path) -> Callable[..., str]:
    """Run Terraform in a folder of its own."""
    binary = shutil.which("terraform")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("terraform is not on PATH")
        pytest.skip("terraform is not on PATH")

    def run(*arguments: str) -> str:
        ran = subprocess.run([binary, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_terraform_fills_in_the_tokens_and_leaves_the_scripts_alone(
    terraform: Callable[..., str], make_bootstrap: Callable[..., Bootstrap], tmp_path: Path
) -> None:
    values = {
        "producer": "10.0.0.11",
        "consumer": "10.0.0.12",
        "bucket": "nixl-efa-prod-scripts",
        "region": "us-east-1",
    }

    def facts(producer: str, consumer: str, bucket: str, region: str) -> Bootstrap:
        return make_bootstrap(
            region=region,
            scripts_bucket=bucket,
            nodes=(PeerNode("producer", "producer", producer), PeerNode("consumer", "consumer", consumer)),
        )

    text = user_data(facts(**{name: f"${{local.{name}}}" for name in values}))
    configuration = {"locals": values, "output": {"user_data": {"value": text}}}
    (tmp_path / "main.tf.json").write_text(json.dumps(configuration), encoding="utf-8")
    terraform("init", "-no-color")
    terraform("apply", "-auto-approve", "-no-color")
    assert terraform("output", "-raw", "user_data") == plain(user_data(facts(**values)))
