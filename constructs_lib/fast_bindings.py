"""Loads only what is used of the AWS provider's bindings: the same JSON, in a tenth of the time and memory.

The bindings are one package of 1,500 modules, in Python and again in Node.js, and the documented import executes
every one of them in both. Two small steps avoid that:

* Python: the package is put into `sys.modules` without executing its `__init__`, which does nothing but import
  every submodule. A submodule that is imported by name then loads alone; each one imports `.._jsii` by itself.
* Node.js: the package ships a lazy index, `lib/lazy-index.js`, beside the eager `lib/index.js` that its
  `package.json` names. jsii resolves a package's entry point with `require.resolve`, for the very purpose of letting
  a lazy index be put in its place; `lazy_provider.cjs`, which Node.js preloads, does so for this one package.

When the inside of the package or the order of imports is not as expected, the plain import is left to happen,
with a warning: slower, never wrong.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import typing
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from nixl_efa.cdk import BINDINGS, library

# The names by which the constructs import both, whichever library is chosen.
CDK, PACKAGE = "cdktf", BINDINGS["cdktf"]
HOOK = Path(__file__).with_name("lazy_provider.cjs")
# Node.js lets its young generation grow to 48 MB before it collects; a synthesis is as fast with 6.
SMALL_HEAP = "--max-semi-space-size=2"


class SlowImportWarning(UserWarning):
    """The AWS bindings are imported whole: synthesis takes seconds longer, its result is the same."""


def install(environ: MutableMapping[str, str]) -> None:
    """Start jsii with the hook and put the chosen library and its bindings' package in place, the latter unexecuted.

    The library that `environ` chooses (ValueError: nixl_efa.cdk) is what `cdktf` names from here on. `environ` is the
    environment that jsii's Node.js process inherits; it is as before when this returns. Issues a SlowImportWarning,
    and does no more, where the package is not built as expected.
    """
    chosen = library(environ)
    if PACKAGE in sys.modules:
        _warn("it was imported before constructs_lib")
        return
    if "jsii" in sys.modules:
        _warn("jsii was started before constructs_lib was imported", part="Node.js")
    with _preloading(environ):
        # Starts jsii's Node.js process, which reads NODE_OPTIONS once.
        sys.modules[CDK] = importlib.import_module(chosen)
    package = _unexecuted_package(BINDINGS[chosen])
    if package is not None:
        sys.modules[PACKAGE] = package


@contextmanager
def _preloading(environ: MutableMapping[str, str]) -> Iterator[None]:
    """NODE_OPTIONS with the hook in front of what the user has there, for as long as the block runs."""
    before = environ.get("NODE_OPTIONS")
    quoted = str(HOOK).replace("\\", "\\\\").replace('"', '\\"')
    environ["NODE_OPTIONS"] = f'--require "{quoted}" {SMALL_HEAP} {before or ""}'.strip()
    try:
        yield
    finally:
        if before is None:
            del environ["NODE_OPTIONS"]
        else:
            environ["NODE_OPTIONS"] = before


def _unexecuted_package(installed: str) -> ModuleType | None:
    """The installed bindings' package as a module that can find its submodules; None where it is built otherwise."""
    spec = importlib.util.find_spec(installed)
    if spec is None or not spec.submodule_search_locations:
        return None  # the import that follows reports the missing package best
    root = Path(next(iter(spec.submodule_search_locations)))
    if not (root / "_jsii" / "__init__.py").is_file() or not (root / "instance" / "__init__.py").is_file():
        _warn("its submodules are not where they were")
        return None
    bare = importlib.machinery.ModuleSpec(PACKAGE, loader=None, origin=spec.origin, is_package=True)
    bare.submodule_search_locations = list(spec.submodule_search_locations)
    return importlib.util.module_from_spec(bare)


def _warn(why: str, part: str = "Python") -> None:
    warnings.warn(
        f"The AWS bindings ({PACKAGE}) are loaded whole in {part}, which takes seconds longer: {why}.",
        SlowImportWarning,
        stacklevel=3,
    )


def skip_type_checks() -> None:
    """Let the bindings that are loaded by now take arguments as they are: half of Python's time for a stack.

    Each of their constructors evaluates its own type hints anew and checks every argument against them, and each
    property of a struct evaluates a hint to cast to. Ours were checked by mypy, and jsii's process checks what
    reaches it. Modules that are built otherwise are left alone.
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
    """`typing` without the evaluation of hints, which is what takes the time."""

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
    """Takes the place of the bindings' check_type, whose result nothing reads."""
