"""What machines boot from: who can build it, and that it is whole or not there."""

import os
import threading
import time
from pathlib import Path

import pytest

from local_aws.__main__ import main
from local_aws.machines import recipe, root
from local_aws.machines.failure import CannotBootError
from local_aws.machines.host import lacking
from nixl_efa.settings import Settings


def silent(_line: str) -> None:
    """Nobody listens."""


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CannotBootError, match="machines need Linux and root"):
        root.prepare({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, silent)


def test_without_apt_it_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(CannotBootError, match=r"machines need apt-get, dpkg-deb, .*not on PATH"):
        root.prepare({"HOME": str(tmp_path), "PATH": str(tmp_path)}, silent)


def test_a_build_that_fails_leaves_no_root_and_the_next_one_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Path] = []

    def fail(part: Path, *_: object) -> None:
        began.append(part)
        raise CannotBootError("the root of the machines can't be built: apt-get ended with 100: no network")

    monkeypatch.setattr(root, "require", lambda _: None)
    monkeypatch.setattr(root, "_Build", fail)
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    for _ in range(2):
        with pytest.raises(CannotBootError, match="no network"):
            root.prepare(environ, silent)
    assert len(began) == 2
    assert not (root.home(environ) / recipe.name()).exists()


def test_who_comes_second_waits_for_the_build_and_builds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    said: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def build(where: Path, _environ: object) -> None:
        built.append(where)
        begun.set()
        assert go.wait(10)
        (where / "tree").mkdir(parents=True)

    monkeypatch.setattr(root, "require", lambda _: None)
    monkeypatch.setattr(root, "_build", build)
    environ = {"XDG_CACHE_HOME": str(tmp_path)}

    def second(line: str) -> None:
        said.append(line)
        go.set()

    first = threading.Thread(target=root.prepare, args=(environ, silent))
    first.start()
    assert begun.wait(10)
    assert root.prepare(environ, second) == root.home(environ) / recipe.name() / "tree"
    first.join()
    assert (len(built), len(said)) == (1, 1)
    assert "waiting for it" in said[0]


def test_a_root_goes_when_another_is_built_a_week_after_its_last_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "require", lambda _: None)
    monkeypatch.setattr(root, "_build", lambda where, _: (where / "tree").mkdir(parents=True))
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    week_ago = time.time() - 8 * 24 * 3600
    for name, used in (("root-old", week_ago), ("root-new", time.time()), (recipe.name(), week_ago)):
        folder = root.home(environ) / name
        (folder / "tree").mkdir(parents=True)
        os.utime(folder, (used, used))
    root.prepare(environ, silent)  # counts as a use
    monkeypatch.setattr(recipe, "PACKAGES", (*recipe.PACKAGES, "hello"))
    mine = root.prepare(environ, silent).parent.name
    kept = {path.name for path in root.home(environ).glob("root-*")}
    monkeypatch.undo()
    assert kept == {"root-new", recipe.name(), mine}


def test_the_command_says_in_one_line_why_no_machine_can_boot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        main(["--machines", "--port", "0"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "local-aws: --machines: machines need Linux and root.\n"


@pytest.mark.parametrize("words", [["--machines"], []])
def test_a_layer_is_a_folder_for_machines(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    layer = tmp_path / "missing" if words else tmp_path
    with pytest.raises(SystemExit) as ended:
        main([*words, "--layer", str(layer), "--port", "0"])
    assert ended.value.code == 2
    assert f"--layer {layer}: it is a folder for the root of --machines." in capsys.readouterr().err


def test_the_root_of_another_recipe_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = recipe.name()
    monkeypatch.setattr(recipe, "PACKAGES", (*recipe.PACKAGES, "hello"))
    assert recipe.name() != now


def test_the_root_has_the_wheels_of_the_nixl_that_a_node_installs() -> None:
    default = Settings.model_fields["nixl_version"].default
    assert {f"nixl=={default}", f"nixl-cu13=={default}"} <= set(recipe.WHEELS)


def test_a_limit_that_may_not_be_raised_is_lacking(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("CapEff:\t0\nCapBnd:\t000001ffffffffff\n")
    assert lacking(status) == ["efa", "gpu"]
    status.write_text("CapEff:\t0\nCapBnd:\t000001fffeffffff\n")
    assert lacking(status) == ["efa", "gpu", "memlock"]
