"""verify's check of NIXL on a node: the backend that the probe created, and what to do if it created none. Pure."""

import re

from nixl_efa import nixl_releases
from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.parse import UNKNOWN, Nixl

_INSTALL = "/opt/nixl-efa/bin/install-nixl"
_REMEDIES = (
    (
        r"needs libfabric \S+, EFA installer (\S+);",
        "Remove nixl_version, or take an image with EFA installer {0}.",
    ),
    (
        r"No module named 'torch'",
        "Releases before 1.4 need torch: run `/opt/nixl-efa/venv/bin/pip install torch` on the node, or set a newer nixl_version.",  # noqa: E501
    ),
    (r"No module named 'nixl", f"Run {_INSTALL} on the node and read what it prints."),
    (r"^not finished", f"Wait; if the node was rebooted meanwhile, run {_INSTALL} on it."),
    (
        r"^(given up|failed): ",
        f"Run {_INSTALL} on the node and read what it prints (`df -h /`: is there room?).",
    ),
    (r"libhwloc\.so", "Run `apt-get install libhwloc15` on the node."),
    (r"libcudart\.so", f"Run {_INSTALL} on the node: it brings nvidia-cuda-runtime."),
    (
        r"libfabric\.so\S* cannot open",
        f"Install the EFA software (EC2 user guide, efa-start-nccl), then run {_INSTALL}: it puts its folder on the loader's path.",  # noqa: E501
    ),
    (
        r"fi_getinfo|No network devices|network providers|NIXL_ERR_BACKEND",
        "NIXL is complete, but libfabric finds no EFA for it: see the rows EFA devices and fi_info.",
    ),
)
_ELSE = "Run it with NIXL_LOG_LEVEL=DEBUG on the node; /var/lib/nixl-efa/install.json tells how NIXL was installed."


def nixl(facts: NodeFacts, planned: Planned) -> Finding:
    """The planned backend can be created and uses the planned provider: LIBFABRIC falls back to TCP without a
    message."""
    seen, wanted = facts.nixl, planned.nixl
    command = f"/opt/nixl-efa/bin/nixl-probe {wanted.name}"
    if seen.provider and seen.backend == wanted.name:
        return _made(seen, planned, command)
    if not planned.nixl_version:
        return Finding(Level.SKIP, "NIXL", "install_nixl is false: your own installation is not checked.")
    if seen.provider:
        # A node keeps the environment of its first boot, which an earlier version may have written.
        return Finding(
            Level.FAIL,
            "NIXL",
            f"the node uses {seen.backend} in place of {wanted}: {wanted.why}.",
            "`nixl-efa nodes sync` writes that into /etc/nixl-efa/env on the nodes.",
            command,
        )
    message = f"{seen.version} makes no {wanted.name}: {seen.message.rstrip('.')}.".strip()
    return Finding(Level.FAIL, "NIXL", message, _remedy(facts, planned), command)


def _made(seen: Nixl, planned: Planned, command: str) -> Finding:
    wanted = planned.nixl
    if seen.provider == UNKNOWN:
        return Finding(
            Level.WARN,
            "NIXL",
            f"{seen.version} loads {seen.backend}, but does not say which provider it uses.",
            "Run `nixl-efa nodes sync`: the node's nixl-probe is of an earlier version.",
            command,
        )
    if seen.provider != wanted.provider:
        return Finding(
            Level.FAIL,
            "NIXL",
            f"{seen.version} with {seen.backend} uses {seen.provider}, not {wanted.fabric}.",
            "Set FI_PROVIDER=efa, as /etc/nixl-efa/env does, for whatever uses NIXL; look at `fi_info -p efa`.",
            command,
        )
    if planned.nixl_pinned and seen.version[:1].isdigit() and seen.version != planned.nixl_version:
        # No node is replaced for it: the version is read only at a node's first boot.
        return Finding(
            Level.WARN,
            "NIXL",
            f"{seen.version} with {seen.backend}, and nixl_version is {planned.nixl_version}.",
            f"Run {_INSTALL} {planned.nixl_version} on the node, or set nixl_version = {seen.version!r}.",
            command,
        )
    return Finding(Level.PASS, "NIXL", f"{seen.version} with {seen.backend}, provider {seen.provider}")


def _remedy(facts: NodeFacts, planned: Planned) -> str:
    """The advice that fits the message of the loader, of NIXL or of install-nixl."""
    said = facts.nixl.message
    if "version `FABRIC_" in said:
        if nixl_releases.loads(facts.nixl.version, facts.libfabric):
            return (
                f"EFA's own libfabric {facts.libfabric} would do, but the loader finds another one first: put "
                "/opt/amazon/efa/lib into /etc/ld.so.conf.d/000_efa.conf on the node, and run `ldconfig`."
            )
        fitting = nixl_releases.newest_for(facts.libfabric)
        install = f"Run {_INSTALL} {fitting} on the node" if fitting else "Take a newer image"
        why = (
            nixl_releases.why_not(facts.nixl.version, facts.libfabric)
            or "The node's libfabric is too old for it"
        )
        return f"{why}. {install}, or install the newest EFA software."
    if "libcuda.so" in said:
        if planned.accelerator_kind == "nvidia":
            return "NVIDIA's driver is not there, or not on the loader's path: take the deep-learning image."
        return f"Run {_INSTALL} on the node: it creates a stub of libcuda.so.1, which is never called there."
    for pattern, remedy in _REMEDIES:
        if found := re.search(pattern, said):
            return remedy.format(*found.groups())
    return _ELSE
