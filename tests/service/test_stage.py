"""`nixl-efa serve prepare`: models from S3 and from a hub into a bucket of the local AWS, whole or not there."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.cli import serve_prepare
from nixl_efa.failure import Failure
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.service import stage as staging
from nixl_efa.service.staged import File, Manifest, change, folder, unfit, wanted
from nixl_efa.work import pieces
from tests.nodes.local_pair import REGION, Project, Run
from tests.nodes.stand_in import FakeClock
from tests.policies import denied, in_policy, under, used
from tests.service.conftest import ROOT, manifest_key
from tests.service.local_hub import COMMIT, Hub
from tests.service.prepared import MODELS, OTHERS, aws, prod, project, run, s3

__all__ = ["aws", "prod", "project", "run", "s3"]

HUB = ROOT / ".tools" / "hub"
NAME = "acme/tiny"
CONFIG = b'{"architectures": ["LlamaForCausalLM"]}'
# Small parts, so that a file of some megabytes is copied in several (S3 takes parts of 5 MiB and more).
PART = 5 << 20
LARGE = os.urandom(11 << 20)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "PART_BYTES", PART)


@pytest.fixture(autouse=True)
def models_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """NIXL and packages have files of their own: test_stage_nixl.py, test_stage_packages.py."""
    for name in ("_nixl", "_packages"):
        monkeypatch.setattr(serve_prepare, name, lambda *_: None)


@pytest.fixture(scope="module")
def library() -> Iterator[None]:
    """The hub's own library, in the versions of hub-requirements.txt."""
    if not (HUB / "installed").exists():
        message = "huggingface_hub is missing: make .tools/hub/installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    sys.path.append(str(HUB))
    yield
    sys.path.remove(str(HUB))


