"""Files as pieces and back: what arrives is what was sent, whole or not at all, and continues where it ended."""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path

import pytest

from nixl_efa.work import pieces
from nixl_efa.work.pieces import CopyError

COUNT = 3


class Bucket:
    """Pieces by their names. fails_after: how many more it takes and gives before the network is away."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.calls = 0
        self.fails_after = 1000

    def _call(self) -> None:
        self.calls += 1
        self.fails_after -= 1
        if self.fails_after < 0:
            raise ConnectionError("the network is away")

    def put(self, name: str, data: bytes) -> None:
        self._call()
        self.held[name] = data

    def get(self, name: str) -> bytes:
        self._call()
        return self.held[name]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 100 bytes."""
    monkeypatch.setattr(pieces, "LEAST_BYTES", 100)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with files of many sizes, an empty folder, links, and what is no file."""
    made = tmp_path / "model"
    (made / "below/empty").mkdir(parents=True)
    for name, size in {"big": 950, "below/a": 1, "below/none": 0, "below/exactly": 100}.items():
        (made / name).write_bytes(os.urandom(size))
    (made / "big").chmod(0o750)
    os.utime(made / "big", ns=(1, 1_700_000_000_123_456_789))
    (made / "link").symlink_to("big")
    (made / "below/up").symlink_to("..")
    (made / "dead").symlink_to("nowhere")
    os.mkfifo(made / "pipe")
    return made


def sent(source: Path, bucket: Bucket) -> pieces.Listing:
    listed, places = pieces.listing([str(source)])
    return pieces.send(listed, places, bucket.put, COUNT, lambda _: None)


def received(
    listed: pieces.Listing, destination: str, bucket: Bucket, fetched: list[int] | None = None
) -> None:
    count = fetched if fetched is not None else []
    pieces.receive(listed, destination, "id", bucket.get, COUNT, count.append)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_folder_arrives_as_it_is_with_what_its_links_lead_to(source: Path, tmp_path: Path) -> None:
    bucket, fetched = Bucket(), list[int]()
    received(sent(source, bucket), str(tmp_path / "new/copy"), bucket, fetched)
    big = (source / "big").read_bytes()
    assert contents(tmp_path / "new/copy") == {
        "big": big,
        "link": big,
        "below": None,
        "below/empty": None,
        **{f"below/{name}": (source / "below" / name).read_bytes() for name in ("a", "none", "exactly")},
    }
    about = (tmp_path / "new/copy/big").stat()
    assert (about.st_mode & 0o777, about.st_mtime_ns) == (0o750, 1_700_000_000_123_456_789)
    assert sum(fetched) == 950 * 2 + 101
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("destination", "there", "wanted"),
    [
        ("copy", "", "copy"),
        ("copy/", "", "copy/file"),
        ("copy", "copy/", "copy/file"),
        (".", "", "file"),
        ("deep/er", "", "deep/er"),
    ],
)
def test_a_destination_with_a_slash_is_a_folder_and_any_other_a_name(
    destination: str, there: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    if there:
        Path(there).mkdir()
    (tmp_path / "file").write_bytes(b"words")
    bucket = Bucket()
    received(sent(tmp_path / "file", bucket), destination, bucket)
    assert [str(path) for path in Path().rglob("*") if path.is_file()] == [wanted]


def test_what_is_left_out_is_noted(source: Path) -> None:
    (source / "loop").symlink_to("loop")
    listed, _ = pieces.listing([str(source)])
    assert listed["notes"] == [
        f"{source}/below/up is left out: it leads back to a folder above it",
        f"{source}/dead is left out: it leads to nothing",
        f"{source}/loop is left out: it leads to nothing",
        f"{source}/pipe is left out: it is neither a file nor a folder",
    ]


def test_a_file_that_the_kernel_writes_is_left_out_and_an_empty_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    listed, places = pieces.listing(["/proc/cpuinfo", str(tmp_path / "empty")])
    assert places == [str(tmp_path / "empty")]
    assert listed["notes"] == [
        "/proc/cpuinfo is left out: the kernel writes it when it is read (/proc): `cat` prints it"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "there is no such file or folder"),
        ("dead", "there is no such file or folder"),
        ("pipe", "it is neither a file nor a folder"),
    ],
)
def test_what_is_no_file_or_folder_is_refused_as_a_source(name: str, why: str, source: Path) -> None:
    with pytest.raises(CopyError, match=f"{name}: {why}"):
        pieces.listing([str(source / name)])


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(folder)
    with pytest.raises(CopyError, match=r"b/config\.json: another source has the same name"):
        pieces.listing([str(tmp_path / folder / "config.json") for folder in ("a", "b")])


def test_a_file_that_is_written_to_meanwhile_is_noted(source: Path) -> None:
    listed, places = pieces.listing([str(source)])
    (source / "big").write_bytes(os.urandom(950))
    (source / "below/a").unlink()
    (source / "below/a").write_bytes(b"2")
    notes = pieces.send(listed, places, Bucket().put, COUNT, lambda _: None)["notes"]
    assert [note.partition(" ")[0] for note in notes if "was written to" in note] == [
        str(source / name) for name in ("below/a", "big", "link")
    ]


def test_a_private_folder_stays_private_and_one_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    source, bucket = tmp_path / "keys", Bucket()
    for folder, mode in {"keys": 0o755, "keys/private": 0o700, "keys/fixed": 0o550}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(mode)
    received(sent(source, bucket), str(tmp_path / "copy"), bucket)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy").rglob("*")}
    assert modes == {"private": 0o700, "fixed": 0o750}
    (tmp_path / "copy/private").chmod(0o711)
    received(sent(source, bucket), str(tmp_path / "copy"), bucket)
    assert (tmp_path / "copy/private").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("below", [(), ("deep",)])
def test_a_folder_with_files_alone_is_copied_twice_to_the_same_place(
    below: tuple[str, ...], tmp_path: Path
) -> None:
    source, bucket = tmp_path / "model", Bucket()
    source.joinpath(*below).mkdir(parents=True)
    source.joinpath(*below, "a").write_bytes(b"words")
    for _ in range(2):
        received(sent(source, bucket), str(tmp_path / "copy"), bucket)
    assert contents(tmp_path / "copy") == contents(source)


@pytest.mark.parametrize("destination", ["taken", "taken/", "taken/deep"])
def test_a_folder_in_place_of_a_file_is_refused_before_anything_comes(
    destination: str, source: Path, tmp_path: Path
) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    (tmp_path / "taken").write_text("mine")
    bucket.calls = 0
    with pytest.raises(
        CopyError, match="taken: it is no folder, and a folder of that name is to be put there"
    ):
        received(listed, f"{tmp_path}/{destination}", bucket)
    assert bucket.calls == 0
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_same_copy_twice_at_once_is_refused(source: Path, tmp_path: Path) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    refused: list[str] = []

    def get(name: str) -> bytes:
        if not refused:
            with pytest.raises(CopyError) as error:
                received(listed, str(tmp_path / "copy"), bucket)
            refused.append(str(error.value))
        return bucket.get(name)

    pieces.receive(listed, str(tmp_path / "copy"), "id", get, 1, lambda _: None)
    assert "the same copy is under way already" in refused[0]
    assert (tmp_path / "copy/big").read_bytes() == (source / "big").read_bytes()


def test_why_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as error:
        tmp_path.read_bytes()
    assert pieces.why(error.value) == f"{tmp_path}: Is a directory"


def test_a_folder_is_copied_twice_to_the_same_place_and_other_files_stay(
    source: Path, tmp_path: Path
) -> None:
    bucket, copy = Bucket(), tmp_path / "copy"
    received(sent(source, bucket), str(copy), bucket)
    (copy / "mine").write_text("stays")
    (source / "below/a").write_bytes(b"changed")
    received(sent(source, bucket), str(copy), bucket)
    assert (copy / "mine").read_text() == "stays"
    assert (copy / "below/a").read_bytes() == b"changed"
    assert not (copy / "model").exists()


def test_a_copy_that_was_interrupted_puts_nothing_and_fetches_the_rest_later(
    source: Path, tmp_path: Path
) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/big").write_bytes(b"before")
    count, bucket.calls, bucket.fails_after = len(listed["sums"]), 0, 8
    with pytest.raises(ConnectionError):
        received(listed, str(tmp_path / "copy"), bucket)
    assert contents(tmp_path / "copy")["big"] == b"before"
    bucket.calls, bucket.fails_after, fetched = 0, 1000, list[int]()
    received(listed, str(tmp_path / "copy"), bucket, fetched)
    assert bucket.calls <= count - 8 + COUNT
    assert fetched[0] >= 100 * (8 - COUNT)
    assert (tmp_path / "copy/big").read_bytes() == (source / "big").read_bytes()
    assert not list(tmp_path.rglob(f"{pieces.PART}*"))


def test_what_was_fetched_of_other_files_is_of_no_use(source: Path, tmp_path: Path) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    bucket.fails_after = 8
    with pytest.raises(ConnectionError):
        received(listed, str(tmp_path / "copy"), bucket)
    (source / "big").write_bytes(os.urandom(951))
    bucket.fails_after = 1000
    received(sent(source, bucket), str(tmp_path / "copy"), bucket)
    assert (tmp_path / "copy/big").read_bytes() == (source / "big").read_bytes()


def test_a_damaged_piece_is_refused_and_nothing_is_put(source: Path, tmp_path: Path) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    name = listed["sums"][2]
    bucket.held[name] = bucket.held[name][:-1] + b"?"
    with pytest.raises(CopyError, match=r"piece \d+ of 21 arrived damaged: its SHA-256 is another one"):
        received(listed, str(tmp_path / "copy"), bucket)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a//b", "a/../../b", "."])
def test_a_list_that_leads_elsewhere_is_refused(path: str, tmp_path: Path) -> None:
    sums = [hashlib.sha256(b"x").hexdigest()]
    listed = {
        "form": pieces.FORM,
        "piece_bytes": 100,
        "folders": [],
        "files": [[path, 1, 0o644, 0]],
        "sums": sums,
    }
    bucket = Bucket()
    bucket.held[sums[0]] = b"x"
    with pytest.raises(CopyError, match="is no path to put anything at"):
        received(listed, str(tmp_path / "copy"), bucket)
    assert not list(tmp_path.iterdir())


def test_what_there_is_no_room_for_is_refused_before_it_comes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket()
    listed = sent(source, bucket)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Free(2000))
    bucket.calls = 0
    with pytest.raises(CopyError, match="2,001 bytes are to come, and its disk has fewer"):
        received(listed, str(tmp_path / "copy"), bucket)
    assert bucket.calls == 0


class Free:
    """A disk's usage."""

    def __init__(self, free: int) -> None:
        self.free = free


def test_a_file_that_shrinks_while_it_is_read_ends_the_copy(source: Path) -> None:
    listed, places = pieces.listing([str(source)])
    (source / "big").write_bytes(b"less")
    with pytest.raises(CopyError, match="it became shorter while it was read"):
        pieces.send(listed, places, Bucket().put, COUNT, lambda _: None)


def test_it_runs_on_the_oldest_python_of_the_images() -> None:
    ast.parse(Path(pieces.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))
