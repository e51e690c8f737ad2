"""docs/from-cdk.md: all of the AWS CDK design is in it, and what it says to write is there."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from nixl_efa.settings import SETTING_NAMES
from nixl_efa.settings.cdk_options import without_effect
from nixl_efa.settings.context import OTHER_KEYS, setting_called
from tests.synthesis import settings_of, synthesize_settings

PAGE = (Path(__file__).resolve().parents[1] / "docs/from-cdk.md").read_text(encoding="utf-8")
# What cdk/bin/app.ts and cdk/lib/*.ts of the commit that the page names ask for and give.
KEYS = [
    "allowedCidrs",
    "availabilityZone",
    "branch",
    "bucketName",
    "capacityReservationId",
    "createVpc",
    "environment",
    "gitHash",
    "instanceType",
    "keyName",
    "mlflowStackName",
    "nixl-efaStackName",
    "owner",
    "projectPrefix",
    "region",
    "skipMlflow",
    "trackingServerName",
    "trackingServerSize",
    "useCapacityBlock",
    "vllmPort",
    "volumeSize",
    "vpcId",
]
OUTPUTS = [
    "ArtifactBucketArn",
    "ArtifactBucketName",
    "Ec2AccessRoleArn",
    "Ec2InstanceProfileArn",
    "Node1InstanceId",
    "Node1PrivateIp",
    "Node1PublicIp",
    "Node2InstanceId",
    "Node2PrivateIp",
    "Node2PublicIp",
    "PlacementGroupName",
    "ScriptsBucketName",
    "SecurityGroupId",
    "TrackingServerArn",
    "TrackingServerName",
    "TrackingServerRoleArn",
    "VpcId",
]
# Its programs, and those of v0.3.0 outside the folders of trials.
SCRIPTS = [
    "analyze_correlation.py",
    "benchmark_common.py",
    "check-environment.sh",
    "check_gpudirect_rdma.sh",
    "cleanup-gpu.sh",
    "collect_fi_info.py",
    "collect_fi_rdm_bw.py",
    "collect_fi_rdm_pingpong.py",
    "collect_ib_write_bw.py",
    "collect_ib_write_lat.py",
    "collect_iperf3.py",
    "collect_nccl_test.py",
    "collect_nvidia_smi.py",
    "control_experiment.sh",
    "create_benchmark_inputs.py",
    "deploy-plugin.sh",
    "deploy-v9.sh",
    "disagg_proxy_server.py",
    "generate_tasks.py",
    "install-mlflow-deps.sh",
    "install-nixl.sh",
    "install-vllm.sh",
    "manage-capacity-block.sh",
    "measure_baseline_bandwidth.sh",
    "mlflow_helper.py",
    "monitor_experiment.sh",
    "nccl-benchmark.sh",
    "p1-analysis-bimodality-detection.py",
    "p1-analysis-proxy-overhead.py",
    "p1-analysis-tpot-separation.py",
    "run_experiment.sh",
    "run_inference_test.sh",
    "run_low_level_tools.py",
    "runner.sh",
    "setup-nccl-tests.sh",
    "ssm-deploy.sh",
    "ssm-run.sh",
    "ssm_helper.sh",
    "task_runner.sh",
    "test-mlflow.py",
    "toy_proxy_server.py",
    "unified_benchmark.py",
    "verify-s3-deployment.sh",
    "verify-setup.sh",
    "verify_mlflow_connectivity.sh",
    "verify_token_count.py",
]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    below = PAGE.partition(f"\n## {heading}\n")[2]
    table = below[below.index("| ") :].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_context_key_has_a_row_and_what_it_became_is_what_the_program_knows() -> None:
    told = {key: setting.strip("`") for keys, setting, _ in rows("Context keys") for key in names(keys)}
    assert sorted(told) == KEYS
    assert {key: setting_called(key) for key in KEYS if setting_called(key)} == {
        key: setting for key, setting in told.items() if setting in SETTING_NAMES
    }
    assert {key for key, became in told.items() if became in ("a file", "none")} == set(OTHER_KEYS)


def test_every_output_has_a_row_and_what_it_became_is_an_output_of_the_stack() -> None:
    stack = synthesize_settings(settings_of("dev"))
    table = rows("Outputs")
    assert {name for outputs, _ in table for name in names(outputs)} == set(OUTPUTS)
    became = [name for _, here in table for name in names(here)]
    assert len(became) >= 9
    assert set(became) <= stack["output"].keys()


def test_every_script_has_a_row() -> None:
    told = [name.partition(" ")[0].split("/")[-1] for cell, _ in rows("Scripts") for name in names(cell)]
    assert [one for one in SCRIPTS if not any(fnmatch(one, pattern) for pattern in told)] == []


@pytest.mark.parametrize("heading", ["Context keys", "Properties", "Commands", "Scripts"])
def test_every_row_says_what_is_here(heading: str) -> None:
    assert [row for row in rows(heading) if len(row) < 2 or not row[1]] == []


def test_the_warning_that_the_page_shows_is_the_one_that_is_printed() -> None:
    typed = ("deploy", "nixl-efa-dev", "-c", "instanceType=g7e.12xlarge")
    found = without_effect("cdktf", typed, ["dev", "prod"], ["dev", "prod"])
    assert found is not None
    assert f"WARN [nixl-efa-dev]: {found.line()}\n" in PAGE
