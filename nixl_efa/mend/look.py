"""Reads what `compare` compares: the state through its backend, the instances in EC2, the state's lock."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nixl_efa import state
from nixl_efa.aws_errors import error_code, explain, missing_permission
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, failures
from nixl_efa.launch import Launch
from nixl_efa.mend.at_work import at_work
from nixl_efa.mend.compare import Difference, Kind, Lock, Seen, compare, not_compared
from nixl_efa.mend.compare import findings as findings_of
from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.settings.model import STACK_TAG
from nixl_efa.state import State
from nixl_efa.terraform import Capture, capture

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.aws import Clients

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """What was read: the state, the instances, the state's lock (None: not locked)."""

    state: State
    seen: tuple[Seen, ...]
    lock: Lock | None


def look(
    settings: Settings,
    launch: Launch,
    clients: Clients,
    project: Path,
    environ: Mapping[str, str],
    run: Capture = capture,
) -> Look:
    """Reads the state, the instances and the lock in parallel. Failure when the state can't be read; AWS's errors are
    raised.

    project: the folder of cdktf.json. environ: Terraform's environment variables.
    """
    ec2 = clients.ec2(launch.region)
    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(state.read, settings, project, terraform_environ(environ, launch), run)
        locked = pool.submit(_lock, settings, clients, project)
        by_tags = [
            *pool.map(
                lambda tag: list(_instances(ec2, *tag)),
                [("tag:Name", *launch.node_names), (f"tag:{STACK_TAG}", launch.stack_identity)],
            )
        ]
        found = {one.id: one for seen in by_tags for one in seen}
        read = reading.result()
        others = {one.id for one in read.nodes.values() if one.id} - found.keys()
        if others:
            found |= {one.id: one for one in _instances(ec2, "instance-id", *sorted(others))}
        return Look(read, tuple(found.values()), locked.result())


def differences(
    settings: Settings, launch: Launch, clients: Clients, project: Path, environ: Mapping[str, str]
) -> tuple[Difference, ...] | None:
    """The differences; None when nothing was deployed and nothing runs."""
    return differences_in(look(settings, launch, clients, project, environ), launch)


def differences_in(found: Look, launch: Launch) -> tuple[Difference, ...] | None:
    """The differences in a look; None when nothing was deployed and nothing runs."""
    if not found.state.resources and not found.seen and found.lock is None:
        return None
    return compare(found.state, found.seen, launch, found.lock)


def findings(
    settings: Settings, launch: Launch, clients: Clients, project: Path, environ: Mapping[str, str]
) -> list[Finding]:
    """The differences as findings, for commands that report a node that is gone by themselves; none when nothing was
    deployed."""
    try:
        found = differences(settings, launch, clients, project, environ)
    except Exception as error:
        return [not_compared(missing_permission(error), explain(error))]
    told = [one for one in found or () if one.kind not in (Kind.GONE, Kind.STOPPED)]
    # If a node is gone, a finding that the state agrees with EC2 would be false.
    return [] if found is None or (found and not told) else findings_of(told, launch)


class StateDiffersError(Failure):
    """The pair can't be read because of a FAIL in the state: the nodes run, and the state has no outputs for them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(finding.line() for finding in findings))
        self.findings = tuple(findings)


def read_and_compare(
    read: Callable[[], T],
    settings: Settings,
    launch: Launch,
    clients: Clients,
    project: Path,
    environ: Mapping[str, str],
) -> tuple[T, list[Finding]]:
    """The result of `read`, and the findings, which are read in parallel.

    Raises the Failure of `read`, or StateDiffersError when that is the true cause: a tainted node has no output.
    """
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(findings, settings, launch, clients, project, environ)
        try:
            answer = read()
        except Failure as failure:
            faults = failures(looking.result())
            if not faults:
                raise
            raise StateDiffersError(faults) from failure
        return answer, looking.result()


def terraform_environ(environ: Mapping[str, str], launch: Launch) -> dict[str, str]:
    """Terraform's environment variables, with the credentials of the clients."""
    return {**environ, **({"AWS_PROFILE": launch.profile} if launch.profile else {})}


def _instances(ec2: EC2Client, name: str, *values: str) -> Iterator[Seen]:
    for page in ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": name, "Values": list(values)}]
    ):
        for reservation in page["Reservations"]:
            yield from (seen_of(one) for one in reservation["Instances"])


def seen_of(payload: Mapping[str, Any]) -> Seen:
    """An instance from EC2's payload."""
    tags = {tag["Key"]: tag["Value"] for tag in payload.get("Tags", ())}
    primary = [
        one["NetworkInterfaceId"]
        for one in payload.get("NetworkInterfaces", ())
        if one["Attachment"]["DeviceIndex"] == 0 and one["Attachment"].get("NetworkCardIndex", 0) == 0
    ]
    return Seen(
        id=payload["InstanceId"],
        name=tags.get("Name", ""),
        stack=tags.get(STACK_TAG, ""),
        state=payload["State"]["Name"],
        launched=payload["LaunchTime"],
        interface=primary[0] if primary else "",
    )


def _lock(settings: Settings, clients: Clients, project: Path) -> Lock | None:
    """The lock of a state in S3, from the bucket or the table. The lock of a local state is held by the kernel and ends
    with its process; Terraform Cloud manages its own locks."""
    backend = settings.backend
    if not isinstance(backend, S3Backend):
        return None
    region, key = backend.region or settings.region, settings.state_key
    try:
        if backend.use_lockfile:
            answer = clients.s3(region).get_object(Bucket=backend.bucket, Key=f"{key}.tflock")
            return lock_of(answer["Body"].read().decode(), settings, project)
        if backend.dynamodb_table:
            wanted = {"LockID": {"S": f"{backend.bucket}/{key}"}}
            item = clients.dynamodb(region).get_item(TableName=backend.dynamodb_table, Key=wanted).get("Item")
            return lock_of(item["Info"]["S"], settings, project) if item else None
    except Exception as error:
        # Without s3:ListBucket, S3 gives the same answer for a missing object and for one that may not be read.
        if error_code(error) in ("NoSuchKey", "NoSuchBucket", "AccessDenied", "403"):
            return None
        raise
    return None


def lock_of(text: str, settings: Settings, project: Path) -> Lock:
    """A lock from the JSON that Terraform writes (statemgr.LockInfo). Failure for any other text."""
    try:
        info = json.loads(text)
        _ = [info[name] for name in ("ID", "Who", "Operation", "Created")]
    except (ValueError, KeyError, TypeError):
        raise Failure(
            f"the lock of {settings.state_place} can't be read: it holds {text.strip()[:60]!r}, which Terraform does "
            "not write. When no run of Terraform works on that state, delete it"
        ) from None
    own = info["Who"] == _whoami() and not at_work(settings, project)
    return Lock(info["ID"], info["Who"], info["Operation"], info["Created"], own)


def _whoami() -> str:
    """This user and machine, in Terraform's form for the holder of a lock (statemgr.NewLockInfo)."""
    import pwd

    return f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
