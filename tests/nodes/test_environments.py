"""The settings that a command takes for an environment: the same as at synthesis, or one message."""

import json
from pathlib import Path

import pytest

from nixl_efa.cli.environments import environment_settings, tell_left_behind
from nixl_efa.failure import BadInput
from tests import states


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/prod.toml").write_text('instance_type = "p5.48xlarge"\n', encoding="utf-8")
    (tmp_path / "environments/dev.toml").write_text('instance_type = "p5"\nregion = 7\n', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "cdktf_json", "instance_type"),
    [
        ({}, None, "p5.48xlarge"),
        ({}, '{"app": "python main.py"}', "p5.48xlarge"),
        ({}, '{"context": {"prod": {"instanceType": "p5e.48xlarge"}}}', "p5e.48xlarge"),
        (
            {"CDKTF_CONTEXT_JSON": '{"instanceType": "p5en.48xlarge"}'},
            '{"context": {"instanceType": "p5e.48xlarge"}}',
            "p5en.48xlarge",
        ),
        (
            {"NIXL_EFA_PROD_INSTANCE_TYPE": "g7e.8xlarge"},
            '{"context": {"instanceType": "p5e.48xlarge"}}',
            "g7e.8xlarge",
        ),
    ],
)
def test_the_sources_are_those_of_synthesis(
    environ: dict[str, str], cdktf_json: str | None, instance_type: str, project: Path
) -> None:
    if cdktf_json:
        (project / "cdktf.json").write_text(cdktf_json, encoding="utf-8")
    assert environment_settings("prod", environ, project).instance_type == instance_type


def test_another_environments_fault_does_not_stop_this_one(project: Path) -> None:
    assert environment_settings("prod", {}, project).name == "prod"


def test_all_faults_of_the_environment_come_in_one_message(project: Path) -> None:
    with pytest.raises(BadInput) as stopped:
        environment_settings("dev", {}, project)
    assert len(stopped.value.message.splitlines()) == 2
    assert stopped.value.exit_code == 2


@pytest.mark.parametrize(
    ("environ", "cdktf_json", "words"),
    [
        ({"CDKTF_CONTEXT_JSON": "{"}, "{}", "The variable CDKTF_CONTEXT_JSON can.t be read"),
        ({}, "{", "cdktf.json .its key context. can.t be read"),
        ({"CDKTF_CONTEXT_JSON": "[]"}, "{}", "must be a JSON object"),
    ],
)
def test_a_broken_context_is_bad_input(
    environ: dict[str, str], cdktf_json: str, words: str, project: Path
) -> None:
    (project / "cdktf.json").write_text(cdktf_json, encoding="utf-8")
    with pytest.raises(BadInput, match=words):
        environment_settings("prod", environ, project)


def test_outside_of_a_project_the_message_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Run nixl-efa in it or below it"):
        environment_settings("prod", {}, tmp_path)


def leave_behind(project: Path, name: str) -> None:
    """A state that holds a node, of an environment without a file."""
    (project / "state").mkdir()
    text = json.dumps({"version": 4, "resources": states.nodes(producer="i-1")})
    (project / "state" / f"nixl-efa-{name}.tfstate").write_text(text, encoding="utf-8")


def test_an_environment_that_lost_its_file_is_named_with_the_way_to_destroy_it(project: Path) -> None:
    leave_behind(project, "old")
    with pytest.raises(BadInput) as stopped:
        environment_settings("old", {}, project)
    missing, left = stopped.value.message.splitlines()
    assert missing.startswith('There is no environment "old".')
    assert left.startswith("state/nixl-efa-old.tfstate still holds 1 resource, the nodes i-1 among them, but")
    assert left.endswith("run `cdktf destroy nixl-efa-old`.")
    with pytest.raises(BadInput) as stopped:
        environment_settings("odl", {}, project)
    assert "state/" not in stopped.value.message
    told: list[str] = []
    tell_left_behind(project, told.append)
    assert told == [f"WARN: {left}"]
    (project / "environments/old.toml").write_text('instance_type = "p5.48xlarge"\n', encoding="utf-8")
    tell_left_behind(project, told.append)
    assert len(told) == 1
