"""The real `cdktf synth`: the four cases of the CDK design, and how a wrong setting ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Project

pytestmark = pytest.mark.end_to_end
RESERVATION = "cr-0123456789abcdef0"
AS_WITH_THE_AWS_CDK = ("-c", "instanceType=p5.48xlarge", "--context", "volumeSize=900")
NO_EFFECT = (
    "WARN [nixl-efa-dev]: -c instanceType=p5.48xlarge -c volumeSize=900 HAS NO EFFECT: cdktf hands no context to the "
    "app. Write `NIXL_EFA_DEV_INSTANCE_TYPE=p5.48xlarge NIXL_EFA_DEV_VOLUME_SIZE=900 cdktf synth`"
)
NO_EFA = "WARN [nixl-efa-dev]: Instance type g7e.2xlarge may not support EFA"


@pytest.fixture
def project(terraform_variables: dict[str, str], tmp_path: Path) -> Project:
    for name in ("cdktf.json", "environments", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    kept = {
        name: value for name, value in terraform_variables.items() if not name.startswith(("NIXL_", "CDKTF_"))
    }
    return Project(tmp_path, "dev", kept)


def nodes(project: Project) -> list[dict[str, Any]]:
    text = (project.stack_folder / "cdk.tf.json").read_text(encoding="utf-8")
    return list(json.loads(text)["resource"]["aws_instance"].values())


@pytest.mark.parametrize(
    ("arguments", "settings", "said", "expected"),
    [
        (AS_WITH_THE_AWS_CDK, {"INSTANCE_TYPE": "g7e.12xlarge"}, NO_EFFECT, {}),
        ((), {"INSTANCE_TYPE": "g7e.2xlarge"}, NO_EFA, {}),
        (
            (),
            {"INSTANCE_TYPE": "p5.48xlarge", "CAPACITY_RESERVATION_ID": RESERVATION},
            None,
            {
                "capacity_reservation_specification": {
                    "capacity_reservation_target": {"capacity_reservation_id": RESERVATION}
                }
            },
        ),
        (
            (),
            {"INSTANCE_TYPE": "p5.48xlarge", "USE_CAPACITY_BLOCK": "true"},
            "WARN [nixl-efa-dev]: dev: use_capacity_block = true",
            {"instance_market_options": {"market_type": "capacity-block"}},
        ),
    ],
    ids=["with EFA, as with the AWS CDK", "without EFA", "reservation id", "capacity block"],
)
def test_the_four_cases_through_the_cli(
    project: Project,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    said: str | None,
    expected: dict[str, Any],
) -> None:
    project.variables = {f"NIXL_EFA_DEV_{name}": value for name, value in settings.items()}

    done = project.cdktf("synth", *arguments)

    assert "Generated Terraform code for the stacks: nixl-efa-dev" in done.text
    assert f"nixl-efa-dev: 2 x {settings['INSTANCE_TYPE']}, " in done.text
    assert ("WARN" in done.text) == (said is not None)
    assert said is None or said in done.text
    for node in nodes(project):
        assert node["instance_type"] == settings["INSTANCE_TYPE"]
        for argument in ("capacity_reservation_specification", "instance_market_options"):
            assert node.get(argument) == expected.get(argument)


def test_a_wrong_setting_ends_the_cli_with_its_message_and_no_traceback(project: Project) -> None:
    project.variables = {"NIXL_EFA_DEV_VOLUME_SIZE": "big"}

    done = project.cdktf("synth", code=1)

    assert (
        'volume_size = "big" (variable NIXL_EFA_DEV_VOLUME_SIZE) must be a whole number of GiB' in done.text
    )
    assert "Traceback" not in done.text
    assert not (project.folder / "cdktf.out" / "stacks").exists()
