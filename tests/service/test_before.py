"""What stops a service before its engines start: versions, settings, the model, memory, disk and ports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.failure import BadInput
from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import NodeFacts, Planned, planned
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.parse import Nixl, gpus
from nixl_efa.service import before, vllm
from nixl_efa.service.asked import asked
from nixl_efa.service.before import GIB, Prepared
from nixl_efa.service.model import ENGINE_UNIT, ROUTER_UNIT, Service, service_of
from nixl_efa.service.way import way_of
from tests.nodes.conftest import p5_facts, p5_plan
from tests.records import answer

__all__ = ["p5_facts", "p5_plan"]

OF_L40S = gpus(answer("nvidia/l40s-csv"))[0].driver
P5 = planned("p5.48xlarge", None, 32, "1.5.0")
WAY = way_of(P5, {})
NODE = Node("producer", "producer", "i-1", "10.0.0.11", "")
KV = {"kv_role": "kv_producer", "kv_connector_extra_config": {"backends": ["LIBFABRIC"]}}
SERVICE = Service("vllm", "meta-llama/Llama-3.3-70B-Instruct", "0.32.0", ("--tensor-parallel-size", "8"))
LLAMA = Prepared(
    installed={"vllm": "0.32.0", "nixl": "1.5.0"},
    path="meta-llama/Llama-3.3-70B-Instruct",
    config={"architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", "vocab_size": 128256},
    sum="ab" * 32,
    weight_bytes=131 * GIB,
    to_copy=131 * GIB,
    hub="/opt/dlami/nvme/huggingface",
    kv_transfer_config=json.dumps(KV),
    free_bytes=28_000 * GIB,
    memory_bytes=2000 * GIB,
    gpu_bytes=(80 * GIB,) * 8,
    taken={},
    running=(),
)


def findings(service: Service = SERVICE, **changes: Any) -> dict[str, Finding]:
    found = before.node_findings("prod", NODE, replace(LLAMA, **changes), service, WAY, vllm)
    return {one.check: one for one in found}


def test_a_node_that_has_all_of_it() -> None:
    found = findings()
    assert {one.level for one in found.values()} == {Level.PASS}
    assert found["model"].message == "LlamaForCausalLM, bfloat16, 131.0 GiB of weights"
    assert found["memory"].message == "131.0 GiB of weights, and 8 of 8 GPUs can hold 576.0 GiB"


@pytest.mark.parametrize(
    ("driver", "cuda", "fits"),
    [
        (OF_L40S, "12.9", True),
        (OF_L40S, "13.0", False),
        ("580.65.06", "13.0", True),
        ("595.91.07", "12.8", True),
        ("520.61.05", "12.1", False),
        # A CUDA that NVIDIA's table does not have yet, no torch, no GPU.
        (OF_L40S, "14.0", True),
        (OF_L40S, "", True),
        ("", "13.0", True),
    ],
)
def test_a_driver_that_is_too_old_for_torch_is_told_before_the_start(
    driver: str, cuda: str, fits: bool
) -> None:
    assert (before.driver_findings(driver, cuda) == ()) is fits


def test_of_a_staged_model_it_is_told_from_where_it_is_copied() -> None:
    place = "s3://acme-models/nixl-efa-models/hub/meta-llama/Llama-3.3-70B-Instruct"
    found = findings(source=place, content="cd" * 32)
    assert found["model"].message == "LlamaForCausalLM, bfloat16, 131.0 GiB of weights, staged"
    assert found["disk"].message == f"131.0 GiB to copy from {place}, 28000.0 GiB free"
    other = replace(LLAMA, content="ef" * 32)
    told = before.agreement({"producer": replace(LLAMA, content="cd" * 32), "consumer": other}, vllm)
    assert [one.check for one in told if one.level is Level.FAIL] == ["same model"]
    left = findings(incomplete=f"7 objects below {place}/")["staged"]
    assert left.level is Level.WARN
    assert left.message == f"7 objects below {place}/ have no manifest, so they are not used."
    assert (
        "`nixl-efa serve prepare prod --model meta-llama/Llama-3.3-70B-Instruct --engine-version 0.32.0` completes it"
        in left.remedy
    )


def test_it_is_told_where_packages_were_installed_from() -> None:
    place = "s3://acme-models/nixl-efa-models/packages/vllm-0.32.0/vllm-router-0.1.17/python3.12-x86_64"
    found = findings(install_source=place)
    assert (found["engine"].message, "staged packages" in found) == (
        f"vLLM 0.32.0, NIXL 1.5.0, installed from {place}",
        False,
    )
    found = findings(install_source=f"the index: {place}: it is not complete")
    assert found["engine"].message == "vLLM 0.32.0, NIXL 1.5.0, installed from the index"
    left = found["staged packages"]
    assert (left.level, left.message) == (Level.WARN, f"not used: {place}: it is not complete.")
    again = (
        "prod --model meta-llama/Llama-3.3-70B-Instruct --engine-version 0.32.0` stages the packages again."
    )
    assert f"`nixl-efa serve prepare {again}" in left.remedy


@pytest.mark.parametrize(
    ("changes", "check", "said", "remedy"),
    [
        (
            {"install_error": "No matching distribution"},
            "engine",
            "vllm==0.32.0 can't be installed: No",
            "pip.conf",
        ),
        ({"kv_transfer_config": ""}, "settings", "no PAIR_KV_TRANSFER_CONFIG", "nodes sync prod"),
        (
            {"kv_transfer_config": json.dumps({**KV, "kv_connector_extra_config": {}})},
            "settings",
            "not set, which is UCX, and LIBFABRIC is planned",
            "nodes sync prod",
        ),
        (
            {"kv_transfer_config": json.dumps({**KV, "kv_connector_extra_config": {"backends": ["UCX"]}})},
            "settings",
            "is UCX, and LIBFABRIC is planned",
            "nodes sync prod",
        ),
        (
            {"kv_transfer_config": json.dumps({**KV, "kv_role": "kv_both"})},
            "settings",
            "kv_role is kv_both, and the node is a producer",
            "nodes sync prod",
        ),
        ({"sum": "", "model_error": "404 Not Found"}, "model", "404 Not Found.", "HF_TOKEN"),
        ({"weight_bytes": 0}, "model", "has no weights", "Copy them"),
        (
            {"weight_bytes": 700 * GIB},
            "memory",
            "8 of 8 GPUs can hold 576.0 GiB",
            "does not fit on a node of this type",
        ),
        ({"free_bytes": 132 * GIB}, "disk", "131.0 GiB to copy, 132.0 GiB free", "volume_size"),
        (
            {"taken": {"8100": "python3, process 7"}},
            "ports",
            "taken: 8100 (python3, process 7).",
            "serve stop prod",
        ),
        (
            {"taken": {"8100": "x", "8000": "nginx, process 9"}, "running": (ENGINE_UNIT,)},
            "ports",
            "taken: 8000 (nginx, process 9).",
            "serve stop prod",
        ),
    ],
)
def test_what_is_wrong_on_a_node_is_one_finding(
    changes: dict[str, Any], check: str, said: str, remedy: str
) -> None:
    found = findings(**changes)
    assert {name for name, one in found.items() if one.level is not Level.PASS} == {check}
    assert said in found[check].message
    assert remedy in found[check].remedy


@pytest.mark.parametrize(
    ("flags", "said", "remedy"),
    [
        # One GPU is what vLLM takes by itself: 131 GiB end after the load, out of memory.
        ((), "1 of 8 GPUs can hold 72.0 GiB", "`-- --tensor-parallel-size 2` or more"),
        (("-tp", "1"), "1 of 8 GPUs", "`-- --tensor-parallel-size 2` or more"),
    ],
)
def test_weights_for_more_gpus_than_the_flags_name(flags: tuple[str, ...], said: str, remedy: str) -> None:
    found = findings(replace(SERVICE, flags=flags))["memory"]
    assert (found.level, said in found.message, remedy in found.remedy) == (Level.FAIL, True, True)


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (("--tensor-parallel-size=2",), 2),
        (("--tensor_parallel_size", "4", "--pipeline-parallel-size", "2"), 8),
        (("-tp", "2", "-tp", "4"), 4),
        (("--tensor-parallel-size",), 1),
    ],
)
def test_the_accelerators_that_the_flags_name(flags: tuple[str, ...], count: int) -> None:
    assert vllm.accelerators(flags) == count


def test_a_node_without_gpus_holds_the_weights_in_its_memory() -> None:
    found = findings(gpu_bytes=(), memory_bytes=100 * GIB)
    assert (
        found["memory"].message == "131.0 GiB of weights, and the host, which has no GPU can hold 98.0 GiB."
    )


def test_our_own_units_have_their_ports() -> None:
    found = findings(
        taken={"8100": "vllm", "5600": "vllm", "8000": "router", "29000": "router"},
        running=(ENGINE_UNIT, ROUTER_UNIT),
    )
    assert found["ports"].level is Level.PASS


def test_a_type_for_which_the_package_has_no_build_is_refused() -> None:
    assert before.type_finding(P5, vllm) is None
    found = before.type_finding(replace(P5, instance_type="trn2.48xlarge", accelerator_kind="neuron"), vllm)
    assert found is not None
    assert "no build for the neuron accelerators of trn2.48xlarge" in found.message


def test_the_flag_decides_the_dtype_unless_it_is_auto() -> None:
    config: dict[str, object] = {"torch_dtype": "bfloat16"}
    told = [vllm.dtype(flags, config) for flags in (("--dtype", "half"), ("--dtype=auto",), ())]
    assert told == ["half", "bfloat16", "bfloat16"]


@pytest.mark.parametrize(
    ("changes", "check", "said"),
    [
        (
            {"installed": {"vllm": "0.31.0", "nixl": "1.5.0"}},
            "same engine",
            "0.32.0 on producer; 0.31.0 on consumer.",
        ),
        (
            {"installed": {"vllm": "0.32.0", "nixl": "1.4.0"}},
            "same NIXL",
            "1.5.0 on producer; 1.4.0 on consumer.",
        ),
        (
            {"sum": "cd" * 32},
            "same model",
            "config.json abababababab, 140660178944 bytes of weights on producer; config.json cdcdcdcdcdcd, "
            "140660178944 bytes of weights on consumer.",
        ),
        # A copy that was cut.
        (
            {"weight_bytes": 5},
            "same model",
            "config.json abababababab, 140660178944 bytes of weights on producer; config.json abababababab, "
            "5 bytes of weights on consumer.",
        ),
    ],
)
def test_nodes_that_differ_are_named(changes: dict[str, Any], check: str, said: str) -> None:
    assert {one.level for one in before.agreement({"producer": LLAMA, "consumer": LLAMA}, vllm)} == {
        Level.PASS
    }
    found = before.agreement({"producer": LLAMA, "consumer": replace(LLAMA, **changes)}, vllm)
    assert [(one.check, one.message) for one in found if one.level is Level.FAIL] == [
        (check, f"it differs: {said}")
    ]


@pytest.mark.parametrize(
    ("nixl", "said"),
    [
        # NIXL newer than the libfabric; FI_PROVIDER missing; the environment of another backend.
        (
            Nixl("1.5.1", "LIBFABRIC", "", "libfabric.so.1: version `FABRIC_1.10' not found"),
            "1.5.1 makes no LIBFABRIC: libfabric.so.1: version `FABRIC_1.10' not found.",
        ),
        (Nixl("1.5.0", "LIBFABRIC", "tcp", ""), "1.5.0 with LIBFABRIC uses tcp, not EFA."),
        (Nixl("1.5.0", "UCX", "ucx", ""), "the node uses UCX in place of LIBFABRIC over EFA"),
    ],
)
def test_nixl_that_does_not_go_as_planned_is_refused_before_anything_else(
    nixl: Nixl, said: str, p5_facts: NodeFacts, p5_plan: Planned
) -> None:
    assert before.nixl_finding(p5_facts, p5_plan, WAY).level is Level.PASS
    found = before.nixl_finding(replace(p5_facts, nixl=nixl), p5_plan, WAY)
    assert (found.level, said in found.message, bool(found.remedy)) == (Level.FAIL, True, True)


@pytest.mark.parametrize(
    ("model", "version", "flags", "said"),
    [
        ("s3://bucket", "0.32.0", (), "--model 's3://bucket' is neither"),
        ("a b", "0.32.0", (), "--model 'a b' is neither"),
        ("s3://bucket//", "0.32.0", (), "--model 's3://bucket//' is neither"),
        ("s3://bucket/../../../etc", "0.32.0", (), "is neither"),
        ("//", "0.32.0", (), "--model '//' is neither"),
        ("/models/../etc", "0.32.0", (), "is neither"),
        ("../x", "0.32.0", (), "--model '../x' is neither"),
        ("--port", "0.32.0", (), "--model '--port' is neither"),
        ("a/b", "latest", (), "--engine-version 'latest' is not a version of vllm: give one such as 0.32.0."),
        ("a/b", "0.32", (), "--engine-version '0.32' is not a version of vllm: give 0.32.0."),
        ("a/b", "0.32.0.0", (), "is not a version of vllm: give 0.32.0."),
        ("a/b", "0.32.0+cu129", (), "is not a version of vllm: give 0.32.0."),
        ("a/b", "00.8.5.post1", (), "is not a version of vllm: give 0.8.5.post1."),
        ("a/b", "0.32.0-rc1", (), "is not a version of vllm: give one such as 0.32.0."),
        (
            "a/b",
            "0.32.0",
            ("--kv-transfer-config={}",),
            "--kv-transfer-config can't be given to vllm here: it is PAIR",
        ),
        ("a/b", "0.32.0", ("--kv_transfer_config", "{}"), "--kv_transfer_config can't be given"),
        ("a/b", "0.32.0", ("--port", "1"), "--port can't be given"),
        ("a/b", "0.32.0", ("--api-key", "x"), "Run Command's history"),
        (
            "a/b",
            "0.32.0",
            ("--hf_token=hf_x",),
            "--hf_token can't be given to vllm here: it would be visible in Run",
        ),
        # A part of its JSON, and an abbreviation: vLLM takes both.
        ("a/b", "0.32.0", ("--kv-transfer-config.kv_role", "kv_both"), "--kv-transfer-config can't be given"),
        ("a/b", "0.32.0", ("--kv-tran", "{}"), "--kv-tran can't be given"),
        ("a/b", "0.32.0", ("producer",), "the first word is not a flag of vllm"),
        # An engine that nobody can ask would be waited for, for hours.
        ("a/b", "0.32.0", ("--ssl-keyfile", "/k"), "by plain HTTP"),
        ("a/b", "0.32.0", ("--headless",), "by plain HTTP"),
    ],
)
def test_a_service_that_can_not_be_asked_for(
    model: str, version: str, flags: tuple[str, ...], said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        asked({"model": model, "version": version, "flags": flags}, None, {}, "prod")
    assert said in refused.value.message
    assert "hf_x" not in refused.value.message


@pytest.mark.parametrize("version", ["0.10.1.1", "0.8.5.post1", "0.33.0rc1", "1.0.0.dev7"])
def test_versions_as_vllm_has_them_are_taken(version: str) -> None:
    assert asked({"model": "a/b", "version": version}, None, {}, "prod").version == version


@pytest.mark.parametrize(
    "flags", [("--", "-tp", "8"), ("--model-impl", "auto"), ("--hf-overrides", '{"a": "--port"}')]
)
def test_flags_of_an_engine_that_only_look_like_ours_are_taken(flags: tuple[str, ...]) -> None:
    assert asked({"model": "a/b", "flags": flags}, None, {}, "prod").flags == flags


def test_the_name_that_answers_is_the_one_that_the_flags_give_it() -> None:
    assert vllm.served_as(SERVICE) == SERVICE.model
    assert vllm.served_as(replace(SERVICE, flags=("--served-model-name", "llama"))) == "llama"


def test_a_node_keeps_what_it_was_started_for() -> None:
    service = asked({"model": "s3://bucket/models/x/", "flags": ("--dtype", "half")}, None, {}, "prod")
    assert service.model == "s3://bucket/models/x"
    assert service_of(json.loads(service.text)) == service
    assert service_of({"engine": "vllm"}) is None
