"""The two languages of each page against each other: structure, code, commands, figures, settings and links are one.

What a page says is not read here: words may be chosen freely. But no text has fewer sentences in Japanese, so that one
that is left out, or new in English alone, is found. Whoever changes an English page changes its Japanese twin
with it; the message names the page and the line.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.pages import ROOT, Block, blocks, english, figures, japanese, links, spans

# Pages without a Japanese twin, each with the reason.
ENGLISH_ALONE = {
    "docs/facts.md": "a table for contributors, which quotes the words of AWS and of other projects"
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BOTH = [path for path in PAGES if japanese(path).exists()]
# A small number, or a month, may be a word in English and a figure in Japanese.
_WORDS = {
    "0": "zero",
    "1": "one once first single per every tenth January",
    "2": "two twice second both pair February",
    "3": "three third March",
    "4": "four fourth April",
    "5": "five fifth May",
    "6": "six sixth June",
    "7": "seven July",
    "8": "eight August",
    "9": "nine September",
    "10": "ten October",
    "11": "eleven November",
    "12": "twelve December",
    "20": "twenty",
    "30": "thirty",
    "1,000": "thousand",
}
_FIGURE_OF = {word.lower(): figure for figure, words in _WORDS.items() for word in words.split()}
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
# Japanese often takes two sentences for one of English, never one for two.
_ENGLISH_END = re.compile(r"(?<!\.\.)[.!?][\"')\]*]*(?=\s|$)")
_JAPANESE_END = re.compile("。")
_CODE_OR_TARGET = re.compile(r"(`+)(.+?)\1(?!`)|(?<=\])\([^)]*\)")
_WIDE = re.compile(r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u3000]")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_page_is_there_in_both_languages_or_has_a_reason(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    assert japanese(path).exists() != (name in ENGLISH_ALONE), (
        f"{name}: write {japanese(path).relative_to(ROOT)}, or give the reason in ENGLISH_ALONE; not both"
    )


def test_each_japanese_page_has_an_english_one() -> None:
    found = [*ROOT.glob("*.ja.md"), *(ROOT / "docs" / "ja").glob("*.md")]
    assert [str(path.relative_to(ROOT)) for path in found if not english(path).exists()] == []


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.name)
def test_both_languages_of_a_page_are_one(path: Path) -> None:
    told = differences(path, path.read_text(encoding="utf-8"), japanese(path).read_text(encoding="utf-8"))
    assert not told, "\n".join(["", *told])


def differences(path: Path, ours: str, theirs: str) -> list[str]:
    """What differs between a page and its Japanese twin, a line each; where the structure differs, that alone."""
    here, there = blocks(ours), blocks(theirs)
    twin = japanese(path)
    for one, other in zip(here, there, strict=False):
        if one.kind != other.kind:
            return [_line(path, one, twin, other, f"{one.kind} here, {other.kind} there")]
    if len(here) != len(there):
        longer, page = (here, path) if len(here) > len(there) else (there, twin)
        extra = longer[min(len(here), len(there))]
        return [f"{page.relative_to(ROOT)}:{extra.line}: this {extra.kind} is in one language alone"]
    return [
        _line(path, one, twin, other, why)
        for one, other in zip(here, there, strict=True)
        for why in _of_block(one, other, path, twin)
    ]


def _line(path: Path, one: Block, twin: Path, other: Block, why: str) -> str:
    return f"{path.relative_to(ROOT)}:{one.line} and {twin.relative_to(ROOT)}:{other.line}: {why}"


def _of_block(one: Block, other: Block, path: Path, twin: Path) -> list[str]:
    if one.kind.startswith("code") and one.code() != other.code():
        pairs = zip(one.code().splitlines(), other.code().splitlines(), strict=False)
        line = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
        return [f"the code differs: {line[0].strip()!r}, {line[1].strip()!r}"]
    found = []
    code = one.kind.startswith("code")
    for ours, theirs in (
        [(one.prose(), other.prose())] if code else zip(one.cells(), other.cells(), strict=True)
    ):
        if not code:
            found += _lists("code", spans(ours), spans(theirs))
            found += _lists("links", links(ours, path), links(theirs, twin))
            found += _sentences(ours, theirs)
        found += _figures(ours, theirs)
        if _WIDE.search(theirs):
            found.append(f"figures, letters and blanks are half-width: {theirs[:40]!r}")
        if len(_words(ours)) > 3 and not _JAPANESE.search(theirs):
            found.append(f"not translated: {theirs[:40]!r}")
    return found


def _lists(what: str, ours: list[str], theirs: list[str]) -> list[str]:
    lacking, more = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    return [f"{what}: {[*lacking.elements()]} here, {[*more.elements()]} there"] if lacking or more else []


def _figures(ours: str, theirs: str) -> list[str]:
    lacking = Counter(figures(ours)) - Counter(figures(theirs))
    more = Counter(figures(theirs)) - Counter(figures(ours))
    words = Counter(_FIGURE_OF[word] for word in re.findall(r"[a-z]+", ours.lower()) if word in _FIGURE_OF)
    if not lacking and not more - words:
        return []
    return [f"figures: {[*lacking.elements()]} here, {[*more.elements()]} there"]


def _sentences(ours: str, theirs: str) -> list[str]:
    here, there = (
        len(end.findall(_CODE_OR_TARGET.sub("x", text.replace("\n", " "))))
        for end, text in ((_ENGLISH_END, ours), (_JAPANESE_END, theirs))
    )
    return [f"sentences: {here} here, {there} there"] if there < here else []


def _words(text: str) -> list[str]:
    """The English words of a text that is not a name, code or link."""
    return re.findall(r"\b[a-z]{3,}\b", re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text))


PAGE = """# The pair

