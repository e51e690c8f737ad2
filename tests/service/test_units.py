"""The units as systemd reads them, and the command lines in them."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.service import router, units, vllm
from nixl_efa.service.model import BY_TCP, NO_TRANSFER, PD_ROUTER_UNIT, ROUTER_UNIT, Service, service_of
from nixl_efa.service.router import router_units
from nixl_efa.service.units import Variable, engine_unit, word

PAIR = PairOutputs(
    "prod",
    tuple(
        Node(f"{role}{tail}", role, f"i-{role}{tail}", f"10.0.0.{number}", "")
        for number, (role, tail) in enumerate(
            [("producer", ""), ("producer", "-2"), ("consumer", ""), ("consumer", "-2")], 11
        )
    ),
)


ONE = replace(PAIR, nodes=PAIR.nodes[1:])


def command(unit: str) -> str:
    """The words of a unit's command."""
    (line,) = [one for one in unit.splitlines() if one.startswith("ExecStart=")]
    return " ".join(shlex.split(line.removeprefix("ExecStart=")))


@pytest.mark.parametrize("pair", [PAIR, ONE], ids=["two producers", "one"])
def test_the_router_knows_every_engine_and_looks_at_it_as_it_should(pair: PairOutputs) -> None:
    *_, unit = router_units(pair).values()
    told = command(unit)
    for node in pair.nodes:
        option, port = ("prefill", 8100) if node.role == "producer" else ("decode", 8200)
        assert f"--{option} http://{node.private_ip}:{port} " in told
    assert "--health-failure-threshold 3 " in told
    assert "--health-check-timeout-secs 5 " in told
    # By default only programs on the node reach its metrics (vllm-router --help).
    assert " --prometheus-host 0.0.0.0 --prometheus-port 29000 " in told
    assert told.startswith("/opt/nixl-efa/venv/bin/vllm-router --vllm-pd-disaggregation ")


def test_with_one_producer_there_is_nothing_to_try_again() -> None:
    assert list(router_units(ONE)) == [ROUTER_UNIT]
    assert (router.pd_port(ONE), router.ports(ONE)) == (8000, (8000, 29000))
    assert " --port 8000 " in command(router_units(ONE)[ROUTER_UNIT])


def test_with_several_producers_a_second_router_sends_failed_requests_again() -> None:
    retries, pairs = router_units(PAIR).items()
    assert (retries[0], pairs[0]) == (ROUTER_UNIT, PD_ROUTER_UNIT)
    assert (router.pd_port(PAIR), router.ports(PAIR)) == (8001, (8000, 29000, 8001, 29001))
    assert " --host 0.0.0.0 --port 8001 " in command(pairs[1])  # a node that drains leaves its list
    assert " --port 8000 --prometheus-host 127.0.0.1 --prometheus-port 29001 " in command(retries[1])
    assert " --worker-urls http://127.0.0.1:8001 " in command(retries[1])
    assert "\nPartOf=nixl-efa-router.service\n" in pairs[1]
    # The last of the attempts comes after the third failed check, a second apart, of an engine that is gone.
    waits = [router.FIRST_MS * router.FACTOR**one for one in range(router.ATTEMPTS - 1)]
    assert max(waits) <= router.LONGEST_MS
    assert sum(waits) * (1 - router.JITTER) > 1000 * router.FAILURES * router.BETWEEN_SECONDS + 500


def test_the_engine_is_told_its_role_by_the_nodes_environment() -> None:
    service = Service("vllm", "s3://b/x", "0.32.0", ("--hf-overrides", '{"a": "50 %"}'))
    command = vllm.command(service, "/opt/dlami/nvme/models/b/x", "consumer", "")
    unit = engine_unit("vLLM", "prod", "consumer", command, vllm.VARIABLES)
    (line,) = [one for one in unit.splitlines() if one.startswith("ExecStart=")]
    assert '"serve" "/opt/dlami/nvme/models/b/x" "--served-model-name" "s3://b/x"' in line
    assert '"--port" "8200" "--kv-transfer-config" ${PAIR_KV_TRANSFER_CONFIG}' in line
    assert r'"{\"a\": \"50 %%\"}"' in line
    # The user's own file comes last: systemd.exec, EnvironmentFile=, "will be overridden".
    files = [one for one in unit.splitlines() if one.startswith("EnvironmentFile=")]
    assert files == ["EnvironmentFile=/etc/nixl-efa/env", "EnvironmentFile=-/etc/nixl-efa/service.env"]
    assert 'Environment="NIXL_LOG_LEVEL=INFO"' in unit


