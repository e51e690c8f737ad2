"""The configuration of ssh and the files beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nixl_efa.work import ssh
from nixl_efa.work.ssh import Host

ED, RSA = "ssh-ed25519 AAAAC3Nz+/=", "ssh-rsa AAAAB3Nz"


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (f"login ubuntu\n{ED} root@ip-1\n{RSA} root@ip-1\n", Host("producer", "i-1", "ubuntu", (ED, RSA))),
        (f"{ED} root@ip-1\n", None),
        ("login root\ncat: no such file\n", None),
    ],
)
def test_a_node_tells_who_logs_in_and_its_keys_or_is_no_host(printed: str, found: Host | None) -> None:
    assert ssh.host("producer", "i-1", printed) == found


def test_keys_of_these_nodes_are_exchanged_and_others_stay() -> None:
    before = f"i-1 {RSA}\ni-0 {RSA}\n"
    assert ssh.known_hosts(before, [Host("producer", "i-1", "root", (ED,))]) == f"i-0 {RSA}\ni-1 {ED}\n"


def test_names_that_ssh_would_read_otherwise_are_quoted() -> None:
    at = ssh.places(Path("/home/a b/100%/.ssh"), "nixl-efa-dev")
    text = ssh.config(
        "nixl-efa-dev",
        [Host("consumer-2", "i-2", "ubuntu", (ED,))],
        at,
        {"consumer-2": ["/opt/a b/nixl-efa", "forward", "dev", "i-2", "22", "--profile", "100%"]},
    )
    assert text.splitlines() == [
        "Host nixl-efa-dev-consumer-2",
        "    HostName i-2",
        "    User ubuntu",
        '    IdentityFile "/home/a b/100%%/.ssh/nixl-efa-dev"',
        "    IdentitiesOnly yes",
        '    UserKnownHostsFile "/home/a b/100%%/.ssh/nixl-efa-dev.known_hosts"',
        "    StrictHostKeyChecking yes",
        "    ServerAliveInterval 30",
        "    ProxyCommand '/opt/a b/nixl-efa' forward dev i-2 22 --profile 100%%",
    ]