Two nodes, 32 cards of `p5.48xlarge`: see [the end](#the-end).

| setting | default |
| --- | --- |
| `volume_size` | 300 GiB |

```sh
nixl-efa check prod   # looks
```

```
what the program prints stays as it is
```

    so does what stands four blanks in

* A list with one item of October 2026. It has a second sentence.

## The end
"""
TWIN = """# ペア

2 ノード、`p5.48xlarge` のカード 32 枚: [終わり](#終わり) を参照してください。

| 設定 | 既定値 |
| --- | --- |
| `volume_size` | 300 GiB |

```sh
nixl-efa check prod   # 見ます
```

```
what the program prints stays as it is
```

    so does what stands four blanks in

* 2026 年 10 月の 1 項目です。2 番目の文もあります。

## 終わり
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page and its twin, where links to their headings lead."""
    for name in ("tests.pages.ROOT", f"{__name__}.ROOT"):
        monkeypatch.setattr(name, tmp_path)
    path = tmp_path / "docs" / "page.md"
    (path.parent / "ja").mkdir(parents=True)
    path.write_text(PAGE, encoding="utf-8")
    (path.parent / "ja" / "page.md").write_text(TWIN, encoding="utf-8")
    return path


def test_a_translation_of_all_is_one(page: Path) -> None:
    assert differences(page, PAGE, TWIN) == []


@pytest.mark.parametrize(
    ("there", "instead", "line", "why"),
    [
        ("## 終わり", "### 終わり", 21, "heading 2 here, heading 3 there"),
        ("## 終わり\n", "", 21, "heading 2 is in one language alone"),
        ("| `volume_size` | 300 GiB |\n", "", 7, "row of 2 cells here, code sh there"),
        ("| 300 GiB |", "| 300 GiB | x |", 7, "row of 2 cells here, row of 3 cells there"),
        ("300", "30", 7, "figures: ['300'] here, ['30'] there"),
        ("32 枚", "何枚か", 3, "figures: ['32'] here"),
        ("2 ノード", "15 ノード", 3, "['15'] there"),
        ("1 項目", "1 か 2 項目", 19, "figures"),
        ("2 ノード", "3 ノード", 3, "figures: [] here, ['3'] there"),
        ("volume_size", "volume_sizes", 7, "code: ['volume_size'] here"),
        ("check prod", "check dev", 9, "the code differs: 'nixl-efa check prod"),
        ("   # 見ます", "", 9, "the code differs"),
        ("stays as it is", "stays", 13, "the code differs: 'what the program prints"),
        ("what stands", "whatever stands", 17, "the code differs: 'so does what"),
        ("(#終わり)", "(#ペア)", 3, "links: ['docs/page.md#2'] here, ['docs/page.md#1'] there"),
        ("300 GiB", "\uff13\uff10\uff10 GiB", 7, "half-width"),
        (
            "* 2026 年 10 月の 1 項目です。2 番目の文もあります。",
            "* A list of 1, 2026, 10.",
            19,
            "not translated",
        ),
        ("2 番目の文もあります。", "", 19, "sentences: 2 here, 1 there"),
        ("* 2026", "1. 2026", 19, "item * here, item 1. there"),
    ],
    ids=range(19),
)
def test_what_differs_is_told_with_page_and_line(
    there: str, instead: str, line: int, why: str, page: Path
) -> None:
    assert there in TWIN
    told = differences(page, PAGE, TWIN.replace(there, instead))
    assert f"docs/page.md:{line}" in told[0]
    assert why in "\n".join(told)


def test_no_heading_s_anchor_of_an_english_page_is_unknown() -> None:
    """So that a link that leads nowhere is told as such, in either language."""
    lost = [
        f"{path.name}:{block.line}: {link}"
        for path in (*PAGES, *map(japanese, BOTH))
        for block in blocks(path.read_text(encoding="utf-8"))
        if not block.kind.startswith("code")
        for link in links(block.text, path)
        if "#" in link and not re.match(r"https?:", link) and not link.partition("#")[2].isdigit()
    ]
    assert lost == []
