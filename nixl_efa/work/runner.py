"""Runs a command on a node and sends on what it prints. A program of its own: a node's python3 runs this text.

Usage: python3 -c TEXT TOKEN REGION BUCKET PREFIX COMMAND   (COMMAND, a line for bash, in base64)

Run Command tells an output when its command has ended, and of that the first 24,000 characters. What comes early and
is short is left to it, between two lines with TOKEN. Everything else goes into objects PREFIX/out.N and PREFIX/err.N
(N from 0) while the command runs, and the last line tells their numbers and the command's exit code. This one's is 0:
by 137 the agent would take it for timed out, and by 194 boot the node anew. Standard library of Python 3.9 alone.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO

FIRST_SECONDS, NEXT_SECONDS = 3.0, 2.0
# Fewer bytes than Run Command gives characters of an output and of an error (24,000 and 8,000), with our own lines.
DIRECT = {"out": 20_000, "err": 6_000}
# A command that prints faster than S3 takes it waits.
MOST_HELD = 64 << 20
# One that fails is tried again: a busy node or S3 may have kept it from an answer. A CLI that hangs is ended.
TRIES, TRY_SECONDS, PUT_SECONDS = 3, 1.0, 300.0
# The AWS CLI waits one second for the role's keys, and asks once (AWS SDKs and tools reference guide, IMDS credential
# provider): a busy node answers later.
KEYS = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3"}
# Programs that a command left behind may hold its output open.
AFTER_SECONDS = 1.0


class Output:
    """One of the two outputs of the command: what has come and is not sent yet."""

    def __init__(self, name: str, source: IO[bytes]) -> None:
        self.name = name
        self.parts = 0
        self.held = bytearray()
        self.cut = False
        self.is_sent = True
        self._is_over = False
        self._changed = threading.Condition()
        self._source = source
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while True:
            data = os.read(self._source.fileno(), 1 << 16)
            if not data:
                return
            with self._changed:
                while self.is_sent and len(self.held) > MOST_HELD and not self._is_over:
                    self._changed.wait()
                if self._is_over:
                    return
                if self.is_sent:
                    self.held += data
                else:
                    self._keep_beginning(data)

    def _keep_beginning(self, data: bytes) -> None:
        most = DIRECT[self.name]
        self.cut = self.cut or len(self.held) + len(data) > most
        self.held += data[: max(0, most - len(self.held))]

    def take(self) -> bytes:
        """What is held, once."""
        with self._changed:
            data = bytes(self.held)
            self.held.clear()
            self._changed.notify_all()
            return data

    def end(self) -> None:
        """Nothing more is read."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def give_up(self, data: bytes) -> None:
        """Nothing can be sent: the beginning is kept, from `data` on, which was taken."""
        with self._changed:
            self.is_sent = False
            rest = bytes(self.held)
            self.held.clear()
            for one in (data, rest):
                self._keep_beginning(one)
            self._changed.notify_all()

    @property
    def is_direct(self) -> bool:
        """Whether Run Command can tell it unchanged."""
        if self.parts or len(self.held) > DIRECT[self.name]:
            return False
        try:
            text = bytes(self.held).decode()
        except UnicodeDecodeError:
            return False
        return all(letter.isprintable() or letter in "\t\n" for letter in text)


def put(region: str, bucket: str, key: str, data: bytes) -> str:
    """Write an object; why it can't be, empty when it was."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = ["aws", "--region", region, "s3api", "put-object", "--bucket", bucket, "--key", key]
        why = ""
        for number in range(TRIES):
            time.sleep(TRY_SECONDS if number else 0)
            try:
                done = subprocess.run(
                    [*command, "--body", file.name],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**KEYS, **os.environ},
                    check=False,
                    timeout=PUT_SECONDS,
                )
            except OSError as error:
                return f"the AWS CLI can't be run: {error.strerror}"
            except subprocess.TimeoutExpired:
                why = f"the AWS CLI does not end within {PUT_SECONDS:g} s"
                continue
            if not done.returncode:
                return ""
            why = " ".join(done.stderr.decode(errors="replace").split()) or "the AWS CLI failed"
    return why


class Sender:
    """Sends outputs to S3 until that fails."""

    def __init__(self, region: str, bucket: str, prefix: str) -> None:
        self._region, self._bucket, self._prefix = region, bucket, prefix
        self.why = "" if bucket else "the environment has no scripts bucket"

    def send(self, output: Output) -> None:
        """All that is held; nothing where nothing is."""
        data = output.take()
        if not data and not self.why:
            return
        if not self.why:
            key = f"{self._prefix}/{output.name}.{output.parts}"
            self.why = put(self._region, self._bucket, key, data)
        if self.why:
            output.give_up(data)
        else:
            output.parts += 1


def tell(stream: IO[bytes], token: str, output: Output, code: int, why: str) -> None:
    """The end of an output for Run Command: what is left of it, the exit code, and how many objects there are."""
    told = why if output.cut else ""
    left = bytes(output.held)
    stream.write(f"@@ {token} begin\n".encode() + left)
    stream.write(f"\n@@ {token} end {code} {output.parts} {told}\n".encode())
    stream.flush()


def main(token: str, region: str, bucket: str, prefix: str, command: str) -> None:
    """Run it. Its exit code is told as a shell has it: 128 and the signal's number where it was killed."""
    home = os.path.expanduser("~root")
    # Run Command gives few variables, and its agent's PATH may lack the AWS CLI.
    os.environ["HOME"] = home
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/bin:/usr/bin:/bin:/snap/bin"
    process = subprocess.Popen(
        ["bash", "--login", "-c", base64.b64decode(command).decode(errors="surrogateescape")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    outputs = [Output("out", process.stdout), Output("err", process.stderr)]
    sender = Sender(region, bucket, prefix)
    next_time = time.monotonic() + FIRST_SECONDS
    while process.poll() is None:
        time.sleep(0.05)
        if time.monotonic() >= next_time or any(len(one.held) > DIRECT[one.name] for one in outputs):
            for one in outputs:
                sender.send(one)
            next_time = time.monotonic() + NEXT_SECONDS
    for one in outputs:
        one.reader.join(AFTER_SECONDS)
    for one in outputs:
        # A reader that waits for room gets it, and then all is here. Programs that are left behind may print for ever.
        if not one.is_direct:
            sender.send(one)
            one.reader.join(0.1)
        one.end()
        if not one.is_direct:
            sender.send(one)
        if sender.why and one.is_sent:
            one.give_up(one.take())
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    for stream, one in zip((sys.stdout.buffer, sys.stderr.buffer), outputs):  # noqa: B905  (new in Python 3.10)
        tell(stream, token, one, code, sender.why)


if __name__ == "__main__":
    main(*sys.argv[1:])
