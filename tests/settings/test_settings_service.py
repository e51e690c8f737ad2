"""The table `service`: what it holds, what is said about it, and that it asks for what the command line would."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from nixl_efa.failure import BadInput
from nixl_efa.service.asked import OPTIONS, asked
from nixl_efa.service.model import FLAGS, Service, service_of
from nixl_efa.settings.service import named
from tests.settings.conftest import DEV, P5, Load, Said

TABLE = f"{P5}[service]\n"
QWEN = f'{TABLE}model = "Qwen/Qwen3-32B"\n'
WHOLE = (
    f'{QWEN}version = "0.33.0"\nflags = ["--max-model-len", "32768"]\nproducer_flags = ["-a", "{{}}"]\n'
    'consumer_flags = ["--b"]\nstart_at_boot = true'
)
SERVICE = Service("vllm", "Qwen/Qwen3-32B", "0.33.0", ("--max-model-len", "32768"), ("-a", "{}"), ("--b",))

# A file, then all that is said about it, if anything.
SAID: list[tuple[str, ...]] = [
    (QWEN,),
    (WHOLE,),
    (
        TABLE,
        f"FAIL service.model is missing ({DEV}: service.model). It must be a hub's name, a folder of the nodes "
        "or one in S3 (s3://bucket/folder), as text.",
    ),
    (f"{QWEN}modle = 1", f"FAIL service.modle is not known ({DEV}: service.modle). Did you mean model?"),
    (
        f'{QWEN}flags = ["--max-model-len", 32768]',
        f"FAIL service.flags[1] = 32768 ({DEV}: service.flags) must be a flag or its value, as text.",
    ),
    (
        f'{QWEN}flags = ["--x", "${{x}}"]',
        f'FAIL service.flags[1] = "${{x}}" ({DEV}: service.flags) must not contain "${{", "%{{" or control '
        "characters.",
    ),
    (
        f"{QWEN}start_at_boot = 1",
        f"FAIL service.start_at_boot = 1 ({DEV}: service.start_at_boot) must be true or false.",
    ),
    (
        f'{TABLE}model = "a b"',
        f"FAIL dev: service.model ({DEV}: service.model) 'a b' is neither a hub's name (Qwen/Qwen3-32B), nor a "
        "folder of the nodes (/models/x), nor one in S3 (s3://bucket/x).",
    ),
    (
        f'{QWEN}engine = "sglang"',
        f"FAIL dev: service.engine ({DEV}: service.engine) 'sglang' can't be served: give vllm.",
    ),
    (
        f'{QWEN}version = "latest"\nflags = ["--hf-token=hf_secret"]\nproducer_flags = ["--dtype", "half"]',
        f"FAIL dev: service.version ({DEV}: service.version) 'latest' is not a version of vllm: give one such as "
        "0.32.0.",
        f"FAIL dev: service.flags ({DEV}: service.flags): --hf-token can't be given to vllm here: it would be visible "
        "in Run Command's history: set HF_TOKEN in /etc/nixl-efa/service.env on each node.",
        f"FAIL dev: service.producer_flags ({DEV}: service.producer_flags): --dtype can't be given to vllm here: "
        "it must be the same on all nodes: give it in the flags of all.",
    ),
    (
        f"install_nixl = false\n{QWEN}start_at_boot = true",
        f"FAIL dev: service.start_at_boot = true ({DEV}: service.start_at_boot) and install_nixl = false ({DEV}: "
        "install_nixl) exclude each other: the engine is installed beside NIXL. Change one of them, or set "
        "NIXL_EFA_DEV_INSTALL_NIXL=true.",
    ),
    (f"install_nixl = false\n{QWEN}",),
    (
        f'{TABLE}model = "s3://b/50%&x|"\nstart_at_boot = true',
        f"FAIL dev: service.start_at_boot = true ({DEV}: service.start_at_boot): the model's name 's3://b/50%&x|' "
        "has '%&|', which a node can't take at its boot. Give the model's folder a name of letters, digits and "
        "._-+=@/, or leave start_at_boot out.",
    ),
    (f'{TABLE}model = "s3://b/50%&x|"',),
    (
        f'{QWEN}start_at_boot = true\nflags = ["--x", "{"x" * 1000}"]',
        f"FAIL dev: service.start_at_boot = true ({DEV}: service.start_at_boot): model and flags have 1017 "
        "characters, and the nodes' user data has room for 1000. Put long values into a file on the nodes that a "
        "flag names, or leave start_at_boot out.",
    ),
    (f'{QWEN}flags = ["--x", "{"x" * 1000}"]',),
    (
        f'{QWEN}start_at_boot = true\nflags = ["--x", "{"漢" * 333}"]',
        f"FAIL dev: service.start_at_boot = true ({DEV}: service.start_at_boot): model and flags have 2015 "
        "characters, and the nodes' user data has room for 1000. Put long values into a file on the nodes that a "
        "flag names, or leave start_at_boot out.",
    ),
]


@pytest.mark.parametrize(("file", "expected"), [(file, told) for file, *told in SAID])
def test_what_is_said_about_a_service(said: Said, file: str, expected: list[str]) -> None:
    assert said({"dev": file}) == expected


# Kinds of accelerators: NVIDIA's; none, for which a node's index may have vLLM's build for CPUs; Neuron's; others.
@pytest.mark.parametrize(
    ("instance_type", "kind"),
    [
        ("g7e.8xlarge", ""),
        ("c6in.32xlarge", ""),
        ("trn2.48xlarge", "neuron"),
        ("inf2.xlarge", "neuron"),
        ("dl2q.24xlarge", "qualcomm"),
    ],
)
def test_types_for_which_the_engine_has_no_build_are_refused_before_a_block_is_bought(
    load_texts: Load, instance_type: str, kind: str
) -> None:
    """Once for all nodes of the type, whether they start it at boot or not."""
    file = f'instance_type = "{instance_type}"\n[service]\nmodel = "a/b"'
    found = [one.line() for one in load_texts({"dev": file}).findings if one.check == "service"]
    assert found == [
        f'dev: service ({DEV}: service) and instance_type = "{instance_type}" ({DEV}: instance_type) exclude each '
        f"other: the package vllm has no build for the {kind} accelerators of {instance_type}. Take a type with NVIDIA "
        "GPUs, or leave service out."
    ] * bool(kind)


def test_a_role_of_another_type_is_named(load_texts: Load) -> None:
    file = f'{QWEN}[producer]\ninstance_type = "trn2.48xlarge"'
    [found] = [one.line() for one in load_texts({"dev": file}).findings if one.check == "service"]
    assert f'instance_type = "trn2.48xlarge" ({DEV}: producer.instance_type) exclude each other' in found


def test_a_variable_is_the_whole_table(load_texts: Load) -> None:
    table = {"model": "a/b", "flags": ["--port", "1"]}
    loaded = load_texts({"dev": WHOLE}, {"NIXL_EFA_DEV_SERVICE": json.dumps(table)})
    assert [one.line() for one in loaded.findings] == [
        "dev: service.flags (variable NIXL_EFA_DEV_SERVICE): --port can't be given to vllm here: it follows from the "
        "node's role."
    ]
    [settings] = load_texts({"dev": WHOLE}, {"NIXL_EFA_DEV_SERVICE": "none"}).environments
    assert settings.service is None


def start(load_texts: Load, file: str, **options: Any) -> Service:
    """What `nixl-efa serve start dev` asks for."""
    [settings] = load_texts({"dev": file}).environments
    table, source = settings.service, settings.source("service")
    return asked(options, table.asked if table else None, {one: named(source, one) for one in OPTIONS}, "dev")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SERVICE),
        ({"version": "0.34.0"}, {"version": "0.34.0"}),
        ({"flags": ("--c",)}, {"flags": ("--c",)}),
        ({"producer_flags": ()}, {"producer_flags": ()}),
        ({"engine": "vllm"}, {}),
    ],
)
def test_the_command_line_comes_before_the_settings(
    load_texts: Load, options: Mapping[str, Any], expected: Any
) -> None:
    wanted = expected if isinstance(expected, Service) else Service(**{**of(SERVICE), **expected})
    assert start(load_texts, WHOLE, **options) == wanted


def of(service: Service) -> dict[str, Any]:
    return {name: getattr(service, name) for name in ("engine", "model", "version", *FLAGS)}


def test_another_model_is_another_service(load_texts: Load) -> None:
    assert start(load_texts, WHOLE, model="a/b/") == Service("vllm", "a/b", "0.32.0")


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        (P5, {}, "there is no model to serve: give --model, or set service.model in environments/dev.toml."),
        (QWEN, {"version": "x"}, "--engine-version 'x' is not a version of vllm"),
        (QWEN, {"consumer_flags": ("--port", "1")}, "--consumer-flags: --port can't be given to vllm here"),
        (QWEN, {"engine": "sglang"}, "--engine 'sglang' can't be served: give vllm."),
        (
            P5,
            {"model": "a/b", "engine": "sglang"},
            "--engine 'sglang' can't be served: give vllm.",
        ),
    ],
)
def test_a_wrong_option_is_named(load_texts: Load, file: str, options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        start(load_texts, file, **options)
    assert refused.value.message.startswith(said)


def test_nodes_keep_flags_of_a_role_and_an_older_file_stays_as_it_is() -> None:
    assert service_of(json.loads(SERVICE.text)) == SERVICE
    old = Service("vllm", "a/b", "0.32.0", ("--c",))
    assert json.loads(old.text) == {"engine": "vllm", "model": "a/b", "version": "0.32.0", "flags": ["--c"]}
    assert (SERVICE.flags_of("producer"), SERVICE.flags_of("consumer")) == (
        ("--max-model-len", "32768", "-a", "{}"),
        ("--max-model-len", "32768", "--b"),
    )
    assert SERVICE.command("dev") == (
        "nixl-efa serve start dev --model Qwen/Qwen3-32B --engine-version 0.33.0 "
        "'--producer-flags=-a '\"'\"'{}'\"'\"'' --consumer-flags=--b -- --max-model-len 32768"
    )
