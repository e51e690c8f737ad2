"""What a node's facts mean against what was planned. Pure: facts in, findings out, one for each subject."""

from __future__ import annotations

from collections.abc import Callable

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import LOCAL_DISKS, NodeFacts, Planned

Rule = Callable[[NodeFacts, Planned], Finding]


def node_findings(facts: NodeFacts, planned: Planned) -> list[Finding]:
    """A finding for every subject, in the order in which one would look."""
    return [rule(facts, planned) for rule in RULES]


def cloud_init(facts: NodeFacts, _planned: Planned) -> Finding:
    """cloud-init has finished, without an error. "degraded" is done with recoverable errors (exit code 2)."""
    check, command = "cloud-init", "cloud-init status --long"
    if facts.cloud_init in ("done", "degraded"):
        return Finding(Level.PASS, check, "done")
    if facts.cloud_init == "error":
        return Finding(
            Level.FAIL,
            check,
            f"ended with an error: {facts.cloud_init_errors or 'no text'}.",
            "Read /var/log/cloud-init-output.log on the node.",
            command,
        )
    if facts.cloud_init:
        remedy = "Wait some minutes and verify again; NIXL's installation takes the longest."
        return Finding(Level.FAIL, check, f"not finished: {facts.cloud_init}.", remedy, command)
    return Finding(Level.FAIL, check, "cloud-init says nothing.", "Read /var/log/cloud-init.log.", command)


def boot_report(facts: NodeFacts, _planned: Planned) -> Finding:
    """The node's own comparison at its last boot."""
    check, command = "boot report", "cat /var/lib/nixl-efa/boot-report.txt"
    report = facts.boot_report
    if report is None:
        return Finding(Level.FAIL, check, "there is none.", "Look at cloud-init's log on the node.", command)
    if report.get("ok") is True:
        return Finding(Level.PASS, check, f"as planned over {report.get('transport', '?')}")
    faults = ", ".join(
        f"{one.get('check')} (planned {one.get('planned')}, seen {one.get('seen')})"
        for one in report.get("checks", ())
        if not one.get("ok")
    )
    remedy = "`systemctl restart nixl-efa-boot-report` on the node looks again."
    return Finding(Level.FAIL, check, f"not as planned: {faults}.", remedy, command)


def efa_devices(facts: NodeFacts, planned: Planned) -> Finding:
    """As many EFA devices as the launch asked for."""
    check, seen = "EFA devices", len(facts.efa_devices)
    if seen == planned.efa_interfaces:
        return Finding(Level.PASS, check, _of(seen, planned.efa_interfaces))
    return Finding(
        Level.FAIL,
        check,
        f"{seen} of {planned.efa_interfaces}.",
        "An EFA interface can't be attached later: replace the node when the driver is loaded (`lsmod | grep efa`).",
        "ls /sys/class/infiniband",
    )


def fi_info(facts: NodeFacts, planned: Planned) -> Finding:
    """libfabric's provider efa sees every device: without it NIXL goes over TCP in silence."""
    check, seen = "fi_info", len(facts.domains)
    if seen == planned.efa_interfaces:
        return Finding(Level.PASS, check, _of(seen, planned.efa_interfaces, "domains"))
    why = f" ({facts.fi_info_error})" if facts.fi_info_error else ""
    return Finding(
        Level.FAIL,
        check,
        f"{seen} of {planned.efa_interfaces} domains{why}: NIXL would fall back to TCP in silence.",
        "Install the EFA software (EC2 user guide, efa-start-nccl) or use the deep-learning image.",
        "fi_info -p efa -t FI_EP_RDM",
    )


def efa_driver(facts: NodeFacts, planned: Planned) -> Finding:
    """The kernel's efa module."""
    if facts.efa_driver:
        return Finding(Level.PASS, "EFA driver", facts.efa_driver)
    if not planned.efa_interfaces:
        return Finding(Level.PASS, "EFA driver", "none needed")
    return Finding(
        Level.FAIL, "EFA driver", "not loaded.", "`modprobe efa` on the node.", "cat /sys/module/efa/version"
    )


def libfabric(facts: NodeFacts, planned: Planned) -> Finding:
    """libfabric's version, and the EFA installer's that brought it."""
    if not facts.libfabric:
        if not planned.efa_interfaces:
            return Finding(Level.PASS, "libfabric", "none needed")
        remedy = "Install the EFA software (EC2 user guide, efa-start-nccl) or use the deep-learning image."
        return Finding(Level.FAIL, "libfabric", "not installed.", remedy, "fi_info --version")
    installer = f", EFA installer {facts.efa_installer}" if facts.efa_installer else ""
    return Finding(Level.PASS, "libfabric", f"{facts.libfabric}{installer}")


