"""The root that machines boot from: built once by mmdebstrap and pip, and kept in the user's cache.

It is complete or does not exist: it is built under a lock in a neighbouring folder, then renamed. Nothing is installed
on this machine: only the program is unpacked from mmdebstrap's package, and apt's lists are in that folder, too.
"""

import fcntl
import os
import platform
import shlex
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_aws.machines import recipe
from local_aws.machines.failure import CannotBootError, run

Tell = Callable[[str], None]
_NEEDED = ("apt-get", "dpkg-deb", "perl", "unshare", "nsenter", "mount")
_KEPT_SECONDS = 7 * 24 * 3600
_KEYRING = "debian-archive-keyring"
_WHAT = "the root of the machines can't be built"


def home(environ: Mapping[str, str]) -> Path:
    """The folder of all that is kept: $XDG_CACHE_HOME/nixl-efa, by default ~/.cache/nixl-efa."""
    return (
        Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache")
        / "nixl-efa"
    )


def prepare(environ: Mapping[str, str], tell: Tell) -> Path:
    """The root, built if it does not exist (takes some minutes); CannotBootError if it can't be built."""
    require(environ)
    folder = home(environ)
    root = folder / recipe.name()
    if not root.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / "root.lock", tell):
            if not root.exists():
                _remove_unused(folder)
                tell(f"Building what machines boot from, once, into {root}: some minutes")
                _build(root, environ)
    os.utime(root)
    return root / "tree"


def _remove_unused(folder: Path) -> None:
    """Other recipes' roots, a week after their last use: a second checkout of the project may use one now."""
    for root in folder.glob("root-*"):
        if time.time() - root.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(root)


