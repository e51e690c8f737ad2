"""User data as a cloud-config document (cloud-init documentation, "Cloud config examples")."""

import base64
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import replace

from nixl_efa.bootstrap.files import NodeFile, node_files
from nixl_efa.bootstrap.model import Bootstrap
from nixl_efa.bootstrap.terraform_text import hold, terraform_escape
from nixl_efa.service.model import BOOT_UNIT

# With a service, what these folders hold is packed, since EC2 gives user data 16 KiB. No opaque value is in it, and
# nothing reads it before the first command.
_PACKED = ("/opt/nixl-efa/", "/etc/nixl-efa/boot/", "/etc/systemd/system/")
_ARCHIVE = "/opt/nixl-efa/files.tar.gz"


def user_data(bootstrap: Bootstrap) -> str:
    """The node's user data, ready to stand in Terraform: opaque values as they are, all else escaped.

    Of all nodes it names the one that boots: who else is there, it reads (read-members.sh).
    Not compressed as a whole: the opaque values must stay readable for Terraform. The same facts give the same bytes.
    Raises ValueError when the booting node is not one of the nodes.
    """
    marked, held = hold(replace(bootstrap, nodes=(bootstrap.own,)))
    return held.fill(terraform_escape(_document(marked)))


def _document(bootstrap: Bootstrap) -> str:
    all_files = node_files(bootstrap)
    packed = [one for one in all_files if bootstrap.service and one.path.startswith(_PACKED)]
    files = "".join(_write_file(one) for one in all_files if one not in packed)
    files += _write_archive(packed) if packed else ""
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


def _write_archive(files: Iterable[NodeFile]) -> str:
    """Files as one archive, which the first command unpacks. The header of gzip (RFC 1952) is our own, since Python's
    names the system: with one zlib, the same files give the same bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.removeprefix("/"))
            content = file.content.encode()
            entry.size, entry.mode = len(content), int(file.permissions, 8)
            tar.addfile(entry, io.BytesIO(content))
    data = archive.getvalue()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = struct.pack("<II", zlib.crc32(data), len(data))
    packed = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + packer.compress(data) + packer.flush() + end
    return f"- path: {_ARCHIVE}\n  encoding: b64\n  content: {base64.b64encode(packed).decode()}\n"


def _commands(bootstrap: Bootstrap) -> list[list[str]]:
    """What cloud-init runs once, in this order, whether or not the one before succeeded.

    cloud-init takes the last command's exit code for its own: the boot report is last and sees what any of
    the others failed to do, so `cloud-init status` is an error exactly when the node is not as planned.
    """
    pinned = [bootstrap.nixl_version] if bootstrap.nixl_pinned else []
    install = [["/opt/nixl-efa/bin/install-nixl", *pinned]] if bootstrap.install_nixl else []
    # The engine's unit waits for the boot report, which the last command waits for, too.
    report, service = "nixl-efa-boot-report.service", BOOT_UNIT
    serves = bootstrap.service is not None
    return [
        *([["tar", "-xzf", _ARCHIVE, "-C", "/"]] if serves else []),
        ["/opt/nixl-efa/bin/configure"],
        # Before what takes minutes: a node that is rebooted meanwhile is not asked again, and has to say so.
        ["systemctl", "enable", report, *([service] if serves else [])],
        *install,
        *([["systemctl", "start", "--no-block", report, service]] if serves else []),
        ["systemctl", "start", report],
    ]
