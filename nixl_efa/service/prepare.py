"""Before an engine starts: installs packages on a node, and looks at the model, the memory and the ports.

A node runs it with the Python of NIXL's virtual environment and the standard library, in NIXL's environment. Argument:
a JSON document:
  packages   NAME==VERSION of each that the node needs; those that are there are left alone
  installer  the text of install-engine.sh
  wheels     where they may be staged, s3://BUCKET/FOLDER, or empty
  model      a hub's name, a folder, or s3://BUCKET/FOLDER
  folder     of a model in S3, below the folder for models
  staged     where the model may be staged, s3://BUCKET/FOLDER, or empty; manifest: the manifest's name there
  ports      that the node's services will listen on
  units      of systemd, ours
  boot_unit  that may be at work on the same since the node has booted: it is waited for
stdout is one JSON document: a member for each thing that was looked at, as `main` has it. Nothing is decided here.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

ROOT = os.environ.get("NIXL_EFA_ROOT", "")
# Where deep-learning images have the instance's own disks; else the root volume.
DISKS, ELSEWHERE = f"{ROOT}/opt/dlami/nvme", f"{ROOT}/opt/nixl-efa"
# Files with weights: an engine reads those of the first of these kinds that a model has.
WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
# Of a config.json, which can be longer than what Run Command gives.
TOLD = ("architectures", "dtype", "torch_dtype", "vocab_size")
INSTALL_SECONDS, COPY_SECONDS = 3000, 120
# Packages that are told, those of NIXL among them: they must stay as they are when an engine is installed.
KEPT = ("nixl", "nixl-cu12", "nixl-cu13")


def found(package: str) -> str:
    """The version of a package; empty where it is not there, or was cut: pip writes INSTALLER at the end."""
    try:
        there = distribution(package)
    except PackageNotFoundError:
        return ""
    return there.version if there.read_text("INSTALLER") else ""


def cuda() -> str:
    """The CUDA for which torch is built, as 13.0; empty for none, or if libraries beside the driver's count.

    torch itself would take long to import. By either variable, or a package cuda-compat on the loader's path, an older
    driver may do (CUDA's forward compatibility).
    """
    if os.environ.get("LD_LIBRARY_PATH") or os.environ.get("VLLM_ENABLE_CUDA_COMPATIBILITY"):
        return ""
    if re.search(r"libcuda\.so\.1 .*/compat/", run("ldconfig", "-p")[0]):
        return ""
    try:
        with open(str(distribution("torch").locate_file("torch/version.py")), encoding="utf-8") as file:
            told = re.search(r"^cuda\b.*= '([\d.]+)'$", file.read(), re.MULTILINE)
    except (PackageNotFoundError, OSError):
        return ""
    return told[1] if told else ""


def run(*command: str, seconds: int = 60, keeps: tuple[int, ...] = ()) -> tuple[str, str]:
    """What a command prints, and why it failed: its last line of errors; empty when it did not. keeps: descriptors that
    stay open in it."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds, pass_fds=keeps
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    lines = [one for one in (done.stderr or done.stdout).splitlines() if one.strip()]
    return done.stdout, (
        lines[-1].strip() if lines else f"exit code {done.returncode}"
    ) if done.returncode else ""


def elsewhere(wheels: str) -> str:
    """For which other Pythons and machines packages are staged there, of those that this node had no use for."""
    lines = run("aws", "s3", "ls", f"{wheels}/")[0].splitlines() if wheels else []
    others = [one.split()[1].rstrip("/") for one in lines if one.split()[:1] == ["PRE"]]
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}-{os.uname().machine}"
    return f": {wheels} has {', '.join(others)}, and this node needs {own}" if others else ""


@contextmanager
def alone() -> Iterator[int]:
    """A lock on the virtual environment, by its descriptor. TimeoutError if another installation keeps it.

    Programs that inherit it hold it, too: pip goes on when the start that wanted it was interrupted.
    """
    lock, end = os.open(sys.prefix, os.O_RDONLY), time.monotonic() + INSTALL_SECONDS
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise TimeoutError(f"another installation into {sys.prefix} is still running") from None
                time.sleep(2)
        yield lock
    finally:
        os.close(lock)


def install(packages: list[str], installer: str, *where: str) -> tuple[str, str]:
    """Where the packages came from (empty: they were there), and why they could not be installed.

    NIXL stays the one that fits the node. where: they may be staged, and the manifest's name.
    """
    try:
        with alone() as lock:
            missing = [
                one
                for one in packages
                if found(one.partition("==")[0]).partition("+")[0] != one.partition("==")[2]
            ]
            if not missing:
                return "", ""
            words = ("bash", "-c", installer, "install-engine", *where, *missing)
            told, error = run(*words, seconds=INSTALL_SECONDS, keeps=(lock,))
            source = told.strip()
            return f"{source}{elsewhere(where[0]) if source == 'the index' else ''}", error
    except TimeoutError as error:
        return "", str(error)