@pytest.fixture
def hub(library: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    files = {
        "config.json": CONFIG,
        "model-00001.safetensors": LARGE,
        "model-00002.safetensors": b"2" * 3000,
        "pytorch_model.bin": LARGE,
        "original/consolidated.00.pth": b"3" * 10,
        "tokenizer/merges.txt": b"a b",
    }
    with Hub(NAME, files) as running:
        for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield running


def objects(s3: Any, prefix: str = "", bucket: str = MODELS) -> dict[str, int]:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return {one["Key"]: one["Size"] for one in listed}


def put_model(s3: Any, **files: bytes) -> None:
    every = {"config.json": CONFIG, "model.safetensors": LARGE, "tokenizer/merges.txt": b"a b"} | files
    for name, data in every.items():
        s3.put_object(Bucket=OTHERS, Key=f"runs/7/{name}", Body=data, Tagging="team=kv")


def test_a_folder_of_s3_is_copied_by_s3_and_only_what_changed_a_second_time(
    s3: Any, prod: Project, aws: LocalAws, run: Run
) -> None:
    put_model(s3)
    words = ("serve", "prepare", "prod", "--model", f"s3://{OTHERS}/runs/7/")
    code, out, err = run(*words)
    place = f"nixl-efa-models/s3/{OTHERS}/runs/7"
    assert (code, out) == (
        0,
        f"Staged s3://{OTHERS}/runs/7: 3 files, 11.5 MB, in s3://{MODELS}/{place}/.\n",
    ), err
    sizes = {"config.json": len(CONFIG), "model.safetensors": len(LARGE), "tokenizer/merges.txt": 3}
    found = objects(s3, f"{place}/")
    manifest = json.loads(s3.get_object(Bucket=MODELS, Key=f"{place}/nixl-efa-manifest.json")["Body"].read())
    del found[f"{place}/nixl-efa-manifest.json"]
    assert found == {f"{place}/{name}": size for name, size in sizes.items()}
    assert {one["name"]: one["bytes"] for one in manifest["files"]} == sizes
    assert (manifest["bytes"], manifest["place"]) == (sum(sizes.values()), f"s3://{MODELS}/{place}")
    body = s3.get_object(Bucket=MODELS, Key=f"{place}/model.safetensors")["Body"].read()
    assert body == LARGE
    assert [one.action for one in aws.calls.all()].count("UploadPartCopy") == 3

    s3.delete_object(Bucket=OTHERS, Key="runs/7/tokenizer/merges.txt")
    put_model(s3, **{"config.json": CONFIG.replace(b"Llama", b"Qwen3")})
    s3.delete_object(Bucket=OTHERS, Key="runs/7/tokenizer/merges.txt")
    aws.calls.clear()
    assert run(*words)[0] == 0
    copied = [one.action for one in aws.calls.all() if "Copy" in one.action]
    assert copied == ["CopyObject"]
    assert f"{place}/tokenizer/merges.txt" not in objects(s3)
    assert b"Qwen3" in s3.get_object(Bucket=MODELS, Key=f"{place}/config.json")["Body"].read()


def test_a_model_of_the_hub_comes_in_its_own_files_and_once(
    s3: Any, prod: Project, hub: Hub, run: Run
) -> None:
    words = ("serve", "prepare", "prod", "--model", NAME)
    code, out, err = run(*words)
    place = f"nixl-efa-models/hub/{NAME}"
    assert code == 0, err
    assert out == f"Staged {NAME} of revision {COMMIT}: 4 files, 11.5 MB, in s3://{MODELS}/{place}/.\n"
    kept = ("config.json", "model-00001.safetensors", "model-00002.safetensors", "tokenizer/merges.txt")
    names = {key.removeprefix(f"{place}/") for key in objects(s3)}
    assert names == {*kept, "nixl-efa-manifest.json"}
    for name in kept:
        body = s3.get_object(Bucket=MODELS, Key=f"{place}/{name}")["Body"].read()
        assert body == hub.files[name]
    assert not (Path(os.environ["XDG_CACHE_HOME"]) / "nixl-efa" / "models" / NAME).exists()
    assert {name for name, _ in hub.gets} == set(kept)
    hub.gets.clear()
    assert run(*words)[0] == 0
    assert hub.gets == []


def test_two_commands_of_one_user_do_not_share_a_folder_of_downloads(
    s3: Any, prod: Project, hub: Hub, run: Run
) -> None:
    """Another one replaced or removed a file between its check and its upload."""
    words = ("serve", "prepare", "prod", "--model", NAME)
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "nixl-efa" / "models" / NAME
    with pieces.alone(str(cache)):
        (cache / "config.json").write_bytes(CONFIG)
        code, out, err = run(*words)
        assert (code, out, hub.gets) == (1, "", [])
        assert f"downloads to {cache}: wait for its end, then run this again." in err
        assert (cache / "config.json").exists()
    assert run(*words)[0] == 0
    assert not cache.exists()


def test_a_download_that_is_damaged_is_in_no_bucket(s3: Any, prod: Project, hub: Hub, run: Run) -> None:
    hub.damaged.add("model-00001.safetensors")
    code, out, err = run("serve", "prepare", "prod", "--model", NAME)
    assert (code, out) == (1, "")
    assert "model-00001.safetensors" in err
    assert "Traceback" not in err
    there = objects(s3)
    assert not [key for key in there if key.endswith(("model-00001.safetensors", "manifest.json"))]
    hub.damaged.clear()
    assert run("serve", "prepare", "prod", "--model", NAME)[0] == 0
    assert manifest_key(NAME) in objects(s3)


def test_an_interrupted_copy_has_no_manifest_leaves_no_parts_and_goes_on(s3: Any, aws: LocalAws) -> None:
    put_model(s3)
    source, bucket = staging.FromS3(s3, f"s3://{OTHERS}/runs/7"), Bucket(s3, MODELS)
    name = f"s3://{OTHERS}/runs/7"
    staging.stage(name, folder(name), source, bucket, FakeClock(), lambda _: lambda _: None)
    other = bytes(reversed(LARGE))
    put_model(s3, **{"model.safetensors": other})

    def interrupt(_: int) -> None:
        if "CreateMultipartUpload" in [one.action for one in aws.calls.all()]:
            raise KeyboardInterrupt

    aws.calls.clear()
    with pytest.raises(KeyboardInterrupt):
        staging.stage(name, folder(name), source, bucket, FakeClock(), lambda _: interrupt)
    assert manifest_key(name) not in objects(s3)
    assert s3.list_multipart_uploads(Bucket=MODELS).get("Uploads", []) == []
    body = s3.get_object(Bucket=MODELS, Key=f"{folder(name)}/model.safetensors")["Body"].read()
    assert body in (LARGE, other)
    found = staging.stage(name, folder(name), source, bucket, FakeClock(), lambda _: lambda _: None)
    assert found.bytes == len(CONFIG) + len(LARGE) + 3
    assert s3.get_object(Bucket=MODELS, Key=f"{folder(name)}/model.safetensors")["Body"].read() == other


def test_a_model_that_changes_while_it_is_copied_is_not_staged(s3: Any) -> None:
    put_model(s3)
    source = staging.FromS3(s3, f"s3://{OTHERS}/runs/7")
    revision, files = source.files()
    put_model(s3, **{"model.safetensors": bytes(reversed(LARGE))})
    large = next(one for one in files if one.name == "model.safetensors")
    with pytest.raises(Failure, match=r"runs/7/model\.safetensors was replaced while the model was copied"):
        source.put(large, revision, Bucket(s3, MODELS), "x", staging.Moved())
    assert "x" not in objects(s3)


def test_a_newer_content_of_the_same_size_by_somebody_else_gets_no_manifest_of_the_older(s3: Any) -> None:
    put_model(s3)
    name = f"s3://{OTHERS}/runs/7"

    class Other(staging.FromS3):
        """While this one copies, somebody else has replaced an object that is done."""

        def put(self, file: File, revision: str, target: Bucket, key: str, moved: staging.Moved) -> None:
            super().put(file, revision, target, key, moved)
            if file.name == "config.json":
                body = bytes(reversed(CONFIG))
                target.s3.put_object(Bucket=target.name, Key=key, Body=body, Metadata={staging.SUM: "etag:x"})

    bucket = Bucket(s3, MODELS)
    with pytest.raises(Failure, match="was changed by somebody else meanwhile"):
        staging.stage(name, folder(name), Other(s3, name), bucket, FakeClock(), lambda _: lambda _: None)
    assert manifest_key(name) not in objects(s3)
    staged_from(s3, name)
    assert s3.get_object(Bucket=MODELS, Key=f"{folder(name)}/config.json")["Body"].read() == CONFIG


def test_uploads_that_were_killed_are_ended_after_a_day(s3: Any) -> None:
    put_model(s3)
    name = f"s3://{OTHERS}/runs/7"
    s3.create_multipart_upload(Bucket=MODELS, Key=f"{folder(name)}/model.safetensors")
    s3.create_multipart_upload(Bucket=MODELS, Key="somebody/else")
    source, bucket, clock = staging.FromS3(s3, name), Bucket(s3, MODELS), FakeClock()
    [first, _] = s3.list_multipart_uploads(Bucket=MODELS)["Uploads"]
    clock.time = first["Initiated"] + 2 * staging.KEPT
    staging.stage(name, folder(name), source, bucket, clock, lambda _: lambda _: None)
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=MODELS)["Uploads"]] == ["somebody/else"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--model", "a b"), 2, "--model 'a b' is neither"),
        ((), 2, "there is no model to serve: give --model, or set service.model in environments/prod.toml"),
        (
            ("--model", f"s3://{OTHERS}/none"),
            1,
            f"s3://{OTHERS}/none/ is not a model's folder: it has 0 files",
        ),
        (("--model", "s3://acme-nothing/x"), 1, "acme-nothing"),
    ],
)
def test_what_can_not_be_staged_is_told_in_a_line(
    s3: Any, prod: Project, run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = run("serve", "prepare", "prod", *words)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert objects(s3) == {}


def test_a_model_that_the_hub_does_not_have(s3: Any, prod: Project, hub: Hub, run: Run) -> None:
    code, _, err = run("serve", "prepare", "prod", "--model", "acme/none")
    assert code == 1
    assert "the hub does not give acme/none: " in err
    assert "HF_TOKEN" in err


def test_without_the_library_it_is_said_what_to_install(
    s3: Any, prod: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    code, _, err = run("serve", "prepare", "prod", "--model", NAME)
    assert (code, "`pip install huggingface_hub`" in err) == (1, True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_downloaded(
    s3: Any, prod: Project, hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(5 << 30))
    code, _, err = run("serve", "prepare", "prod", "--model", NAME)
    assert (code, hub.gets) == (1, [])
    assert re.search(r"has 5\.0 GiB free, and 5\.0 GiB are needed .* XDG_CACHE_HOME", err)


def test_the_bucket_is_the_scripts_bucket_or_the_setting_says_which(
    s3: Any, project: Project, run: Run, tmp_path: Path
) -> None:
    put_model(s3)
    words = ("serve", "prepare", "prod", "--model", f"s3://{OTHERS}/runs/7")
    code, _, err = run(*words)
    assert (code, "there is no bucket nixl-efa-prod-scripts" in err) == (1, True)
    s3.create_bucket(Bucket="nixl-efa-prod-scripts")
    code, out, _ = run(*words)
    assert (code, "s3://nixl-efa-prod-scripts/nixl-efa-models/" in out) == (0, True)
    (project.folder / "state.json").write_text('{"outputs": {}, "resources": []}', encoding="utf-8")
    code, _, err = run(*words)
    assert code == 1
    assert f"set models_bucket to a bucket of yours in {REGION}" in err


def test_of_a_repository_only_the_files_that_an_engine_reads_are_wanted() -> None:
    names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "original/model.safetensors",
        "pytorch_model-00001.bin",
        "flax_model.msgpack",
        "tokenizer.model",
        "sub/merges.txt",
        "README.md",
        "docs/USAGE.md",
        "LICENSE.txt",
        ".gitattributes",
    ]

    def of(*chosen: str) -> list[str]:
        return [one.name for one in wanted(File(name, 1, "") for name in chosen)]

    assert of(*names) == ["config.json", names[1], "sub/merges.txt", "tokenizer.model"]
    assert of("config.json", "pytorch_model-00001.bin", "x.pt") == ["config.json", "pytorch_model-00001.bin"]


def test_what_is_missing_is_what_is_not_there_or_other() -> None:
    files = (File("a", 1, "x"), File("b", 2, "y"), File("c", 3, "z"))
    found = change(files, {"a": (1, "x"), "b": (2, "other"), "old": (9, "")})
    assert ([one.name for one in found.missing], found.left_over, found.is_none) == (
        ["b", "c"],
        ("old",),
        False,
    )
    assert change(files[:1], {"a": (1, "x")}).is_none


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (("config.json", "a/b.safetensors", "a/c/d"), ""),
        (("config.json", "../evil"), "../evil"),
        (("config.json", "/etc/x"), "/etc/x"),
        (("a/./b",), "a/./b"),
        (("a//b",), "a//b"),
        (("a", "a/b"), "a/b"),
        (("a/b", "a/b/c/d"), "a/b/c/d"),
    ],
)
def test_names_that_can_be_no_files_of_a_node(names: tuple[str, ...], odd: str) -> None:
    assert unfit([File(one, 1, "") for one in names]) == odd


