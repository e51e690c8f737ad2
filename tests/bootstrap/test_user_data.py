"""The user data document: valid, small, escaped, and the same every time."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nixl_efa import bootstrap as bootstrap_package
from nixl_efa import service as service_package
from nixl_efa.bootstrap import USER_DATA_LIMIT_BYTES, Bootstrap, PeerNode, plain, terraform_escape, user_data
from nixl_efa.bootstrap.files import ENV_NAMES, FORM, node_files
from nixl_efa.settings.values import MAX_ENVIRONMENT_NAME, MAX_NODES
from tests.bootstrap.conftest import earlier_files
from tests.told_at_boot import P5

CASES: dict[str, dict[str, Any]] = {
    "p5.48xlarge with NIXL": {},
    "p5.48xlarge without NIXL": {"install_nixl": False},
    "consumer": {"node": "consumer"},
    "no EFA": {"instance_type": "g7e.2xlarge", "efa_interfaces": 0, "accelerators": 1},
    "Neuron": {"instance_type": "trn1.32xlarge", "efa_interfaces": 8, "accelerator_kind": "neuron"},
    "names that YAML, JSON and shell could trip over": {
        "environment": 'it\'s: "odd" #1',
        "nixl_version": "1.5.1 # '\"",
        "nixl_pinned": True,
        "instance_type": "- &x *y",
    },
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_cloud_inits_own_schema_check_accepts_the_document(
    changes: dict[str, Any],
    make_bootstrap: Callable[..., Bootstrap],
    validate_cloud_config: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    checked = validate_cloud_config(plain(user_data(make_bootstrap(**changes))))
    assert checked.returncode == 0, checked.stderr


def test_the_schema_check_refuses_a_faulty_document(
    validate_cloud_config: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    checked = validate_cloud_config("#cloud-config\nwrite_files:\n- pth: /etc/nixl-efa/pair.json\n")
    assert checked.returncode != 0
    assert "pth" in checked.stderr + checked.stdout


def shellcheck(file: Path) -> str:
    """What shellcheck finds in a script."""
    program = Path(sys.executable).with_name("shellcheck")
    return subprocess.run([program, file], capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "script",
    sorted(
        one for part in (bootstrap_package, service_package) for one in Path(part.__path__[0]).glob("*.sh")
    ),
    ids=lambda path: path.name,
)
def test_every_script_passes_shellcheck(script: Path) -> None:
    assert shellcheck(script) == ""


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_a_script_on_a_node_is_the_packaged_one_but_for_comments_below_its_first(
    changes: dict[str, Any], written_files: Callable[..., dict[str, str]]
) -> None:
    files = written_files(**changes)
    for source in Path(bootstrap_package.__file__).parent.glob("*.sh"):
        path = {"profile.sh": "/etc/profile.d/nixl-efa.sh"}.get(
            source.name, f"/opt/nixl-efa/bin/{source.stem}"
        )
        if path not in files:
            assert (source.name, changes) == ("install-nixl.sh", {"install_nixl": False})
            continue
        text = re.sub(r"(?s)# begin service\n.*?# end service\n", "", source.read_text(encoding="utf-8"))
        packaged, written = text.splitlines(), files[path].splitlines()
        gone = [line for line in packaged if line not in written]
        assert [line for line in packaged if line in written] == written
        assert [line for line in gone if not line.lstrip().startswith("# ")] == []
        assert packaged[:2] == written[:2]
        assert subprocess.run(["bash", "-n"], input=files[path], text=True, check=False).returncode == 0


def of_many(count: int, **changes: Any) -> Bootstrap:
    """The last of so many nodes, with the longest names that the settings allow."""
    roles = ["producer"] + ["consumer"] * (count - 1)
    nodes = tuple(PeerNode(f"{role}-{number}", role, "255.255.255.255") for number, role in enumerate(roles))
    return replace(
        P5,
        environment="x" * MAX_ENVIRONMENT_NAME,
        node=nodes[-1].name,
        nodes=nodes,
        region="ap-southeast-99",
        instance_type="p6-b300.48xlarge",
        scripts_bucket="x" * 63,
        **changes,
    )


@pytest.mark.parametrize("place", [{"nixl_wheels": f"https://{'x' * 60}"}, {"models_bucket": "x" * 63}])
def test_user_data_of_33_interfaces_and_long_names_stays_below_ec2s_limit(place: dict[str, str]) -> None:
    ports = tuple(range(65500, 65530))
    document = user_data(of_many(MAX_NODES, service_ports=ports, **place))
    # Some bytes are left for a repair.
    assert len(plain(document).encode()) < USER_DATA_LIMIT_BYTES - 256


def test_user_data_names_the_node_that_boots_alone_however_many_there_are() -> None:
    two, all_of_them = of_many(2), of_many(MAX_NODES)
    moved = replace(all_of_them, nodes=(two.nodes[0], *all_of_them.nodes[1:]))
    assert user_data(replace(moved, node=two.node)) == user_data(two)


def test_the_same_facts_give_the_same_bytes_whatever_the_hash_seed() -> None:
    program = (
        "from nixl_efa.bootstrap import *;"
        "print(user_data(Bootstrap(environment='e', node='a', nodes=(PeerNode('a', 'producer', '1'),),"
        "region='r', instance_type='t', efa_interfaces=1, accelerators=1, accelerator_kind='nvidia',"
        "install_nixl=True, nixl_version='1', scripts_bucket='b')))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().startswith(b"#cloud-config\n")


def test_opaque_values_stand_as_they_are_and_everything_else_is_escaped(
    make_bootstrap: Callable[..., Bootstrap],
) -> None:
    own, peer, bucket, region = (
        "${TfToken[TOKEN.12]}",
        '${aws_network_interface.consumer["primary"].private_ip}',
        "${TfToken[TOKEN.3]}-%{if true}x%{endif}",
        "${var.region}",
    )
    document = user_data(
        make_bootstrap(
            region=region,
            scripts_bucket=bucket,
            nodes=(
                PeerNode(name="producer", role="producer", address=own),
                PeerNode(name="consumer", role="consumer", address=peer),
            ),
        )
    )
    assert document.count(own) == 2  # pair.json, and vLLM's side channel
    assert document.count(peer) == 0
    assert document.count(bucket) == 2
    assert document.count(region) == 3
    rest = document
    for value in (own, bucket, region):
        rest = rest.replace(value, "")
    assert "$${" in rest
    assert not re.search(r"(?<!\$)\$\{|(?<!%)%\{", rest)


@settings(deadline=None)
@given(st.text(alphabet="${}% a", max_size=30))
def test_plain_undoes_the_escape(text: str) -> None:
    assert plain(terraform_escape(text)) == text


@settings(deadline=None)
@given(
    # What YAML can hold in a block; settings allow far less (names of letters, digits and hyphens).
    environment=st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn", "Zl", "Zp"]), min_size=1),
    version=st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn", "Zl", "Zp"])),
)
def test_any_name_comes_through_every_format_as_it_is(environment: str, version: str) -> None:
    document = yaml.safe_load(
        plain(user_data(replace(P5, environment=environment, nixl_version=version, nixl_pinned=True)))
    )
    files = {file["path"]: file["content"] for file in document["write_files"]}
    assert json.loads(files["/etc/nixl-efa/pair.json"])["environment"] == plain(terraform_escape(environment))
    assert ["/opt/nixl-efa/bin/install-nixl", version] in document["runcmd"]
    (line,) = [
        line for line in files["/etc/nixl-efa/env"].split("\n") if line.startswith("PAIR_ENVIRONMENT=")
    ]
    assert shlex.split(line) == [f"PAIR_ENVIRONMENT={environment}"]


def test_static_text_that_looks_like_a_template_is_escaped(make_bootstrap: Callable[..., Bootstrap]) -> None:
    assert '"environment": "$${x}%%{y}"' in user_data(make_bootstrap(environment="${x}%{y}"))


def pair_json_of(bootstrap: Bootstrap) -> dict[str, Any]:
    """As `nodes sync` writes it."""
    [content] = [one.content for one in node_files(bootstrap) if one.path == "/etc/nixl-efa/pair.json"]
    document: dict[str, Any] = json.loads(content)
    return document


def test_pair_json_holds_both_nodes_and_what_was_planned(
    written_files: Callable[..., dict[str, str]],
) -> None:
    consumer = {"name": "consumer", "role": "consumer", "address": "10.0.0.12"}
    whole = {
        "form": FORM,
        "environment": "prod",
        "node": "consumer",
        "role": "consumer",
        "region": "us-east-1",
        "instance_type": "p5.48xlarge",
        "efa_interfaces": 32,
        "accelerators": 8,
        "accelerator_kind": "nvidia",
        "nixl_backend": "LIBFABRIC",
        "scripts_bucket": "nixl-efa-prod-scripts",
        "service_ports": [8000, 8100, 8200],
        "side_channel_port": 5600,
        "nodes": [{"name": "producer", "role": "producer", "address": "10.0.0.11"}, consumer],
    }
    assert pair_json_of(replace(P5, node="consumer")) == whole
    at_first = json.loads(written_files(node="consumer")["/etc/nixl-efa/pair.json"])
    assert at_first == {**whole, "nodes": [consumer]}


def test_pair_json_differs_between_nodes_in_node_and_role_alone() -> None:
    producer, consumer = (pair_json_of(replace(P5, node=node)) for node in ("producer", "consumer"))
    assert {key for key in producer if producer[key] != consumer[key]} == {"node", "role"}


def test_a_shell_reads_the_environment_file(
    written_files: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text(written_files(node="consumer", environment="it's")["/etc/nixl-efa/env"], encoding="utf-8")
    shown = subprocess.run(
        ["sh", "-c", f"set -a; . {file}; env"], capture_output=True, text=True, check=True, env={}
    )
    variables = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "us-east-1"
    assert variables["PAIR_ENVIRONMENT"] == "it's"
    assert variables["VLLM_NIXL_SIDE_CHANNEL_HOST"] == "10.0.0.12"
    assert variables["VLLM_NIXL_SIDE_CHANNEL_PORT"] == "5600"
    assert variables["FI_PROVIDER"] == "efa"
    config = json.loads(variables["PAIR_KV_TRANSFER_CONFIG"])
    assert config["kv_connector_extra_config"]["backends"] == ["LIBFABRIC"]


def test_without_efa_nothing_asks_for_efa_or_libfabric(written_files: Callable[..., dict[str, str]]) -> None:
    env = written_files(efa_interfaces=0, instance_type="g7e.2xlarge")["/etc/nixl-efa/env"]
    assert "FI_PROVIDER" not in env
    assert "LIBFABRIC" not in env
    assert "PAIR_NIXL_BACKEND=UCX" in env


def test_where_efa_has_no_gpudirect_nixl_goes_by_ucx_through_the_hosts_memory(
    written_files: Callable[..., dict[str, str]],
) -> None:
    files = written_files(efa_interfaces=1, instance_type="g6e.12xlarge")
    env = dict(line.split("=", 1) for line in files["/etc/nixl-efa/env"].splitlines())
    assert (env["PAIR_NIXL_BACKEND"], env["UCX_TLS"], env["FI_PROVIDER"]) == ("UCX", "srd,self,sm", "efa")
    config = json.loads(shlex.split(env["PAIR_KV_TRANSFER_CONFIG"])[0])
    assert config["kv_buffer_device"] == "cpu"
    assert config["kv_connector_extra_config"]["backends"] == ["UCX"]
    assert json.loads(files["/etc/nixl-efa/pair.json"])["nixl_backend"] == "UCX"


def test_locked_memory_is_unlimited_for_logins_and_for_services(
    written_files: Callable[..., dict[str, str]],
) -> None:
    files = written_files()
    limits = files["/etc/security/limits.d/99-nixl-efa.conf"].split("\n")
    assert {"* - memlock unlimited", "root - memlock unlimited"} <= set(limits)
    assert "DefaultLimitMEMLOCK=infinity" in files["/etc/systemd/system.conf.d/99-nixl-efa.conf"]


@pytest.mark.parametrize("install_nixl", [True, False])
def test_the_boot_report_is_the_last_command_so_that_its_failure_is_cloud_inits(
    install_nixl: bool, make_bootstrap: Callable[..., Bootstrap]
) -> None:
    commands = yaml.safe_load(plain(user_data(make_bootstrap(install_nixl=install_nixl))))["runcmd"]
    assert commands[0] == ["/opt/nixl-efa/bin/configure"]
    # A node that is rebooted during the installation tells at its next boot.
    assert commands[1] == ["systemctl", "enable", "nixl-efa-boot-report.service"]
    assert commands[-1] == ["systemctl", "start", "nixl-efa-boot-report.service"]
    assert (["/opt/nixl-efa/bin/install-nixl"] in commands) is install_nixl


@pytest.mark.parametrize("names", [(), ("consumer",), ("producer", "producer")])
def test_a_node_that_is_not_exactly_one_of_the_nodes_is_refused(
    names: tuple[str, ...], make_bootstrap: Callable[..., Bootstrap]
) -> None:
    nodes = tuple(PeerNode(name=name, role="producer", address="10.0.0.1") for name in names)
    with pytest.raises(ValueError, match="producer"):
        user_data(make_bootstrap(nodes=nodes))


def test_every_variable_of_the_environment_file_is_known_as_ours(
    written_files: Callable[..., dict[str, str]],
) -> None:
    known = re.compile(f"({'|'.join(ENV_NAMES)})=")
    texts = [written_files(**changes)["/etc/nixl-efa/env"] for changes in CASES.values()]
    texts += [written_files(efa_interfaces=1, instance_type="g6e.12xlarge")["/etc/nixl-efa/env"]]
    texts += [files["/etc/nixl-efa/env"] for files in earlier_files()]
    assert [line for text in texts for line in text.splitlines() if not known.match(line)] == []
    assert not known.match("LD_PRELOAD=/usr/lib64/libibverbs.so.1")


def test_the_files_of_an_earlier_release_have_a_lower_form(
    written_files: Callable[..., dict[str, str]],
) -> None:
    now = written_files()
    for files in earlier_files():
        assert any(text != now.get(path) for path, text in files.items() if path.startswith("/opt"))
        assert json.loads(files["/etc/nixl-efa/pair.json"]).get("form", 1) < FORM
