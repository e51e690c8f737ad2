"""What is said about the environments' files and their directory, word for word."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from nixl_efa.settings import load
from tests.settings.conftest import P5, lines

# What the directory of environments holds, by file name, then all that is said.
DIRECTORIES: list[tuple[dict[str, bytes], *tuple[str, ...]]] = [
    ({}, "FAIL There is no environment: {path} holds no .toml file. Add a file such as dev.toml."),
    (
        {"dev.yaml": b""},
        "FAIL There is no environment: {path} holds no .toml file. Add a file such as dev.toml.",
    ),
    (
        {"dev.toml": b'region = "us-east-2"\ninstance_type = p5\n'},
        "FAIL environments/dev.toml, line 2, column 17: not valid TOML: Invalid value.",
    ),
    (
        {"dev.toml": b'region = "us-east-2"\nregion = "us-east-1"'},
        "FAIL environments/dev.toml, line 2, the end: not valid TOML: Cannot overwrite a value.",
    ),
    (
        {"dev.toml": b"a = 1\nb = '\xff'\n"},
        "FAIL environments/dev.toml, line 2: not UTF-8. Save the file as UTF-8.",
    ),
    (
        {"dev.toml": b"a = " + b"[" * 9999},
        "FAIL environments/dev.toml: not valid TOML: it is nested too deeply.",
    ),
    (
        {"dev.toml": b"a = " + b"9" * 9999},
        "FAIL environments/dev.toml: not valid TOML: a number has thousands of digits.",
    ),
    ({"dev.toml": b"\xef\xbb\xbf" + P5.encode()},),
    (
        {"Prod.toml": P5.encode()},
        'FAIL "Prod" can\'t be the name of an environment (environments/Prod.toml): it must be at most 24 '
        "lower-case letters, digits and single hyphens, a letter first. Rename the file.",
    ),
    (
        {"spot.toml": P5.encode(), "keyName.toml": P5.encode()},
        'FAIL "keyName" can\'t be the name of an environment (environments/keyName.toml): it must be at most '
        "24 lower-case letters, digits and single hyphens, a letter first. Rename the file.",
        'FAIL "spot" can\'t be the name of an environment (environments/spot.toml): it is the name of a '
        "setting. Rename the file.",
    ),
    (
        {"a-name-of-24-characters-x.toml": P5.encode()},
        'FAIL "a-name-of-24-characters-x" can\'t be the name of an environment '
        "(environments/a-name-of-24-characters-x.toml): it must be at most 24 lower-case letters, digits and "
        "single hyphens, a letter first. Rename the file.",
    ),
    (
        {"a-name-of-24-characters.toml": P5.encode() + b'project_prefix = "thirteen-char"'},
        'FAIL a-name-of-24-characters: project_prefix = "thirteen-char" '
        "(environments/a-name-of-24-characters.toml: project_prefix) must be at most 12 characters beside the "
        "environment's name \"a-name-of-24-characters\", for a bucket's name holds both.",
    ),
]


@pytest.mark.parametrize(("files", "expected"), [(files, told) for files, *told in DIRECTORIES])
def test_what_is_said_about_a_directory(
    tmp_path: Path, files: Mapping[str, bytes], expected: list[str]
) -> None:
    directory = tmp_path / "environments"
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    assert lines(load(directory, {}, {})) == [line.format(path=directory) for line in expected]


def test_a_missing_directory_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert lines(load(missing, {}, {})) == [
        f"FAIL The directory of the environments' files can't be read: {missing} (No such file or directory). Each "
        "environment is a file NAME.toml in it."
    ]
    (tmp_path / "dev.toml").mkdir()
    assert lines(load(tmp_path, {}, {})) == [f"FAIL {tmp_path.name}/dev.toml can't be read: Is a directory."]
