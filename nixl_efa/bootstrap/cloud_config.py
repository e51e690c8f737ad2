"""User data as a cloud-config document (cloud-init documentation, "Cloud config examples")."""

from __future__ import annotations

import json
from dataclasses import replace

from nixl_efa.bootstrap.files import NodeFile, node_files
from nixl_efa.bootstrap.model import Bootstrap
from nixl_efa.bootstrap.terraform_text import hold, terraform_escape


def user_data(bootstrap: Bootstrap) -> str:
    """The node's user data, ready to stand in Terraform: opaque values as they are, all else escaped.

    Of all nodes it names the one that boots: who else is there, it reads (read-members.sh).
    Not compressed: the opaque values must stay readable for Terraform. The same facts give the same bytes.
    Raises ValueError when the booting node is not one of the nodes.
    """
    marked, held = hold(replace(bootstrap, nodes=(bootstrap.own,)))
    return held.fill(terraform_escape(_document(marked)))


def _document(bootstrap: Bootstrap) -> str:
    files = "".join(_write_file(file) for file in node_files(bootstrap))
    # YAML reads JSON, but for the escape of a character beyond 16 bits as two.
    commands = "".join(f"- {json.dumps(command, ensure_ascii=False)}\n" for command in _commands(bootstrap))
    return f"#cloud-config\nwrite_files:\n{files}runcmd:\n{commands}"


def _write_file(file: NodeFile) -> str:
    lines = file.content.removesuffix("\n").split("\n")
    # The user data is small: three spaces are the least that a block in a list's mapping takes, and 0644 is what
    # cloud-init gives a file of which no permissions are named.
    content = "".join(f"   {line}\n" if line else "\n" for line in lines)
    permissions = "" if file.permissions == "0644" else f"  permissions: '{file.permissions}'\n"
    return f"- path: {file.path}\n{permissions}  content: |\n{content}"


def _commands(bootstrap: Bootstrap) -> list[list[str]]:
    """What cloud-init runs once, in this order, whether or not the one before succeeded.

    cloud-init takes the last command's exit code for its own: the boot report is last and sees what any of
    the others failed to do, so `cloud-init status` is an error exactly when the node is not as planned.
    """
    pinned = [bootstrap.nixl_version] if bootstrap.nixl_pinned else []
    install = [["/opt/nixl-efa/bin/install-nixl", *pinned]] if bootstrap.install_nixl else []
    return [
        ["/opt/nixl-efa/bin/configure"],
        # Before what takes minutes: a node that is rebooted meanwhile is not asked again, and has to say so.
        ["systemctl", "enable", "nixl-efa-boot-report.service"],
        *install,
        ["systemctl", "start", "nixl-efa-boot-report.service"],
    ]
