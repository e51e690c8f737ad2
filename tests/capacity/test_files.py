"""What is written durably is on disk before the call returns, readable by its owner only."""

import os
import stat
from pathlib import Path

import pytest

from nixl_efa import files


def test_the_text_is_synced_before_it_takes_the_name_and_the_directory_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        steps.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def replacing(source: str, target: Path) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    files.write_durably(tmp_path / "entry.json", "text")
    assert steps == ["sync file", "name", "sync directory"]


def test_only_the_owner_can_read_an_entry_and_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "entry.json"
    files.write_durably(path, "text")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "entry.json"
    files.write_durably(path, "before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_durably(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/srv/state", "/srv/state/nixl-efa"), ("relative", None), ("", None)],
    ids=["given", "not absolute: ignored", "absent"],
)
def test_state_lives_where_the_xdg_specification_says(
    variable: str, expected: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = str(tmp_path / ".local" / "state" / "nixl-efa")
    assert str(files.state_directory({"XDG_STATE_HOME": variable})) == (expected or at_home)


def fill(folder: Path, text: str) -> None:
    with files.filled_at_once(folder, last="manifest") as new:
        (new / "stacks/b").mkdir(parents=True)
        for name in ("manifest", "stacks/a", "stacks/b/c"):
            (new / name).write_text(text, encoding="utf-8")


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") if path.is_file() else ""
        for path in folder.rglob("*")
    }


def test_a_folder_is_filled_with_what_it_held_beside_and_the_last_file_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    replace = os.replace

    def replacing(source: Path, target: Path) -> None:
        moved.append(target.name)
        replace(source, target)

    fill(tmp_path / "out", "old")
    (tmp_path / "out/stacks/.terraform").write_text("kept", encoding="utf-8")
    monkeypatch.setattr(os, "replace", replacing)
    fill(tmp_path / "out", "new")
    assert moved == ["a", "c", "manifest"]
    assert content(tmp_path / "out") == {
        "manifest": "new",
        "stacks": "",
        "stacks/.terraform": "kept",
        "stacks/a": "new",
        "stacks/b": "",
        "stacks/b/c": "new",
    }


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_folder_that_could_not_be_filled_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, there: bool
) -> None:
    if there:
        fill(tmp_path / "out", "old")
        (tmp_path / "out/stacks/b/c").unlink()  # so that one is new and two are replaced
    before = content(tmp_path)
    replace, calls = os.replace, iter(range(9))

    def replacing(source: Path, target: Path) -> None:
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    with pytest.raises(OSError, match="No space left"):
        fill(tmp_path / "out", "new")
    assert content(tmp_path) == before


def test_an_error_of_who_fills_a_folder_leaves_it_as_it_was(tmp_path: Path) -> None:
    def fill_and_fail() -> None:
        with files.filled_at_once(tmp_path / "out", last="x") as new:
            (new / "x").write_text("new", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_and_fail()
    assert list(tmp_path.iterdir()) == []
