"""Stages a model, or Python packages: copies the files from S3 or by this machine into a bucket, before nodes exist.

An object is whole or not there (S3). Each has its file's sum in its metadata, so that the same command, started again,
copies only what is missing. The manifest is removed before anything is changed, and written when all is there.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nixl_efa.aws_calls import ask_all
from nixl_efa.aws_errors import error_code
from nixl_efa.clock import Clock
from nixl_efa.failure import Failure
from nixl_efa.nodes.run_command import Bucket
from nixl_efa.service.before import SPARE_BYTES, gib
from nixl_efa.service.staged import MANIFEST, File, Manifest, change, has_weights, unfit
from nixl_efa.work import pieces

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1 << 20
# Files at the same time, and parts of each: together not more than the connections of a client (nixl_efa.aws).
FILES_AT_ONCE, PARTS_AT_ONCE, PART_BYTES = 4, 4, 64 * MIB
# The name of the metadata of an object that holds its file's sum.
SUM = "nixl-efa-sum"
# How long Ctrl-C waits for copies that are ended, so that S3 keeps no parts of them.
END_SECONDS = 20.0
KEPT = timedelta(days=1)
# Bytes of all files that are there or have come.
Progress = Callable[[int], None]


class Stopped(Exception):  # noqa: N818  (not an error)
    """The command was interrupted."""


class Moved:
    """Bytes that threads have copied.

    Raises Stopped in their callbacks once it is stopped: boto3 then ends the copy, and aborts a multi-part upload.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.active = 0
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, count: int) -> None:
        if self._stopped:
            raise Stopped
        with self._lock:
            self.bytes += count

    def copying(self, more: int) -> None:
        """A copy begins (1) or has ended (-1)."""
        with self._lock:
            self.active += more
        if self._stopped and more > 0:
            self.copying(-1)
            raise Stopped

    def stop(self) -> None:
        """Ends the copies, and waits until they have ended."""
        self._stopped = True
        end = time.monotonic() + END_SECONDS
        while self.active and time.monotonic() < end:
            time.sleep(0.05)


class Source(Protocol):
    """Where the files come from."""

    def files(self) -> tuple[str, tuple[File, ...]]:
        """Its revision and files."""

    def put(self, file: File, revision: str, target: Bucket, key: str, moved: Moved) -> None:
        """Copies a file to an object."""

    def check_room(self, files: Sequence[File]) -> None:
        """Failure if this machine has no room for it."""

    def alone(self) -> AbstractContextManager[None]:
        """What is kept here is this process's alone, and removed at the end, but for an error. Failure if another one
        is at work there."""


def _config() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
    )


class Downloads(Protocol):
    """What has an address. cache: a folder here, in which a file is kept until it is in the bucket."""

    @property
    def cache(self) -> Path: ...

    def files(self) -> tuple[str, tuple[File, ...]]:
        """Its revision and files."""

    def fetch(self, file: File, revision: str) -> Path:
        """Downloads a file below the cache."""


