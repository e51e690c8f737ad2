"""The fast way to the bindings: the same JSON as the documented import, in any order, and a way back."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NOTHING: Mapping[str, str] = {}
PAIR = """
import json, sys
{before}
import constructs_lib
from tests.synthesis import synthesize
stack = synthesize("prod")
import jsii
modules = [name for name in sys.modules if name.startswith("cdktf_cdktf_provider_aws.")]
of_node = sorted(getattr(jsii.kernel.provider._process, "loaded", ()))
print(json.dumps({{"stack": stack, "modules": len(modules), "of_node": of_node}}))
"""
LATE = """
import constructs_lib
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider
from cdktf_cdktf_provider_aws.vpc import Vpc

app = App(outdir="out", stack_traces=False)
stack = TerraformStack(app, "one")
AwsProvider(stack, "aws", region="us-east-2")
vpc = Vpc(stack, "vpc", cidr_block="10.0.0.0/16")
import cdktf_cdktf_provider_aws as aws
from cdktf_cdktf_provider_aws.subnet import Subnet
subnet = Subnet(stack, "subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
aws.eip.Eip(stack, "eip", tags={"network": vpc.cidr_block_input, "subnet": subnet.id})
Vpc(stack, "other", cidr_block="10.1.0.0/16")
app.synth()
"""


def run(code: str, *, cwd: Path = ROOT, environ: Mapping[str, str] = NOTHING) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def pair(before: str, environ: Mapping[str, str] = NOTHING) -> tuple[dict[str, Any], str]:
    out, talk = run(PAIR.format(before=before), environ=environ)
    return json.loads(out), talk


@pytest.fixture(scope="module")
def fast() -> dict[str, Any]:
    result, talk = pair("")
    assert talk == ""
    return result


@pytest.mark.matrix
def test_the_fast_way_gives_the_same_json_as_the_documented_import_with_a_fraction_of_the_modules(
    fast: dict[str, Any],
) -> None:
    documented, talk = pair("import cdktf_cdktf_provider_aws")

    assert fast["stack"] == documented["stack"]
    assert fast["modules"] < 100 < 1000 < documented["modules"]
    assert "SlowImportWarning" in talk
    assert "write `import constructs_lib  # isort: split` above their" in talk


def test_cdktf_may_be_imported_first(fast: dict[str, Any]) -> None:
    result, talk = pair("from cdktf import App; App()")

    assert result == fast
    assert {"instance", "launchTemplate"} <= set(result["of_node"])
    assert "SlowImportWarning" not in talk


def test_without_a_cache_the_json_is_the_same_and_a_warning_says_what_to_set(
    fast: dict[str, Any], tmp_path: Path
) -> None:
    tmp_path.joinpath("file").touch()
    result, talk = pair("", {"XDG_CACHE_HOME": str(tmp_path / "file")})

    assert result == fast
    assert "set XDG_CACHE_HOME" in talk


def test_a_module_that_is_imported_after_the_first_construct_is_loaded_too(tmp_path: Path) -> None:
    _, talk = run(LATE, cwd=tmp_path)
    made = json.loads((tmp_path / "out/stacks/one/cdk.tf.json").read_text(encoding="utf-8"))["resource"]

    assert talk == ""
    assert {kind: sorted(of_kind) for kind, of_kind in made.items()} == {
        "aws_eip": ["eip"],
        "aws_subnet": ["subnet"],
        "aws_vpc": ["other", "vpc"],
    }
    assert made["aws_subnet"]["subnet"]["vpc_id"] == "${aws_vpc.vpc.id}"
    assert made["aws_eip"]["eip"]["tags"] == {"network": "10.0.0.0/16", "subnet": "${aws_subnet.subnet.id}"}


def test_a_package_that_is_built_otherwise_is_imported_plainly(tmp_path: Path) -> None:
    package = tmp_path / "cdktf_cdktf_provider_aws"
    package.mkdir()
    package.joinpath("__init__.py").write_text("IMPORTED_PLAINLY = True\n", encoding="utf-8")
    code = "import constructs_lib, cdktf_cdktf_provider_aws as aws; print(aws.IMPORTED_PLAINLY)"
    out, talk = run(code, environ={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})

    assert out.strip() == "True"
    assert "their modules are not where they were" in talk
