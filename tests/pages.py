"""A page as a list of blocks, so that its two languages can be compared with each other."""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Of these languages a comment may be translated; it begins after blanks, or with the line.
_COMMENTS = ("sh", "python", "toml", "yaml", "hcl", "ini")
_COMMENT = re.compile(r"(^|\s)#(?!!).*$")
_QUOTED = re.compile(r'"[^"]*"')
_SPAN = re.compile(r"(`+)(.+?)\1(?!`)")
_LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\(([^)\s]+)\)")
_ITEM = re.compile(r"( *)([*-]|\d+\.) ")
# A figure with the letters that belong to it: 32, 1,555.58, p5.48xlarge, 2026-11-26 in parts.
_FIGURE = re.compile(r"[A-Za-z_]*\d[\w.,:]*", re.ASCII)


@dataclass(frozen=True)
class Block:
    """A heading, paragraph, list item, row of a table, or block of code, fenced or four blanks in.

    `kind` is what both languages share: "heading 2", "paragraph", "item", "row of 3 cells", "code sh".
    """

    kind: str
    line: int
    text: str

    def cells(self) -> list[str]:
        """The parts that are compared one by one: of a row its cells, of anything else all."""
        if not self.kind.startswith("row"):
            return [self.text]
        return [one.strip() for one in re.split(r"(?<!\\)\|", self.text.strip().strip("|"))]

    def code(self) -> str:
        """Of a fenced block what stays as it is: all but comments, and but what a picture's quotes hold."""
        language = self.kind.removeprefix("code ")
        if language in _COMMENTS:
            return "\n".join(
                _COMMENT.sub(r"\1#", line) if _COMMENT.search(line) else line
                for line in self.text.splitlines()
            )
        return _QUOTED.sub('""', self.text) if language == "mermaid" else self.text

    def prose(self) -> str:
        """What may be translated."""
        language = self.kind.removeprefix("code ")
        if language == "mermaid":
            return "\n".join(_QUOTED.findall(self.text))
        if self.kind.startswith("code"):
            found = (_COMMENT.search(line) for line in self.text.splitlines() if language in _COMMENTS)
            return "\n".join(one[0] for one in found if one)
        return self.text


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    found: list[Block] = []
    open_at, language = 0, ""
    fence: list[str] | None = None
    joined: list[str] = []
    for number, line in enumerate([*page.splitlines(), ""], 1):
        if fence is not None:
            if line.startswith("```"):
                found.append(Block(f"code {language}".strip(), open_at, "\n".join(fence)))
                fence = None
            else:
                fence.append(line)
            continue
        item = _ITEM.match(line)
        starts = not line.strip() or line.startswith(("```", "#", "|")) or item
        if starts and joined:
            found.append(_block(joined, open_at))
            joined = []
        if line.startswith("```"):
            open_at, fence, language = number, [], line[3:].strip()
        elif line.strip():
            open_at = open_at if joined else number
            joined.append(line)
            if line.startswith(("#", "|")):
                found.append(_block(joined, open_at))
                joined = []
    assert fence is None, f"line {open_at}: the block has no end"
    return [one for one in found if not re.fullmatch(r"[|\s:-]+", one.text)]


def _block(lines: list[str], number: int) -> Block:
    text, first = "\n".join(lines), lines[0]
    item = _ITEM.match(first)
    if first.startswith("#"):
        return Block(f"heading {len(first) - len(first.lstrip('#'))}", number, text.lstrip("#").strip())
    if first.startswith("|"):
        return Block(f"row of {len(Block('row', number, text).cells())} cells", number, text)
    if item:
        return Block(f"item {'*' if item[2] in '*-' else '1.'}", number, text[item.end() :])
    return Block("code" if first.startswith("    ") else "paragraph", number, text)


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return sorted(one[1] for one in _SPAN.findall(text.replace("\n", " ")))


def links(text: str, path: Path) -> list[str]:
    """Where links lead: a file of the repository as its English twin, an anchor as its heading's number."""
    found = []
    for _, target in _LINK.findall(text.replace("\n", " ")):
        file, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            found.append(target)
            continue
        there = Path(os.path.normpath(path.parent / file)) if file else path
        place = f"#{_place(there, anchor)}" if anchor else ""
        found.append(f"{english(there).relative_to(ROOT)}{place}")
    return sorted(found)


def _place(page: Path, anchor: str) -> str:
    """The number of the heading that an anchor leads to; the anchor itself where there is no such heading."""
    known = anchors(page)
    return str(known.index(anchor) + 1) if anchor in known else anchor


@cache
def anchors(page: Path) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    if not page.is_file():
        return []
    found: list[str] = []
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind.startswith("heading"):
            plain = _LINK.sub(r"\1", block.text).replace("`", "").strip().lower()
            name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            again = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", one) is not None for one in found)
            found.append(f"{name}-{again}" if again else name)
    return found


def figures(text: str) -> list[str]:
    """The figures in the text between code and links' targets: 32, 1,555.58, p5.48xlarge."""
    plain = _LINK.sub(r"\1", _SPAN.sub(" ", text.replace("\n", " ")))
    return sorted(one.rstrip(".,:") for one in _FIGURE.findall(plain))


def english(path: Path) -> Path:
    """The English page of a page in either language; any other file is itself."""
    if path.parent == ROOT / "docs" / "ja":
        return ROOT / "docs" / path.name
    return path.with_name(path.name.replace(".ja.md", ".md"))


def japanese(path: Path) -> Path:
    """The Japanese page of an English one."""
    if path.parent == ROOT:
        return path.with_name(path.name.replace(".md", ".ja.md"))
    return path.parent / "ja" / path.name
