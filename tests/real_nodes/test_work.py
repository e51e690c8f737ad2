"""Work on machines that have booted, as a user does it: run, logs, copy, forward, ssh. Under the policies we print."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import pytest

from tests.policies import denied, under, used
from tests.real_nodes.at_work import Desk, desk
from tests.real_nodes.conftest import Account, wait_until

# A busy machine needs some of them: a node's AWS CLI alone takes seconds.
LINE_SECONDS = 90


@pytest.fixture(scope="module")
def work(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(account, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def policy(work: Desk) -> str:
    code, printed, said = work.call("policy", "--env", "trial", "run")
    assert code == 0, said
    return printed


@pytest.fixture(autouse=True)
def _policy(work: Desk, policy: str) -> Iterator[None]:
    """Nothing more is allowed than `nixl-efa policy run` prints, and no object is left in the bucket."""
    under(work.account.aws, policy)
    yield
    assert denied(work.account.aws) == []
    work.account.aws.allow_only(None)
    assert work.in_bucket() == []


def line(stream: IO[bytes] | None) -> str:
    """The next line of a program. AssertionError when it does not come in time."""
    assert stream is not None
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(LINE_SECONDS)
    assert found, f"no line within {LINE_SECONDS} s"
    return found[0].decode()


def test_a_command_runs_on_both_nodes_and_each_line_has_its_node(work: Desk) -> None:
    code, out, err = work.call("run", "trial", "--", "hostname; echo $HOME $PWD >&2; exit 194")
    assert code == 194
    hosts = {
        name: work.account.out(instance_id, "hostname").strip() for name, instance_id in work.ids.items()
    }
    assert sorted(out.splitlines()) == sorted(f"{name}: {host}" for name, host in hosts.items())
    assert sorted(err.splitlines()) == ["consumer: /root /root", "producer: /root /root"]


def test_words_are_a_program_and_its_arguments_as_they_are(work: Desk) -> None:
    code, out, err = work.call("run", "trial", "producer", "--", "printf", "%s|", "a b", "$HOME", "{{x}}")
    assert (code, out, err) == (0, "a b|$HOME|{{x}}|", "")


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_long_output_comes_whole_through_the_bucket(work: Desk, kind: str) -> None:
    made = {"text": "seq 100000", "bytes": "head -c 300000 /dev/urandom"}[kind]
    process = work.start(
        "run", "trial", "producer", "--", f"{made} | tee /var/tmp/made; sha256sum /var/tmp/made >&2"
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err.decode() == f"{hashlib.sha256(out).hexdigest()}  /var/tmp/made\n"
    assert len(out) > 24_000
    assert "s3:GetObject" in used(work.account.aws)


def test_output_comes_while_the_command_runs_and_ctrl_c_ends_it_on_the_nodes(work: Desk) -> None:
    process = work.start("run", "trial", "--", "trap '' TERM INT; echo begun; sleep 4321")
    came = {line(process.stdout), line(process.stdout)}
    assert came == {"producer: begun\n", "consumer: begun\n"}
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.decode() == "nixl-efa: interrupted: the command was ended on the nodes.\n"
    for instance_id in work.ids.values():
        assert work.account.run(instance_id, "pgrep -f 'sleep 432[1]'")["ResponseCode"] == 1


def test_who_reads_no_more_ends_the_command(work: Desk) -> None:
    process = work.start("run", "trial", "producer", "--", "while :; do echo more; sleep 0.2; done")
    assert line(process.stdout) == "more\n"
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    wait_until(
        lambda: work.account.run(work.ids["producer"], "pgrep -f 'echo mor[e]'")["ResponseCode"] == 1,
        "the command's end",
    )


def test_a_command_that_takes_too_long_is_ended_with_the_code_of_timeout(work: Desk) -> None:
    code, out, err = work.call("run", "trial", "consumer", "--timeout", "5", "--", "echo begun; sleep 4321")
    assert (code, out, err) == (124, "begun\n", "consumer: it was ended after --timeout.\n")


def test_a_log_is_followed_until_ctrl_c(work: Desk) -> None:
    log = "/var/log/cloud-init-output.log"
    code, out, _ = work.call("logs", "trial", "producer", "--source", "cloud-init", "--lines", "2")
    assert code == 0
    assert len(out.splitlines()) == 2
    process = work.start("logs", "trial", "--source", "cloud-init", "-f", "--lines", "1")
    assert {line(process.stdout).partition(":")[0] for _ in range(2)} == {"producer", "consumer"}
    work.account.run(work.ids["consumer"], f"echo something new >>{log}")
    assert line(process.stdout) == "consumer: something new\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    code, out, _ = work.call("logs", "trial", "producer", "--source", "kernel", "--source", "boot")
    assert code == 0
    assert out.splitlines()[-1].startswith("boot: ")


def test_a_port_of_a_node_is_reached_at_this_machine_until_ctrl_c(work: Desk) -> None:
    work.account.run(
        work.ids["consumer"],
        "mkdir -p /srv/web; echo words >/srv/web/file",
        "systemd-run --quiet --unit=web python3 -m http.server --bind 127.0.0.1 --directory /srv/web 8123",
    )
    work.allow("forward")
    with socket.create_server(("127.0.0.1", 8123)):
        # The same port here is taken.
        refused = work.call("forward", "trial", "consumer", "8123", "--local-port", "8123")
        process = work.start("forward", "trial", "consumer", "8123")
        told = re.fullmatch(
            r"127\.0\.0\.1:(\d+) is port 8123 of consumer, until Ctrl-C\.\n", line(process.stderr)
        )
    assert (refused[0], "--local-port 8123: it can't be used" in refused[2]) == (2, True)
    assert told is not None
    assert line(process.stdout).startswith(f"Port {told[1]} opened for sessionId local-")
    for _ in range(2):
        with urlopen(f"http://127.0.0.1:{told[1]}/file") as answer:
            assert answer.read() == b"words\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


def rsync_of(tree: Path) -> tuple[str, ...]:
    """rsync of the machines' root, which this machine may lack: started by that root's loader, with its libraries."""
    (loader,) = {one.resolve() for one in tree.glob("usr/lib*/ld-linux-*.so.*")}
    (libraries,) = tree.glob("usr/lib/*-linux-gnu")
    return str(loader), "--library-path", str(libraries), str(tree / "usr/bin/rsync")


def test_ssh_scp_and_rsync_reach_a_node_whose_key_they_know(work: Desk, tree: Path, tmp_path: Path) -> None:
    missing = [name for name in ("ssh", "scp", "ssh-keygen") if shutil.which(name) is None]
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"not on PATH: {', '.join(missing)}")
    work.allow("ssh-config")
    code, config, said = work.call("ssh-config", "trial")
    assert (code, said) == (0, "")
    (tmp_path / "config").write_text(config)
    host = "nixl-efa-trial-producer"

    def ran(*command: str) -> str:
        done = subprocess.run(
            command, env=work.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    own = ("-F", str(tmp_path / "config"))
    name = work.account.out(work.ids["producer"], "hostname")
    assert ran("ssh", *own, host, "hostname; id -un") == f"{name}root\n"
    (tmp_path / "folder/below").mkdir(parents=True)
    (tmp_path / "folder/below/file").write_bytes(os.urandom(300_000))
    ran("scp", *own, "-q", "-r", str(tmp_path / "folder"), f"{host}:/var/tmp/by-scp")
    by_ssh = ("-e", f"ssh -F {tmp_path / 'config'}")
    ran(*rsync_of(tree), *by_ssh, "-a", f"{host}:/var/tmp/by-scp/", str(tmp_path / "back"))
    assert (tmp_path / "back/below/file").read_bytes() == (tmp_path / "folder/below/file").read_bytes()
    # Twice leads to the same, and the key is on the node once, for who comes from the node.
    assert work.call("ssh-config", "trial") == (0, config, "")
    admitted = work.account.out(work.ids["producer"], "cat ~root/.ssh/authorized_keys").split("\n")
    assert [one.partition(" ")[0] for one in admitted if one] == ['from="127.0.0.1,::1"']
    # Another host's key at that name is no host to talk to.
    known = work.folder / ".ssh/nixl-efa-trial.known_hosts"
    lines = known.read_text().splitlines()
    others = [one.split(" ", 1)[1] for one in lines if one.startswith(work.ids["consumer"])]
    known.write_text("".join(f"{work.ids['producer']} {one}\n" for one in others))
    refused = subprocess.run(
        ["ssh", *own, host, "true"],
        env=work.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (refused.returncode, b"HOST IDENTIFICATION HAS CHANGED" in refused.stderr) == (255, True)


def test_a_folder_goes_to_all_nodes_and_comes_back_from_each(work: Desk, tmp_path: Path) -> None:
    work.allow("copy")
    (tmp_path / "model/below").mkdir(parents=True)
    (tmp_path / "model/below/weights").write_bytes(os.urandom(300_000))
    (tmp_path / "model/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "model/run.sh").chmod(0o755)
    code, _, said = work.call("copy", str(tmp_path / "model"), "trial:all:/srv/copied")
    assert (code, said) == (0, "2 files, 300.0 KB, on producer, consumer.\n")
    back = tmp_path / "back"
    code, _, said = work.call("copy", "trial:all:/srv/copied", str(back))
    assert (code, said.splitlines()) == (
        0,
        ["2 files, 300.0 KB, from producer.", "2 files, 300.0 KB, from consumer."],
    )
    for name in work.ids:
        subprocess.run(["diff", "-r", tmp_path / "model", back / name / "copied"], check=True)
        assert os.access(back / name / "copied/run.sh", os.X_OK)
    missing = work.call("copy", "trial:consumer:/srv/nothing", str(back))
    assert missing == (1, "", "nixl-efa: consumer: /srv/nothing: there is no such file or folder.\n")


def test_a_copy_that_was_interrupted_goes_on_and_leaves_nothing_behind(work: Desk, tmp_path: Path) -> None:
    work.allow("copy")
    (tmp_path / "big").write_bytes(os.urandom(20 << 20))
    words = ("copy", str(tmp_path / "big"), "trial:producer:/srv/big")
    process = work.start(*words)
    wait_until(lambda: len(work.in_bucket()) >= 2, "the first pieces")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert re.match(r"nixl-efa: interrupted\. What was sent is kept for a day in s3://", said)
    kept = [key for key in work.in_bucket() if key.startswith("nixl-efa-copy/") and not key.endswith(".json")]
    assert len(kept) >= 2
    assert work.account.run(work.ids["producer"], "test -e /srv/big")["ResponseCode"] == 1
    # What is there is not sent again: that would be denied.
    work.allow("copy", never_put=kept)
    assert work.call(*words)[0] == 0
    told = work.account.out(work.ids["producer"], "sha256sum /srv/big; ls -A /srv")
    assert told.split()[0] == hashlib.sha256((tmp_path / "big").read_bytes()).hexdigest()
    assert ".nixl-efa-copy-" not in told


def test_a_node_that_stops_while_its_command_runs_is_255(work: Desk) -> None:
    consumer = work.ids["consumer"]
    work.allow("run")
    process = work.start("run", "trial", "consumer", "--", "echo begun; sleep 300")
    assert line(process.stdout) == "begun\n"
    work.account.aws.end(consumer, "shutdown")
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (255, b"")
    assert re.match(rf"consumer {consumer} is stop\w+: `nixl-efa status trial` ", err.decode())
    assert not denied(work.account.aws)


def test_a_node_that_is_not_reached_is_255_and_the_others_answer(work: Desk) -> None:
    consumer = work.ids["consumer"]
    work.account.aws.allow_only(None)
    work.account.ec2.stop_instances(InstanceIds=[consumer])
    wait_until(lambda: work.account.state(consumer) == "stopped", "a stopped instance")
    code, out, err = work.call("run", "trial", "--", "echo here")
    assert (code, out) == (255, "producer: here\n")
    assert err.startswith(f"consumer {consumer} is stopped: `nixl-efa status trial` ")
