"""Loads only the modules of the AWS bindings that are used: the same JSON, in a tenth of the time and memory.

The bindings are one package of 2,200 modules, in Python and also in Node.js, and the documented import executes all of
them in both. Here Python's package is put into `sys.modules` without executing its `__init__`, which only imports every
submodule: a submodule that is imported by name then loads alone. Node.js loads a copy of the package that has only
these modules (jsii_process.py).

If something is not built as expected, the normal import runs, with a warning: it is slower, but its result is right.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import typing
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from nixl_efa import jsii_node
from nixl_efa.cdk import BINDINGS, library

# The constructs import the library and the bindings by these names, whichever library is chosen.
CDK, PACKAGE = "cdktf", BINDINGS["cdktf"]


class SlowImportWarning(UserWarning):
    """More of the AWS bindings is loaded than needed: synthesis takes seconds longer, with the same result."""


def install(environ: Mapping[str, str]) -> None:
    """Start jsii, import the chosen library, and put its bindings' package in place without executing it.

    From here on the name `cdktf` means the library that `environ` chooses (ValueError: see nixl_efa.cdk;
    ModuleNotFoundError when it is not installed). Issues a SlowImportWarning when it must leave the normal import to
    run.
    """
    chosen = library(environ)
    if importlib.util.find_spec(chosen) is None:
        raise ModuleNotFoundError(
            f"{chosen} is not installed: the constructs need the package's extra of that name (docs/package.md)",
            name=chosen,
        )
    if bindings := sys.modules.get(BINDINGS[chosen]):
        _warn(
            "all of them are loaded, in 16 s: write `import constructs_lib  # isort: split` above their import"
        )
        sys.modules[CDK], sys.modules[PACKAGE] = importlib.import_module(chosen), bindings
        return
    node = None if "jsii" in sys.modules else jsii_node.start(environ)
    try:
        from constructs_lib.jsii_process import take_over

        take_over(node, _warn)
    except (ImportError, AttributeError) as error:
        _warn(f"Node.js loads all of them, since jsii is built otherwise ({error})")
    sys.modules[CDK] = importlib.import_module(chosen)
    package = _unexecuted_package(BINDINGS[chosen])
    if package is not None:
        sys.modules[PACKAGE] = package


def _unexecuted_package(installed: str) -> ModuleType | None:
    """The installed bindings' package as a module that can find its submodules; None when it is built differently."""
    spec = importlib.util.find_spec(installed)
    if spec is None or not spec.submodule_search_locations:
        return None  # the import that follows reports the missing package
    root = Path(next(iter(spec.submodule_search_locations)))
    if not (root / "_jsii" / "__init__.py").is_file() or not (root / "instance" / "__init__.py").is_file():
        _warn("Python imports all of them, since their modules are not where they were")
        return None
    bare = importlib.machinery.ModuleSpec(PACKAGE, loader=None, origin=spec.origin, is_package=True)
    bare.submodule_search_locations = list(spec.submodule_search_locations)
    package = importlib.util.module_from_spec(bare)
    package.__getattr__ = _submodule  # type: ignore[method-assign]
    return package


def _submodule(name: str) -> ModuleType:
    """Imports a submodule when it is used as an attribute: aws.vpc, after `import cdktf_cdktf_provider_aws as aws`."""
    try:
        return importlib.import_module(f"{PACKAGE}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"{PACKAGE} has no module {name}") from None


def _warn(why: str) -> None:
    warnings.warn(f"The AWS bindings ({PACKAGE}): {why}.", SlowImportWarning, stacklevel=2)


def skip_type_checks() -> None:
    """Switch off the type checks of the bindings that are loaded now: they take half of Python's time for a stack.

    Each constructor evaluates its own type hints again and checks every argument against them, and each property of a
    struct evaluates a hint to cast to. mypy has checked our arguments, and jsii's process checks its input. Modules
    that are built differently are not changed.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in (*BINDINGS, PACKAGE) and hasattr(module, "check_type"):
            module.check_type = _unchecked  # type: ignore[attr-defined]
            module.typing = _NoHints("typing")  # type: ignore[attr-defined]


class _NoHint:
    """Stands for every hint, subscripted or not."""

    def __getitem__(self, _parameters: object) -> _NoHint:
        return self


class _NoHints(ModuleType):
    """A replacement for `typing` that does not evaluate hints, since the evaluation takes the time."""

    Callable = Dict = List = Mapping = Optional = Sequence = Type = Union = _NoHint()

    def __getattr__(self, name: str) -> object:
        return getattr(typing, name)

    @staticmethod
    def cast(_hint: object, value: object) -> object:
        return value

    @staticmethod
    def get_type_hints(_stub: object) -> _NoHint:
        return _NoHint()


def _unchecked(argname: str, value: object, expected_type: object) -> None:
    """Replaces the bindings' check_type. Nothing reads its result."""
