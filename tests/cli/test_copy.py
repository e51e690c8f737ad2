"""What `nixl-efa copy` says when it does not come to its end, whoever stopped it."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nixl_efa.cli import copy, main
from nixl_efa.failure import Failure
from nixl_efa.work.pieces import CopyError

_PLACE = "s3://scripts/nixl-efa-copy/0123/"
_GOES_ON = (
    f"What was sent is kept for a day in {_PLACE}: the same command continues from there, "
    f"`aws s3 rm --recursive {_PLACE}` deletes it."
)


_AT = SimpleNamespace(
    settings=SimpleNamespace(region="us-east-2"),
    clients=SimpleNamespace(s3=lambda _: None),
    pair=SimpleNamespace(scripts_bucket="scripts"),
)


class _Kept:
    """What is in the bucket: something, nothing, or nobody knows."""

    place = _PLACE

    def __init__(self, is_empty: bool | Exception) -> None:
        self._is_empty = is_empty

    @property
    def is_empty(self) -> bool:
        if isinstance(self._is_empty, Exception):
            raise self._is_empty
        return self._is_empty

    def forget_old(self, clock: object) -> None: ...


@pytest.mark.parametrize(
    ("error", "is_empty", "told"),
    [
        (CopyError("a/x: there is no such file"), True, "nixl-efa: a/x: there is no such file.\n"),
        (CopyError("consumer: is it still booting?"), True, "nixl-efa: consumer: is it still booting?\n"),
        (PermissionError(13, "Permission denied", "/x"), False, f"/x: Permission denied. {_GOES_ON}\n"),
        (OSError(28, "No space left on device"), False, f": No space left on device. {_GOES_ON}\n"),
        (ConnectionError("the network is away"), ConnectionError("away"), f"is away. {_GOES_ON}\n"),
        (Failure("as it was said."), False, "nixl-efa: as it was said.\n"),
    ],
)
def test_each_error_says_what_is_kept(
    error: Exception,
    is_empty: bool | Exception,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:

    def stop(*_: Any) -> None:
        raise error

    monkeypatch.setattr(copy, "nodes_at", lambda *_: _AT)
    monkeypatch.setattr(copy, "Kept", lambda *_: _Kept(is_empty))
    monkeypatch.setattr(copy, "_to_nodes", stop)
    assert main(["copy", "x", "dev:all:/x"]) == 1
    assert capsys.readouterr().err.endswith(told)


def test_a_source_that_is_not_here_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(copy, "nodes_at", lambda *_: _AT)
    monkeypatch.setattr(copy, "Kept", lambda *_: _Kept(is_empty=True))
    assert main(["copy", "nowhere", "dev:all:/x"]) == 2
    assert capsys.readouterr().err == "nixl-efa: nowhere: there is no such file or folder.\n"


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("file/x", "{}/file is not a folder."),
        ("file/", "{}/file is not a folder."),
        ("file/x/y/", "{}/file is not a folder."),
        ("dead/x", "{}/dead is not a folder."),
        ("closed/x", "you may not write in {}/closed."),
        ("closed/new/", "you may not write in {}/closed."),
    ],
)
def test_a_destination_that_takes_nothing_is_refused_before_a_node_sends(
    destination: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dead").symlink_to("nothing")
    (tmp_path / "closed").mkdir()
    monkeypatch.chdir(tmp_path)
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "closed")
    monkeypatch.setattr(copy, "nodes_at", lambda *_: _AT)
    monkeypatch.setattr(copy, "Kept", lambda *_: _Kept(is_empty=True))
    assert main(["copy", "dev:all:/data", destination]) == 2
    assert capsys.readouterr().err == f"nixl-efa: {destination}: {told.format(tmp_path)}\n"


@pytest.mark.parametrize("destination", [".", "..", "new", "new/", "a/b/c/", "file", "folder"])
def test_a_destination_that_can_be_made_is_taken(
    destination: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    copy._check_destination(destination)


def test_an_empty_path_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "dev:all:/x", ""]) == 2
    assert "one of the paths is empty" in capsys.readouterr().err