def staged_from(s3: Any, uri: str) -> Manifest:
    return staging.stage(
        uri, folder(uri), staging.FromS3(s3, uri), Bucket(s3, MODELS), FakeClock(), lambda _: lambda _: None
    )


def test_a_folder_with_such_a_name_is_refused_before_anything_is_copied(s3: Any) -> None:
    for name in ("config.json", "model.safetensors", "a", "a/b"):
        s3.put_object(Bucket=OTHERS, Key=f"odd/{name}", Body=b"{}")
    with pytest.raises(Failure, match="has 'a/b', which can't be a file"):
        staged_from(s3, f"s3://{OTHERS}/odd")
    assert objects(s3) == {}


def test_a_model_that_holds_another_staged_one_is_refused_and_the_other_stays(s3: Any) -> None:
    for place in ("nested", "nested/ckpt"):
        for name in ("config.json", "model.safetensors"):
            s3.put_object(Bucket=OTHERS, Key=f"{place}/{name}", Body=b"{}")
    staged_from(s3, f"s3://{OTHERS}/nested/ckpt")
    with pytest.raises(Failure, match="another model is staged at"):
        staged_from(s3, f"s3://{OTHERS}/nested")
    assert manifest_key(f"s3://{OTHERS}/nested/ckpt") in objects(s3)


def test_two_contents_have_two_sums() -> None:
    first, second = (
        json.loads(Manifest(NAME, COMMIT, "s3://x/y", (File("a", 1, one),)).text)["sum"] for one in ("x", "y")
    )
    assert first != second


def test_the_policy_of_prepare_is_enough_and_all_of_it_is_needed(
    s3: Any, prod: Project, aws: LocalAws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder that the same policy allows to read."""
    for name, data in {"config.json": CONFIG, "model.safetensors": LARGE}.items():
        s3.put_object(Bucket=MODELS, Key=f"nixl-efa-models/own/{name}", Body=data)
    _, printed, _ = run("policy", "prepare", "--env", "prod")
    under(aws, printed)
    code, out, err = run("serve", "prepare", "prod", "--model", f"s3://{MODELS}/nixl-efa-models/own")
    assert code == 0, out + err
    assert denied(aws) == []
    # An upload is aborted where one was killed, or Ctrl-C ends the command.
    assert in_policy(json.loads(printed)) - used(aws) == {"s3:AbortMultipartUpload"}
