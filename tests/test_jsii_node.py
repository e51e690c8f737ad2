"""jsii's Node.js process, started ahead of its time: it leaves nothing behind, and nothing else changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Whether it runs, what it says to the end, and its exit status.
STARTED = """
import os
from nixl_efa import jsii_node
node = jsii_node.start(os.environ)
print(node is not None and node is jsii_node.start(os.environ))
"""


def python(code: str, tmp: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp), "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_that_nobody_uses_ends_without_a_word_and_without_a_file(tmp_path: Path) -> None:
    done = python(STARTED, tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "variables", [{"JSII_NODE": "node20"}, {"JSII_RUNTIME": "/my/runtime.js"}, {"NIXL_EFA_CDK": "none"}]
)
def test_it_is_left_to_jsii_where_the_user_chooses_otherwise(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    done = python(STARTED, tmp_path, **variables)

    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
    assert list(tmp_path.iterdir()) == []


def test_it_is_left_to_jsii_where_there_is_no_node(tmp_path: Path) -> None:
    assert python(STARTED, tmp_path, PATH=str(tmp_path)).stdout == "False\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from cdktf import Fn; import constructs_lib; Fn.lookup({}, 1, 2, 3)", "takes"),
        ("import constructs_lib; from cdktf import App, Aspects; Aspects.of(App()).add(3)", "jsii"),
    ],
)
def test_an_error_of_a_construct_is_told_as_jsii_tells_it(tmp_path: Path, code: str, said: str) -> None:
    done = python(code, tmp_path)

    assert done.returncode == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_end_a_run_as_ever_and_leave_no_process_and_no_file(tmp_path: Path) -> None:
    project, tmp = tmp_path / "project", tmp_path / "tmp"
    tmp.mkdir()
    for part in ("main.py", "cdktf.json"):
        project.mkdir(exist_ok=True)
        shutil.copy2(ROOT / part, project / part)
    (project / "environments").mkdir()
    (project / "environments" / "dev.toml").write_text('region = "us-east-2"\n', encoding="utf-8")
    # communicate() returns when nobody holds the pipes any more.
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=project,
        env={**os.environ, "TMPDIR": str(tmp), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert [line[:6] for line in done.stderr.splitlines()] == ["Error:"]
    assert list(tmp.iterdir()) == []


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    code = (
        "jsii_node.LAST_SECONDS = 0.1; import signal; node.process.send_signal(signal.SIGSTOP); node.stop()"
    )
    done = python(f"{STARTED}\n{code}\nprint(node.process.returncode)", tmp_path)

    assert (done.returncode, done.stdout.split()) == (0, ["True", "-9"])
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_was_forked_off_leaves_it_to_the_parent(tmp_path: Path) -> None:
    code = """
import os, sys
import constructs_lib
from cdktf import App, TerraformStack
if (child := os.fork()) == 0:
    sys.exit(0)
os.waitpid(child, 0)
print(TerraformStack(App(), "after").node.id)
"""
    assert python(code, tmp_path).stdout == "after\n"


@pytest.mark.parametrize("home", ["is a file", "takes no folder", "others write to it"])
def test_a_home_that_can_hold_no_cache_ends_nothing(tmp_path: Path, home: str) -> None:
    path = tmp_path / "home"
    if home == "is a file":
        path.touch()
    elif home == "takes no folder":
        path = Path("/proc/nothing")
    else:
        path.mkdir()
        path.chmod(0o777)  # jsii refuses a cache below it
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = "import constructs_lib; from cdktf import App, TerraformStack; print(TerraformStack(App(), 'one').node.id)"
    done = python(code, temporary, HOME=str(path))

    assert (done.stdout, done.stderr) == ("one\n", "")
    assert [file.name for file in temporary.iterdir() if file.name.startswith("jsii-runtime-")] == []


def test_a_tmpdir_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    code = "import constructs_lib; from cdktf import App, TerraformStack; print(TerraformStack(App(), 'one').node.id)"

    assert python(code, tmp_path, TMPDIR=str(tmp_path / "none")).stdout == "one\n"


def test_a_kept_copy_of_the_bindings_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    code = """
import constructs_lib
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.vpc import Vpc
print(Vpc(TerraformStack(App(), "one"), "two", cidr_block="10.0.0.0/16").node.id)
"""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    first = python(code, temporary, XDG_CACHE_HOME=str(tmp_path))
    (kept,) = (tmp_path / "nixl-efa").iterdir()
    kept.write_bytes(kept.read_bytes()[:5000])
    done = python(code, temporary, XDG_CACHE_HOME=str(tmp_path))

    assert (first.stdout, first.stderr, done.stdout) == ("two\n", "", "two\n")
    assert f"is damaged, and is made again ({kept}" in done.stderr
    assert not kept.exists()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"NODE_OPTIONS": "--nonsense"}, "node ended as soon as it was started"),
        ({"PATH": "/nothing"}, "Error: Node.js (node) is not on PATH"),
    ],
)
def test_main_says_in_a_line_that_node_does_not_run(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    code = f"import runpy, sys; sys.argv = ['main.py']; runpy.run_path({str(ROOT / 'main.py')!r}, run_name='__main__')"
    done = python(code, tmp_path, CDKTF_OUTDIR=str(tmp_path / "out"), **variables)

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
