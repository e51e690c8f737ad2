"""Builds the documentation site in both languages: `make docs`.

The pages are README.md, docs/*.md and a few files beside them, in Japanese README.ja.md and docs/ja/*.md. They are
written for GitHub, where links lead through the repository. Here each is copied into a folder of its language, with its
links to other pages made to fit; a link to any other file leaves its text. A page in English alone is shown in
Japanese too, so the Japanese pages have the anchors of the English ones beside their own. MkDocs then builds strictly:
it ends with 1 at a link or an anchor that leads nowhere. What it has built is read once more: no page may load anything
from another server.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path(__file__).with_name("mkdocs.yml")
MERMAID = ROOT / "npm" / "docs" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
ENGLISH, JAPANESE = "en", "ja"
# Pages outside of docs/, with their names on the site.
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
# What a row of a table begins with.
_ROW = re.compile(r"^\| \[[^]]+\]\(([^)]+)\)", re.MULTILINE)
# The line of a README that leads to its other language.
_SWITCH = re.compile(r"^\[[^]]+\]\(README(?:\.ja)?\.md\)\n\n", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"(`+[^`]*`+)|\[([^]\[]*(?:`[^`]*`)?[^]\[]*)\]\(([^)\s]+)\)")


def pages(root: Path) -> dict[Path, Path]:
    """Each page's file in the repository, with its file below the folder of what MkDocs reads."""
    found: dict[Path, Path] = {}
    for name, there in BESIDE.items():
        found[root / name] = Path(ENGLISH) / there
        found[root / name.replace(".md", ".ja.md")] = Path(JAPANESE) / there
    for folder, language in (("docs", ENGLISH), ("docs/ja", JAPANESE)):
        found |= {path: Path(language) / path.name for path in sorted((root / folder).glob("*.md"))}
    return {path: there for path, there in found.items() if path.is_file()}


def on_site(text: str, path: Path, known: dict[Path, Path]) -> str:
    """A page's text with its links as they are on the site, which has its own switch to the other language."""

    def link(match: re.Match[str]) -> str:
        code, label, target = match[1], match[2], match[3]
        if code or urlsplit(target).scheme or target.startswith("#"):
            return match[0]
        file, _, anchor = target.partition("#")
        found = Path(os.path.normpath(path.parent / file))
        there = known.get(found)
        if there is None:
            # A file of the repository has no place on the site. What is nowhere is left for MkDocs to find.
            return label if found.exists() else match[0]
        # Both languages have all pages: MkDocs takes the English one where there is no Japanese one.
        return f"[{label}]({there.name}{'#' if anchor else ''}{anchor})"

    parts = _FENCE.split(_SWITCH.sub("", text))
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def with_anchors(text: str, english: str) -> str:
    """A Japanese page that has the anchors of the English one, too: both have the same headings."""
    parts = _FENCE.split(text)
    known = {_anchor(one) for part in parts[::2] for one in _HEADING.findall(part)}
    there = iter([_anchor(one) for part in _FENCE.split(english)[::2] for one in _HEADING.findall(part)])

    def heading(match: re.Match[str]) -> str:
        anchor = next(there, "")
        if not anchor or anchor in known:
            return match[0]
        known.add(anchor)
        place = f'<div id="{anchor}"></div>'
        # MkDocs takes a page's title from its heading only when nothing stands before that.
        return f"{match[0]}\n\n{place}" if match[0].startswith("# ") else f"{place}\n\n{match[0]}"

    return "".join(part if number % 2 else _HEADING.sub(heading, part) for number, part in enumerate(parts))


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def order(readme: str, known: dict[Path, Path], root: Path) -> list[str]:
    """The pages as the README's tables name them; then the others."""
    named = [known.get(root / target.partition("#")[0]) for target in _ROW.findall(readme)]
    names = ["index.md", *(one.name for one in named if one), *sorted(one.name for one in known.values())]
    return list(dict.fromkeys(names))


@dataclass
class Page(HTMLParser):
    """What a built page refers to: `links` lead elsewhere, `loads` are needed to show it."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "link" and given.get("rel") not in ("canonical", "alternate", "prev", "next"):
            self.loads.append(given.get("href", ""))
        else:
            self.loads += [given[name] for name in ("src", "srcset", "data") if name in given]


def faults(site: Path) -> list[str]:
    """What is wrong with a site: what a page loads from another server, and links to what is not there."""
    read = {path: Page() for path in sorted(site.rglob("*.html"))}
    for path, page in read.items():
        page.feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in read.items():
        name = path.relative_to(site)
        found += [f"{name} loads {one}" for one in page.loads if urlsplit(one).netloc]
        found += [f"{name} links to {one}" for one in page.links if _leads_nowhere(one, path, site, read)]
    for path in sorted(site.rglob("*.css")):
        loaded = re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", path.read_text(encoding="utf-8")
        )
        found += [f"{path.relative_to(site)} loads {one}" for one in loaded]
    return found


def _leads_nowhere(link: str, path: Path, site: Path, read: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    inner = unquote(parts.path)
    target = site / inner.lstrip("/") if inner.startswith("/") else path.parent / inner if inner else path
    target = Path(os.path.normpath(target))
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return True
    return bool(parts.fragment) and target in read and unquote(parts.fragment) not in read[target].ids


def draw(site: Path, mermaid: Path) -> None:
    """Gives pages with pictures the script that draws them, which the theme would load from another server."""
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if 'class="mermaid"' in text:
            shutil.copy(mermaid, site / "assets" / "javascripts" / mermaid.name)
            own = re.search(r'<script src="([^"]*assets/javascripts/)bundle', text)
            assert own is not None, f"{path}: the theme's script is not where it was"
            script = f'<script src="{own[1]}{mermaid.name}"></script>'
            path.write_text(text[: own.start()] + script + text[own.start() :], encoding="utf-8")


def build(root: Path, run: Callable[[list[str]], int], mermaid: Path = MERMAID) -> int:
    """Writes build/docs and build/site. Returns an exit code."""
    staged, site = root / "build" / "docs", root / "build" / "site"
    for folder in (staged, site):
        shutil.rmtree(folder, ignore_errors=True)
    known = pages(root)
    for path, there in known.items():
        (staged / there).parent.mkdir(parents=True, exist_ok=True)
        text = on_site(path.read_text(encoding="utf-8"), path, known)
        twin = next((one for one, its in known.items() if its == Path(ENGLISH) / there.name), None)
        if there.parent == Path(JAPANESE) and twin:
            text = with_anchors(text, twin.read_text(encoding="utf-8"))
        (staged / there).write_text(text, encoding="utf-8")
    nav = order((root / "README.md").read_text(encoding="utf-8"), known, root)
    config = root / "build" / "mkdocs.yml"
    lines = [f"INHERIT: {os.path.relpath(CONFIG, config.parent)}", "docs_dir: docs", "site_dir: site", "nav:"]
    config.write_text("\n".join([*lines, *(f"  - {name}" for name in nav), ""]), encoding="utf-8")
    if code := run([sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]):
        return code
    draw(site, mermaid)
    for fault in (found := faults(site)):
        print(fault, file=sys.stderr)
    if not found:
        print(f"{len(list(site.rglob('*.html')))} pages: {os.path.relpath(site / 'index.html')}")
    return 1 if found else 0


def _mkdocs(command: list[str]) -> int:
    """MkDocs without what it tells of its progress, and without the theme's advertisement of its successor."""
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if not line.startswith("INFO ")]
    print("\n".join(told), end="\n" if told else "", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(build(ROOT, _mkdocs))
