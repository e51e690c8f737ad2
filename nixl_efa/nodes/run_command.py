"""Run Command of Systems Manager: a script on several nodes at once, and what each of them printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixl_efa.aws_calls import ask_all
from nixl_efa.aws_errors import error_code
from nixl_efa.clock import Clock
from nixl_efa.nodes.sections import is_cut

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef
    from mypy_boto3_ssm import SSMClient

DOCUMENT = "AWS-RunShellScript"
POLL_SECONDS = 2.0
# The length at which GetCommandInvocation cuts an output (Systems Manager API reference).
OUTPUT_LIMIT_CHARACTERS = 24_000
# Prefix of the objects in the scripts bucket that hold a complete output until it is read.
PREFIX = "nixl-efa-verify"
_READING_TRIES = 5
# Without s3:ListBucket, S3 answers AccessDenied for an object that does not exist.
NOT_THERE = ("NoSuchKey", "NoSuchBucket", "AccessDenied")

# The agent's mark where it has cut an error (possibly within a word), and the line that it puts above it
# (amazon-ssm-agent, its output truncation). sections.py detects a cut output.
_CUT_ERROR = re.compile(r"\s*-{2,}error truncated-{2,}\s*\Z", re.IGNORECASE)
_ABOVE_ERROR = re.compile(r"\A\s*-{2,}ERROR-{2,}\s*")

# Statuses that are not final (Systems Manager user guide, monitor-commands).
UNDER_WAY = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
NOT_REGISTERED = (
    "it is not registered with Systems Manager: is it still booting, can it reach ssm and ssmmessages, and "
    "does its role allow ssm:UpdateInstanceInformation and ssmmessages?"
)


@dataclass(frozen=True, slots=True)
class Script:
    """A shell script and its arguments."""

    text: str
    arguments: Sequence[str] = ()

    @property
    def commands(self) -> list[str]:
        """The parameter of the document: the script sets its arguments first, because Run Command passes none."""
        return [f"set -- {shlex.join(self.arguments)}".rstrip(), self.text]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one node printed. problem: why there is no output, in one sentence; empty if there is output."""

    stdout: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The scripts bucket, to which the nodes may write: outputs that Run Command cuts are read from there."""

    s3: S3Client
    name: str

    def objects(self, prefix: str) -> list[ObjectTypeDef]:
        """Those whose keys begin so, of all pages."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [one for page in pages for one in page.get("Contents", ())]

    def delete(self, objects: Iterable[ObjectTypeDef]) -> None:
        """Delete these."""
        for one in objects:
            self.s3.delete_object(Bucket=self.name, Key=one["Key"])


def run(
    ssm: SSMClient,
    scripts: Mapping[str, Script],
    clock: Clock,
    timeout_seconds: int,
    comment: str,
    bucket: Bucket | None = None,
) -> Mapping[str, Outcome]:
    """Runs a script on each node (by instance id) at the same time; the outcomes by instance id.

    timeout_seconds: how long a script may run; a node must start it within 60 seconds. A problem of one node does not
    change the outcome of another. Errors that concern no node (credentials, permission) are raised.

    bucket: if an output was cut, all scripts run again, with their outputs in the bucket. These objects are deleted
    afterwards, because `cdktf destroy` fails for a bucket that is not empty. Without a bucket, an output stays cut.
    """
    outcomes = _run(ssm, scripts, clock, timeout_seconds, comment, None)
    if bucket is None or not any(is_cut(outcome.stdout) for outcome in outcomes.values()):
        return outcomes
    return _run(ssm, scripts, clock, timeout_seconds, comment, bucket)