def test_for_a_measurement_an_engine_goes_by_ucx_over_tcp_or_has_no_kv_transfer() -> None:
    """What else the node's own settings say stays."""
    node = '{"kv_role":"kv_consumer","kv_buffer_device":"cpu","kv_connector_extra_config":{"backends":["LIBFABRIC"]}}'
    by_tcp = vllm.command(Service("vllm", "/x", "0.32.0", transfer=BY_TCP), "/x", "consumer", node)
    assert by_tcp[:2] == ("/usr/bin/env", "UCX_TLS=tcp,cuda_copy,sm,self")
    told = json.loads(str(by_tcp[by_tcp.index("--kv-transfer-config") + 1]))
    assert told == {**json.loads(node), "kv_connector_extra_config": {"backends": ["UCX"]}}
    alone = vllm.command(Service("vllm", "/x", "0.32.0", transfer=NO_TRANSFER), "/x", "consumer", node)
    assert alone[0] == "/opt/nixl-efa/venv/bin/vllm"
    assert "--kv-transfer-config" not in alone


def test_a_file_of_a_service_for_users_says_nothing_of_its_kv_transfer() -> None:
    """Nodes may have one from before there was a choice: engines that run for it are not started again."""
    service = Service("vllm", "/x", "0.32.0")
    assert "transfer" not in json.loads(service.text)
    for one in (service, replace(service, transfer=BY_TCP)):
        assert service_of(json.loads(one.text)) == one


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("a b", '"a b"'),
        ('$HOME %n \\ "', r'"$$HOME %%n \\ \""'),
        (Variable("X"), "${X}"),
        ("{\n}", r'"{\n}"'),
    ],
)
def test_a_word_comes_through_systemd_as_it_is(given: str | Variable, told: str) -> None:
    assert word(given) == told


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip(
            "systemd-analyze is not on PATH; tests/service/test_stand_in.py starts the units for real"
        )
    words: list[str | Variable] = ["/bin/true", "a b", Variable("X")]
    (tmp_path / "one.service").write_text(
        engine_unit("vLLM", "prod", "producer", words, ()), encoding="utf-8"
    )
    for name, text in router_units(PAIR).items():
        (tmp_path / name).write_text(
            text.replace(f"{units.VENV}/bin/vllm-router", "/bin/true"), encoding="utf-8"
        )
    for name, text in (("watch", units.watch_unit("prod")), ("drain", units.drain_unit("prod"))):
        (tmp_path / f"nixl-efa-{name}.service").write_text(text, encoding="utf-8")
    every = sorted(tmp_path.glob("*.service"))
    done = subprocess.run([analyze, "verify", *every], capture_output=True, text=True, check=False)
    assert not any(one.name in done.stderr for one in every), done.stderr


@pytest.mark.parametrize("works", [True, False])
def test_a_node_names_a_service_only_while_its_engine_was_started_for_it(tmp_path: Path, works: bool) -> None:
    """A start that ends half-way: else the old engine would be taken for one of the new service, and only be proven."""
    (tmp_path / "etc/nixl-efa").mkdir(parents=True)
    told = tmp_path / "etc/nixl-efa/service.json"
    told.write_text("old", encoding="utf-8")
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$1" != restart ] || exit {0 if works else 1}\n', encoding="utf-8")
    systemctl.chmod(0o755)
    script = Path(units.__file__).with_name("start-unit.sh")
    words = ["x.service", *(base64.b64encode(one).decode() for one in (b"[Unit]", b"new")), "", ""]
    done = subprocess.run(
        ["sh", script, *words],
        env={"NIXL_EFA_ROOT": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"@@ end started {0 if works else 1}" in done.stdout
    assert (told.read_text(encoding="utf-8") if told.exists() else "") == ("new" if works else "")


def test_a_token_without_its_name_is_in_no_output(tmp_path: Path) -> None:
    """Run Command keeps both outputs."""
    (tmp_path / "etc/nixl-efa").mkdir(parents=True)
    (tmp_path / "etc/nixl-efa/env").touch()
    (tmp_path / "etc/nixl-efa/service.env").write_text("hf_secret\nHF_HOME=/hub\n", encoding="utf-8")
    python = tmp_path / "opt/nixl-efa/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    script = Path(units.__file__).with_name("run-python.sh")
    done = subprocess.run(
        ["sh", script, "import os; print(os.environ['HF_HOME'])", ""],
        env={"NIXL_EFA_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("@@ begin program\n/hub\n@@ end program 0\n", "")


def test_the_routers_version_is_the_one_of_the_tests() -> None:
    wanted = (Path(__file__).parent / "router-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"{router.ROUTER}=={router.ROUTER_VERSION}" in wanted


@pytest.mark.parametrize(
    ("flags", "most"),
    [
        ((), 0),
        (("--max-model-len", "4096"), 4096),
        (("--max_model_len=32k",), 32_000),
        (("--max-model-len", "32K"), 32_768),
        (("--max-model-len", "25.6k"), 25_600),
        (("--max-model-len", "1M"), 1_048_576),
        (("--max-model-len", "auto"), 0),
        (("--max-model-len",), 0),
    ],
)
def test_the_longest_context_that_the_flags_allow(flags: tuple[str, ...], most: int) -> None:
    """Of vLLM's own words: human_readable_int of 0.32.0."""
    assert vllm.context(flags) == most
