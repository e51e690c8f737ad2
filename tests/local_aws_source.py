"""What the source of the local AWS says of AWS: its refusals, codes, limits and marks. Read, not imported."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "local_aws"
# How the local AWS itself is driven, and its machines: what is in these files is no answer of AWS.
MACHINERY = ("__main__", "clock", "control", "control_api", "faults", "gate", "install", "server")
MACHINES = PACKAGE / "machines"
RAISERS = ("refuse", "JsonError")
# How AWS's error codes are built, and the codes of StateReason.
CODE = re.compile(
    r"(Invalid|Incorrect|Insufficient|Missing|Unsupported|Unauthorized|OptIn)[A-Z]\w*(\.\w+)*"
    r"|[A-Z]\w+(Exceeded|Exception|Failure|Error|Mismatch|NotFound|NotPermitted|Unavailable|Denied|InUse)(\.\w+)*"
    r"|Gateway\.NotAttached|Blocked|Throttling|SlowDown|Unavailable|Unsupported|PendingVerification|DryRunOperation"
    r"|(Server|Client)\.[A-Z]\w+(\.\w+)*"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error that the local AWS answers. words: the parts of its message that are always the same."""

    symbol: str
    line: int
    code: str
    words: tuple[str, ...]
    inferred: str

    def __str__(self) -> str:
        return f"{self.symbol}, line {self.line}: {self.code}: {' ... '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Source:
    """One file. Symbols are written as the table writes them, `path::name` or `path::Class.member`.

    codes: (symbol, code) of every error code and StateReason. limits: constants in which a number stands, and members
    of dataclasses with one as their default. marks: (symbol, row) of what leans on an inferred row. functions: symbols.
    """

    refusals: tuple[Refusal, ...]
    codes: frozenset[tuple[str, str]]
    limits: frozenset[str]
    marks: frozenset[tuple[str, str]]
    functions: frozenset[str]


@cache
def sources() -> tuple[Source, ...]:
    """Every file of the local AWS."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = path.relative_to(ROOT).as_posix()
    texts = {
        name: node.value for node in tree.body for name in _assigned(node) if isinstance(node, ast.Assign)
    }
    refusals, codes, limits, marks, functions = [], set(), set(), set(), set()
    for name, node in _symbols(tree):
        symbol = f"{place}::{name}"
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
            if (called := _called(call)) in RAISERS and name not in ("refuse", "JsonError.__init__"):
                refusals.append(_refusal(symbol, call, texts))
            if called == "lean_on" and isinstance(call.args[0], ast.Constant):
                marks.add((symbol, str(call.args[0].value)))
            elif called != "lean_on" and (row := _row(call)):
                marks.add((symbol, row))
        codes |= {(symbol, text) for text in _texts(node) if CODE.fullmatch(text)}
        if isinstance(node, ast.FunctionDef):
            functions.add(symbol)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _is_limit(node.value):
            limits |= set() if path.stem in MACHINERY or path.parent == MACHINES else {symbol}
    return Source(
        tuple(refusals), frozenset(codes), frozenset(limits), frozenset(marks), frozenset(functions)
    )


def _symbols(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                yield from ((f"{node.name}.{name}", member) for name in _assigned(member))
        else:
            yield from ((name, node) for name in _assigned(node))


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _row(call: ast.Call) -> str:
    """The row of `inferred="row"`, or of any keyword of that name in a call."""
    given = [each.value for each in call.keywords if each.arg == "inferred"]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


def _refusal(symbol: str, call: ast.Call, texts: Mapping[str, ast.expr]) -> Refusal:
    code, message = call.args
    if not isinstance(code, ast.Constant) or not isinstance(code.value, str):
        raise AssertionError(f"{symbol}, line {call.lineno}: the code of a refusal is not written out")
    words = tuple(part.strip() for part in _parts(message, texts) if re.search(r"\w", part))
    return Refusal(symbol, call.lineno, code.value, words, _row(call))


def _parts(node: ast.expr, texts: Mapping[str, ast.expr]) -> list[str]:
    """The constant parts of a message, in order."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return [str(each.value) for each in node.values if isinstance(each, ast.Constant)]
    if isinstance(node, ast.Name) and node.id in texts:
        return _parts(texts[node.id], {})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return [each for part in _parts(node.func.value, texts) for each in re.split(r"\{\w*\}", part)]
    raise AssertionError(f"line {node.lineno}: the words of a refusal can't be read: {ast.unparse(node)}")


def _texts(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _is_limit(value: ast.expr | None) -> bool:
    """Whether it says how long, how many or how much: a number other than 0 and 1, or a length of time."""
    inside = [] if value is None else list(ast.walk(value))
    return any(
        isinstance(each, ast.Constant) and isinstance(each.value, int | float) and each.value not in (0, 1)
        for each in inside
    ) or any(isinstance(each, ast.Call) and _called(each) == "timedelta" and each.keywords for each in inside)
