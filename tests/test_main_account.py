"""`check = "error"` or "warn": main.py looks at the account before it writes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.server import LocalAws

ROOT = Path(__file__).resolve().parent.parent
MISSING = (
    "nixl-efa-prod: reservation: The parameter /nixl-efa/capacity-reservation-id (capacity_reservation_parameter) "
    "does not exist in us-east-2."
)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws() as local:
        yield local


def run(aws: LocalAws, outdir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**aws.environ("us-east-2"), **variables, "CDKTF_OUTDIR": str(outdir)}
    return subprocess.run(
        [sys.executable, "main.py"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


def test_a_failed_check_stops_every_stack_of_the_run_with_exit_code_1_and_writes_nothing(
    aws: LocalAws, tmp_path: Path
) -> None:
    done = run(aws, tmp_path / "out", NIXL_EFA_ENVIRONMENTS="dev,prod", NIXL_EFA_CHECK="error")

    assert done.returncode == 1
    assert f"Error: {MISSING}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.glob("out/stacks/*"))


def test_a_check_that_only_warns_goes_on(aws: LocalAws, tmp_path: Path) -> None:
    done = run(aws, tmp_path / "out", NIXL_EFA_ENVIRONMENTS="prod", NIXL_EFA_CHECK="warn")

    assert done.returncode == 0
    assert f"Warning: {MISSING}" in done.stderr
    assert (tmp_path / "out" / "stacks" / "nixl-efa-prod" / "cdk.tf.json").is_file()


def test_an_environment_without_a_fault_passes_its_check_silently(aws: LocalAws, tmp_path: Path) -> None:
    done = run(aws, tmp_path / "out", NIXL_EFA_ENVIRONMENTS="dev", NIXL_EFA_CHECK="error")

    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_setting_nothing_is_asked_of_aws(aws: LocalAws, tmp_path: Path) -> None:
    before = len(aws.calls.all())

    assert run(aws, tmp_path / "out").returncode == 0
    assert len(aws.calls.all()) == before


def test_under_the_cdktf_cli_the_warning_is_an_annotation_of_its_stack(aws: LocalAws, tmp_path: Path) -> None:
    done = run(
        aws,
        tmp_path / "out",
        NIXL_EFA_ENVIRONMENTS="prod",
        NIXL_EFA_CHECK="warn",
        CDKTF_CONTINUE_SYNTH_ON_ERROR_ANNOTATIONS="true",
    )

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    annotations = manifest["stacks"]["nixl-efa-prod"]["annotations"]
    assert done.stderr == ""
    assert any(annotation["message"].startswith(MISSING) for annotation in annotations)
