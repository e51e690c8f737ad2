"""A directory of environments made of texts, and what loading it gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from nixl_efa.settings import Loaded, load

Load = Callable[..., Loaded]


@pytest.fixture
def load_texts(tmp_path: Path) -> Load:
    """load(), given the files as texts by the environment's name."""

    def load_them(
        files: Mapping[str, str],
        environ: Mapping[str, str] | None = None,
        context: Mapping[str, object] | None = None,
        only: Sequence[str] = (),
    ) -> Loaded:
        directory = tmp_path / "environments"
        directory.mkdir(exist_ok=True)
        for name, text in files.items():
            (directory / f"{name}.toml").write_text(text, encoding="utf-8")
        return load(directory, environ or {}, context or {}, only)

    return load_them


@pytest.fixture
def said(load_texts: Load) -> Callable[..., list[str]]:
    """All that loading such texts says, each finding as its level and its line."""
    return lambda *sources: lines(load_texts(*sources))


def lines(loaded: Loaded) -> list[str]:
    """The findings as lines of text."""
    return [f"{one.level.value} {one.line()}" for one in loaded.findings]
