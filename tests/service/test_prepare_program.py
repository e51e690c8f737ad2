"""What prepare.py and copy_model.py find and do on a node before an engine starts, in a folder here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from nixl_efa.service import copy_model, prepare
from nixl_efa.service.staged import File, Manifest
from tests.records import answer
from tests.service.programs import Server, command


def test_a_model_in_a_folder_is_read_and_only_what_is_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"dtype": "bfloat16", "id2label": {"0": "x"}, "text_config": {"vocab_size": 9, "y": 1}}),
        encoding="utf-8",
    )
    (tmp_path / "model-1.safetensors").write_bytes(b"x" * 10)
    (tmp_path / "model-2.safetensors").write_bytes(b"x" * 5)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 100)
    found = prepare.model(str(tmp_path), "", "", "")
    assert (found["config"], found["weight_bytes"], found["to_copy"], found["error"]) == (
        {"dtype": "bfloat16", "text_config": {"vocab_size": 9}},
        15,
        0,
        "",
    )
    assert "No such file" in prepare.model(f"{tmp_path}/other", "", "", "")["error"]
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "not a JSON document" in prepare.model(str(tmp_path), "", "", "")["error"]


@pytest.mark.parametrize(
    ("build", "variable", "cuda"),
    [
        ("cu130", "", "13.0"),
        ("cpu", "", ""),
        ("", "", ""),
        ("cu130", "LD_LIBRARY_PATH", ""),
        ("cu130", "VLLM_ENABLE_CUDA_COMPATIBILITY", ""),
        ("cu130", "compat", ""),
    ],
)
def test_the_cuda_of_torch_is_told_without_its_import(
    build: str, variable: str, cuda: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch that can't be imported. Where the user has set such a variable, or the loader finds the libraries of
    cuda-compat, an older driver may do."""
    folder = f"/usr/local/cuda/{variable}" if variable == "compat" else "/usr/lib/x86_64-linux-gnu"
    loader = tmp_path / "bin/ldconfig"
    loader.parent.mkdir()
    loader.write_text(
        f"#!/bin/sh\n[ $1 = -p ] && echo '\tlibcuda.so.1 (libc6,x86-64) => {folder}/libcuda.so.1'\n",
        encoding="utf-8",
    )
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", f"{loader.parent}:/usr/bin:/bin")
    for name in ("LD_LIBRARY_PATH", "VLLM_ENABLE_CUDA_COMPATIBILITY"):
        monkeypatch.delenv(name, raising=False)
    if build:
        for name, text in (
            ("torch-2.11.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.11.0\n"),
            ("torch/version.py", "\n".join(answer("torch/version")[build]) + "\n"),
            ("torch/__init__.py", "raise ImportError"),
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    if variable:
        monkeypatch.setenv(variable, "1")
    assert prepare.cuda() == cuda


def test_a_model_in_s3_is_measured_by_what_aws_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS CLI's form: date, time, bytes, key."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(prepare, "ELSEWHERE", str(tmp_path))
    there = tmp_path / "models/b/x"
    there.mkdir(parents=True)
    (there / "config.json").write_bytes(b"x" * 40)
    listing = "2026-11-26 10:00:00        40 x/config.json\n2026-11-26 10:00:00    700000 x/a b.safetensors\n"
    command(tmp_path, "aws", f"case $2 in cp) echo '{{}}' ;; ls) printf '{listing}' ;; esac")
    found = prepare.model("s3://b/x", "/models/b/x", "", "")
    assert (found["path"], found["weight_bytes"], found["to_copy"]) == (str(there), 700000, 700000)
    command(tmp_path, "aws", "echo 'fatal error: An error occurred (403)' >&2; exit 1")
    assert prepare.model("s3://b/x", "/models/b/x", "", "")["error"] == (
        "s3://b/x/config.json can't be read: fatal error: An error occurred (403)"
    )


PLACE = "s3://b/nixl-efa-models/hub/acme/tiny"
FILES = (File("config.json", 2, "git:1"), File("model.safetensors", 700, "sha256:2"))
MANIFEST = Manifest("acme/tiny", "0123", PLACE, FILES).text


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the AWS CLI finds: a folder of objects by their name, and nothing else."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(prepare, "ELSEWHERE", str(tmp_path))
    folder = tmp_path / "bucket"
    folder.mkdir()
    command(
        tmp_path,
        "aws",
        f"""case $2 in
          cp) cat "{folder}/$(basename "$4")" 2>/dev/null ||
            {{ echo 'fatal error: An error occurred (404) when calling the HeadObject operation' >&2; exit 1; }} ;;
          ls) ls {folder} | grep . ;;
        esac""",
    )
    return folder


def test_a_staged_model_is_what_its_manifest_says(bucket: Path, tmp_path: Path) -> None:
    (bucket / "config.json").write_text("{}", encoding="utf-8")
    (bucket / "manifest").write_text(MANIFEST, encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    own = tmp_path / "models/b/nixl-efa-models/hub/acme/tiny"
    assert (found["error"], found["path"], found["source"]) == ("", str(own), PLACE)
    assert (found["weight_bytes"], found["to_copy"]) == (700, 702)
    assert found["content"] == json.loads(MANIFEST)["sum"]
    own.mkdir(parents=True)
    (own / "manifest").write_text(MANIFEST, encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["source"], found["is_whole"], found["to_copy"]) == (PLACE, True, 0)
    # A revision with the same files starts no engine again.
    (bucket / "manifest").write_text(Manifest("acme/tiny", "4567", PLACE, FILES).text, encoding="utf-8")
    assert prepare.model("acme/tiny", "", PLACE, "manifest")["is_whole"]
    # Another content was staged since.
    newer = (FILES[0], File("model.safetensors", 700, "sha256:3"))
    (bucket / "manifest").write_text(Manifest("acme/tiny", "4567", PLACE, newer).text, encoding="utf-8")
    assert not prepare.model("acme/tiny", "", PLACE, "manifest")["is_whole"]


def test_without_its_manifest_a_staged_model_is_not_used(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = {"path": "acme/tiny", "config": {}, "sum": "ab", "weight_bytes": 5, "to_copy": 5}
    monkeypatch.setattr(prepare, "of_hub", lambda _: hub)
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["path"], found["source"], found["incomplete"]) == ("acme/tiny", "", "")
    (bucket / "model.safetensors").write_text("x", encoding="utf-8")
    found = prepare.model("acme/tiny", "", PLACE, "manifest")
    assert (found["path"], found["incomplete"]) == ("acme/tiny", f"1 objects below {PLACE}/")


def test_a_bucket_that_can_not_be_read_is_no_reason_to_download_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command(tmp_path, "aws", "echo 'fatal error: An error occurred (403)' >&2; exit 1")
    assert prepare.model("acme/tiny", "", PLACE, "manifest")["error"] == (
        f"{PLACE}/manifest can't be read: fatal error: An error occurred (403)"
    )


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("", "[default]\ns3 =\n  max_concurrent_requests = 64"),
        ("[default]\nendpoint_url = http://x\n", "max_concurrent_requests = 64"),
        ("[default]\ns3 =\n  max_concurrent_requests = 7\n", "max_concurrent_requests = 7"),
    ],
)
def test_the_aws_cli_fetches_more_at_once_unless_the_node_says_how_many(
    own: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(own, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    found = copy_model.config()
    assert kept in found
    assert found.count("max_concurrent_requests") == 1
    assert all(line in found for line in own.splitlines())
    assert found.count("[default]") == 1


def test_a_disk_without_room_is_told_before_anything_is_copied(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "manifest").write_text(MANIFEST, encoding="utf-8")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 << 30))
    status = tmp_path / "run/status.json"
    with pytest.raises(SystemExit):
        copy_model.main(PLACE, str(tmp_path / "to"), str(status), "manifest")
    told = json.loads(status.read_text(encoding="utf-8"))
    assert told["state"] == "failed"
    assert told["line"].startswith(f"{tmp_path}/to has 5.0 GiB free, 0.0 GiB are to be copied")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "seconds", "told"),
    [("a/x.bin", 5, ""), ("a/x.bin", -5, "served"), ("nixl-efa-manifest.json", 5, "served")],
)
def test_an_engine_that_has_not_read_what_its_folder_holds_now_is_of_no_service(
    name: str, seconds: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start was interrupted after the copy: the engines run on with the earlier content until one starts again."""
    monkeypatch.setattr(prepare, "ROOT", str(tmp_path))
    model, service = tmp_path / "model [1]", tmp_path / "etc/nixl-efa/service.json"
    assert prepare.started_for(str(model)) == ""
    (model / "a").mkdir(parents=True)
    service.parent.mkdir(parents=True)
    service.write_text("served", encoding="utf-8")
    (model / name).touch()
    os.utime(model / name, (time.time(), service.stat().st_mtime + seconds))
    assert prepare.started_for(str(model)) == told


def test_a_copy_without_a_manifest_has_a_mark_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A boot starts what is whole without a look at S3 (start-service.sh)."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder, status = tmp_path / "to", tmp_path / "run/status.json"
    mark = folder / copy_model.MARK
    listing = "2026-11-26 10:00:00  4 x/config.json\n"
    copies = f"[ ! -e {mark} ] || exit 1; [[ $* == *--exclude\\ {copy_model.MARK}\\ * ]] && printf"
    for size, is_whole in ((4, True), (3, False)):
        script = (
            f"case $2 in ls) printf '{listing}' ;; sync) {copies} {'x' * size} >{folder}/config.json ;; esac"
        )
        command(tmp_path, "aws", script)
        with nullcontext() if is_whole else pytest.raises(SystemExit):
            copy_model.main("s3://b/x", str(folder), str(status))
        assert mark.exists() == is_whole
    script = (Path(copy_model.__file__).parent / "start-service.sh").read_text(encoding="utf-8")
    assert f"mark=${{manifest:-{copy_model.MARK}}}\n" in script


def test_packages_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"vllm": "0.32.0+cpu"}
    monkeypatch.setattr(prepare, "found", lambda name: versions.get(name, ""))
    assert prepare.install(["vllm==0.32.0"], "exit 1", "s3://b/x", "manifest") == ("", "")
    packages = ["vllm==0.33.0", "vllm-router==0.1.17"]
    told = "install-engine s3://b/x manifest vllm==0.33.0 vllm-router==0.1.17"
    assert prepare.install(packages, 'echo "$0 $*"', "s3://b/x", "manifest") == (told, "")
    assert prepare.install(packages, 'echo "$0 $*" >&2; exit 1', "s3://b/x", "manifest") == ("", told)


def test_two_installations_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one finds what the first one has installed, or pip still at work though its program was ended."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(prepare, "found", lambda _: "1.5" if (tmp_path / "there").exists() else "")
    installer = (
        f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; touch {tmp_path}/there"
    )
    with ThreadPoolExecutor() as pool:
        first = pool.submit(prepare.install, ["cut==1.5"], f"{installer}; echo first")
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        monkeypatch.setattr(time, "sleep", lambda _: (tmp_path / "go").touch())
        assert prepare.install(["cut==1.5"], "echo second") == ("", "")
        assert first.result() == ("first", "")
    (tmp_path / "there").unlink()
    (tmp_path / "go").unlink()
    monkeypatch.setattr(prepare, "INSTALL_SECONDS", 1)
    assert "timed out" in prepare.install(["cut==1.5"], f"({installer}) & wait")[1]
    monkeypatch.setattr(prepare, "INSTALL_SECONDS", 0)
    assert "another installation" in prepare.install(["cut==1.5"], "echo second")[1]
    (tmp_path / "go").touch()


def test_nixl_keeps_its_version(tmp_path: Path) -> None:
    """pip's own form of its list, also of a package from a file."""
    command(tmp_path, "python", 'echo "$*" >>"$NIXL_EFA_ROOT/asked"; cat "$NIXL_EFA_ROOT/pip"')
    python = tmp_path / "opt/nixl-efa/venv/bin/python"
    python.parent.mkdir(parents=True)
    (tmp_path / "python").rename(python)
    (tmp_path / "pip").write_text("nixl==1.5.0\nnixl-cu13==1.5.0\nnixlx==1\nnumpy==2.3.0\n", encoding="utf-8")
    script = Path(prepare.__file__).with_name("install-engine.sh")
    subprocess.run(
        ["bash", script, "", "", "vllm==0.33.0", "vllm-router==0.1.17"],
        env={"NIXL_EFA_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    kept = tmp_path / "var/lib/nixl-efa/service-constraints.txt"
    assert kept.read_text(encoding="utf-8") == "nixl==1.5.0\nnixl-cu13==1.5.0\n"
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()[-1]
    assert asked.endswith(f"--constraint {kept} vllm==0.33.0 vllm-router==0.1.17")


def test_what_a_boot_has_begun_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    states = ["inactive\\nJob=12", "activating\\nJob=12", "active\\nJob=0", "inactive\\nJob=0", "never"]
    cases = "".join(f"{number}) printf 'ActiveState={one}\\n' ;; " for number, one in enumerate(states, 1))
    command(
        tmp_path,
        "systemctl",
        f"echo x >>{tmp_path}/asked; case $(grep -c x {tmp_path}/asked) in {cases} esac",
    )
    assert prepare.wait_for("nixl-efa-service.service") == ""
    assert (tmp_path / "asked").read_text(encoding="utf-8").count("x") == 4
    monkeypatch.setattr(prepare, "INSTALL_SECONDS", 0)
    assert "nixl-efa-service.service is still running" in prepare.wait_for("nixl-efa-service.service")


def test_a_package_that_was_cut_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "cut-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: cut\nVersion: 1.5\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert prepare.found("cut") == ""
    (about / "INSTALLER").write_text("pip\n", encoding="utf-8")
    assert prepare.found("cut") == "1.5"


def test_a_port_that_somebody_has_is_found() -> None:
    with Server([]) as url:
        port = int(url.rpartition(":")[2])
        assert set(prepare.taken([port, 1])) == {str(port)}
