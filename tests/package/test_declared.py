"""Dependencies are declared in pyproject.toml alone: the code imports nothing else, and Pipfile and its lock follow."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIPFILE = tomllib.loads((ROOT / "Pipfile").read_text(encoding="utf-8"))
PACKAGES = ("nixl_efa", "constructs_lib", "stacks")
EXTRAS = PROJECT["optional-dependencies"]
# Modules that come with a declared package of another name.
PACKAGE_OF = {
    "local_aws": "nixl-efa-local-aws",
    "werkzeug": "nixl-efa-local-aws",
    "botocore": "boto3",
    "jsii": "cdktf",
    "pydantic_core": "pydantic",
    "click": "typer",
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
}


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=]", one)[0] for one in requirements}


def imported(packages: Iterable[str]) -> set[str]:
    found = set()
    for package in packages:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    found.add(node.module or "")
                elif isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - set(PACKAGES)


def test_what_the_code_imports_is_declared_and_what_is_declared_is_imported() -> None:
    declared = names([*PROJECT["dependencies"], *EXTRAS["cdktf"], *EXTRAS["rehearse"], *EXTRAS["mlflow"]])
    # The types of boto3's clients are read by mypy alone.
    found = {name for name in imported(PACKAGES) if not name.startswith("mypy_boto3")}
    assert {PACKAGE_OF.get(name, name.replace("_", "-")) for name in found} == declared


def test_every_dependency_has_a_range_with_both_ends_or_a_least_version() -> None:
    for one in [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+(,<[0-9.]+)?", one), one


def test_both_libraries_fit_into_one_environment() -> None:
    """Each wants a range of constructs; they overlap, and CDK Terrain's is the narrower one."""
    ranges = [
        dict(re.findall(r"(>=|<)([0-9.]+)", one))
        for extra in ("cdktf", "cdktn")
        for one in EXTRAS[extra]
        if one.startswith("constructs")
    ]
    least, most = ([tuple(map(int, one[sign].split("."))) for one in ranges] for sign in (">=", "<"))
    assert len(ranges) == 2
    assert max(least) < min(most)


def test_the_pipfile_installs_the_package_and_sets_no_range() -> None:
    packages = PIPFILE["packages"]
    assert packages["nixl-efa"] == {"path": ".", "editable": True, "extras": ["cdktf", "rehearse"]}
    assert packages["nixl-efa-local-aws"] == {"path": "./local_aws", "editable": True}
    others = {name: value for name, value in packages.items() if not name.startswith("nixl-efa")}
    assert set(others) <= names([*PROJECT["dependencies"], *EXTRAS["cdktf"]])
    assert {"boto3", "cdktf", "cdktf-cdktf-provider-aws", "constructs"} <= set(others)
    assert set(others.values()) == {"*"}


def test_what_is_installed_for_cdk_terrain_has_the_ranges_of_its_extra() -> None:
    apart = {f"{name}{wanted}" for name, wanted in PIPFILE["cdktn"].items()}
    assert apart == {one for one in EXTRAS["cdktn"] if not one.startswith("constructs")}


def test_neither_the_pipfile_nor_its_lock_asks_for_one_version_of_python() -> None:
    """pipenv warns under every other one, and takes none from 3.12 on where 3.11 is named."""
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))
    assert "requires" not in PIPFILE
    assert lock["_meta"]["requires"] == {}


@pytest.mark.parametrize(
    ("section", "wanted"),
    [("default", [*PROJECT["dependencies"], *EXTRAS["cdktf"]]), ("cdktn", EXTRAS["cdktn"])],
)
def test_the_lock_holds_every_dependency_in_its_range(section: str, wanted: list[str]) -> None:
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))[section]
    for one in wanted:
        [name, least, most] = re.fullmatch(r"([a-z0-9-]+)>=([0-9.]+)(?:,<([0-9.]+))?", one).groups()  # type: ignore[union-attr]
        version = tuple(int(part) for part in re.findall(r"\d+", lock[name]["version"]))
        assert tuple(map(int, least.split("."))) <= version, one
        assert most is None or version < tuple(map(int, most.split("."))), one


def test_the_libraries_share_what_they_both_need_in_one_environment() -> None:
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))
    shared = lock["cdktn"].keys() & lock["default"].keys()
    assert {"constructs", "jsii"} <= shared
    assert {name: lock["cdktn"][name]["version"] for name in shared} == {
        name: lock["default"][name]["version"] for name in shared
    }
