"""The fast way to the bindings: the same JSON as the documented import, and a way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAIR = """
import json, os, sys
{before}
import constructs_lib
from cdktf import Testing
from tests.synthesis import synthesize
modules = [name for name in sys.modules if name.startswith("cdktf_cdktf_provider_aws.")]
print(json.dumps({{"stack": synthesize("prod"), "modules": len(modules), "node": os.environ.get("NODE_OPTIONS")}}))
"""


def run(before: str, **variables: str) -> tuple[dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-c", PAIR.format(before=before)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_the_fast_way_gives_the_same_json_as_the_documented_import_with_a_fraction_of_the_modules() -> None:
    fast, fast_talk = run("")
    documented, talk = run("import cdktf_cdktf_provider_aws")

    assert fast["stack"] == documented["stack"]
    assert int(str(fast["modules"])) < 100 < 1000 < int(str(documented["modules"]))
    assert fast_talk == ""
    assert "SlowImportWarning" in talk


def test_jsii_started_earlier_is_said_and_the_json_is_the_same() -> None:
    fast, _ = run("")
    late, talk = run("import cdktf")

    assert late["stack"] == fast["stack"]
    assert "SlowImportWarning" in talk
    assert "Node.js" in talk


def test_the_users_node_options_are_kept_and_left_as_they_were() -> None:
    before = "--max-old-space-size=4096"
    result, talk = run("", NODE_OPTIONS=before)

    assert result["node"] == before
    assert talk == ""


def test_a_package_that_is_built_otherwise_is_imported_plainly(tmp_path: Path) -> None:
    package = tmp_path / "cdktf_cdktf_provider_aws"
    package.mkdir()
    package.joinpath("__init__.py").write_text("IMPORTED_PLAINLY = True\n", encoding="utf-8")
    code = "import constructs_lib, cdktf_cdktf_provider_aws as aws; print(aws.IMPORTED_PLAINLY)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "True"
    assert "its submodules are not where they were" in done.stderr


def test_an_index_that_is_no_longer_shipped_is_replaced_by_the_eager_one_with_a_warning(
    tmp_path: Path,
) -> None:
    library = tmp_path / "node_modules" / "@cdktf" / "provider-aws"
    library.joinpath("lib").mkdir(parents=True)
    library.joinpath("package.json").write_text('{"main": "lib/index.js"}', encoding="utf-8")
    library.joinpath("lib", "index.js").write_text('module.exports = "eager"', encoding="utf-8")
    hook = ROOT / "constructs_lib" / "lazy_provider.cjs"
    command = ["node", "--require", str(hook), "-p", 'require("@cdktf/provider-aws")']

    eager = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    library.joinpath("lib", "lazy-index.js").write_text('module.exports = "lazy"', encoding="utf-8")
    lazy = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert (eager.stdout.strip(), lazy.stdout.strip()) == ("eager", "lazy")
    assert "has no lazy index" in eager.stderr
    assert lazy.stderr == ""
