"""What the pages print: their commands and snippets, and a user who types the commands on a local AWS."""

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nixl_efa.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
# Ids that differ from run to run: a reservation's, an order's tag, and an extension's offering, which is made of the
# reservation's.
_RANDOM = re.compile(r"\b(?:cr|cbe)-[0-9a-f]{17}\b|\bnixl-efa-[0-9a-f]{32}\b")
# The port of the local AWS as it is printed: its default.
PORT = 5577
_PORT = re.compile(r"127\.0\.0\.1:\d+")
_PROMPT = re.compile(r"type (?:the fee|how many) \(([^)]+)\)|\[y/N\]")


_WITH_DOCS = (ast.Module, ast.ClassDef, ast.FunctionDef)
# What a message fills in, by a part of the expression; else an environment's name.
_EXAMPLES = {
    "program()": "cdktf",
    "beside": " --env prod",
    "which": " cr-0123456789abcdef0",
    "program_of": "terraform",
    "STACK_PREFIX": "nixl-efa-",
    "stack": "nixl-efa-prod",
    "region": "us-east-2",
    "env_option": " --env prod",
    "local": "NIXL_EFA_PROD_BACKEND=local",
    "init": "terraform -chdir=cdktf.out/stacks/nixl-efa-prod init",
    "_shown(": "state/nixl-efa-prod.tfstate",
    "hostname": "app.terraform.io",
    "profile": "team",
    "launch.nixl_version": "1.5.0",
    "id": "cr-0123456789abcdef0",
    "block": "cr-0123456789abcdef0",
    "first": "cr-0123456789abcdef0",
    "bought": "cr-0123456789abcdef0",
}


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str


def blocks(page: str, language: str) -> list[Block]:
    """The fenced blocks of a language on a page."""
    found = (Block(one[1], one[2]) for one in _FENCE.finditer(page))
    return [one for one in found if one.language == language]


def scripts(page: str) -> list[str]:
    """The commands of a page's blocks of `sh`, without comments."""
    return [command for block in blocks(page, "sh") for line in _lines(block) for command in _parts(line)]


def sessions(page: str) -> list[str]:
    """The commands of the other blocks: what follows `$ `."""
    found = [block for language in ("console", "") for block in blocks(page, language)]
    lines = [line[2:] for block in found for line in _lines(block) if line.startswith("$ ")]
    return [command for line in lines for command in _parts(line)]


def mentioned(page: str) -> list[str]:
    """What is in the text between backticks, and in indented lines."""
    text = _FENCE.sub("", page)
    return [*_SPAN.findall(text), *re.findall(r"^ {4}(?:\$ )?(\S.*)$", text, re.MULTILINE)]


def in_messages(package: Path) -> dict[str, str]:
    """The commands that a package's messages hold between backticks, each with the file that it was found in.

    What a message fills in (`{environment}`) stands as a value of its kind.
    """
    found: dict[str, str] = {}
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {
            ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _WITH_DOCS)
        }
        inner = {id(one) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for one in node.values}
        for node in ast.walk(tree):
            if id(node) not in inner and (text := _message(node)) and text not in docs:
                found |= {one: str(path.relative_to(ROOT)) for one in _SPAN.findall(text)}
    return found


def _message(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    return "".join(
        str(one.value) if isinstance(one, ast.Constant) else _example(ast.unparse(one)) for one in node.values
    )


def _example(expression: str) -> str:
    """What may be in the place of an expression in a message."""
    return next((value for part, value in _EXAMPLES.items() if part in expression), "prod")


def _lines(block: Block) -> list[str]:
    return block.text.replace("\\\n", " ").splitlines()


def _parts(line: str) -> list[str]:
    """The commands of a line: split at `;`, without a comment."""
    words = shlex.shlex(line, posix=False, punctuation_chars=";")
    words.whitespace_split = True
    words.commenters = "#"
    parts: list[list[str]] = [[]]
    for word in words:
        if word == ";":
            parts.append([])
        else:
            parts[-1].append(word)
    return [" ".join(part) for part in parts if part]


class Answers(io.StringIO):
    """A user who agrees to what is asked; the answer is seen behind the question, as on a terminal."""

    def __init__(self, screen: io.StringIO) -> None:
        super().__init__()
        self._screen = screen

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        asked = [*_PROMPT.finditer(self._screen.getvalue())]
        answer = (asked[-1][1] or "y").replace(",", "") + "\n" if asked else ""
        self._screen.write(answer)
        return answer


class User:
    """Types commands in the project's folder. `ids` are the random ids of a page, with those of this run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.ids: dict[str, str] = {}

    def types(self, command: str) -> tuple[int, str]:
        """The exit code, and what is seen on the screen, with the page's ids."""
        for there, here in self.ids.items():
            command = command.replace(there, here)
        words = shlex.split(command)
        if words[0] != "nixl-efa":
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr
        screen = io.StringIO()
        self._monkeypatch.setattr(sys, "stdin", Answers(screen))
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            code = main(words[1:])
        return code, screen.getvalue()

    def as_printed(self, text: str, page: str) -> str:
        """The text with the ids of the page in the place of this run's; ids meet in the order in which they come."""
        known = {here: there for there, here in self.ids.items()}
        new = [one for one in dict.fromkeys(_RANDOM.findall(text)) if one not in known]
        free = [one for one in dict.fromkeys(_RANDOM.findall(page)) if one not in self.ids]
        self.ids |= dict(zip(free, new, strict=False)) | {one: one for one in new[len(free) :]}
        for there, here in self.ids.items():
            text = text.replace(here, there)
        return _PORT.sub(f"127.0.0.1:{PORT}", text)

    def replayed(self, block: Block) -> str:
        """The session as it goes in this run."""
        lines: list[str] = []
        parts = re.split(r"^(?=\$ )", block.text, flags=re.MULTILINE)
        for part in parts[1:]:
            (command,) = [line[2:] for line in part.replace("\\\n", "").splitlines() if line.startswith("$ ")]
            _, seen = self.types(command)
            head = re.match(r"(.*\\\n)*.*\n", part)
            assert head is not None
            lines.append(head[0] + self.as_printed(seen, part[head.end() :]))
        return "".join([parts[0], *lines])