@dataclass(frozen=True, slots=True)
class ByThisMachine:
    """Each file is downloaded, checked and uploaded."""

    source: Downloads

    def files(self) -> tuple[str, tuple[File, ...]]:
        """Its revision and files."""
        return self.source.files()

    def put(self, file: File, revision: str, target: Bucket, key: str, moved: Moved) -> None:
        """Downloads and uploads it. Failure if its content is not what its source has promised."""
        path = self.source.fetch(file, revision)
        kind, _, told = file.sum.partition(":")
        if path.stat().st_size != file.bytes or (kind == "sha256" and _sha256(path) != told):
            path.unlink()
            raise Failure(f"{file.name} arrived damaged. The same command downloads it again.")
        moved.copying(1)
        try:
            target.s3.upload_file(
                str(path),
                target.name,
                key,
                ExtraArgs={"Metadata": {SUM: file.sum}},
                Callback=moved,
                Config=_config(),
            )
        finally:
            moved.copying(-1)
        path.unlink()

    def check_room(self, files: Sequence[File]) -> None:
        """For the files that are on their way at the same time."""
        cache = self.source.cache
        needed = sum(sorted((one.bytes for one in files), reverse=True)[:FILES_AT_ONCE]) + SPARE_BYTES
        free = shutil.disk_usage(cache).free
        if needed > free:
            raise Failure(
                f"{cache} has {gib(free)} free, and {gib(needed)} are needed for the files on their way: make room "
                "there, or set XDG_CACHE_HOME to a folder on a larger disk."
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The folder of the downloads: two processes would damage each other's files between check and upload."""
        try:
            with pieces.alone(str(self.source.cache)):
                yield
                shutil.rmtree(self.source.cache, ignore_errors=True)
        except pieces.CopyError as error:
            raise Failure(
                f"another `nixl-efa serve prepare` downloads to {self.source.cache}: wait for its end, then run this "
                "again. It may be for another environment."
            ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class FromS3:
    """A folder in S3: S3 copies it by itself."""

    s3: S3Client
    uri: str

    @property
    def _place(self) -> tuple[str, str]:
        bucket, _, key = self.uri.removeprefix("s3://").partition("/")
        return bucket, key

    def files(self) -> tuple[str, tuple[File, ...]]:
        """Its files; S3 has no revision of a folder."""
        bucket, key = self._place
        found = tuple(
            File(one["Key"].removeprefix(f"{key}/"), one["Size"], f"etag:{one['ETag'].strip(chr(34))}")
            for one in Bucket(self.s3, bucket).objects(f"{key}/")
            if not one["Key"].endswith(("/", f"/{MANIFEST}"))
        )
        if not has_weights(found) or "config.json" not in {one.name for one in found}:
            raise Failure(
                f"{self.uri}/ is not a model's folder: it has {len(found)} files, and needs config.json and weights "
                "(*.safetensors or *.bin)."
            )
        if odd := unfit(found):
            raise Failure(
                f"{self.uri}/ has {odd!r}, which can't be a file below the model's folder on a node. Copy the model "
                "without it to a folder of its own, and give that one."
            )
        return "", found

    def put(self, file: File, _revision: str, target: Bucket, key: str, moved: Moved) -> None:
        """S3 copies it, in parts if it is large."""
        bucket, own = self._place
        moved.copying(1)
        try:
            target.s3.copy(
                {"Bucket": bucket, "Key": f"{own}/{file.name}"},
                target.name,
                key,
                ExtraArgs={
                    "Metadata": {SUM: file.sum},
                    "MetadataDirective": "REPLACE",
                    # Tags would need permissions of their own.
                    "TaggingDirective": "REPLACE",
                    # Not another content than the one that is in the manifest.
                    "CopySourceIfMatch": f'"{file.sum.partition(":")[2]}"',
                },
                Callback=moved,
                Config=_config(),
            )
        except Exception as error:
            if error_code(error) in ("412", "PreconditionFailed"):
                raise Failure(
                    f"{self.uri}/{file.name} was replaced while the model was copied: the same command copies what is "
                    "there then."
                ) from error
            raise
        finally:
            moved.copying(-1)

    def check_room(self, files: Sequence[File]) -> None:
        """Nothing comes to this machine."""

    def alone(self) -> AbstractContextManager[None]:
        """Nothing is kept."""
        return nullcontext()


def stage(
    name: str,
    folder: str,
    source: Source,
    bucket: Bucket,
    clock: Clock,
    progress: Callable[[int], Progress],
    *,
    is_shared: bool = False,
    last: str = "",
) -> Manifest:
    """Makes a folder of the bucket hold what has this name; returns its manifest.

    is_shared: what else is there stays, and there is no manifest, which would tell of the last command alone. last:
    files whose names begin so come when all others are there; empty: none.
    progress: gets the total in bytes, and returns what is then told how many are there, twice a second.
    Raises Failure, and errors of AWS. KeyboardInterrupt ends what runs; the next try continues.
    """
    revision, files = source.files()
    prefix = f"{folder}/"
    manifest = Manifest(name, revision, f"s3://{bucket.name}/{folder}", files)
    _check_alone(bucket, prefix, manifest)
    with source.alone():
        needed = change(files, _there(bucket, prefix, files, is_shared))
        tell = progress(manifest.bytes)
        if not needed.is_none:
            source.check_room(needed.missing)
            _end_old_uploads(bucket, prefix, clock)
            if not is_shared:
                bucket.s3.delete_object(Bucket=bucket.name, Key=prefix + MANIFEST)
            had = manifest.bytes - sum(one.bytes for one in needed.missing)
            final = [one for one in needed.missing if last and one.name.startswith(last)]
            for some in ([one for one in needed.missing if one not in final], final):
                _copy(source, revision, some, bucket, prefix, had, tell)
                had += sum(one.bytes for one in some)
            for other in needed.left_over:
                bucket.s3.delete_object(Bucket=bucket.name, Key=f"{prefix}{other}")
        # Somebody else who prepares the same may have a newer content, of the same size.
        if not change(files, _there(bucket, prefix, files, is_shared)).is_none:
            raise Failure(
                f"{manifest.place} was changed by somebody else meanwhile: the same command completes it."
            )
        if not is_shared:
            bucket.s3.put_object(
                Bucket=bucket.name,
                Key=prefix + MANIFEST,
                Body=manifest.text.encode(),
                ContentType="application/json",
            )
    return manifest


def _copy(
    source: Source,
    revision: str,
    files: Sequence[File],
    bucket: Bucket,
    prefix: str,
    had: int,
    tell: Progress,
) -> None:
    """All of the files, several at once, the largest first, so that the end is not one large file alone. had: bytes
    that are there before."""
    moved = Moved()
    ordered = sorted(files, key=lambda one: -one.bytes)

    def one(index: int) -> int:
        file = ordered[index]
        source.put(file, revision, bucket, f"{prefix}{file.name}", moved)
        return file.bytes

    try:
        pieces.side_by_side(list(range(len(ordered))), one, FILES_AT_ONCE, lambda _: tell(had + moved.bytes))
    except BaseException:
        moved.stop()
        raise


def _check_alone(bucket: Bucket, prefix: str, manifest: Manifest) -> None:
    """Failure if another model is staged below this one's folder: its files would be taken for left-over ones."""
    own = {prefix + MANIFEST, *(prefix + one.name for one in manifest.files)}
    for one in bucket.objects(prefix):
        if one["Key"].endswith(f"/{MANIFEST}") and one["Key"] not in own:
            other = one["Key"].removesuffix(f"/{MANIFEST}")
            raise Failure(
                f"another model is staged at s3://{bucket.name}/{other}, inside {manifest.place}. Give the model a "
                f"folder of its own, or remove the other one: `aws s3 rm --recursive s3://{bucket.name}/{other}`."
            )


def _there(bucket: Bucket, prefix: str, files: Sequence[File], is_shared: bool) -> dict[str, tuple[int, str]]:
    """Size and sum of each object of the folder, if it is shared of these files alone; the sum of those that can be
    right only."""
    wanted = {one.name: one.bytes for one in files}
    sizes = {
        one["Key"].removeprefix(prefix): one["Size"]
        for one in bucket.objects(prefix)
        if one["Key"] != f"{prefix}{MANIFEST}"
    }
    if is_shared:
        sizes = {name: size for name, size in sizes.items() if name in wanted}

    def sum_of(name: str) -> str:
        answer = bucket.s3.head_object(Bucket=bucket.name, Key=f"{prefix}{name}")
        return answer["Metadata"].get(SUM, "")

    same = [name for name, size in sizes.items() if wanted.get(name) == size]
    sums, errors = ask_all(same, sum_of) if same else ({}, {})
    for error in errors.values():
        raise error
    return {name: (size, sums.get(name, "")) for name, size in sizes.items()}


def _end_old_uploads(bucket: Bucket, prefix: str, clock: Clock) -> None:
    """Aborts multi-part uploads that were killed more than a day ago: S3 charges for their parts, and lists them
    nowhere else."""
    pages = bucket.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name, Prefix=prefix)
    for page in pages:
        for one in page.get("Uploads", ()):
            if one["Initiated"] < clock.now() - KEPT:
                bucket.s3.abort_multipart_upload(Bucket=bucket.name, Key=one["Key"], UploadId=one["UploadId"])


def region_of(bucket: Bucket) -> str:
    """The bucket's region. Failure if there is no such bucket, or it can't be used."""
    try:
        answer = bucket.s3.head_bucket(Bucket=bucket.name)
    except Exception as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            raise Failure(
                f"there is no bucket {bucket.name}: `aws s3 mb s3://{bucket.name}` makes it."
            ) from error
        raise
    return answer.get("BucketRegion") or ""
