"""What a node gets to start its engine when it boots, and what start-service does with it."""

import base64
import gzip
import io
import json
import random
import re
import string
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nixl_efa import service as service_package
from nixl_efa.bootstrap import USER_DATA_LIMIT_BYTES, plain, user_data
from nixl_efa.bootstrap.files import node_files
from nixl_efa.service import vllm
from nixl_efa.service.engine import hub, unit_of
from nixl_efa.service.model import Service
from nixl_efa.settings.service_rules import MOST_AT_BOOT
from nixl_efa.settings.values import MAX_NODES
from tests.bootstrap.test_user_data import of_many
from tests.told_at_boot import P5

IN_S3 = Service("vllm", "s3://models/x", "0.32.0", ("--max-model-len", "4096"), (), ("--x", "50 % ${y}"))
FOLDER = "/opt/nixl-efa/models/models/x"


def unpacked(document: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Content and permissions of what the archive in a user data holds, by path."""
    [packed] = [one["content"] for one in document["write_files"] if one.get("encoding") == "b64"]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(base64.b64decode(packed)))) as tar:
        members = [(one, tar.extractfile(one)) for one in tar.getmembers()]
        return {f"/{one.name}": (file.read().decode(), one.mode) for one, file in members if file}


def files_of(**changes: Any) -> dict[str, str]:
    return {one.path: one.content for one in node_files(replace(P5, service=IN_S3, **changes))}


@pytest.mark.parametrize("place", [{"nixl_wheels": f"https://{'x' * 60}"}, {"models_bucket": "x" * 63}])
def test_user_data_with_a_service_fits_with_the_longest_names_and_flags(place: dict[str, str]) -> None:
    """Random words, which no packing makes shorter."""
    letters, chance = string.ascii_letters + string.digits + string.punctuation, random.Random(1)
    flags = tuple("".join(chance.choices(letters, k=50)) for _ in range(MOST_AT_BOOT // 50))
    service = Service("vllm", "", "0.32.0", flags)
    ports = tuple(range(65500, 65530))
    document = user_data(of_many(MAX_NODES, service_ports=ports, service=service, **place))
    assert len(plain(document).encode()) < USER_DATA_LIMIT_BYTES - 256


def test_every_file_is_written_or_unpacked_and_opaque_values_are_readable(
    validate_cloud_config: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    boot = replace(P5, service=IN_S3, region="${var.region}", scripts_bucket="${aws_s3_bucket.scripts.id}")
    text = user_data(boot)
    assert (text.count("${var.region}"), text.count("${aws_s3_bucket.scripts.id}")) == (3, 2)
    checked = validate_cloud_config(plain(text))
    assert checked.returncode == 0, checked.stderr
    document = yaml.safe_load(plain(text))
    packed = unpacked(document)
    written = {one["path"]: one["content"] for one in document["write_files"]}
    at_once = replace(boot, nodes=(boot.own,))
    for file in node_files(at_once):
        if file.path in packed:
            assert packed[file.path] == (file.content, int(file.permissions, 8))
        else:
            assert written[file.path] == file.content
    # What must be there before the first command is no part of the archive.
    assert not any(path.startswith(("/etc/apt", "/etc/security", "/etc/profile.d")) for path in packed)


def test_the_engine_starts_after_nixl_and_the_boot_report_stays_the_last_command() -> None:
    commands = yaml.safe_load(plain(user_data(replace(P5, service=IN_S3))))["runcmd"]
    units = ["nixl-efa-boot-report.service", "nixl-efa-service.service"]
    assert commands == [
        ["tar", "-xzf", "/opt/nixl-efa/files.tar.gz", "-C", "/"],
        ["/opt/nixl-efa/bin/configure"],
        ["systemctl", "enable", *units],
        ["/opt/nixl-efa/bin/install-nixl"],
        ["systemctl", "start", "--no-block", *units],
        ["systemctl", "start", units[0]],
    ]


@pytest.mark.parametrize(("node", "router"), [("producer", False), ("consumer", True)])
def test_a_node_gets_what_a_start_from_the_command_line_would_give_it(node: str, router: bool) -> None:
    files = files_of(node=node)
    assert files["/etc/nixl-efa/boot/service.json"] == IN_S3.text
    place = "/opt/nixl-efa"
    path, models = f"{place}/models/models/x", hub(place)
    unit = files["/etc/nixl-efa/boot/nixl-efa-engine.service"]
    for name, value in {"PLACE": place, "PATH": path, "SOURCE": IN_S3.model, "MANIFEST": ""}.items():
        unit = unit.replace(f"@{name}@", value)
    assert unit == unit_of(vllm, IN_S3, P5.environment, node, path=path, hub=models, planned="{}")
    assert ('"--x" "50 %% $${y}"' in unit) is router
    wanted = '"vllm==0.32.0" "vllm-router==0.1.17"' if router else '"vllm==0.32.0"'
    start = f'ExecStart="/opt/nixl-efa/bin/start-service" {wanted}\n'
    assert start in files["/etc/systemd/system/nixl-efa-service.service"]


def test_only_the_first_consumer_has_the_router() -> None:
    nodes = (P5.nodes[0], replace(P5.nodes[1], name="consumer-2"))
    files = files_of(node="consumer-2", nodes=nodes)
    assert "vllm-router" not in files["/etc/systemd/system/nixl-efa-service.service"]


ASKED = 'echo "${0##*/}" "$@" >>"$NIXL_EFA_ROOT/asked"'
# Nothing is staged. The summary is that of the AWS CLI's documentation (s3 ls).
SUMMARY = "Total Objects: 10\\n   Total Size: 3000000000\\n"
LISTS = f"case $* in *--summarize*) printf '{SUMMARY}' ;; *' ls '*) exit 1 ;; esac"
AWS = f"{ASKED}; {LISTS}"


class Machine:
    """A root with the files of a service, and stand-ins of what start-service runs; each says what it was asked."""

    def __init__(self, root: Path, service: Service) -> None:
        self.root, self.bin = root, root / "bin"
        files = {one.path: one.content for one in node_files(replace(P5, service=service))}
        for path in files:
            self.write(path, files[path])
        self.write("/var/lib/nixl-efa/install.json", '{"error":""}')
        self.command("/bin/systemctl", f"{ASKED}")
        self.command("/bin/aws", AWS)
        self.command("/bin/df", "echo Avail; echo ${AVAIL:-1000000000000}")
        self.command("/bin/sleep", "exit 1")  # nothing tells how far a copy is
        self.command("/bin/mountpoint", "exit 1")
        self.command(
            "/opt/nixl-efa/bin/install-engine", 'echo install "$@" >>"$NIXL_EFA_ROOT/asked"; echo the index'
        )

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8")

    def command(self, path: str, script: str) -> None:
        self.write(path, f"#!/bin/bash\n{script}\n")

    def start(self, **environ: str) -> tuple[int, str, list[str]]:
        """The exit code, the error that it tells, and what was run beside the boot report."""
        done = subprocess.run(
            ["bash", self.root / "opt/nixl-efa/bin/start-service", "vllm==0.32.0"],
            env={
                "NIXL_EFA_ROOT": str(self.root),
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "PAIR_SCRIPTS_BUCKET": "scripts",
                "PAIR_ENVIRONMENT": "prod",
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        self.printed = done.stdout
        asked = self.read("asked").splitlines()
        asked.remove("systemctl is-enabled --quiet nixl-efa-service.service")
        (self.root / "asked").unlink()
        asked.remove("systemctl restart nixl-efa-boot-report.service")
        told: str = json.loads(self.read("/run/nixl-efa/engine.json"))["error"]
        # The copy and the installation are side by side.
        first = sorted(one for one in asked if one.startswith(("aws", "install")))
        return done.returncode, told, [*first, *(one for one in asked if one not in first)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, IN_S3)


ENGINE = "nixl-efa-engine.service"
STAGED_PACKAGES = (
    "s3://scripts/nixl-efa-models/packages/vllm-0.32.0/vllm-router-0.1.17 nixl-efa-manifest.json"
)
LOOKED = "aws s3 ls s3://scripts/nixl-efa-models/s3/models/x/nixl-efa-manifest.json"


def copied(
    root: Path, source: str = "s3://models/x", folder: str = FOLDER, but: str = "nixl-efa-whole"
) -> list[str]:
    return [
        "aws configure set default.s3.max_concurrent_requests 64",
        f"aws s3 ls --recursive --summarize {source}/",
        f"aws s3 sync --only-show-errors --exact-timestamps --delete --exclude {but} {source} {root}{folder}",
    ]


def test_a_first_start_installs_copies_and_starts(machine: Machine) -> None:
    root = machine.root
    assert machine.start() == (
        0,
        "",
        [
            *copied(root)[:2],
            LOOKED,
            copied(root)[2],
            f"install {STAGED_PACKAGES} vllm==0.32.0",
            "systemctl daemon-reload",
            f"systemctl reset-failed {ENGINE}",
            f"systemctl restart {ENGINE}",
        ],
    )
    assert machine.read("/etc/nixl-efa/service.json") == IN_S3.text
    unit = machine.read(f"/etc/systemd/system/{ENGINE}")
    assert f'"serve" "{FOLDER}"' in unit
    assert "X-Model=s3://models/x\n" in unit
    assert "@" not in unit


def test_what_is_staged_is_looked_for_in_the_models_bucket_if_there_is_one(machine: Machine) -> None:
    [line] = [
        one for one in files_of(models_bucket="acme")["/etc/nixl-efa/env"].splitlines() if "acme" in one
    ]
    name, _, bucket = line.partition("=")
    assert machine.start(**{name: bucket})[2][2:5] == [
        LOOKED.replace("scripts", "acme"),
        copied(machine.root)[2],
        f"install {STAGED_PACKAGES.replace('scripts', 'acme')} vllm==0.32.0",
    ]


def test_a_staged_model_is_copied_with_its_manifest_last(machine: Machine) -> None:
    """Of another program: what `nixl-efa serve prepare` writes is in tests/service/test_stage.py."""
    manifest = 'case "$1 $2" in "s3 cp") echo whole >"${!#}" ;; esac'
    machine.command("/bin/aws", f"{ASKED}; {manifest}; {LISTS.replace('exit 1', ':')}")
    source = "s3://scripts/nixl-efa-models/s3/models/x"
    folder = f"/opt/nixl-efa/models/{source.removeprefix('s3://')}"
    code, error, asked = machine.start()
    assert (code, error) == (0, "")
    assert copied(machine.root, source, folder, "nixl-efa-manifest.json")[2] in asked
    assert machine.read(f"{folder}/nixl-efa-manifest.json") == "whole\n"
    assert f'"serve" "{folder}"' in machine.read(f"/etc/systemd/system/{ENGINE}")
    (machine.root / folder[1:] / "nixl-efa-manifest.json").unlink()
    machine.command("/bin/aws", f"{ASKED}; exit 1")
    assert machine.start()[:2] == (1, f"not copied: {source}: nothing is there")


@pytest.mark.parametrize(("code", "starts"), [(1, True), (127, True), (254, False), (253, False)])
def test_only_a_model_that_is_surely_not_staged_comes_from_elsewhere(
    machine: Machine, code: int, starts: bool
) -> None:
    """Exit codes of the AWS CLI: 1 of `s3 ls` where nothing is, without a word; 253 without keys, 254 of an error of
    AWS. Another node may have found the staged one."""
    said = "An error occurred (SlowDown)" if code > 200 else ""
    machine.command(
        "/bin/aws", f'{ASKED}; case $* in *manifest.json) echo "{said}" >&2; exit {code} ;; esac; {LISTS}'
    )
    error = "" if starts else f"not copied: s3://scripts/nixl-efa-models/s3/models/x: {said}"
    assert machine.start()[:2] == (int(not starts), error)


def test_models_are_on_the_disks_of_the_instance_where_it_has_some(machine: Machine) -> None:
    machine.command("/bin/mountpoint", f'[ "$2" = "{machine.root}/opt/dlami/nvme" ]')
    assert copied(machine.root, folder="/opt/dlami/nvme/models/models/x")[2] in machine.start()[2]
    assert '"HF_HOME=/opt/dlami/nvme/huggingface"' in machine.read(f"/etc/systemd/system/{ENGINE}")


def test_a_later_start_starts_what_was_started_last(machine: Machine) -> None:
    machine.write("/etc/nixl-efa/service.json", "another")
    machine.write(f"/etc/systemd/system/{ENGINE}", "[Unit]\n[Service]\n")
    assert machine.start() == (0, "", [f"systemctl start {ENGINE}"])
    assert machine.read("/etc/nixl-efa/service.json") == "another"


def test_a_model_that_is_whole_starts_as_it_is_and_one_that_is_not_is_copied(machine: Machine) -> None:
    """Other nodes run what they have: new content comes to all of them, by a start from the command line."""
    machine.start()
    assert machine.start() == (0, "", [f"systemctl start {ENGINE}"])
    (machine.root / FOLDER[1:] / "nixl-efa-whole").unlink()
    assert machine.start() == (0, "", [*copied(machine.root), f"systemctl start {ENGINE}"])


@pytest.mark.parametrize(("seconds", "starts"), [(-10, True), (10, False)])
def test_a_content_that_is_newer_than_the_last_start_is_not_started(
    machine: Machine, seconds: int, starts: bool
) -> None:
    """The AWS CLI gives its files the time of S3's objects. They were copied to a disk that was empty, or by a start
    from the command line that has ended before the engines; the next boot finds them whole."""
    machine.start()
    told = (machine.root / "etc/nixl-efa/service.json").stat().st_mtime
    weights, mark = (machine.root / FOLDER[1:] / name for name in ("model.safetensors", "nixl-efa-whole"))
    mark.unlink()
    machine.command(
        "/bin/aws", f'{AWS}; case $2 in sync) touch -d @{told + seconds:.0f} "${{!#}}/{weights.name}" ;; esac'
    )
    for copies in (True, False):
        code, error, asked = machine.start()
        assert any("sync" in one for one in asked) == copies
        assert (code, error) == (
            (0, "")
            if starts
            else (
                1,
                "not started: s3://models/x has changed since the last start here: nixl-efa serve restart prod",
            )
        )
        assert (f"systemctl start {ENGINE}" in asked) == starts


def test_a_model_for_which_the_disk_has_no_room_is_not_copied(machine: Machine) -> None:
    """3,000,000,000 bytes, and 5 GiB stay free."""
    machine.write(f"{FOLDER}/half", "x" * 5000)
    code, error, asked = machine.start(AVAIL=str(3_000_000_000 + (5 << 30) - (10 << 20)))
    assert (code, error) == (1, "not copied: s3://models/x: its disk lacks 9 MiB")
    assert not any("sync" in one for one in asked)
    assert machine.start(AVAIL=str(3_000_000_000 + (5 << 30)))[0] == 0


def test_how_far_a_copy_is_and_where_packages_come_from_is_in_the_journal(machine: Machine) -> None:
    # The second sleep comes after the first line.
    machine.command("/bin/sleep", 'cd "$NIXL_EFA_ROOT"; [ -e once ] && touch twice && exit 1; touch once')
    machine.command(
        "/bin/aws", f'{AWS}; case $2 in sync) until [ -e "$NIXL_EFA_ROOT/twice" ]; do :; done ;; esac'
    )
    assert machine.start()[:2] == (0, "")
    packages, copy = sorted(machine.printed.splitlines(), reverse=True)
    assert packages == "vllm==0.32.0 from the index"
    assert re.fullmatch(r"copying s3://models/x: \S+ of 2\.8G", copy)


@pytest.mark.parametrize(
    ("path", "script", "said"),
    [
        ("/opt/nixl-efa/bin/install-engine", "", "not installed: vllm==0.32.0: the last line"),
        ("/bin/aws", "", "not copied: s3://models/x: the last line"),
        (
            "/bin/systemctl",
            '[ "$1" != restart ] || [ "$2" != nixl-efa-engine.service ] || ',
            "not started: the last line",
        ),
    ],
)
def test_what_fails_is_told_with_its_own_last_words(
    machine: Machine, path: str, script: str, said: str
) -> None:
    name = path.rpartition("/")[2]
    fails = "{ echo 'a \"quoted\" line'; echo the last line; exit 1; } >&2"
    machine.command(path, f'echo {name} "$@" >>"$NIXL_EFA_ROOT/asked"\n{script}{fails}')
    assert machine.start()[:2] == (1, said)
    assert not (machine.root / "etc/nixl-efa/service.json").exists()


def test_nothing_is_started_after_a_stop_that_came_before_the_first_start(machine: Machine) -> None:
    machine.command("/bin/systemctl", f'{ASKED}; [ "$1" != is-enabled ]')
    done = subprocess.run(
        ["bash", machine.root / "opt/nixl-efa/bin/start-service", "vllm==0.32.0"],
        env={"NIXL_EFA_ROOT": str(machine.root), "PATH": f"{machine.bin}:/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0
    assert machine.read("asked") == "systemctl is-enabled --quiet nixl-efa-service.service\n"


def test_without_nixl_nothing_is_installed(machine: Machine) -> None:
    machine.write("/var/lib/nixl-efa/install.json", '{"error":"not finished"}')
    assert machine.start() == (1, "NIXL is not installed", [])


def test_the_scripts_of_a_node_are_those_of_the_package() -> None:
    files = files_of()
    for name in ("install-engine", "start-unit", "start-service"):
        packaged = (Path(service_package.__path__[0]) / f"{name}.sh").read_text(encoding="utf-8")
        kept = [one for one in packaged.splitlines()[2:] if not one.lstrip().startswith("# ")]
        assert files[f"/opt/nixl-efa/bin/{name}"].splitlines() == [*packaged.splitlines()[:2], *kept]
