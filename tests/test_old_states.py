"""States on this machine to which the settings no longer lead: a file of an environment is gone, a backend changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from nixl_efa import state
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, Level
from nixl_efa.old_states import (
    abandoned,
    in_cdktf_out,
    remembered_place,
    selected_workspace,
    settle_changed_backend,
)
from nixl_efa.settings import Settings, load
from tests import states

S3 = '{"type": "s3", "bucket": "states"}'
IN_CLOUD = '{"type": "cloud", "organization": "acme", "workspace": "nixl-efa-prod"}'
PLACE = "s3://states/nixl-efa/prod.tfstate"


def document(**ids: str) -> dict[str, Any]:
    """A state with a node for each name."""
    resources = [
        states.node(name, one, arn=f"arn:aws:ec2:us-west-2:1:instance/{one}") for name, one in ids.items()
    ]
    return {"version": 4, "resources": resources}


PAIR = document(producer="i-1", consumer="i-2")
MORE = document(producer="i-1", consumer="i-2", proxy="i-3")
OTHERS = document(producer="i-8", consumer="i-9")
NONE = document()


def settings(tmp_path: Path, backend: str) -> Settings:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/prod.toml").write_text('region = "us-west-2"\ninstance_type = "p5.48xlarge"\n')
    loaded = load(tmp_path / "environments", {"NIXL_EFA_PROD_BACKEND": backend}, {})
    assert loaded.findings == ()
    return loaded.environments[0]


def write(tmp_path: Path, content: dict[str, Any] | str, name: str = "prod") -> Path:
    file = tmp_path / "state" / f"nixl-efa-{name}.tfstate"
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def remember(stack_folder: Path, backend: dict[str, Any]) -> None:
    """What Terraform leaves in a stack's folder when it is made ready."""
    (stack_folder / ".terraform").mkdir(parents=True)
    text = json.dumps({"version": 3, "backend": backend})
    (stack_folder / ".terraform" / "terraform.tfstate").write_text(text, encoding="utf-8")


LOCAL = {"type": "local", "config": {"path": "../../../state/nixl-efa-prod.tfstate", "workspace_dir": None}}
IN_S3 = {"type": "s3", "config": {"bucket": "states", "key": "nixl-efa/prod.tfstate", "region": "us-west-2"}}
ELSEWHERE = {"type": "s3", "config": {"bucket": "old-states", "key": "nixl-efa/prod.tfstate"}}
CLOUD = {
    "type": "cloud",
    "config": {
        "hostname": None,
        "organization": "acme",
        "workspaces": {"name": "nixl-efa-prod", "tags": None},
    },
}

TAGGED = {
    "type": "cloud",
    "config": {"hostname": "t.example", "organization": "a", "workspaces": {"tags": ["x", "y"]}},
}


@pytest.mark.parametrize(
    ("held", "names", "words"),
    [
        (PAIR, ["prod"], ""),
        (
            PAIR,
            ["dev"],
            "state/nixl-efa-prod.tfstate still holds 2 resources, the nodes i-1, i-2 among them, but "
            "environments/prod.toml is gone: no command can reach them, and what runs is billed. Put "
            'environments/prod.toml back, with exactly this name (region = "us-west-2" and any '
            "instance_type are enough), "
            "and run `cdktf destroy nixl-efa-prod`.",
        ),
        (NONE, ["dev"], ""),
        ("", ["dev"], ""),
        ("{", ["dev"], ""),
    ],
)
def test_a_state_whose_environment_has_no_file_is_warned_of_while_it_holds_something(
    held: Any, names: list[str], words: str, tmp_path: Path
) -> None:
    write(tmp_path, held)
    write(tmp_path, PAIR, "dev").with_suffix(".tfstate.backup").write_text("{}")
    found = abandoned(tmp_path, [*names, "dev"])
    assert [(each.level, each.line()) for each in found.values()] == ([(Level.WARN, words)] if words else [])


def test_a_project_without_a_state_has_none(tmp_path: Path) -> None:
    assert abandoned(tmp_path, []) == {}


@pytest.mark.parametrize(
    ("backend", "place"),
    [
        (LOCAL, "local"),
        (IN_S3, PLACE),
        (CLOUD, "app.terraform.io/acme/nixl-efa-prod"),
        (TAGGED, "t.example/a/x+y"),
        ({"type": "consul", "config": {}}, ""),
        ({}, ""),
    ],
)
def test_terraform_remembers_where_the_state_was(backend: dict[str, Any], place: str, tmp_path: Path) -> None:
    assert remembered_place(tmp_path) == ""
    remember(tmp_path, backend)
    assert remembered_place(tmp_path) == place


def look(
    tmp_path: Path, backend: str, held: Any, there: dict[str, Any] | None, was: dict[str, Any] | None = None
) -> Finding | None:
    chosen = settings(tmp_path, backend)
    if held is not None:
        write(tmp_path, held)
    if was is not None:
        remember(tmp_path / "stack", was)

    def read() -> state.State:
        if there is None:
            raise Failure("`terraform init` failed: no bucket.")
        return state.parse(there)

    return settle_changed_backend(chosen, tmp_path, tmp_path / "stack", read)


@pytest.mark.parametrize(
    ("backend", "held", "there", "was"),
    [
        # A first synthesis, with any backend; and one after another.
        ("local", None, NONE, None),
        ("local", PAIR, NONE, None),
        ("local", PAIR, NONE, LOCAL),
        (S3, None, NONE, None),
        (S3, None, PAIR, IN_S3),
        # Destroyed before the backend was changed: nothing is lost.
        (S3, NONE, NONE, None),
        (S3, "", NONE, None),
    ],
)
def test_nothing_is_said_of_an_environment_whose_state_is_where_it_was(
    backend: str, held: Any, there: Any, was: Any, tmp_path: Path
) -> None:
    assert look(tmp_path, backend, held, there, was) is None