def wait_for(unit: str) -> str:
    """Waits until a unit neither does what it was started for nor waits to do it; why that took too long, or empty."""
    end = time.monotonic() + INSTALL_SECONDS
    while time.monotonic() < end:
        shown = run("systemctl", "show", unit, "--property=ActiveState,Job")[0].split()
        # A unit that waits for another one has a job, and is not active yet.
        if not any(re.fullmatch(r"ActiveState=(activating|active)|Job=[1-9]\d*", one) for one in shown):
            return ""
        time.sleep(2)
    return f"{unit} is still running since the node's boot: journalctl -u {unit}"


def place() -> str:
    """Below which folder models are kept."""
    return DISKS if os.path.ismount(DISKS) else ELSEWHERE


def model(name: str, folder: str, staged: str, manifest: str) -> dict[str, Any]:
    """path, config, sum (of config.json), weight_bytes, error; to_copy: bytes that are not on the node yet.

    source: the folder in S3 from which they are copied before the engine starts; empty: none. is_whole: all is there.
    content: the sum of the manifest, where the model is staged; incomplete: a staged copy that is not used, in words.
    """
    empty = {"to_copy": 0, "source": "", "is_whole": False, "content": "", "incomplete": "", "error": ""}
    try:
        if name.startswith("/"):
            return {**empty, "path": name, **of_folder(f"{ROOT}{name}")}
        found, incomplete = of_manifest(staged, manifest) if staged and shutil.which("aws") else ({}, "")
        found = found or (of_s3(name, folder) if name.startswith("s3://") else of_hub(name))
    except OSError as error:
        return {**empty, "path": name, "config": {}, "sum": "", "weight_bytes": 0, "error": str(error)}
    return {**empty, "incomplete": incomplete, **found}


def weights(sizes: dict[str, int]) -> int:
    """Bytes of the first kind of weights that the files have."""
    found = [sum(size for name, size in sizes.items() if name.endswith(kind)) for kind in WEIGHTS]
    return next(filter(None, found), 0)


def there(folder: str) -> int:
    """Bytes of all files below a folder."""
    every = glob.glob(f"{folder}/**", recursive=True)
    return sum(os.path.getsize(one) for one in every if os.path.isfile(one))


def of_manifest(staged: str, manifest: str) -> tuple[dict[str, Any], str]:
    """A model that was staged; nothing if it was not, or not completely: then how many objects are there."""
    text, error = run("aws", "s3", "cp", "--quiet", f"{staged}/{manifest}", "-", seconds=COPY_SECONDS)
    if error and not re.search(r"\b404\b|does not exist|NoSuch", error):
        raise OSError(f"{staged}/{manifest} can't be read: {error}")
    if error:
        listed, error = run("aws", "s3", "ls", "--recursive", f"{staged}/", seconds=COPY_SECONDS)
        if "NoSuchBucket" in error:
            raise OSError(f"{staged}/ can't be listed: {error}")
        count = len(listed.splitlines())
        return {}, f"{count} objects below {staged}/" if count else ""
    told = json.loads(text)
    config, error = run(
        "aws", "s3", "cp", "--quiet", f"{told['place']}/config.json", "-", seconds=COPY_SECONDS
    )
    if error:
        raise OSError(f"{told['place']}/config.json can't be read: {error}")
    path = f"{place()}/models/{told['place'][len('s3://') :]}"
    is_there = content(read(f"{path}/{manifest}")) == told["sum"]
    return {
        "path": path,
        **described(config.encode()),
        "weight_bytes": weights({one["name"]: one["bytes"] for one in told["files"]}),
        "to_copy": 0 if is_there else max(0, told["bytes"] - there(path)),
        "source": told["place"],
        "is_whole": is_there,
        "content": told["sum"],
    }, ""


def content(manifest: str) -> str:
    """The sum in a manifest's text; empty where there is none. Another revision of a hub may have the same content."""
    try:
        return str(json.loads(manifest)["sum"])
    except (ValueError, KeyError, TypeError):
        return ""


def of_folder(folder: str) -> dict[str, Any]:
    """What a folder with a model tells."""
    with open(f"{folder}/config.json", "rb") as file:
        text = file.read()
    return {
        **described(text),
        "weight_bytes": weights({one: os.path.getsize(one) for one in glob.glob(f"{folder}/*")}),
    }


def described(text: bytes) -> dict[str, Any]:
    """A config.json."""
    try:
        config = json.loads(text)
    except ValueError as error:
        raise OSError(f"config.json is not a JSON document: {error}") from None
    told = {key: config[key] for key in TOLD if key in config}
    if isinstance(inner := config.get("text_config"), dict):
        told["text_config"] = {key: inner[key] for key in TOLD if key in inner}
    return {"config": told, "sum": hashlib.sha256(text).hexdigest()}


