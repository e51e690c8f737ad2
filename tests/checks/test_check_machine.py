"""The programs of this machine that a deployment needs, each with its fault: its level and its words."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.cdk import COMMAND_LINES
from nixl_efa.checks.gather.machine import cli_fails
from nixl_efa.checks.machine_facts import Tool
from nixl_efa.checks.rules import judge
from nixl_efa.findings import Level
from nixl_efa.settings import AssumeRole
from nixl_efa.settings.backend import CloudBackend, LocalBackend, S3Backend
from nixl_efa.state import LeastTerraform, least_terraform
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, MACHINE, NOW
from tests.checks.judging import FAIL, PASS, WARN, assert_says, finding
from tests.synthesis import settings_of

CDKTN = Tool("cdktn", "0.24.0", "/bin/cdktn")


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        ({"cdk": Tool("cdktf", "", "")}, "cdktf", FAIL, "is not installed"),
        (
            {"cdk": Tool("cdktf", "0.20.11", "/bin/cdktf")},
            "cdktf",
            WARN,
            "is 0.20.11, but the Python package",
        ),
        ({"cdk": Tool("cdktf", "0.21.3", "/bin/cdktf")}, "cdktf", PASS, "0.21.3"),
        ({"cdk": Tool("cdktf", "", "/bin/cdktf")}, "cdktf", WARN, "does not print its version"),
        ({"node": Tool("node", "", "")}, "node", FAIL, "Install Node.js 20.9 or newer"),
        ({"node": Tool("node", "18.20.0", "/bin/node")}, "node", FAIL, "18.20.0 (/bin/node) is too old"),
        ({"terraform": Tool("terraform", "", "")}, "terraform", FAIL, "TERRAFORM_BINARY_NAME=tofu"),
        (
            {"node": Tool("node", "24.2.0", "/bin/node"), "cdk_fails": "Cannot find module"},
            "node",
            FAIL,
            "does not start with Node.js 24.2.0 (/bin/node): Cannot find module. Use Node.js 20",
        ),
        (
            {"node": Tool("node", "24.2.0", "/bin/node"), "cdk_fails": "Cannot find module"},
            "node",
            FAIL,
            "every Node.js from 22.19 on: run `make install CDK=cdktn`",
        ),
        ({"no_app": "python"}, "cdktf", FAIL, "app begins with python, which cdktf does not find"),
        (
            {"cdk": Tool("cdktn", "", ""), "install": "npm install cdktn-cli@0.24"},
            "cdktn",
            FAIL,
            "Run `npm install cdktn-cli@0.24`.",
        ),
        ({"cdk": CDKTN, "library": "0.24.0"}, "cdktn", PASS, "cdktn 0.24.0 (/bin/cdktn)."),
        ({"cdk": CDKTN, "library": "0.25.0"}, "cdktn", WARN, "but the Python package cdktn is 0.25.0"),
        ({"cdk": CDKTN}, "node", FAIL, "is too old for cdktn. Install Node.js 22.19 or newer."),
        ({"cdk": CDKTN, "node": Tool("node", "24.2.0", "/bin/node")}, "node", PASS, "node 24.2.0"),
        ({"terraform": Tool("terraform", "1.3.9", "/bin/terraform")}, "terraform", FAIL, "1.3.9 is too old"),
        ({"terraform": Tool("terraform", "1.4.0", "/bin/terraform")}, "terraform", PASS, "1.4.0"),
        (
            {
                "terraform": Tool("terraform", "1.9.8", "/bin/terraform"),
                "least_terraform": LeastTerraform((1, 10), "use_lockfile"),
            },
            "terraform",
            FAIL,
            "use_lockfile needs 1.10. Install 1.10 or newer.",
        ),
        ({"terraform": Tool("tofu", "1.6.0", "/bin/tofu")}, "terraform", PASS, "tofu 1.6.0"),
        (
            {
                "terraform": Tool("tofu", "1.9.0", "/bin/tofu"),
                "least_terraform": LeastTerraform((1, 10), "use_lockfile"),
            },
            "terraform",
            FAIL,
            "tofu 1.9.0 is too old: use_lockfile needs 1.10. Install 1.10 or newer.",
        ),
    ],
)
def test_the_programs_of_this_machine(changes: dict[str, Any], check: str, level: Level, words: str) -> None:
    facts = {"machine": replace(MACHINE, **changes)}
    assert_says(finding(BLOCK_LAUNCH, BLOCK_FACTS, NOW, check, {}, facts), level, words)


@pytest.mark.parametrize(
    ("backend", "role", "version"),
    [
        (LocalBackend(), None, (1, 4)),
        (CloudBackend(organization="acme", project="kv"), None, (1, 4)),
        (S3Backend(bucket="states"), None, (1, 10)),
        (S3Backend(bucket="states", use_lockfile=False), None, (1, 4)),
        (
            S3Backend(bucket="states", use_lockfile=False),
            AssumeRole(arn="arn:aws:iam::123456789012:role/x"),
            (1, 6),
        ),
    ],
)
def test_the_oldest_terraform_follows_from_the_backend(
    backend: Any, role: Any, version: tuple[int, ...]
) -> None:
    settings = settings_of("dev").model_copy(update={"backend": backend, "assume_role": role})
    assert least_terraform(settings).version == version


@pytest.mark.parametrize(
    ("name", "module", "reason"),
    [
        ("cdktf", "module.exports = 1", ""),
        ("cdktf", 'throw new Error("no build for this ABI\\nand more")', "no build for this ABI"),
        ("cdktf", None, ""),
        # It is found from cdktn-cli's folder, too, which is below the project's.
        ("cdktn", "throw new Error()", ""),
    ],
)
def test_node_loads_what_the_command_line_loads_first(
    name: str, module: str | None, reason: str, tmp_path: Path
) -> None:
    cli = COMMAND_LINES[name]
    path = tmp_path / cli.folder / cli.package / "bin" / name
    path.parent.mkdir(parents=True)
    path.touch()
    if module is not None:
        loaded = tmp_path / "node_modules/@cdktf/node-pty-prebuilt-multiarch"
        loaded.mkdir(parents=True)
        (loaded / "index.js").write_text(module, encoding="utf-8")
    node = Tool("node", "20", str(shutil.which("node")))
    assert cli_fails(cli, str(path), node, os.environ) == reason


def test_without_a_machine_its_programs_are_not_judged() -> None:
    found = judge([(BLOCK_LAUNCH, replace(BLOCK_FACTS, machine=None))], NOW)
    assert not {"cdktf", "node", "terraform"} & {each.check for each in found}
