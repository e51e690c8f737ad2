"""The files of this project on a running node, compared with those of the current settings. Pure.

A node gets them at its first boot (nixl_efa.bootstrap). On a running node, only `nixl-efa nodes sync` changes them
after a change of settings or release.
"""

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nixl_efa.bootstrap import bootstrap_of
from nixl_efa.bootstrap.files import ENV_NAMES, FORM, NodeFile, node_files
from nixl_efa.findings import Finding, Level, listed
from nixl_efa.launch import Launch
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.parse import json_object
from nixl_efa.nodes.run_command import Script
from nixl_efa.nodes.sections import MISSING, Section, script

CHECK = "node files"
_NAMES = "|".join(ENV_NAMES)
_INSTALLER = "/opt/nixl-efa/bin/install-nixl"
# The files that install NIXL.
_INSTALLING = frozenset({_INSTALLER, "/opt/nixl-efa/releases.txt"})


def wanted(pair: PairOutputs, launch: Launch, types: Mapping[str, str]) -> Mapping[str, tuple[NodeFile, ...]]:
    """The files that each node should have, by its name: from the settings, for the instance that runs.

    types: those of the running instances, by node. Another type in the settings applies to a new node, not to these.
    """
    running = launch.of_machines(types)
    addresses = {node.name: node.private_ip for node in pair.nodes}
    found: dict[str, tuple[NodeFile, ...]] = {}
    for node in pair.nodes:
        first_boot = bootstrap_of(
            running[node.name], node.name, addresses=addresses, scripts_bucket=pair.scripts_bucket
        )
        found[node.name] = node_files(replace(first_boot, efa_interfaces=node.efa_interfaces))
    return found


def look(files: Iterable[NodeFile]) -> Script:
    """Prints the sections that `differing` and `refusal` read."""
    pair = (
        "echo '@@ begin pair'; cat \"$root/etc/nixl-efa/pair.json\" 2>/dev/null; echo; echo '@@ end pair 0'\n"
    )
    return Script(f"{sums().text}{pair}", arguments(files))


def sums() -> Script:
    """Prints the section `files`, for the `arguments` of these files."""
    return Script(script("node-files.sh"))


def arguments(files: Iterable[NodeFile]) -> tuple[str, ...]:
    """The arguments of node-files.sh."""
    return (_NAMES, *(file.path for file in files))


def differing(files: Sequence[NodeFile], sections: Mapping[str, Section]) -> tuple[NodeFile, ...]:
    """The files that are missing on the node or hold something else, from the section `files`."""
    lines = (line.rpartition(" ") for line in sections.get("files", MISSING).text.splitlines())
    seen = {path: found for path, _, found in lines}
    return tuple(file for file in files if seen.get(file.path) != sum_of(file))


def sum_of(file: NodeFile) -> str:
    """SHA-256, as sha256sum prints it."""
    return hashlib.sha256(file.content.encode()).hexdigest()


def form_of(sections: Mapping[str, Section]) -> int:
    """The form of the files on a node, from its pair.json: 1 if the release did not record it, 0 without a
    pair.json."""
    pair = json_object(sections.get("pair", MISSING).text)
    form = (pair or {}).get("form", 1)
    return form if pair is not None and isinstance(form, int) else 0


def refusal(environment: str, node: str, sections: Mapping[str, Section]) -> str:
    """Why nothing may be written on this node, in a sentence; empty when it may."""
    pair = json_object(sections.get("pair", MISSING).text)
    if pair is None:
        return "has no readable /etc/nixl-efa/pair.json: is its first boot over, and is it a node of this project?"
    told = (pair.get("environment"), pair.get("node"))
    if told != (environment, node):
        return (
            f"says in /etc/nixl-efa/pair.json that it is the {told[1]} of environment {told[0]}: "
            f"the stack's outputs name another machine. Look at `nixl-efa status {environment}`."
        )
    if form_of(sections) > FORM:
        return (
            f"has files of a newer nixl-efa (form {form_of(sections)}) than this one, which writes form {FORM}: "
            "bring this checkout up to date."
        )
    return ""


def finding(environment: str, files: Sequence[NodeFile], sections: Mapping[str, Section]) -> Finding:
    """Whether a node has the files of the current settings."""
    if form_of(sections) > FORM:
        message = f"of a newer nixl-efa (form {form_of(sections)}) than this one (form {FORM})."
        return Finding(Level.WARN, CHECK, message, "Bring this checkout up to date.")
    found = differing(files, sections)
    if not found:
        return Finding(Level.PASS, CHECK, "as the settings have them")
    names = listed((file.path for file in found), limit=3)
    remedy = f"`nixl-efa nodes sync {environment}` writes them; no node is replaced."
    return Finding(Level.WARN, CHECK, f"not as the settings have them: {names}.", remedy)


def writer(files: Iterable[NodeFile]) -> Script:
    """Writes the files on a node, all or none, and prints the sections `written`, `configure` and `boot_report`.

    In base64, because Systems Manager replaces "{{ssm:...}}" in a command with a parameter.
    """
    lines = (
        f"{file.path} {file.permissions} {sum_of(file)} {base64.b64encode(file.content.encode()).decode()}\n"
        for file in files
    )
    return Script(
        f"files() {{ cat <<'FILES'\n{''.join(lines)}FILES\n}}\n{script('write-files.sh')}", (_NAMES,)
    )


def after_writing(written: Iterable[str], launch: Launch, types: Mapping[str, str]) -> tuple[str, ...]:
    """What is still to do, a sentence each. written: the paths, of all nodes. types: those of the instances, by
    node."""
    found = []
    if _INSTALLING.intersection(written) and launch.nixl_version:
        command = shlex.join([_INSTALLER, *([launch.nixl_version] if launch.nixl_pinned else [])])
        found.append(f"NIXL itself is as it was: `{command}` on a node reinstalls it.")
    wanted = {node.name: one.instance_type for one in launch.requests for node in one.nodes}
    differing = {(wanted[name], there) for name, there in types.items() if wanted.get(name, there) != there}
    for setting, there in sorted(differing):
        found.append(
            f"instance_type is {setting} in the settings, and the nodes are {there}: "
            f"`nixl-efa deploy {launch.environment}` replaces them."
        )
    return tuple(found)