@pytest.mark.parametrize(
    ("backend", "was", "words"),
    [
        (S3, LOCAL, f"the state is in local, and backend is {PLACE} (variable NIXL_EFA_PROD_BACKEND) now"),
        (S3, ELSEWHERE, "the state is in s3://old-states/nixl-efa/prod.tfstate, and backend is"),
        ("local", IN_S3, f"the state is in {PLACE}, and backend is local"),
    ],
)
def test_where_terraform_remembers_the_old_place_it_is_said_how_to_move(
    backend: str, was: dict[str, Any], words: str, tmp_path: Path
) -> None:
    found = look(tmp_path, backend, PAIR, None, was)
    assert found is not None
    assert (found.level, words in found.message) == (Level.WARN, True), found
    assert "`cdktf deploy nixl-efa-prod --migrate-state`" in found.remedy
    assert "`terraform -chdir=cdktf.out/stacks/nixl-efa-prod init -migrate-state`" in found.remedy
    assert (tmp_path / "state/nixl-efa-prod.tfstate").exists()


@pytest.mark.parametrize(
    ("backend", "was", "words"),
    [
        (IN_CLOUD, LOCAL, "`terraform -chdir=cdktf.out/stacks/nixl-efa-prod init` at a terminal asks"),
        ("local", CLOUD, "Terraform can't move a state out of Terraform Cloud"),
    ],
)
def test_terraform_cloud_has_ways_of_its_own_and_takes_no_migrate_state(
    backend: str, was: dict[str, Any], words: str, tmp_path: Path
) -> None:
    found = look(tmp_path, backend, PAIR, None, was)
    assert found is not None
    assert (found.level, words in found.remedy) == (Level.WARN, True), found
    assert "-migrate-state" not in found.remedy


@pytest.mark.parametrize("was", [None, IN_S3])
@pytest.mark.parametrize(
    ("held", "there", "words"),
    [
        (PAIR, NONE, "holds 2 resources, the nodes i-1, i-2 among them, and the state there nothing"),
        (PAIR, NONE, "`NIXL_EFA_PROD_BACKEND=local cdktf synth`"),
        (PAIR, OTHERS, "and the state there other ones: 2 resources, the nodes i-8, i-9 among them"),
        (PAIR, OTHERS, "`NIXL_EFA_PROD_BACKEND=local cdktf destroy nixl-efa-prod`"),
        # Older than the file, by a node.
        (MORE, PAIR, "the nodes i-1, i-2, i-3 among them, and the state there other ones"),
        (PAIR, None, "and the state there can't be read: `terraform init` failed: no bucket."),
        ("{", PAIR, "state/nixl-efa-prod.tfstate on this machine can't be read"),
    ],
)
def test_an_environment_that_would_begin_an_empty_state_or_use_an_older_one_is_refused(
    held: Any, there: Any, words: str, was: Any, tmp_path: Path
) -> None:
    found = look(tmp_path, S3, held, there, was)
    assert found is not None
    assert (found.level, words in found.line()) == (Level.FAIL, True), found
    assert "`mv state/nixl-efa-prod.tfstate state/nixl-efa-prod.tfstate.moved`" in found.remedy
    assert (tmp_path / "state/nixl-efa-prod.tfstate").exists()


@pytest.mark.parametrize("was", [None, IN_S3])
@pytest.mark.parametrize("there", [PAIR, MORE])
def test_a_state_that_was_moved_is_put_aside_under_a_name_that_is_free(
    there: dict[str, Any], was: Any, tmp_path: Path
) -> None:
    earlier = write(tmp_path, OTHERS)
    earlier.rename(earlier.with_name(f"{earlier.name}.moved"))
    found = look(tmp_path, S3, PAIR, there, was)
    assert found is not None
    assert found.level is Level.PASS
    assert found.message.endswith("that file is kept as state/nixl-efa-prod.tfstate.moved-2.")
    kept = {file.name: json.loads(file.read_text()) for file in (tmp_path / "state").iterdir()}
    assert kept == {"nixl-efa-prod.tfstate.moved": OTHERS, "nixl-efa-prod.tfstate.moved-2": PAIR}


@pytest.mark.parametrize(("held", "level"), [(PAIR, Level.FAIL), ("{", Level.FAIL), (NONE, None), ("", None)])
def test_a_state_below_cdktf_out_is_told_before_a_synthesis_may_delete_it(
    held: dict[str, Any] | str, level: Level | None, tmp_path: Path
) -> None:
    folder = tmp_path / "stacks/nixl-efa-prod/terraform.tfstate.d/second"
    folder.mkdir(parents=True)
    text = held if isinstance(held, str) else json.dumps(held)
    (folder / "terraform.tfstate").write_text(text, encoding="utf-8")

    found = in_cdktf_out(tmp_path)

    assert [one.level for one in found] == ([level] if level else [])
    assert all("TF_WORKSPACE=second terraform" in one.remedy for one in found)


@pytest.mark.parametrize(
    ("name", "backend", "is_told"),
    [("second", "local", True), ("default", "local", False), ("second", S3, False)],
)
def test_a_workspace_that_was_selected_is_told_for_a_local_state(
    name: str, backend: str, is_told: bool, tmp_path: Path
) -> None:
    (tmp_path / ".terraform").mkdir()
    (tmp_path / ".terraform/environment").write_text(f"{name}\n", encoding="utf-8")

    found = selected_workspace(settings(tmp_path, backend), tmp_path)

    assert (found is not None) is is_told
    assert found is None or "workspace select default" in found.remedy
