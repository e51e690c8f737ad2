"""A provider's package with some of its modules, cut out of one that is built like it."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from constructs_lib.small_provider import small_provider
from nixl_efa.files import cache_directory

PACKAGE = "@cdktf/provider-aws"


def described(module: str, folder: str, names: str = "cdktf.Any") -> dict[str, object]:
    """A type of a module, as a description has it."""
    return {
        f"{PACKAGE}.{module}.Thing": {
            "fqn": f"{PACKAGE}.{module}.Thing",
            "properties": [{"type": {"fqn": names}}],
            "symbolId": f"src/{folder}/index:Thing",
        }
    }


TYPES = {
    **described("launchTemplate", "launch-template"),
    **described("provider", "provider", names=f"{PACKAGE}.providerFunctions.Thing"),
    **described("providerFunctions", "provider-functions"),
    **described("vpc", "vpc"),
}
FILES = {
    ".jsii": json.dumps({"name": PACKAGE, "readme": "long", "types": TYPES, "version": "1"}, indent=2),
    "lib/launch-template/index.js": 'require("./structs/structs0");',
    "lib/launch-template/structs/structs0.js": "",
    "lib/launch-template/index.d.ts": "",
    "lib/provider-functions/index.js": "",
    "lib/provider/index.js": 'require("../provider-functions/index");',
    "lib/vpc/index.js": 'require("cdktf");',
    "package.json": '{"name": "provider", "main": "lib/index.js"}',
}


def whole_package(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "provider-aws@1.jsii.tgz"
    with tarfile.open(path, "w:gz") as tarball:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            tarball.addfile(member, io.BytesIO(text.encode()))
    return path


def content(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tarball:
        return {
            member.name.removeprefix("package/"): tarball.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in tarball
        }


@pytest.mark.parametrize(
    ("modules", "types", "files"),
    [
        ({"vpc"}, {"vpc"}, {"lib/vpc.js", "lib/vpc/index.js"}),
        (
            {"launchTemplate"},
            {"launchTemplate"},
            {
                "lib/launchTemplate.js",
                "lib/launch-template/index.js",
                "lib/launch-template/structs/structs0.js",
            },
        ),
        (
            {"provider"},
            {"provider", "providerFunctions"},
            {
                "lib/provider.js",
                "lib/provider/index.js",
                "lib/providerFunctions.js",
                "lib/provider-functions/index.js",
            },
        ),
    ],
)
def test_it_has_the_modules_and_what_their_types_name(
    tmp_path: Path, modules: set[str], types: set[str], files: set[str]
) -> None:
    made = content(small_provider(whole_package(tmp_path, FILES), modules, tmp_path / "cache"))
    about = json.loads(made[".jsii"])

    assert set(about["types"]) == {f"{PACKAGE}.{name}.Thing" for name in types}
    assert (about["name"], about["version"]) == (PACKAGE, "1")
    assert set(made) == {".jsii", "index.js", "package.json", *files}
    assert json.loads(made["package.json"])["main"] == "index.js"


@pytest.mark.parametrize(
    ("change", "modules", "said"),
    [
        ({"lib/vpc/index.js": 'require("../shared");'}, {"vpc"}, "lib/shared is not in it"),
        ({"lib/vpc/index.js": None}, {"vpc"}, "lib/vpc/index.js is not in it"),
        ({"package.json": None}, {"vpc"}, "package.json is not in it"),
        ({".jsii": '{"types": {}}'}, {"vpc"}, "its types are not where they were"),
        ({}, {"vpc", "subnet"}, "it has no types of subnet"),
    ],
)
def test_one_that_is_built_otherwise_is_refused_and_nothing_is_left(
    tmp_path: Path, change: dict[str, str | None], modules: set[str], said: str
) -> None:
    files = {name: text for name, text in {**FILES, **change}.items() if text is not None}
    cache = tmp_path / "cache"

    with pytest.raises(ValueError, match=said):
        small_provider(whole_package(tmp_path, files), modules, cache)

    assert list(cache.iterdir()) == []


def test_it_is_made_once_and_its_bytes_are_the_same_whoever_makes_it(tmp_path: Path) -> None:
    whole = whole_package(tmp_path, FILES)
    first = small_provider(whole, {"vpc", "provider"}, tmp_path / "cache")
    made = first.stat()
    again = small_provider(whole, {"provider", "vpc"}, tmp_path / "cache")
    other = small_provider(whole, {"vpc", "provider"}, tmp_path / "other")

    assert (again, again.stat().st_mtime_ns, again.stat().st_ino) == (first, made.st_mtime_ns, made.st_ino)
    assert other.name == first.name
    assert other.read_bytes() == first.read_bytes()
    assert made.st_mode & 0o077 == 0


def test_another_package_of_the_same_version_or_other_modules_never_read_it(tmp_path: Path) -> None:
    whole = whole_package(tmp_path, FILES)
    paths = [small_provider(whole, modules, tmp_path / "cache") for modules in ({"vpc"}, {"provider"})]
    os.utime(whole, ns=(0, 0))
    paths.append(small_provider(whole, {"vpc"}, tmp_path / "cache"))

    assert len(set(paths)) == 3


def test_a_writer_that_ends_midway_leaves_no_package_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_source: object, _target: object) -> None:
        raise KeyboardInterrupt

    whole = whole_package(tmp_path, FILES)
    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        small_provider(whole, {"vpc"}, tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    small_provider(whole_package(tmp_path, FILES), {"vpc"}, cache)
    cache.chmod(0o777)

    with pytest.raises(PermissionError, match="others can write to it"):
        small_provider(tmp_path / "provider-aws@1.jsii.tgz", {"vpc"}, cache)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/nixl-efa"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/nixl-efa"),
        ({}, "/home/me/.cache/nixl-efa"),
    ],
)
def test_the_cache_is_the_users(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert cache_directory(environ) == Path(expected)
