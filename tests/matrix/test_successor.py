"""cdktf and CDK Terrain under each Node.js that they take: the same stacks, one state, a whole rehearsal."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.cdk import COMMAND_LINES
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from nixl_efa.rehearse.workspace import WRITTEN
from tests.printed import blocks

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "")
# The command lines with the versions of Node.js that they start with; on arm64 cdktf's has no module for 22.
STARTS = [("cdktf", 20), *([("cdktf", 22)] if ARCHITECTURE == "x64" else []), ("cdktn", 22), ("cdktn", 24)]
# The two lines of a stack in which the libraries differ.
VERSION, SOURCE = {"cdktf": "0.21.0", "cdktn": "0.24.0"}, {"cdktf": "aws", "cdktn": "hashicorp/aws"}
NO_CHANGES = "No changes. Your infrastructure matches the configuration."


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    wanted = [ROOT / line.folder / ".bin" / line.name for line in COMMAND_LINES.values()]
    missing = [str(path) for path in [*wanted, *map(node, (20, 22, 24))] if not path.exists()]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"`make test-matrix` installs {', '.join(missing)}")
    assert not missing


def node(version: int) -> Path:
    return ROOT / f"npm/node/node_modules/node{version}-{ARCHITECTURE}/bin/node"


def environ(cdk: str, version: int, **more: str) -> dict[str, str]:
    """A user's, whose Node.js is of this version and who has chosen a library."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDKTF_"))}
    lines = [ROOT / line.folder / ".bin" for line in COMMAND_LINES.values()]
    programs = [node(version).parent, *lines, Path(sys.executable).parent]
    search = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return {**inherited, "NIXL_EFA_CDK": cdk, "PATH": search, "CHECKPOINT_DISABLE": "1", **more}


def run(
    command: list[str], folder: Path, variables: dict[str, str], code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"[-6000:]
    return done


@pytest.fixture(scope="module")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def make(name: str) -> Path:
        """A checkout in which nothing was written."""
        folder = tmp_path_factory.mktemp(name)
        for path in ROOT.iterdir():
            if path.name not in WRITTEN:
                (folder / path.name).symlink_to(path)
        return folder

    return make


def test_the_stacks_differ_in_the_metadata_and_the_name_of_the_provider_alone(make_project: Any) -> None:
    """Of all environments, as each command line writes them under each Node.js that it starts with."""
    first: dict[str, Any] = {}
    for cdk, version in STARTS:
        folder = make_project(f"{cdk}-{version}")
        done = run([cdk, "synth", "-c", "spot=true"], folder, environ(cdk, version))
        assert f"-c spot=true HAS NO EFFECT: {cdk} hands no context to the app" in done.stdout
        stacks = {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))
            for path in folder.glob("cdktf.out/stacks/*/cdk.tf.json")
        }
        for stack in stacks.values():
            assert stack["//"]["metadata"]["version"] == VERSION[cdk]
            assert stack["terraform"]["required_providers"]["aws"]["source"] == SOURCE[cdk]
        found = {name: in_common(stack) for name, stack in stacks.items()}
        first = first or found
        assert found == first, (cdk, version)
    assert first.keys() == {f"nixl-efa-{name}" for name in ("dev", "prod", "staging")}


def test_a_stack_of_the_user_s_own_differs_in_no_more(tmp_path: Path) -> None:
    """As docs/package.md shows it: the bindings would choose another version of the provider each."""
    example = blocks((ROOT / "docs" / "package.md").read_text(encoding="utf-8"), "python")[0].text
    (tmp_path / "app.py").write_text(example, encoding="utf-8")
    written = []
    for cdk in VERSION:
        run([sys.executable, "app.py"], tmp_path, environ(cdk, 22, PYTHONPATH=str(ROOT)))
        stack = tmp_path / "cdktf.out" / "stacks" / "inference" / "cdk.tf.json"
        written.append(in_common(json.loads(stack.read_text(encoding="utf-8"))))
    assert written[0] == written[1]


def in_common(stack: Any) -> Any:
    copy = json.loads(json.dumps(stack))
    del copy["//"]["metadata"]["version"], copy["terraform"]["required_providers"]["aws"]["source"]
    return copy


