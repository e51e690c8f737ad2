"""The tab key in bash, zsh and fish: what `nixl-efa --install-completion` installs, in the real shells."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nixl_efa.cli.app import COMMANDS
from tests.cli.conftest import ROOT

SECONDS = 60
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07|\r")


# The packages of Debian and Ubuntu with which a shell runs that is not installed.
PACKAGES = {"zsh": ("zsh", "zsh-common"), "fish": ("fish", "fish-common", "libpcre2-32-0")}


def shell_of(name: str, environ: dict[str, str]) -> str:
    """The shell's program: this machine's, else unpacked below the home, and told there where its files are."""
    if path := shutil.which(name):
        return path
    home = Path(environ["HOME"])
    command = [str(ROOT / "scripts" / "apt-download"), str(home), *PACKAGES[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} not found: {done.stderr}")
    for package in home.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(home / "unpacked")], check=True)
    # fish takes its files from beside its program where both folders are there.
    (home / "unpacked/usr/etc/fish").mkdir(parents=True, exist_ok=True)
    libraries = [str(path.parent) for path in home.glob("unpacked/usr/lib/*/libpcre2-32.so.0")]
    environ["LD_LIBRARY_PATH"] = ":".join(libraries)
    (home / ".zshenv").write_text(
        f"module_path=({home}/unpacked/usr/lib/*/zsh/*(/N))\n"
        f"fpath=({home}/unpacked/usr/share/zsh/functions/**/*(/N))\n",
        encoding="utf-8",
    )
    return next(
        str(home / at) for at in (f"unpacked/bin/{name}", f"unpacked/usr/bin/{name}") if (home / at).exists()
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home of its own, with nixl-efa as this run's; and a project, which is the home."""
    home = tmp_path / "home"
    (home / "environments").mkdir(parents=True)
    for name in ("dev", "prod", "production-eu"):
        (home / "environments" / f"{name}.toml").write_text("", encoding="utf-8")
    (home / "cdktf.json").write_text("{}", encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nixl-efa").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m nixl_efa "$@"\n', encoding="utf-8"
    )
    (programs / "nixl-efa").chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "TERM": "xterm"}


def installed(shell: str, environ: dict[str, str]) -> None:
    """As a user does it, in the shell: it sees which one it is in."""
    done = subprocess.run(
        [shell, "-c", "nixl-efa --install-completion; true"], env=environ, cwd=environ["HOME"],
        capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    assert f"{Path(shell).name} completion installed in" in done.stdout, done.stderr


def typed(shell: list[str], keys: str, wanted: str, environ: dict[str, str]) -> str:
    """What an interactive shell shows after the keys, as soon as `wanted` is in it; AssertionError when it never is."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(environ["HOME"])
        os.execve(shell[0], shell, environ)
    shown = ""
    try:
        # When the shell has read its files it prints this; what is typed earlier some shells throw away.
        os.write(terminal, b"echo re''ady\n")
        shown = _until(terminal, "ready", shown)
        os.write(terminal, keys.encode())
        return _until(terminal, wanted, "")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)


def _until(terminal: int, wanted: str, shown: str) -> str:
    end = time.monotonic() + SECONDS
    while wanted not in shown:
        assert select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0], (
            f"no {wanted!r} in {shown!r}"
        )
        shown += _ESCAPES.sub("", os.read(terminal, 4096).decode("utf-8", "replace"))
    return shown


# zsh reads what typer installs when the key is pressed for the first time, and completes from the second on.
TABS = {"bash": "\t", "zsh": "\t\t"}
# What is typed before the tab key, and the line that it makes of it.
CASES = [
    ("nixl-efa capac", "nixl-efa capacity "),
    ("nixl-efa capacity sear", "nixl-efa capacity search "),
    ("nixl-efa check d", "nixl-efa check dev "),
    ("nixl-efa policy --env pro", "nixl-efa policy --env prod"),
    ("nixl-efa deploy --auto-", "nixl-efa deploy --auto-approve "),
]


@pytest.mark.parametrize("name", TABS)
def test_the_tab_key_completes_commands_options_and_environments(name: str, environ: dict[str, str]) -> None:
    shell = shell_of(name, environ)
    installed(shell, environ)
    for begun, line in CASES:
        assert line in typed([shell, "-i"], begun + TABS[name], line, environ)


def test_fish_completes_commands_options_and_environments(environ: dict[str, str]) -> None:
    """`complete -C` answers as the tab key does (fish documentation, complete)."""
    shell = shell_of("fish", environ)
    installed(shell, environ)
    for begun, line in CASES:
        asked = subprocess.run(
            [shell, "-c", f"complete -C '{begun}'"], env=environ, cwd=environ["HOME"], capture_output=True,
            text=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        offered = [one.split("\t")[0] for one in asked.stdout.splitlines()]
        assert line.split()[-1] in offered, asked.stdout + asked.stderr


def test_every_command_is_offered_with_its_help(environ: dict[str, str]) -> None:
    asked = subprocess.run(
        ["nixl-efa"], capture_output=True, text=True, timeout=SECONDS, check=True, cwd=environ["HOME"],
        env={**environ, "_NIXL_EFA_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
             "_TYPER_COMPLETE_ARGS": "nixl-efa "},
    )  # fmt: skip
    offered = dict(line.split("\t") for line in asked.stdout.splitlines())
    assert offered.keys() >= COMMANDS.keys()
    assert offered["check"].startswith("Look for what would stop")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("nixl-efa --project PROJECT check p", ["prod", "production-eu"]),
        ("nixl-efa check p", []),
        ("nixl-efa --project NOWHERE check p", []),
    ],
    ids=["the named project's", "none outside of a project", "none of no project"],
)
def test_environments_are_those_of_the_project_and_no_project_is_no_error(
    words: str, offered: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    line = words.replace("PROJECT", environ["HOME"])
    asked = subprocess.run(
        ["nixl-efa"], capture_output=True, text=True, timeout=SECONDS, check=True, cwd=tmp_path,
        env={**environ, "_NIXL_EFA_COMPLETE": "complete_bash", "COMP_WORDS": line,
             "COMP_CWORD": str(len(line.split()) - 1)},
    )  # fmt: skip
    assert (asked.stdout.split(), asked.stderr) == (offered, "")
