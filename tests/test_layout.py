"""Who may import whom, as docs/design.md says, and how long a file may be. The source is read, nothing imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("nixl_efa", "local_aws", "constructs_lib", "stacks")
MOST_LINES = 400
# What decides: plain typed Python, which a table of cases can test.
PURE = (
    "nixl_efa.settings",
    "nixl_efa.instance_types",
    "nixl_efa.launch",
    "nixl_efa.efa_layout",
    "nixl_efa.capacity",
    "nixl_efa.checks.rules",
    "nixl_efa.refusals",
    "nixl_efa.export.engines",
    *(f"nixl_efa.cost.{name}" for name in ("blocks", "compare", "money", "price_list", "running", "spot")),
)
# (who, whom it does not import, who may all the same)
DIRECTIONS = [
    ("nixl_efa", ("constructs_lib", "stacks", "main", "tests", "benchmarks"), ()),
    ("nixl_efa", ("local_aws",), ("nixl_efa.rehearse",)),
    ("local_aws", ("nixl_efa", "constructs_lib", "stacks", "main", "tests", "benchmarks"), ()),
    ("constructs_lib", ("local_aws", "stacks", "main", "tests", "benchmarks", "boto3", "botocore"), ()),
    ("stacks", ("local_aws", "main", "tests", "benchmarks", "boto3", "botocore"), ()),
    ("nixl_efa", ("cdktf", "constructs", "cdktf_cdktf_provider_aws"), ()),
    *((part, ("boto3", "botocore", "nixl_efa.aws", "nixl_efa.cli"), ()) for part in PURE),
]


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these or in one of these."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def modules() -> dict[str, Path]:
    """The product's modules by name."""
    paths = [path for package in PRODUCT for path in (ROOT / package).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def statements(tree: ast.AST, *, at_import: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import, but for what only a type checker reads. at_import: without those inside of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from statements(node, at_import=at_import)


@cache
def imports(*, at_import: bool = False) -> dict[str, set[str]]:
    """What each module imports: a module of the product by its whole name, else the name that is written."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        found[name] = set()
        for one in statements(ast.parse(path.read_text(encoding="utf-8")), at_import=at_import):
            if isinstance(one, ast.Import):
                found[name] |= {alias.name for alias in one.names}
                continue
            assert one.level == 0, f"{path}:{one.lineno}: an import has the module's whole name here"
            origin = str(one.module)
            parts = {f"{origin}.{alias.name}" for alias in one.names}
            found[name] |= {part if part in modules() else origin for part in parts}
    return found


@pytest.mark.parametrize(("who", "whom", "but"), DIRECTIONS)
def test_imports_go_one_way(who: str, whom: tuple[str, ...], but: tuple[str, ...]) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, all_imported in imports().items()
        if is_in(module, (who,)) and not is_in(module, but)
        for imported in sorted(all_imported)
        if is_in(imported, whom)
    ]
    assert wrong == []


def test_the_machines_need_the_standard_library_alone() -> None:
    foreign = {
        f"{module} imports {imported}"
        for module, all_imported in imports().items()
        if is_in(module, ("local_aws.machines",))
        for imported in all_imported
        if not is_in(imported, ("local_aws.machines", "local_aws.control", *sys.stdlib_module_names))
    }
    assert foreign == set()


def test_every_part_that_has_a_direction_is_there() -> None:
    parts = {who for who, _, _ in DIRECTIONS} | {one for _, _, but in DIRECTIONS for one in but}
    assert [part for part in sorted(parts) if not any(is_in(module, (part,)) for module in modules())] == []


def without_circle(ours: dict[str, set[str]]) -> None:
    """Fails where imports go in a circle."""
    try:
        TopologicalSorter(ours).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_imports_go_in_a_circle() -> None:
    without_circle({module: all_imported & modules().keys() for module, all_imported in imports().items()})


def test_any_module_can_be_the_first_that_is_imported() -> None:
    """Python imports a module's packages before the module: what their __init__ imports counts, too."""
    without_circle(
        {
            module: {
                one
                for one in modules()
                if any(is_in(imported, (one,)) for imported in all_imported) and not is_in(module, (one,))
            }
            for module, all_imported in imports(at_import=True).items()
        }
    )


def test_every_module_is_short_enough_to_be_read() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}