def of_s3(uri: str, folder: str) -> dict[str, Any]:
    """A model in S3, of which the weights are copied when the engine is started."""
    text, error = run("aws", "s3", "cp", "--quiet", f"{uri}/config.json", "-", seconds=COPY_SECONDS)
    if error:
        raise OSError(f"{uri}/config.json can't be read: {error}")
    listed, error = run("aws", "s3", "ls", "--recursive", f"{uri}/", seconds=COPY_SECONDS)
    if error:
        raise OSError(f"{uri}/ can't be listed: {error}")
    target = f"{place()}{folder}"
    sizes = {name: int(size) for size, name in re.findall(r"^\S+ +\S+ +(\d+) (.+)$", listed, re.MULTILINE)}
    return {
        "path": target,
        **described(text.encode()),
        "weight_bytes": weights(sizes),
        "to_copy": max(0, sum(sizes.values()) - there(target)),
        "source": uri,
    }


def of_hub(name: str) -> dict[str, Any]:
    """A model of the hub, which the engine itself downloads. Its library came with the engine."""
    script = (
        "import json, sys; from huggingface_hub import HfApi, hf_hub_download; name = sys.argv[1];"
        "files = {f.rfilename: f.size or 0 for f in HfApi().model_info(name, files_metadata=True).siblings};"
        "print(json.dumps([hf_hub_download(name, 'config.json'), files]))"
    )
    told, error = run(sys.executable, "-c", script, name, seconds=COPY_SECONDS)
    if error:
        raise OSError(f"the hub does not answer about {name}: {error}")
    path, files = json.loads(told.splitlines()[-1])
    with open(path, "rb") as file:
        text = file.read()
    size = weights(files)
    kept = sum(
        os.path.getsize(one) for one in glob.glob(f"{os.path.dirname(path)}/*") if not one.endswith(".json")
    )
    return {"path": name, **described(text), "weight_bytes": size, "to_copy": max(0, size - kept)}


def memory() -> int:
    """Bytes of the host's memory that are free to use."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.findall(r"^MemAvailable: +(\d+) kB$", file.read(), re.MULTILINE)[0]) << 10


def read(path: str) -> str:
    """A file's text; empty where it is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def started_for(path: str) -> str:
    """The service that the engine was started for; empty if files of its model came later: it has not read them, and
    reads them when it is started again. Ours in the folder are no model's."""
    told = f"{ROOT}/etc/nixl-efa/service.json"
    since = os.path.getmtime(told) if os.path.exists(told) else 0.0
    files = [one for one in glob.glob(f"{glob.escape(path)}/**", recursive=True) if os.path.isfile(one)]
    own = [one for one in files if not os.path.basename(one).startswith("nixl-efa-")]
    return "" if any(os.path.getmtime(one) > since for one in own) else read(told)


def gpus() -> list[int]:
    """Bytes of memory of each NVIDIA GPU."""
    told, _ = run("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    return [int(one) << 20 for one in told.split() if one.isdecimal()]


def taken(ports: list[int]) -> dict[str, str]:
    """Ports that somebody listens on, and who, where that is told."""
    found: dict[str, str] = {}
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                listed, _ = run("ss", "-Hltnp", f"sport = :{port}")
                who = re.search(r'users:\(\("([^"]+)",pid=(\d+)', listed)
                found[str(port)] = f"{who[1]}, process {who[2]}" if who else "another program"
    return found


def main(given: dict[str, Any]) -> dict[str, Any]:
    """All of it."""
    os.environ.setdefault("HF_HOME", f"{place()}/huggingface")
    source, error = "", wait_for(given["boot_unit"])
    if not error:
        source, error = install(given["packages"], given["installer"], given["wheels"], given["manifest"])
    importlib.invalidate_caches()  # what pip has just installed
    names = [*KEPT, *(one.partition("==")[0] for one in given["packages"])]
    states = {unit: run("systemctl", "is-active", unit)[0].strip() for unit in given["units"]}
    running = [unit for unit, state in states.items() if state not in ("inactive", "failed", "")]
    told = model(given["model"], given["folder"], given["staged"], given["manifest"])
    return {
        "error": error,
        "source": source,
        "installed": {name: found(name) for name in names if found(name)},
        "model": told,
        "hub": os.environ["HF_HOME"],
        "cuda": cuda(),
        "kv_transfer_config": os.environ.get("PAIR_KV_TRANSFER_CONFIG", ""),
        "free_bytes": shutil.disk_usage(place()).free,
        "memory_bytes": memory(),
        "gpu_bytes": gpus(),
        "taken": taken(given["ports"]),
        "running": running,
        "at_boot": run("systemctl", "is-enabled", given["boot_unit"])[0].strip().replace("not-found", ""),
        "service": started_for(told["path"]),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
