"""Helpers for the tests of user data: facts, a stand-in of a node's root, cloud-init's own schema check."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nixl_efa.bootstrap import Bootstrap, members_json, plain, user_data
from tests.told_at_boot import P5

REPOSITORY = Path(__file__).resolve().parents[2]

EARLIER = REPOSITORY / "tests/terraform/earlier"

MakeBootstrap = Callable[..., Bootstrap]


def earlier_files() -> list[dict[str, str]]:
    """What the nodes of tests/terraform/earlier got, by path, for each of them."""
    stacks = [json.loads(path.read_text(encoding="utf-8")) for path in EARLIER.glob("*.tf.json")]
    instances = [one for stack in stacks for one in stack["resource"]["aws_instance"].values()]
    documents = [yaml.safe_load(plain(one["user_data"])) for one in instances]
    return [{file["path"]: file["content"] for file in document["write_files"]} for document in documents]


@pytest.fixture
def make_bootstrap() -> MakeBootstrap:
    """The facts of a p5.48xlarge producer, with changes."""

    def make(**changes: object) -> Bootstrap:
        return replace(P5, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def written_files(make_bootstrap: MakeBootstrap) -> Callable[..., dict[str, str]]:
    """The content of every file that the user data of these facts writes, by path."""

    def files(**changes: object) -> dict[str, str]:
        document = yaml.safe_load(plain(user_data(make_bootstrap(**changes))))
        return {file["path"]: file["content"] for file in document["write_files"]}

    return files


Validate = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def validate_cloud_config(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """cloud-init's own schema check of a document: the machine's, else Debian's package unpacked."""
    installed = shutil.which("cloud-init")
    environ = dict(os.environ)
    if installed:
        command = [installed]
    else:
        fetched = subprocess.run(
            [REPOSITORY / "scripts" / "fetch-cloud-init"], capture_output=True, text=True, check=False
        )
        if fetched.returncode != 0:
            reason = f"cloud-init's schema check could not run: {fetched.stderr.strip()}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        packages = REPOSITORY / ".tools" / "cloud-init" / "usr" / "lib" / "python3" / "dist-packages"
        environ["PYTHONPATH"] = str(packages)
        command = [sys.executable, "-m", "cloudinit.cmd.main"]
    folder = tmp_path_factory.mktemp("cloud-config")

    def validate(document: str) -> subprocess.CompletedProcess[str]:
        file = folder / "user-data.yaml"
        file.write_text(document, encoding="utf-8")
        return subprocess.run(
            [*command, "schema", "--config-file", str(file)],
            capture_output=True,
            text=True,
            check=False,
            env=environ,
        )

    return validate


class Node:
    """A stand-in of a node: a root folder with the files that user data writes, and commands of its own."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.root = root
        self.commands = root / "stand-ins"
        self.commands.mkdir(parents=True)
        for path, content in files.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
            target.chmod(0o755)
        self.command("pidof", "exit 1")  # not this machine's engines
        self.members(members_json(P5.environment, P5.nodes))

    def command(self, name: str, script: str) -> None:
        """A stand-in of the command `name`, which does what the shell script says."""
        self.script(self.commands / name, script)

    def members(self, text: str) -> None:
        """The AWS CLI finds this text in the scripts bucket."""
        given = self.commands / "members.json"
        given.write_text(text, encoding="utf-8")
        self.command("aws", f'cp "{given}" "${{@: -1}}" && echo "{{}}"')

    def script(self, path: Path, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def rdma_device(self, name: str, vendor: str) -> None:
        """An RDMA device in /sys, with its PCI vendor."""
        device = self.root / "sys/class/infiniband" / name / "device"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n", encoding="utf-8")

    def efa_devices(self, count: int, fabrics: int = 2) -> None:
        """`count` EFA devices in /sys and in fi_info, which names each once for each of its fabrics."""
        blocks = []
        for index in range(count):
            device = f"rdmap{index}s0"
            self.rdma_device(device, "0x1d0f")
            blocks += [
                f"provider: efa\n    fabric: {fabric}\n    domain: {device}-rdm\n    version: 201.0\n"
                "    type: FI_EP_RDM\n    protocol: FI_PROTO_EFA"
                for fabric in ("efa-direct", "efa")[-fabrics:]
            ]
        if blocks:
            output = "\n".join(blocks)
            self.command("fi_info", f"cat <<'OUTPUT'\n{output}\nOUTPUT")
        else:
            self.command("fi_info", "echo 'fi_getinfo: -61 (No data available)' >&2; exit 61")

    def run(
        self, path: str, *arguments: str, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script that the user data wrote, with the stand-ins before the machine's commands."""
        return subprocess.run(
            ["bash", str(self.root / path.lstrip("/")), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"{self.commands}:{os.environ['PATH']}", **(environ or {})},
        )


MakeNode = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path, written_files: Callable[..., dict[str, str]]) -> MakeNode:
    """A stand-in of the node that these facts describe, with no devices yet."""

    def make(**changes: object) -> Node:
        return Node(tmp_path / "root", written_files(**changes))

    return make