def require(environ: Mapping[str, str]) -> None:
    """CannotBootError if a machine can't boot for a reason that can be found at once."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise CannotBootError("machines need Linux and root")
    missing = [name for name in _NEEDED if shutil.which(name, path=environ.get("PATH")) is None]
    if missing:
        raise CannotBootError(
            f"machines need {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not on PATH (Debian and "
            "Ubuntu have them)"
        )


@contextmanager
def _lock(path: Path, tell: Tell) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Another process builds what machines boot from: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(root: Path, environ: Mapping[str, str]) -> None:
    part = root.with_name(f"part-{root.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    log = root.parent / "root.log"
    log.unlink(missing_ok=True)
    build = _Build(part, log, environ)
    build.debian()
    build.wheels()
    build.files()
    build.clean()
    part.rename(root)


@dataclass(frozen=True, slots=True)
class _Build:
    """The steps of a build in `part`; `tree` is the root, everything else is deleted."""

    part: Path
    log: Path
    environ: Mapping[str, str]

    @property
    def tree(self) -> Path:
        return self.part / "tree"

    def debian(self) -> None:
        """mmdebstrap's Debian, from the sources and with the proxies of this machine's apt."""
        tools, apt = self.part / "tools", self.part / "apt"
        for folder in ("state/lists/partial", "cache/archives/partial", "empty"):
            (apt / folder).mkdir(parents=True)
        own = [f"Dir::State={apt}/state", "Dir::State::status=/dev/null", f"Dir::Cache={apt}/cache"]
        # A hook of the host's apt notifies its desktop; here, nothing on the host has changed.
        own += ["APT::Update::Post-Invoke=", "APT::Update::Post-Invoke-Success=", "APT::Sandbox::User=root"]
        options = [part for option in own for part in ("-o", option)]
        self._run(["apt-get", *options, "-q", "update"])
        sources = _sources()
        wanted = ["mmdebstrap", *([] if sources else [_KEYRING])]
        self._run(["apt-get", *options, "-q", "download", *wanted], folder=apt)
        for package in wanted:
            self._run(["dpkg-deb", "-x", str(next(apt.glob(f"{package}_*.deb"))), str(tools)])
        configured = self._run(["apt-config", "dump", "--no-empty"]).splitlines()
        aptopt = apt / "options"
        kept = ("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries")
        aptopt.write_text(
            "".join(f"{line}\n" for line in configured if line.startswith(kept)), encoding="utf-8"
        )
        path = f"{self.environ.get('PATH', '')}:{tools}/usr/bin"
        self._run(
            [
                # If the build is killed, its mounts are removed with it.
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *(
                    "perl",
                    f"{tools}/usr/bin/mmdebstrap",
                    "--mode=root",
                    "--variant=minbase",
                    "--format=directory",
                ),
                f"--aptopt={aptopt}",
                *('--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/doc/*"),
                *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
                f"--include={','.join(recipe.PACKAGES)}",
                f"--customize-hook={self._unpack(recipe.TOOLS_PACKAGE, self.part / 'fabric')}",
                *([] if sources else [f"--keyring={tools}/usr/share/keyrings"]),
                recipe.SUITE,
                str(self.tree),
                *sources,
            ],
            environ={**self.environ, "PATH": path},
        )

    @staticmethod
    def _unpack(package: str, folder: Path) -> str:
        """A hook of mmdebstrap that unpacks a package of the suite, with the apt that mmdebstrap has set up."""
        beside = shlex.quote(f"{folder}.deb")
        return (
            f"mkdir {beside} && cd {beside} && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q download {package} && "
            f"dpkg-deb -x {package}_*.deb {shlex.quote(str(folder))}"
        )

    def wheels(self) -> None:
        """The folder of wheels, and libfabric out of one of them where the EFA installer puts its own."""
        folder, other = self.tree / recipe.WHEEL_FOLDER.lstrip("/"), self.part / "wheels"
        machine, tag = platform.machine(), recipe.PYTHON.replace(".", "")
        platforms = [f"manylinux_2_{number}_{machine}" for number in range(17, 37)] + [
            f"manylinux2014_{machine}"
        ]
        download = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--python-version", recipe.PYTHON, "--implementation", "cp"),
            *("--abi", f"cp{tag}", "--abi", "abi3", "--abi", "none"),
            *(part for name in platforms for part in ("--platform", name)),
        ]
        self._run([*download, "--dest", str(folder), *recipe.WHEELS])
        self._run([*download, "--dest", str(other), recipe.LIBFABRIC_WHEEL])
        aws_cli = self.tree / recipe.AWS_CLI_FOLDER.lstrip("/") / "wheels"
        self._run([*download, "--dest", str(aws_cli), *recipe.AWS_CLI_WHEELS])
        efa = self.tree / recipe.EFA_FOLDER.lstrip("/")
        (efa / "lib").mkdir(parents=True)
        (efa / "bin").mkdir()
        with zipfile.ZipFile(next(other.glob("*.whl"))) as wheel:
            [name] = [name for name in wheel.namelist() if name.endswith(recipe.LIBFABRIC_IN_WHEEL)]
            (efa / "lib" / "libfabric.so.1").write_bytes(wheel.read(name))
        for tool in (self.part / "fabric/usr/bin").iterdir():
            shutil.copy(tool, efa / "bin")

    def files(self) -> None:
        """Our files, and which services start."""
        for path, text in recipe.FILES.items():
            target = self.tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        # mmdebstrap copies these from this host; the name of a machine is that of its instance.
        for path in ("etc/hostname", "etc/resolv.conf"):
            (self.tree / path).unlink(missing_ok=True)
        for found in self.tree.glob(recipe.REMOVED.lstrip("/")):
            found.unlink()
        inside = ["chroot", str(self.tree)]
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        for script in (recipe.CUDA_STUB, recipe.AWS_CLI):
            self._run([*inside, "sh", "-c", script], environ=clean)
        self._run([*inside, "systemctl", "--quiet", "mask", *recipe.MASKED], environ=clean)
        self._run([*inside, "systemctl", "--quiet", "enable", *recipe.ENABLED], environ=clean)

    def clean(self) -> None:
        """Delete everything but the tree."""
        for beside in ("tools", "apt", "fabric", "fabric.deb", "wheels"):
            shutil.rmtree(self.part / beside)

    def _run(
        self, command: Sequence[str], *, environ: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> str:
        return run(command, _WHAT, environ=environ or self.environ, log=self.log, folder=folder)


def _sources() -> list[str]:
    """This machine's package sources, if they are for the root's suite; else none: mmdebstrap knows those of Debian."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    if f"VERSION_CODENAME={recipe.SUITE}" not in release.split():
        return []
    listed = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return [str(path) for path in listed if path.suffix in (".list", ".sources") and path.is_file()]
