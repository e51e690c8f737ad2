"""The stack's outputs: read from its state, every way in which they can be wrong in one line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nixl_efa import state
from nixl_efa.failure import Failure
from nixl_efa.nodes import outputs
from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.terraform import capture

WHOLE = {
    "producer_instance_id": "i-1",
    "producer_private_ip": "10.0.0.11",
    "producer_public_ip": "203.0.113.11",
    "consumer_instance_id": "i-2",
    "consumer_private_ip": "10.0.0.12",
    "consumer_public_ip": "",
    "efa_interfaces": 32,
    "capacity_reservation_id": "cr-1",
}


def test_both_nodes_are_read() -> None:
    assert outputs.parse("prod", WHOLE) == outputs.PairOutputs(
        "prod",
        (
            outputs.Node("producer", "producer", "i-1", "10.0.0.11", "203.0.113.11", 32, "cr-1"),
            outputs.Node("consumer", "consumer", "i-2", "10.0.0.12", "", 32, "cr-1"),
        ),
    )


def test_what_nodes_have_each_in_its_own_way_is_read_from_the_list_where_it_knows_the_instance() -> None:
    own = {"efa_interfaces": 1, "capacity_reservation_id": "cr-2"}
    nodes = [{"instance_id": "i-1", **own}, {"instance_id": "i-of-before", **own}]
    read = outputs.parse("prod", {**WHOLE, "nodes": nodes}).nodes
    assert [(one.efa_interfaces, one.capacity_reservation_id) for one in read] == [(1, "cr-2"), (32, "cr-1")]


def test_what_only_some_pairs_have_may_be_absent() -> None:
    optional = ("capacity_reservation_id", "producer_public_ip", "consumer_public_ip")
    pair = outputs.parse("dev", {name: value for name, value in WHOLE.items() if name not in optional})
    assert (pair.nodes[0].capacity_reservation_id, pair.nodes[0].public_ip) == ("", "")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {name: value for name, value in WHOLE.items() if not name.startswith("consumer")},
            "incomplete: its stack has no consumer_instance_id, no consumer_private_ip.",
        ),
        ({**WHOLE, "producer_instance_id": None}, "no producer_instance_id. `nixl-efa mend prod` keeps"),
    ],
)
def test_outputs_of_half_a_pair_are_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(Failure) as stopped:
        outputs.parse("prod", values)
    assert message in stopped.value.message
    assert "\n" not in stopped.value.message
    assert stopped.value.exit_code == 1


LOCAL = Settings(name="prod", instance_type="p5.48xlarge")
S3 = LOCAL.model_copy(update={"backend": S3Backend(bucket="states")})
ELSEWHERE = "where it was deployed from another folder, name that one: `nixl-efa --project DIR status prod`"


@pytest.mark.parametrize(
    ("settings", "file", "messages"),
    [
        (LOCAL, False, ("there is no {file}. Run `nixl-efa deploy prod`", ELSEWHERE)),
        (LOCAL, True, ("its state, {file}, is empty. Run `nixl-efa deploy prod`.",)),
        (S3, False, ("its state, s3://states/nixl-efa/prod.tfstate, is empty. Run `nixl-efa deploy prod`.",)),
    ],
)
def test_an_environment_that_was_never_deployed_is_one_line(
    settings: Settings, file: bool, messages: tuple[str, ...], tmp_path: Path
) -> None:
    path = state.local_state(settings, tmp_path)
    if file:
        path.parent.mkdir()
        path.write_text("{}", encoding="utf-8")
    with pytest.raises(Failure) as stopped:
        outputs.read(settings, tmp_path, {}, lambda command, folder, environ: (0, "", ""))
    assert stopped.value.message.startswith("environment 'prod' is not deployed: ")
    assert [one for one in messages if one.format(file=path) not in stopped.value.message] == []


def test_resources_without_any_output_are_half_a_pair(tmp_path: Path) -> None:
    """What an apply leaves that failed before it came to the outputs."""
    role = {
        "mode": "managed",
        "type": "aws_iam_role",
        "name": "role",
        "instances": [{"attributes": {"id": "r"}}],
    }
    document = json.dumps({"version": 4, "outputs": {}, "resources": [role]})
    with pytest.raises(Failure, match="is incomplete: its stack has no producer_instance_id"):
        outputs.read(LOCAL, tmp_path, {}, lambda command, folder, environ: (0, document, ""))


def test_a_missing_terraform_names_the_variable_for_opentofu(tmp_path: Path) -> None:
    def run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
        raise FileNotFoundError(command[0])

    with pytest.raises(Failure, match=r"terraform is not on PATH.*TERRAFORM_BINARY_NAME=tofu"):
        outputs.read(LOCAL, tmp_path, {}, run)


def test_a_command_is_run_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "pwd; echo $NO >&2; exit 3"]
    assert capture(command, tmp_path, {"NO": "no"}) == (3, f"{tmp_path}\n", "no\n")


def more_of(*names: str) -> dict[str, object]:
    """The outputs that nodes beyond the pair have of their own."""
    each = {"instance_id": "i-{}", "private_ip": "10.0.0.{}", "public_ip": ""}
    return {
        f"{name.replace('-', '_')}_{what}": form.format(name.rpartition("-")[2])
        for name in names
        for what, form in each.items()
    }


def test_every_node_is_read_in_order_and_found_by_its_name() -> None:
    pair = outputs.parse("prod", {**more_of("consumer-10", "consumer-2", "producer-2"), **WHOLE})
    assert [(node.name, node.role, node.private_ip) for node in pair.nodes] == [
        ("producer", "producer", "10.0.0.11"),
        ("producer-2", "producer", "10.0.0.2"),
        ("consumer", "consumer", "10.0.0.12"),
        ("consumer-2", "consumer", "10.0.0.2"),
        ("consumer-10", "consumer", "10.0.0.10"),
    ]
    found = {name: pair.find(name) for name in ("consumer", "consumer-1", "consumer-2", "consumer-3")}
    assert {name: node and node.name for name, node in found.items()} == {
        "consumer": "consumer",
        "consumer-1": "consumer",
        "consumer-2": "consumer-2",
        "consumer-3": None,
    }


def test_a_third_node_that_is_half_built_is_named() -> None:
    with pytest.raises(Failure, match="has no consumer_2_instance_id"):
        outputs.parse("prod", {**WHOLE, "consumer_2_private_ip": "10.0.0.13"})


def test_a_list_from_before_a_deployment_that_failed_hides_no_node_and_names_no_old_one() -> None:
    """Terraform keeps an output of before whose resources were not all made (tried with 1.11)."""
    listed = [
        {"name": role, "role": role, "instance_id": f"i-old-{role}", "private_ip": "10.0.0.1"}
        for role in ("producer", "consumer")
    ]
    pair = outputs.parse("prod", {**WHOLE, **more_of("consumer-2"), "nodes": listed})
    assert {node.name: node.instance_id for node in pair.nodes} == {
        "producer": "i-1",
        "consumer": "i-2",
        "consumer-2": "i-2",
    }
