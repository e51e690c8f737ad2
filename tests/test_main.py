"""`python main.py` as a user runs it: what is printed where, what is written, how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import states

ROOT = Path(__file__).resolve().parent.parent
STACKS = ["nixl-efa-dev", "nixl-efa-prod", "nixl-efa-staging"]


def run_main(outdir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **variables, "CDKTF_OUTDIR": str(outdir)}
    return subprocess.run(
        [sys.executable, "main.py", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def synthesized(outdir: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in outdir.glob("stacks/*/cdk.tf.json")}


def test_each_environment_becomes_a_stack_and_one_line(tmp_path: Path) -> None:
    run = run_main(tmp_path / "out")

    assert run.returncode == 0
    assert sorted(synthesized(tmp_path / "out")) == STACKS
    assert run.stdout.splitlines() == [
        "nixl-efa-dev: 2 x g7e.8xlarge, 1 EFA interface, 100 Gbps a node, "
        "NIXL with UCX over EFA (UCX_TLS=srd,self,sm), 300 GiB gp3, On-Demand, no reservation",
        "nixl-efa-prod: 2 x p5.48xlarge, 32 EFA interfaces, 3200 Gbps a node, "
        "NIXL with LIBFABRIC over EFA, 1000 GiB gp3, "
        "Capacity Block in the reservation that /nixl-efa/capacity-reservation-id names",
        "nixl-efa-staging: 2 x g7e.12xlarge, 1 EFA interface, 400 Gbps a node, "
        "NIXL with LIBFABRIC over EFA, 300 GiB gp3, "
        "On-Demand, no reservation",
    ]
    assert run.stderr == ""


def test_synthesizing_twice_in_two_folders_gives_equal_bytes_without_a_path_of_either(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "another-and-longer"]
    for folder in folders:
        assert run_main(folder).returncode == 0

    first, second = (synthesized(folder) for folder in folders)
    assert first == second
    manifests = [(folder / "manifest.json").read_bytes() for folder in folders]
    assert manifests[0] == manifests[1]
    for content in [*first.values(), manifests[0]]:
        assert str(tmp_path).encode() not in content
        assert str(ROOT).encode() not in content


def test_faults_are_printed_all_at_once_without_a_traceback_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_main(out).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    run = run_main(
        out,
        NIXL_EFA_DEV_INSTANCE_TYP="g7e.2xlarge",
        NIXL_EFA_PROD_PLACEMENT_GROUP="on",
        NIXL_EFA_STAGING_VOLUME_SIZE="big",
    )

    assert run.returncode == 2
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Error: ") for line in lines)
    assert "NIXL_EFA_DEV_INSTANCE_TYPE" in run.stderr
    assert "Traceback" not in run.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_fault_of_one_environment_does_not_stop_the_chosen_others(tmp_path: Path) -> None:
    run = run_main(tmp_path / "out", NIXL_EFA_DEV_VOLUME_SIZE="big", NIXL_EFA_ENVIRONMENTS="prod,staging")

    assert run.returncode == 0, run.stderr
    assert sorted(synthesized(tmp_path / "out")) == ["nixl-efa-prod", "nixl-efa-staging"]


def test_warnings_are_plain_lines_when_the_cli_does_not_run_the_app(tmp_path: Path) -> None:
    run = run_main(tmp_path / "out", NIXL_EFA_DEV_INSTANCE_TYPE="g7e.2xlarge", NIXL_EFA_ENVIRONMENTS="dev")

    assert run.returncode == 0
    assert run.stderr.startswith("Warning: Instance type g7e.2xlarge may not support EFA")


def test_the_context_variable_takes_the_names_of_the_cdk_design(tmp_path: Path) -> None:
    context = json.dumps({"instanceType": "p5.48xlarge", "dev": {"useCapacityBlock": "true"}})
    run = run_main(tmp_path / "out", CDKTF_CONTEXT_JSON=context, NIXL_EFA_ENVIRONMENTS="dev")

    assert run.returncode == 0
    stack = json.loads(synthesized(tmp_path / "out")["nixl-efa-dev"])
    node = stack["resource"]["aws_instance"]["producer"]
    # The file's instance type stands below the context's.
    assert node["instance_type"] == "p5.48xlarge"
    assert node["instance_market_options"] == {"market_type": "capacity-block"}


def test_an_option_of_the_aws_cdk_is_told_beside_the_faults_too(tmp_path: Path) -> None:
    run = run_main(
        tmp_path / "out", "-c", "spot=true", NIXL_EFA_VOLUME_SIZE="big", NIXL_EFA_ENVIRONMENTS="dev"
    )

    assert run.returncode == 2
    error, warning = run.stderr.splitlines()
    assert error.startswith("Error: volume_size")
    assert warning.startswith(
        "Warning: -c spot=true HAS NO EFFECT: python main.py hands no context to the app."
    )
    assert "`NIXL_EFA_DEV_SPOT=true python main.py`" in warning


@pytest.mark.parametrize("context", ["{", "[]", '"text"'])
def test_a_context_that_is_no_object_is_one_line(tmp_path: Path, context: str) -> None:
    run = run_main(tmp_path / "out", CDKTF_CONTEXT_JSON=context)

    assert run.returncode == 2
    assert run.stderr.startswith("Error: The variable CDKTF_CONTEXT_JSON ")
    assert len(run.stderr.splitlines()) == 1


def test_a_workspace_of_terraform_beside_a_local_state_is_refused_and_beside_one_in_s3_is_not(
    tmp_path: Path,
) -> None:
    backend = '{"type": "s3", "bucket": "states"}'
    refused = run_main(tmp_path / "out", TF_WORKSPACE="second")
    assert (refused.returncode, (tmp_path / "out").exists()) == (2, False)
    assert refused.stderr.count('TF_WORKSPACE is "second"') == len(STACKS)
    assert run_main(tmp_path / "out", TF_WORKSPACE="second", NIXL_EFA_BACKEND=backend).returncode == 0


def test_a_synthesis_that_could_delete_a_state_below_its_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out/stacks/nixl-efa-prod/terraform.tfstate.d/second"
    folder.mkdir(parents=True)
    document = {"version": 4, "resources": states.nodes(producer="i-1")}
    (folder / "terraform.tfstate").write_text(json.dumps(document), encoding="utf-8")

    run = run_main(tmp_path / "out", NIXL_EFA_ENVIRONMENTS="dev")

    assert run.returncode == 1
    assert "i-1" in run.stderr
    assert (folder / "terraform.tfstate").exists()


def test_a_stack_for_terraform_cloud_is_synthesized_where_there_is_no_terraform(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/node").symlink_to(str(shutil.which("node")))
    cloud = {"type": "cloud", "organization": "acme", "workspace": "dev", "project": "kv"}
    path = os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"])
    assert shutil.which("terraform", path=path) is None

    run = run_main(
        tmp_path / "out", PATH=path, NIXL_EFA_ENVIRONMENTS="dev", NIXL_EFA_DEV_BACKEND=json.dumps(cloud)
    )

    assert (run.returncode, run.stderr) == (0, "")
    terraform = json.loads(synthesized(tmp_path / "out")["nixl-efa-dev"])["terraform"]
    assert terraform["cloud"] == {
        "hostname": "app.terraform.io",
        "organization": "acme",
        "workspaces": {"name": "dev", "project": "kv"},
    }
    assert "backend" not in terraform