def accelerators(facts: NodeFacts, planned: Planned) -> Finding:
    """As many accelerators as the type has."""
    check = "accelerators"
    command = {"nvidia": "nvidia-smi -L", "neuron": "neuron-ls"}.get(planned.accelerator_kind, "")
    if not command:
        return Finding(Level.SKIP, check, f"kind {planned.accelerator_kind!r} is not counted.")
    if facts.accelerators == planned.accelerators:
        driver = f", driver {facts.accelerator_driver}" if facts.accelerator_driver else ""
        return Finding(Level.PASS, check, f"{facts.accelerators} x {facts.accelerator}{driver}")
    return Finding(
        Level.FAIL,
        check,
        f"{facts.accelerators} of {planned.accelerators}.",
        "Look at `dmesg` for the driver; a lost device needs a stop and start, or a new node.",
        command,
    )


def memlock(facts: NodeFacts, _planned: Planned) -> Finding:
    """Memory that may be locked, as Session Manager's sessions get it: EFA registers memory by locking it."""
    if facts.memlock == "unlimited":
        return Finding(Level.PASS, "memlock", "unlimited")
    return Finding(
        Level.FAIL,
        "memlock",
        f"{facts.memlock or 'unknown'} KiB.",
        "Restart the SSM agent (it hands its limit on) and look at /etc/systemd/system.conf.d/99-nixl-efa.conf.",
        "ulimit -l",
    )


def local_disks(facts: NodeFacts, planned: Planned) -> Finding:
    """The deep-learning image mounts the type's local disks; no other image does."""
    if facts.local_disks:
        return Finding(Level.PASS, "local disks", f"{facts.local_disks} at {LOCAL_DISKS}")
    if not planned.instance_storage_gb:
        return Finding(Level.PASS, "local disks", "the type has none")
    return Finding(
        Level.WARN,
        "local disks",
        f"{planned.instance_storage_gb} GB are not mounted at {LOCAL_DISKS}.",
        "`systemctl restart dlami-nvme` on the node; an image of your own must mount them itself.",
        f"findmnt {LOCAL_DISKS}",
    )


def nixl(facts: NodeFacts, planned: Planned) -> Finding:
    """NIXL imports and its backend's plugin loads."""
    seen, wanted = facts.nixl, planned.nixl
    command = f"/opt/nixl-efa/bin/nixl-probe {wanted.name}"
    if seen.loaded and seen.backend == wanted.name:
        if _is_other_version(seen.version, planned.nixl_version):
            # A node is never launched anew for it: the version is read at a node's first boot alone.
            return Finding(
                Level.WARN,
                "NIXL",
                f"{seen.version} with {seen.backend}, and nixl_version is {planned.nixl_version}.",
                f"Run /opt/nixl-efa/bin/install-nixl {planned.nixl_version} on the node, or set nixl_version = {seen.version!r}.",  # noqa: E501
                command,
            )
        return Finding(Level.PASS, "NIXL", f"{seen.version} with {seen.backend}")
    if not planned.nixl_version:
        return Finding(Level.SKIP, "NIXL", "install_nixl is false: an own installation is not looked at.")
    if seen.loaded:
        # A node keeps the environment of its first boot, which an earlier version may have written.
        return Finding(
            Level.FAIL,
            "NIXL",
            f"the node uses {seen.backend} in place of {wanted}: {wanted.why}.",
            "Write that into /etc/nixl-efa/env on both nodes (PAIR_NIXL_BACKEND, PAIR_KV_TRANSFER_CONFIG, variables).",
            command,
        )
    message = f"{wanted.name} does not load: {seen.message}."
    remedy = "Run /opt/nixl-efa/bin/install-nixl VERSION on the node and read what it prints."
    if planned.accelerator_kind != "nvidia":
        remedy += (
            " That of a node of an earlier version does not provide libcuda.so.1 and libfabric.so.1: see "
            '"Install dependencies for disaggregated inference" in vLLM Neuron\'s setup guide.'
        )
    return Finding(Level.FAIL, "NIXL", message, remedy, command)


def _is_other_version(seen: str, planned: str) -> bool:
    """Whether both are versions, and not the same. A node that is simulated tells none."""
    return bool(planned) and seen[:1].isdigit() and seen != planned


def _of(seen: int, planned: int, what: str = "") -> str:
    return f"{seen} of {planned} {what}".strip()


RULES: tuple[Rule, ...] = (
    cloud_init,
    boot_report,
    efa_devices,
    fi_info,
    efa_driver,
    libfabric,
    accelerators,
    memlock,
    local_disks,
    nixl,
)