@pytest.mark.parametrize(
    ("cdk", "version", "words"),
    [
        (
            "cdktf",
            24,
            "does not start with Node.js 24.* run `make install CDK=cdktn` and set NIXL_EFA_CDK=cdktn",
        ),
        ("cdktn", 20, "Node.js 20.* is too old for cdktn. Install Node.js 22.19 or newer"),
    ],
)
def test_a_node_with_which_the_command_line_does_not_start_is_told_before_anything_starts(
    cdk: str, version: int, words: str, make_project: Any
) -> None:
    folder = make_project("refused")
    done = run([sys.executable, "-m", "nixl_efa", "rehearse", "dev"], folder, environ(cdk, version), code=1)
    assert re.search(words, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / ".rehearsal").exists()


def test_make_says_that_node_is_too_old_for_cdk_terrain(make_project: Any) -> None:
    done = run(["make", "synth", "CDK=cdktn"], make_project("old"), environ("cdktn", 20), code=2)
    assert done.stderr.startswith("cdktn needs Node.js 22.19 or newer: node on PATH is v20.")


@pytest.mark.parametrize(("version", "again"), [(20, False), (22, True), (24, True)])
def test_make_installs_cdktf_anew_for_another_node(version: int, again: bool, tmp_path: Path) -> None:
    """node_modules were installed by Node.js 20, whose ABI has the number 115."""
    (tmp_path / "local_aws").mkdir()
    for name in (
        "Makefile",
        "package-lock.json",
        "Pipfile.lock",
        "pyproject.toml",
        "local_aws/pyproject.toml",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/installed-115").touch()
    told = run(["make", "-n", "install"], tmp_path, environ("cdktf", version)).stdout
    assert ("npm ci" in told) == again


def test_a_whole_rehearsal_by_cdk_terrain(make_project: Any) -> None:
    done = run(["make", "rehearse", "ENV=dev", "CDK=cdktn"], make_project("rehearsal"), environ("cdktn", 24))
    for words in (
        "$ cdktn deploy nixl-efa-dev",
        "Apply complete! Resources: 30 added",
        NO_CHANGES,
        "$ cdktn destroy nixl-efa-dev",
        "rehearsed, destroyed, and nothing left running",
    ):
        assert words in done.stderr


@pytest.fixture
def account() -> Iterator[dict[str, str]]:
    with LocalAws() as aws, terraform_environ(environ("cdktf", 22)) as variables:
        local = aws.environ("us-east-2")
        yield {
            **variables,
            **{name: value for name, value in local.items() if name.startswith(("AWS_", "NO_", "no_"))},
        }


def test_a_pair_that_cdktf_built_is_taken_over_by_cdk_terrain_and_back_with_empty_plans(
    make_project: Any, account: dict[str, str]
) -> None:
    """The commands of docs/successor.md, with dev instead of prod."""
    folder = make_project("moved")
    by_cdktf = {**account, "NIXL_EFA_ENVIRONMENTS": "dev"}
    options = ["nixl-efa-dev", "--auto-approve", "--skip-provider-lock"]
    run(["cdktf", "deploy", *options], folder, by_cdktf)
    over, back = (
        block.text.replace("prod", "dev")
        for block in blocks((ROOT / "docs/successor.md").read_text(encoding="utf-8"), "sh")
    )
    assert NO_CHANGES in plain(run(["bash", "-ec", over], folder, by_cdktf).stdout)
    changed = {"NIXL_EFA_DEV_TAGS": '{"team": "inference"}'}
    deploy = ["nixl-efa", "deploy", "dev", "--auto-approve", "--no-verify"]
    said = run(deploy, folder, {**by_cdktf, **changed, "NIXL_EFA_CDK": "cdktn"})
    assert re.search("0 added, [1-9][0-9]* changed, 0 destroyed", plain(said.stdout))
    assert NO_CHANGES in plain(run(["bash", "-ec", back], folder, {**by_cdktf, **changed}).stdout)
    assert VERSION["cdktf"] in (folder / "cdktf.out/manifest.json").read_text(encoding="utf-8")


def plain(text: str) -> str:
    """Without a terminal's escapes."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
