"""What a node does with a command: the text that its python3 runs, with a stand-in of the AWS CLI."""

from __future__ import annotations

import ast
import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nixl_efa.work import runner
from nixl_efa.work.running import PREFIX

TEXT = Path(runner.__file__).read_text(encoding="utf-8")
TOKEN = "0123"
# Keeps what it is to put; refuses where there is no folder for it.
AWS = """\
#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --key) key=$2 ;; --body) body=$2 ;; esac; shift; done
[ "${AWS_METADATA_SERVICE_TIMEOUT:-1}" != 1 ] || { echo 'Unable to locate credentials' >&2; exit 253; }
if [ "$FAILS" -gt "$(cat "$0.failed" 2>/dev/null || echo 0)" ]; then
  echo $(($(cat "$0.failed" 2>/dev/null || echo 0) + 1)) >"$0.failed"
  echo 'Unable to locate credentials' >&2; exit 253
fi
[ -d "$KEPT" ] || { echo 'An error occurred (AccessDenied)' >&2; exit 254; }
mkdir -p "$KEPT/${key%/*}" && cp "$body" "$KEPT/$key"
"""


class Node:
    """Runs a command as a node does; `out` and `err`: what it left to Run Command, `kept`: what it sent to S3."""

    def __init__(
        self,
        folder: Path,
        command: str,
        *,
        bucket: str = "bucket",
        is_allowed: bool = True,
        fails: int = 0,
    ) -> None:
        (folder / "bin").mkdir()
        (folder / "bin/aws").write_text(AWS)
        (folder / "bin/aws").chmod(0o755)
        kept = folder / "kept"
        if is_allowed:
            kept.mkdir()
        told = base64.b64encode(command.encode()).decode()
        self.done = subprocess.run(
            [sys.executable, "-c", TEXT, TOKEN, "us-east-2", bucket, f"{PREFIX}/{TOKEN}", told],
            env={
                **os.environ,
                "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                "KEPT": str(kept),
                "FAILS": str(fails),
            },
            capture_output=True,
            check=False,
        )
        self.out, self.err = (
            re.fullmatch(rb"@@ 0123 begin\n(.*)\n@@ 0123 end (\d+) (\d+) ([^\n]*)\n", text, re.DOTALL)
            for text in (self.done.stdout, self.done.stderr)
        )
        found = sorted(kept.rglob("out.*"), key=lambda one: int(one.suffix[1:]))
        self.kept = [one.read_bytes() for one in found]


def test_what_is_short_is_left_to_run_command(tmp_path: Path) -> None:
    node = Node(tmp_path, "printf 'a\\n\\nb'; echo words >&2; exit 5")
    assert node.out is not None
    assert node.err is not None
    assert (node.out[1], node.err[1], node.kept) == (b"a\n\nb", b"words\n", [])
    assert (node.out[2], node.err[2], node.done.returncode) == (b"5", b"5", 0)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("seq 30000", b"".join(b"%d\n" % number for number in range(1, 30001))),
        ("printf '\\000\\377'", b"\x00\xff"),
        ("printf '\\033[1mbold'", b"\x1b[1mbold"),
    ],
    ids=["long", "no text", "control characters"],
)
def test_everything_else_is_sent_to_the_bucket_whole(tmp_path: Path, command: str, wanted: bytes) -> None:
    node = Node(tmp_path, command)
    assert node.out is not None
    assert (b"".join(node.kept), int(node.out[3]), node.out[1]) == (wanted, len(node.kept), b"")


def test_a_part_that_is_not_taken_at_once_is_sent_again(tmp_path: Path) -> None:
    node = Node(tmp_path, "seq 30000", fails=2)
    assert node.out is not None
    assert b"".join(node.kept) == b"".join(b"%d\n" % number for number in range(1, 30001))


@pytest.mark.parametrize(
    ("bucket", "is_allowed", "why"),
    [
        ("bucket", False, b"An error occurred (AccessDenied)"),
        ("", True, b"the environment has no scripts bucket"),
    ],
)
def test_where_nothing_can_be_sent_the_beginning_is_told_and_why(
    tmp_path: Path, bucket: str, is_allowed: bool, why: bytes
) -> None:
    node = Node(tmp_path, "seq 30000; exit 3", bucket=bucket, is_allowed=is_allowed)
    assert node.out is not None
    assert node.out[1] == b"".join(b"%d\n" % number for number in range(1, 30001))[:20_000]
    assert node.out.groups()[1:] == (b"3", b"0", why)


def test_a_program_that_is_left_behind_holds_nothing_up_and_a_signal_is_a_shells_code(tmp_path: Path) -> None:
    node = Node(tmp_path, "sleep 30 & echo $!; kill -KILL $$")
    assert node.out is not None
    os.kill(int(node.out[1]), 15)
    assert (node.out[2], node.done.returncode) == (b"137", 0)


def test_a_program_that_is_left_behind_and_prints_on_holds_nothing_up(tmp_path: Path) -> None:
    command = "{ while sleep 0.01; do echo more; done; } & echo $!; seq 5000"
    node = Node(tmp_path, command)
    assert node.out is not None
    pid, *numbers = b"".join(node.kept).splitlines()
    os.kill(int(pid), 15)
    assert [one for one in numbers if one != b"more"] == [b"%d" % number for number in range(1, 5001)]
    assert (node.out[1], node.out[2], node.out[4]) == (b"", b"0", b"")


def test_an_aws_cli_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(runner, "PUT_SECONDS", 0.2)
    monkeypatch.setattr(runner, "TRY_SECONDS", 0)
    assert runner.put("us-east-2", "bucket", "key", b"data") == "the AWS CLI does not end within 0.2 s"


def test_it_runs_on_the_oldest_python_of_the_images() -> None:
    """Amazon Linux 2023 has Python 3.9."""
    ast.parse(TEXT, feature_version=(3, 9))
