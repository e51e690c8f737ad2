"""What the site makes of the pages, and what it finds in what was built. `make docs` builds all of it."""

import re
from pathlib import Path

import pytest

from docs_site.build import build, draw, faults, on_site, order, pages, with_anchors

ROOT = Path(__file__).resolve().parents[2]
KNOWN = pages(ROOT)


@pytest.mark.parametrize(
    ("page", "text", "there"),
    [
        ("README.md", "[a](docs/verify.md#the-transfer)", "[a](verify.md#the-transfer)"),
        ("README.md", "[a](CONTRIBUTING.md), [b](docs/deploy.md)", "[a](contributing.md), [b](deploy.md)"),
        ("docs/verify.md", "[a](mend.md) and [b](../README.md)", "[a](mend.md) and [b](index.md)"),
        ("docs/verify.md", "[a](#status)", "[a](#status)"),
        ("docs/verify.md", "[a](https://example.com/x.md)", "[a](https://example.com/x.md)"),
        # Where the site has its own switch.
        ("README.md", "# a\n\n[ja](README.ja.md)\n\n[b](docs/verify.md)", "# a\n\n[b](verify.md)"),
        ("README.ja.md", "# a\n\n[English](README.md)\n\nb", "# a\n\nb"),
        # A file that is not a page has no place on the site.
        ("docs/verify.md", "[`tests/recorded`](../tests/recorded)", "`tests/recorded`"),
        # What is nowhere is left for MkDocs to find.
        ("docs/verify.md", "[a](nothing.md)", "[a](nothing.md)"),
        ("docs/verify.md", "`[a](mend.md)`", "`[a](mend.md)`"),
        ("docs/verify.md", "```\n[a](../README.md)\n```\n", "```\n[a](../README.md)\n```\n"),
        ("docs/ja/verify.md", "[a](mend.md), [b](../facts.md)", "[a](mend.md), [b](facts.md)"),
        ("docs/ja/verify.md", "[a](../../tests/recorded)", "a"),
    ],
)
def test_links_lead_to_pages_of_the_site(page: str, text: str, there: str) -> None:
    known = {
        **KNOWN,
        **{ROOT / f"docs/ja/{name}.md": Path(f"ja/{name}.md") for name in ("mend", "verify")},
        ROOT / "README.ja.md": Path("ja/index.md"),
    }
    assert on_site(text, ROOT / page, known) == there


def test_a_japanese_page_has_the_anchors_of_the_english_one_once() -> None:
    """SECURITY.md, in English alone, links to a heading of a page that is in both languages.

    MkDocs takes a page's title from a heading that the page begins with.
    """
    english = "# Settings\n\n```sh\n# a comment\n```\n\n## EFA\n\n## The nodes' role\n\n## EFA\n"
    text = "# 設定\n\n```sh\n# 注釈\n```\n\n## EFA\n\n## ノードのロール\n\n## EFA\n"
    assert with_anchors(text, english) == text.replace(
        "# 設定", '# 設定\n\n<div id="settings"></div>'
    ).replace("## ノード", '<div id="the-nodes-role"></div>\n\n## ノード')


def test_the_pages_come_as_the_readme_names_them_and_none_is_left_out() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = order(readme, KNOWN, ROOT)
    assert names[0] == "index.md"
    assert sorted(names) == sorted({there.name for there in KNOWN.values()})
    listed = [Path(one).name for one in re.findall(r"^\| \[[^]]+\]\((docs/[^)]+)\)", readme, re.MULTILINE)]
    assert names[1 : len(listed) + 1] == listed


def _site(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "a.html loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "a.html loads //cdn.example/x.css"),
        ('<img src="http://example.com/x.png">', "a.html loads http://example.com/x.png"),
        ('<a href="c.html">c</a>', "a.html links to c.html"),
        ('<a href="b.html#three">b</a>', "a.html links to b.html#three"),
        ('<a href="#three">a</a>', "a.html links to #three"),
        ('<a href="b.html#two">b</a><a href="/b.html">b</a><a href="https://example.com/">c</a>', ""),
        ('<script src="x.js"></script><link rel="alternate" href="https://example.com/">', ""),
    ],
)
def test_what_is_wrong_with_a_built_page_is_found(html: str, told: str, tmp_path: Path) -> None:
    site = _site(tmp_path, a=html, b='<h2 id="two">2</h2>')
    assert faults(site) == ([told] if told else [])


def test_a_style_that_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("a{src:url(https://fonts.example/x)} b{src:url(x.png)}", encoding="utf-8")
    assert faults(tmp_path) == ["x.css loads https://fonts.example/x"]


def test_a_page_with_a_picture_alone_gets_the_script_that_draws_it(tmp_path: Path) -> None:
    theme = '<script src="assets/javascripts/bundle.1.min.js"></script>'
    site = _site(tmp_path, a=f'<pre class="mermaid"></pre>{theme}', b=theme)
    (site / "assets/javascripts").mkdir(parents=True)
    mermaid = tmp_path / "mermaid.min.js"
    mermaid.touch()
    draw(site, mermaid)
    own = '<script src="assets/javascripts/mermaid.min.js"></script>'
    assert (site / "a.html").read_text(encoding="utf-8") == f'<pre class="mermaid"></pre>{own}{theme}'
    assert (site / "b.html").read_text(encoding="utf-8") == theme
    assert (site / "assets/javascripts/mermaid.min.js").exists()


@pytest.mark.parametrize(
    ("mkdocs", "html", "code"), [(1, "", 1), (0, '<a href="c.html">c</a>', 1), (0, "", 0)]
)
def test_the_exit_code_tells_of_a_fault(mkdocs: int, html: str, code: int, tmp_path: Path) -> None:
    """`mkdocs` stands for MkDocs: how it ends, and the page that it writes."""
    (tmp_path / "README.md").write_text("# A\n", encoding="utf-8")

    def run(command: list[str]) -> int:
        (tmp_path / "build/site").mkdir()
        (tmp_path / "build/site/index.html").write_text(html, encoding="utf-8")
        return mkdocs

    assert build(tmp_path, run) == code
