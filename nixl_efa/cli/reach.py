"""`nixl-efa forward` and `ssh-config`: the ports of the nodes, through Session Manager."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nixl_efa.cli import output
from nixl_efa.cli.nodes import Environment, Profile, deployed, find, plugin_version, require_account
from nixl_efa.cli.project import project_folder
from nixl_efa.cli.work import Nodes, nodes_at

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.cli.work import At
    from nixl_efa.nodes.outputs import PairOutputs
    from nixl_efa.work.ssh import Host, Places


def forward(
    environment: Environment,
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="Which node: producer, consumer, ..., or an instance's id.")
    ],
    port: Annotated[int, typer.Argument(metavar="PORT", min=1, max=65535, help="The node's port.")],
    local_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="This machine's port. [default: the same, or a free one]"),
    ] = None,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Carry standard input and output, for ssh's ProxyCommand.")
    ] = False,
    profile: Profile = None,
) -> None:
    """Forward a node's port to this machine (127.0.0.1), until Ctrl-C.

    The port stays closed in the security group.
    """
    from nixl_efa.aws import clients_of
    from nixl_efa.cli.environments import environment_settings
    from nixl_efa.nodes import session

    settings = environment_settings(environment, os.environ, project_folder(), profile)
    version = plugin_version()
    clients = clients_of(settings, profile)
    require_account(settings, clients)
    # ssh calls this for each connection, and knows the instance.
    target = node if node.startswith("i-") else find(deployed(settings, profile), node).instance_id
    document, parameters, told = session.SSH, {"portNumber": [str(port)]}, ""
    if not stdio:
        here = _local_port(port, local_port)
        document, parameters = session.FORWARDING, {**parameters, "localPortNumber": [str(here)]}
        told = f"127.0.0.1:{here} is port {port} of {node}, until Ctrl-C."
    chosen = "" if settings.assume_role else profile or settings.profile or ""
    try:
        command, more = session.plugin_command(
            clients.ssm(settings.region), target, chosen, version, document, parameters
        )
    except output.Failure as failure:
        ec2 = clients.ec2(settings.region)
        raise output.Failure(
            _why_not(ec2, deployed(settings, profile), target) or failure.message
        ) from failure
    if told:
        output.say(told)
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, **clients.environ(), **more})


def _why_not(ec2: EC2Client, pair: PairOutputs, instance_id: str) -> str:
    """Why no session can be opened to an instance, in a sentence; empty where EC2 does not say."""
    from nixl_efa.clock import clock_of
    from nixl_efa.work.gone import gone

    node = next((one for one in pair.nodes if one.instance_id == instance_id), None)
    if node is None:
        again = f"run `nixl-efa ssh-config {pair.environment}` again"
        return f"{instance_id} is no node of {pair.environment} any more: {again}."
    return gone(ec2, pair.environment, [node], clock_of(os.environ)).get(node, "")


def _local_port(port: int, wanted: int | None) -> int:
    """The port to listen on. BadInput for one that is wanted and can't be had."""
    for candidate in (wanted,) if wanted is not None else (port, 0):
        try:
            with socket.create_server(("127.0.0.1", candidate)) as server:
                return int(server.getsockname()[1])
        except OSError as error:
            why = os.strerror(error.errno or 0)  # its own text has the address again
    raise output.BadInput(f"--local-port {wanted}: it can't be used ({why}). Leave it out to get a free one.")


def ssh_config(
    environment: Environment,
    nodes: Nodes = None,
    login: Annotated[
        str, typer.Option(help="The login. [default: ubuntu, ec2-user or root, the first that exists]")
    ] = "",
    profile: Profile = None,
) -> None:
    """Print a configuration with which ssh, scp, rsync and editors reach the nodes.

    Each connection is a Session Manager session. Creates a key in ~/.ssh, adds it to the nodes by Run Command, and
    reads the nodes' host keys in the same way. Run it again after a node was replaced.
    """
    from nixl_efa.work import ssh

    at = nodes_at(environment, nodes or [], profile)
    plugin_version()
    places = ssh.places(Path.home() / ".ssh", at.settings.stack_name)
    hosts = _admit(at, _key(places, at.settings.stack_name), login)
    _write_known_hosts(places, hosts)
    # An editor that is started elsewhere does not have the shell's variables.
    chosen = profile or ("" if at.settings.profile else os.environ.get("AWS_PROFILE", ""))
    given = ["--profile", chosen] if chosen else []
    own = [*_program(), "--project", str(project_folder().resolve()), "forward", environment]
    proxy = {one.name: [*own, one.instance_id, str(ssh.PORT), "--stdio", *given] for one in hosts}
    sys.stdout.write(ssh.config(at.settings.stack_name, hosts, places, proxy))


def _program() -> Sequence[str]:
    """How this program is called from anywhere: an editor's PATH may not have it."""
    found = shutil.which("nixl-efa")
    return [os.path.abspath(found)] if found else [sys.executable, "-m", "nixl_efa"]


def _key(at: Places, stack_name: str) -> str:
    """The public key of a pair that is made where it is not there."""
    from nixl_efa.files import make_directory, write_durably

    if not at.key.exists() or not at.public.exists():
        if shutil.which("ssh-keygen") is None:
            raise output.Failure("ssh-keygen not found on PATH: install OpenSSH's client.")
        make_directory(at.key.parent)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", stack_name, "-f", str(at.key)]
        is_there = at.key.exists()
        if is_there:  # it tells what is public of it
            command = ["ssh-keygen", "-y", "-P", "", "-f", str(at.key)]
        made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if made.returncode:
            said = " ".join((made.stderr + made.stdout).split())
            what = "its public key can't be read" if is_there else "no key could be made"
            raise output.Failure(f"{at.key}: {what}: {said}. Move the file away and run this again.")
        if is_there:
            write_durably(at.public, made.stdout)
    return at.public.read_text(encoding="utf-8")


def _admit(at: At, public_key: str, login: str) -> list[Host]:
    """The nodes, with the key let in. Failure, which names them, where a node could not be asked or has no sshd."""
    from nixl_efa.cli.work import run_quietly
    from nixl_efa.work import ssh

    answers = run_quietly(at, ssh.admit(public_key, login), "nixl-efa ssh-config")
    hosts, faults = [], []
    for node, answer in answers.items():
        host = ssh.host(node.name, node.instance_id, answer.out)
        if answer.code or host is None:
            faults.append(f"{node.name}: {answer.why or 'it gave no host key'}")
        else:
            hosts.append(host)
    if faults:
        raise output.Failure("; ".join(faults))
    return hosts


def _write_known_hosts(at: Places, hosts: Sequence[Host]) -> None:
    from nixl_efa.files import write_durably
    from nixl_efa.work import ssh

    before = at.known_hosts.read_text(encoding="utf-8") if at.known_hosts.exists() else ""
    write_durably(at.known_hosts, ssh.known_hosts(before, hosts))
