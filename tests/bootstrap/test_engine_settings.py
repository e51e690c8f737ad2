"""What /etc/nixl-efa/env tells vLLM, SGLang and TensorRT-LLM, held to what these read by their own source."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tests.printed import ROOT, blocks
from tests.records import answer

VLLM: dict[str, Any] = answer("vllm/kv-transfer-config-0.33")
# How NIXL goes between the nodes, by what decides it.
PAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "EFA with GPUDirect": ({}, "LIBFABRIC"),
    "EFA of Trainium": ({"instance_type": "trn1.32xlarge", "accelerator_kind": "neuron"}, "LIBFABRIC"),
    "EFA without GPUDirect": ({"instance_type": "g6e.12xlarge", "efa_interfaces": 1}, "UCX"),
    "no EFA": ({"instance_type": "g7e.2xlarge", "efa_interfaces": 0}, "UCX"),
}


@pytest.fixture
def variables(written_files: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    """The variables of /etc/nixl-efa/env, as a shell has them."""

    def read(**changes: Any) -> dict[str, str]:
        lines = written_files(**changes)["/etc/nixl-efa/env"].splitlines()
        pairs = (line.partition("=") for line in lines)
        return {name: "".join(shlex.split(value)) for name, _, value in pairs}

    return read


@pytest.mark.parametrize("node", ["producer", "consumer"])
@pytest.mark.parametrize(("changes", "backend"), PAIRS.values(), ids=PAIRS)
def test_the_transfer_config_holds_nothing_that_vllm_does_not_read(
    changes: dict[str, Any], backend: str, node: str, variables: Callable[..., dict[str, str]]
) -> None:
    config = json.loads(variables(node=node, **changes)["PAIR_KV_TRANSFER_CONFIG"])
    assert set(config) <= set(VLLM["fields"])
    assert config["kv_role"] in VLLM["kv_role"]
    assert config["kv_role"] == f"kv_{node}"
    assert f"kv_role='{config['kv_role']}'" in VLLM["deprecated"].partition("Please set")[2]
    assert config["kv_load_failure_policy"] in VLLM["kv_load_failure_policy"]
    assert config.get("kv_buffer_device", "cuda") in VLLM["devices"]["cuda"]
    extra, known = config["kv_connector_extra_config"], VLLM["extra_config"]
    assert set(extra) <= set(known)
    assert {name: type(value) for name, value in extra.items()} == {name: type(known[name]) for name in extra}
    assert extra["backends"] == [backend]
    assert extra["kv_lease_duration"] == 120


@pytest.mark.parametrize(("changes", "backend"), PAIRS.values(), ids=PAIRS)
def test_every_engine_is_told_the_backend_since_all_of_them_take_ucx_unasked(
    changes: dict[str, Any], backend: str, variables: Callable[..., dict[str, str]]
) -> None:
    sglang, tensorrt = answer("sglang/nixl-backend-0.5.23"), answer("tensorrt_llm/nixl-backend")
    found = variables(**changes)
    for name, default in (
        ("SGLANG_DISAGGREGATION_NIXL_BACKEND", sglang["environment"]["SGLANG_DISAGGREGATION_NIXL_BACKEND"]),
        ("TRTLLM_NIXL_KVCACHE_BACKEND", tensorrt["environment"]["TRTLLM_NIXL_KVCACHE_BACKEND"]),
    ):
        assert (found[name], default) == (backend, "UCX")
    assert VLLM["extra_config"]["backends"] == ["UCX"]
    assert backend in tensorrt["supported"]


def test_vllms_side_channel_is_the_node_itself(variables: Callable[..., dict[str, str]]) -> None:
    found = variables(node="consumer")
    assert set(VLLM["environment"]) <= set(found)
    assert found["VLLM_NIXL_SIDE_CHANNEL_HOST"] == "10.0.0.12"


def test_nixls_log_level_is_left_to_who_looks(variables: Callable[..., dict[str, str]]) -> None:
    assert "NIXL_LOG_LEVEL" not in variables()


def test_the_page_shows_the_transfer_config_of_a_producer(variables: Callable[..., dict[str, str]]) -> None:
    (shown,) = blocks((ROOT / "docs/nodes.md").read_text(encoding="utf-8"), "json")
    assert json.loads(shown.text) == json.loads(variables()["PAIR_KV_TRANSFER_CONFIG"])
