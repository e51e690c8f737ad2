"""A Chromium for tests: this machine's own, else its distribution's package, taken apart in the user's cache.

Nothing is installed on this machine: apt downloads what the machine lacks for it, as itself and with its sources, and
its lists lie in the same folder. What is in the cache is whole or not there: built under a lock beside, and renamed.
"""

import fcntl
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
# The program, what lies in its own folder, and a font: a page without any has no text.
PACKAGES = ("chromium-headless-shell", "chromium-common", "fonts-dejavu-core")
NEEDED = ("apt-get", "dpkg-deb")


class NoBrowserError(Exception):
    """Why there is no browser."""


@dataclass(frozen=True)
class Chromium:
    """A program and the variables that it needs."""

    path: str
    environ: Mapping[str, str]

    def starts(self) -> bool:
        """Whether it can be run here: what the machine had when its package was taken apart may be gone."""
        command = [self.path, "--version", "--no-sandbox"]
        return subprocess.run(command, env=self.environ, capture_output=True, check=False).returncode == 0


def chromium(environ: Mapping[str, str]) -> Chromium:
    """The browser; NoBrowserError when there is none and none can be had."""
    for name in NAMES:
        if own := shutil.which(name, path=environ.get("PATH")):
            return Chromium(own, environ)
    if missing := [name for name in NEEDED if shutil.which(name, path=environ.get("PATH")) is None]:
        raise NoBrowserError(
            f"neither {' nor '.join(NAMES)} is on PATH, and without {missing[0]} none can be had"
        )
    cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nixl-efa"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"browser-{_suite()}-{platform.machine()}"
    with (cache / "browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir() and not _in(folder, environ).starts():
            shutil.rmtree(folder)
        if not folder.is_dir():
            _unpack(folder, environ)
    found = _in(folder, environ)
    if not found.starts():
        raise NoBrowserError(f"{found.path} does not start")
    return found


def _suite() -> str:
    """The release of this machine's distribution: its packages fit no other one."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME=")), "unknown")


def _in(folder: Path, environ: Mapping[str, str]) -> Chromium:
    tree = folder / "tree"
    program = tree / "usr/lib/chromium/chromium-headless-shell"
    libraries = sorted(
        {str(path.parent) for path in tree.glob("usr/lib/**/*.so*") if path.parent != program.parent}
    )
    fonts = {"FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return Chromium(str(program), {**environ, "LD_LIBRARY_PATH": ":".join(libraries), **fonts})


def _unpack(folder: Path, environ: Mapping[str, str]) -> None:
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    apt = part / "apt"
    for below in ("state/lists/partial", "cache/archives/partial"):
        (apt / below).mkdir(parents=True)
    own = [f"Dir::State={apt}/state", f"Dir::Cache={apt}/cache", "Debug::NoLocking=1"]
    # By the list of what is installed here, no library that the machine has is downloaded. Hooks tell of nothing here.
    own += ["Dir::State::status=/var/lib/dpkg/status", "APT::Sandbox::User=root"]
    own += ["APT::Update::Post-Invoke=", "APT::Update::Post-Invoke-Success="]
    options = [word for one in own for word in ("-o", one)]
    _run(["apt-get", *options, "-q", "update"], environ)
    archives = apt / "cache/archives"
    missing = ["-q", "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES]
    _run(["apt-get", *options, *missing], environ, archives)
    _run(["apt-get", *options, "-q", "download", *PACKAGES], environ, archives)
    for package in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(part / "tree")], environ)
    shutil.rmtree(apt)
    (part / "fonts.conf").write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>\n'
        f"<dir>{folder}/tree/usr/share/fonts</dir>\n<dir>/usr/share/fonts</dir>\n"
        f"<cachedir>{folder}/fonts</cachedir>\n</fontconfig>\n",
        encoding="utf-8",
    )
    part.rename(folder)


def _run(command: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> None:
    done = subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NoBrowserError(f"{' '.join(command[:1])} failed: {' '.join(last)}")
