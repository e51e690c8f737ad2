"""Which library the constructs are written with."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nixl_efa.cdk import BINDINGS, command_line, library
from nixl_efa.failure import Failure
from nixl_efa.terraform import Terraform

ROOT = Path(__file__).resolve().parents[1]
BOTH = (*BINDINGS, *BINDINGS.values())
CDKTN = ("cdktn", BINDINGS["cdktn"])
# What a program does before it imports the constructs, and the module that `cdktf` is afterwards.
SEEN = """
import json, sys
{before}
import constructs_lib, cdktf
from cdktf_cdktf_provider_aws import instance
print(json.dumps([cdktf.__name__, instance.OF]))
"""


@pytest.mark.parametrize(
    ("wanted", "installed", "imported", "expected"),
    [
        ("", BOTH, (), "cdktf"),
        ("cdktf", BOTH, (), "cdktf"),
        ("cdktn", BOTH, (), "cdktn"),
        ("", CDKTN, (), "cdktn"),
        ("", BOTH, ("cdktn",), "cdktn"),
        ("", (), (), "cdktf"),
    ],
)
def test_the_library_is_the_one_that_is_named_imported_or_installed(
    wanted: str, installed: tuple[str, ...], imported: tuple[str, ...], expected: str
) -> None:
    assert library({"NIXL_EFA_CDK": wanted}, installed.__contains__, imported) == expected


@pytest.mark.parametrize(
    ("wanted", "installed", "imported", "said"),
    [
        ("cdktx", BOTH, (), "is 'cdktx': it must be cdktf or cdktn"),
        ("cdktf", CDKTN, (), "cdktf with its bindings cdktf_cdktf_provider_aws is not installed"),
        ("cdktn", ("cdktn",), (), "cdktn with its bindings cdktn_provider_aws is not installed"),
        ("cdktn", BOTH, ("cdktf",), "write `import constructs_lib` before `import cdktf`"),
    ],
)
def test_a_library_that_can_not_be_had_is_refused_with_what_to_do(
    wanted: str, installed: tuple[str, ...], imported: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        library({"NIXL_EFA_CDK": wanted}, installed.__contains__, imported)


@pytest.mark.parametrize(
    ("wanted", "installed", "expected"),
    [
        ("", BOTH, "cdktf"),
        ("", CDKTN, "cdktn"),
        ("", (), "cdktf"),
        ("cdktn", (), "cdktn"),
        ("cdktf", CDKTN, "cdktf"),
    ],
)
def test_the_command_line_is_that_of_the_library(
    wanted: str, installed: tuple[str, ...], expected: str
) -> None:
    assert command_line({"NIXL_EFA_CDK": wanted}, installed.__contains__).name == expected


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("-m", "nixl_efa", "check", "dev"), "nixl-efa: "),
        (("-m", "nixl_efa", "rehearse", "dev"), "nixl-efa: "),
        (("-m", "nixl_efa", "deploy", "dev"), "nixl-efa: "),
        (("main.py",), "Error: "),
    ],
)
def test_a_name_that_is_no_library_ends_a_run_with_2_and_one_line(
    command: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "NIXL_EFA_CDK": "cdktx"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{said}NIXL_EFA_CDK is 'cdktx': it must be cdktf or cdktn, or unset for cdktf."
    ]


@pytest.mark.parametrize("before", ["", "import cdktn", "import cdktn_provider_aws"])
def test_the_constructs_of_the_successor_are_those_that_the_names_of_cdktf_lead_to(
    tmp_path: Path, before: str
) -> None:
    for package in (*CDKTN, f"{CDKTN[1]}/_jsii", f"{CDKTN[1]}/instance"):
        tmp_path.joinpath(package).mkdir()
        tmp_path.joinpath(package, "__init__.py").write_text("OF = 'cdktn'\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SEEN.format(before=before)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "NIXL_EFA_CDK": "cdktn"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == ["cdktn", "cdktn"]


@pytest.mark.parametrize(
    ("chosen", "named"), [("", "cdktf"), ("cdktf", "cdktf"), ("cdktn", "cdktn"), ("wrong", "cdktf")]
)
def test_a_message_names_the_program_that_is_chosen(
    chosen: str, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIXL_EFA_CDK", chosen)
    with pytest.raises(Failure, match=f"nothing was synthesized there. Run `{named} synth`"):
        Terraform(tmp_path / "none", {}).init()


def test_no_message_of_a_command_has_the_programs_name_fixed() -> None:
    """An f-string's text and other strings, without docstrings; a setting is described as on its page."""
    fixed = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "nixl_efa").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and re.search(r"\bcdktf (synth|deploy|destroy)\b", str(node.value))
        and "\n" not in str(node.value)
    }
    assert fixed == {"nixl_efa/settings/model.py"}