def _run(
    ssm: SSMClient,
    scripts: Mapping[str, Script],
    clock: Clock,
    timeout_seconds: int,
    comment: str,
    bucket: Bucket | None,
) -> dict[str, Outcome]:
    kept: dict[str, str] = (
        {"OutputS3BucketName": bucket.name, "OutputS3KeyPrefix": PREFIX} if bucket is not None else {}
    )

    def send(instance_id: str) -> str:
        answer = ssm.send_command(
            InstanceIds=[instance_id],
            DocumentName=DOCUMENT,
            Comment=comment,
            TimeoutSeconds=60,
            Parameters={
                "commands": scripts[instance_id].commands,
                "executionTimeout": [str(timeout_seconds)],
            },
            **kept,  # type: ignore[arg-type]
        )
        return answer["Command"]["CommandId"]

    def look(instance_id: str) -> Outcome | None:
        command_id = waiting[instance_id]
        outcome = _look(ssm, instance_id, command_id)
        return _whole(bucket, instance_id, command_id, outcome, clock) if outcome and bucket else outcome

    waiting, errors = ask_all(scripts, send)
    outcomes: dict[str, Outcome] = {}
    for instance_id, error in errors.items():
        if error_code(error) != "InvalidInstanceId":
            raise error
        outcomes[instance_id] = Outcome("", f"{instance_id}: {NOT_REGISTERED}")
    for _ in range(int((timeout_seconds + 90) / POLL_SECONDS)):
        seen, errors = ask_all(waiting, look)
        for error in errors.values():
            raise error
        found = {instance_id: outcome for instance_id, outcome in seen.items() if outcome}
        outcomes |= found
        waiting = {instance_id: one for instance_id, one in waiting.items() if instance_id not in found}
        if not waiting:
            break
        clock.sleep(POLL_SECONDS)
    for instance_id, command_id in waiting.items():
        problem = f"{instance_id}: no answer to Run Command {command_id} within {timeout_seconds + 90} s."
        outcomes[instance_id] = Outcome("", problem)
    return outcomes


def _whole(bucket: Bucket, instance_id: str, command_id: str, outcome: Outcome, clock: Clock) -> Outcome:
    """The outcome, with the complete output if it was cut; the objects that the agent wrote are deleted.

    The agent writes PREFIX/COMMAND/INSTANCE/PLUGIN/STEP/stdout and stderr, the step of AWS-RunShellScript being
    0.awsrunShellScript.
    """
    folder = f"{PREFIX}/{command_id}/{instance_id}/awsrunShellScript/0.awsrunShellScript"
    if is_cut(outcome.stdout):
        text, code = _read(bucket, f"{folder}/stdout", clock)
        problem = (
            f"{instance_id}: its output is longer than the {OUTPUT_LIMIT_CHARACTERS} characters of Run Command, and "
            f"s3://{bucket.name}/{folder}/stdout can't be read ({code}): the nodes' role needs "
            "s3:PutObject there, and you "
            "need s3:GetObject and s3:DeleteObject (`nixl-efa policy verify`)."
        )
        outcome = Outcome(text, problem if code else "")
    for name in ("stdout", "stderr"):
        try:
            bucket.s3.delete_object(Bucket=bucket.name, Key=f"{folder}/{name}")
        except Exception as error:
            if error_code(error) not in NOT_THERE:
                raise
    return outcome


def _read(bucket: Bucket, key: str, clock: Clock) -> tuple[str, str]:
    """An object's text, and the code of the error if it can't be read."""
    for attempt in range(_READING_TRIES):
        if attempt:
            clock.sleep(POLL_SECONDS)
        try:
            body = bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()
            return body.decode("utf-8", "replace"), ""
        except Exception as error:
            if (code := error_code(error)) not in NOT_THERE:
                raise
    return "", code


def _look(ssm: SSMClient, instance_id: str, command_id: str) -> Outcome | None:
    """The outcome, None while the command runs."""
    try:
        found = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except Exception as error:
        # A command exists a short time before its invocations exist.
        if error_code(error) == "InvocationDoesNotExist":
            return None
        raise
    if found["Status"] in UNDER_WAY:
        return None
    stdout = found.get("StandardOutputContent", "")
    if found["Status"] == "Success":
        return Outcome(stdout)
    details = found.get("StatusDetails", found["Status"])
    if details in ("Undeliverable", "Terminated", "DeliveryTimedOut", "Delivery Timed Out"):
        return Outcome("", f"{instance_id}: Run Command could not be delivered ({details}): {NOT_REGISTERED}")
    stderr = error_text(found.get("StandardErrorContent", ""))
    return Outcome(
        "", f"{instance_id}: Run Command {command_id} ended as {details}: {stderr or 'no error text'}."
    )


def error_text(text: str) -> str:
    """An error's text in one line, without the agent's own lines; " ..." where the agent has cut it."""
    kept, cuts = _CUT_ERROR.subn("", text)
    return " ".join(_ABOVE_ERROR.sub("", kept).split()) + (" ..." if cuts else "")
