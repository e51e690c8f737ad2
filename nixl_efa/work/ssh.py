"""ssh to the nodes through Session Manager: the config for ssh, the nodes' host keys, our key on the nodes. Pure.

The key is created only for this, and is valid only for connections from the node itself: from there, the agent of
Systems Manager connects. IAM decides who may open a session, as with `connect`. Run Command writes our key to the node
and reads the host keys there, so that ssh knows both before its first connection. (With EC2 Instance Connect, a key is
valid for one minute, and its package must be in the image, which not every image has.)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PORT = 22
# The login if the user gives none: the first of these that exists in the image (Ubuntu, Amazon Linux).
LOGINS = ("ubuntu", "ec2-user", "root")
_FROM_THE_NODE = 'from="127.0.0.1,::1"'
_HOST_KEY = re.compile(r"^(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+")
_LOGIN = re.compile(r"^login ([a-z_][a-z0-9_-]*)$", re.MULTILINE)

# $1: the line for authorized_keys; the others: possible logins, of which the first that exists is used. Written as that
# user.
_ADMIT = """\
set -eu
line=$1; shift
for login do home=$(getent passwd "$login" | cut -d: -f6); [ -z "$home" ] || break; done
if [ -z "$home" ]; then echo "there is no user $login" >&2; exit 1; fi
(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null || { echo 'nothing listens on port 22: is sshd running?' >&2; exit 1; }
runuser -u "$login" -- sh -c 'umask 077; mkdir -p "$1/.ssh"; cd "$1/.ssh"; touch authorized_keys
  grep -qxF "$2" authorized_keys || printf "\\n%s\\n" "$2" >>authorized_keys' sh "$home" "$line"
echo "login $login"
cat /etc/ssh/ssh_host_*_key.pub
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A node as ssh knows it. host_keys: "ssh-ed25519 AAAA..."."""

    name: str
    instance_id: str
    login: str
    host_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Our files, by the stack's name: the private key, the public key, the nodes' host keys."""

    key: Path
    public: Path
    known_hosts: Path


def places(folder: Path, stack_name: str) -> Places:
    """In the user's ssh folder (~/.ssh)."""
    return Places(*(folder / f"{stack_name}{end}" for end in ("", ".pub", ".known_hosts")))


def admit(public_key: str, login: str) -> str:
    """The bash command that authorizes the key, and prints the login and the host keys.

    login: empty for the image's own.
    """
    line = f"{_FROM_THE_NODE} {public_key.strip()}"
    return shlex.join(["bash", "-c", _ADMIT, "bash", line, *([login] if login else LOGINS)])


def host(name: str, instance_id: str, printed: str) -> Host | None:
    """A node from the output of `admit`; None if the output has no host key or no login."""
    keys = tuple(found[0] for line in printed.splitlines() if (found := _HOST_KEY.match(line)))
    login = _LOGIN.search(printed)
    return Host(name, instance_id, login[1], keys) if login and keys else None


def known_hosts(before: str, hosts: Sequence[Host]) -> str:
    """The file of host keys, in which the keys of these nodes are replaced; other lines stay."""
    anew = {one.instance_id for one in hosts}
    kept = [line for line in before.splitlines() if line.partition(" ")[0] not in anew]
    lines = [f"{one.instance_id} {key}" for one in hosts for key in one.host_keys]
    return "".join(f"{line}\n" for line in (*kept, *lines))


def config(stack_name: str, hosts: Iterable[Host], at: Places, proxy: Mapping[str, Sequence[str]]) -> str:
    """The text for ssh_config(5). proxy: by the node's name, the command that forwards a connection to it."""
    return "\n".join(
        _block(
            f"{stack_name}-{one.name}",
            {
                # The name under which the host's keys are known: an instance's own, never used again.
                "HostName": one.instance_id,
                "User": one.login,
                "IdentityFile": _quoted(at.key),
                "IdentitiesOnly": "yes",
                "UserKnownHostsFile": _quoted(at.known_hosts),
                "StrictHostKeyChecking": "yes",
                "ServerAliveInterval": "30",
                "ProxyCommand": shlex.join(proxy[one.name]).replace("%", "%%"),
            },
        )
        for one in hosts
    )


def _block(name: str, options: Mapping[str, str]) -> str:
    return f"Host {name}\n" + "".join(f"    {key} {value}\n" for key, value in options.items())


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
