"""Compares a node's facts with the plan. Pure: facts in, findings out, one for each subject."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes import cloud_init as first_boot
from nixl_efa.nodes import nixl_rules, parse
from nixl_efa.nodes.facts import LOCAL_DISKS, NodeFacts, Planned

Rule = Callable[[NodeFacts, Planned], Finding]

# In percent of the root volume. An installation of NIXL takes 0.3 GB, an inference engine's image about 20 GB.
DISK_WARNS_AT = 95
# CUresult of the CUDA driver API, cuda.h.
_CUDA_NOT_READY = 802
_CUDA_ERRORS = {
    100: " (no device)",
    101: " (invalid device)",
    802: " (system not yet initialized)",
    803: " (driver and library of different versions)",
    999: " (unknown)",
}
_CUDA_REMEDY = "Look at `dmesg` for the driver, and reboot the node."
_FABRIC_REMEDY = (
    "NVIDIA's Fabric Manager must run, in the driver's version; on B200 and B300 it also needs the modules "
    "ib_umad and mlx5_ib (linux-modules-extra)."
)


def node_findings(facts: NodeFacts, planned: Planned) -> list[Finding]:
    """A finding for every subject, in the order in which one would check them."""
    return [rule(facts, planned) for rule in RULES]


def cloud_init(facts: NodeFacts, planned: Planned) -> Finding:
    """cloud-init has finished, with no error except that of the boot report, which is its last command.

    Its commands run only at the first boot, and cloud-init reports their result until the next boot. Whether a fault
    was fixed since then is seen in a later boot report.
    """
    found = first_boot.finding(
        facts.cloud_init, last_stage_ended=facts.last_stage_ended, failed_units=facts.failed_units
    )
    told = facts.cloud_init.errors
    if facts.boot_report is None or len(told) != 1 or "(runcmd)" not in told[0]:
        return found
    if boot_report(facts, planned).level is Level.FAIL:
        return replace(found, remedy="It is the boot report that failed: see its row.")
    return Finding(
        Level.PASS, found.check, "ended; it failed because of the boot report, which is in order now"
    )


def boot_report(facts: NodeFacts, planned: Planned) -> Finding:
    """The node's own comparison at its last boot."""
    check, command = "boot report", "cat /var/lib/nixl-efa/boot-report.txt"
    report = facts.boot_report
    if report is None:
        return Finding(Level.FAIL, check, "there is none.", "Look at cloud-init's log on the node.", command)
    if report.get("ok") is True:
        return Finding(
            Level.PASS, check, f"as planned over {report.get('transport', '?')}{_installed(report)}"
        )
    failed = [one for one in parse.objects(report, "checks") if not one.get("ok")]
    faults = ", ".join(
        f"{one.get('check')} (planned {one.get('planned')}, seen {one.get('seen')})" for one in failed
    )
    if not faults:
        return Finding(Level.FAIL, check, "it can't be read.", "Look at the file on the node.", command)
    if all(_counts_others(one, facts, planned) for one in failed):
        message = f"counts RDMA devices that are not EFA, like an earlier version: {faults}."
        remedy = "`nixl-efa nodes sync` installs the boot report of this version."
        return Finding(Level.WARN, check, message, remedy, command)
    remedy = "`systemctl restart nixl-efa-boot-report` on the node looks again."
    return Finding(Level.FAIL, check, f"not as planned: {faults}.", remedy, command)


def _counts_others(one: Mapping[str, Any], facts: NodeFacts, planned: Planned) -> bool:
    """Whether a check of the boot report failed only because it counted every RDMA device, including those of NVLink on
    a p6-b200."""
    counted = one.get("check") == "efa_devices" and str(one.get("seen")) == str(len(facts.rdma_devices))
    return counted and len(facts.efa_devices) == planned.efa_interfaces


def _installed(report: Mapping[str, Any]) -> str:
    """How long NIXL's installation took, and how much space it uses, from the note of install-nixl: "... bytes:1
    seconds:2"."""
    noted = dict(re.findall(r"\b(bytes|seconds):(\d+)\b", str(report.get("install", ""))))
    if len(noted) < 2:
        return ""
    return f"; NIXL installed in {noted['seconds']} s, {int(noted['bytes']) / 1e6:.0f} MB"


def efa_devices(facts: NodeFacts, planned: Planned) -> Finding:
    """As many EFA devices as the launch requested. RDMA devices of other vendors are named, but not counted."""
    check, seen = "EFA devices", len(facts.efa_devices)
    others = [name for name in facts.rdma_devices if name not in facts.efa_devices]
    beside = f"; no EFA: {', '.join(others)}" if others else ""
    if seen == planned.efa_interfaces:
        return Finding(Level.PASS, check, _of(seen, planned.efa_interfaces) + beside)
    remedy = "An EFA interface can't be attached later: replace the node."
    if not facts.efa_driver:
        remedy = "Its driver is not loaded, without which no device is shown: see the row EFA driver."
    return Finding(
        Level.FAIL,
        check,
        f"{seen} of {planned.efa_interfaces}{beside}.",
        remedy,
        "grep . /sys/class/infiniband/*/device/vendor; lspci -d 1d0f: | grep -c EFA",
    )


def fi_info(facts: NodeFacts, planned: Planned) -> Finding:
    """libfabric's provider efa sees every device: without it, NIXL uses TCP without a message."""
    check, seen = "fi_info", len(facts.domains)
    if seen == planned.efa_interfaces:
        return Finding(Level.PASS, check, _of(seen, planned.efa_interfaces, "domains"))
    command = "fi_info -p efa -t FI_EP_RDM"
    why = f" ({facts.fi_info_error})" if facts.fi_info_error else ""
    message = f"{seen} of {planned.efa_interfaces} domains{why}"
    remedy = "Install the EFA software (EC2 user guide, efa-start-nccl) or use the deep-learning image."
    others = [name for name in facts.rdma_devices if name not in facts.efa_devices]
    if facts.fi_info_unopened:
        # ofiwg/libfabric#12708: it happened in every container on p6-b200 that got all of /dev/infiniband.
        blamed = f"; {' and '.join(others)} are no EFA" if others else ""
        message += f": libfabric could not open an RDMA device, and then lists no EFA at all{blamed}"
        remedy = (
            "Look at `ls -l /dev/infiniband`, and run fi_info as root. A libfabric newer than 2.6 (EFA installer 1.51) "
            "ignores a device that is not EFA and can't be opened."
        )
        command = f"FI_LOG_LEVEL=warn {command}"
    elif not facts.efa_devices and planned.efa_interfaces:
        remedy = "The node has no EFA device that it could list: see the row EFA devices."
    return Finding(
        Level.FAIL, check, f"{message}: NIXL would fall back to TCP without an error.", remedy, command
    )


def efa_driver(facts: NodeFacts, planned: Planned) -> Finding:
    """The kernel's efa module."""
    if facts.efa_driver:
        return Finding(Level.PASS, "EFA driver", facts.efa_driver)
    if not planned.efa_interfaces:
        return Finding(Level.PASS, "EFA driver", "none needed")
    if facts.efa_module:
        # The EFA installer builds the module for the kernel that runs during the installation (amzn/amzn-drivers#175).
        return Finding(
            Level.FAIL,
            "EFA driver",
            f"not loaded: the kernel {facts.efa_module} has no module efa, as after an upgrade of the kernel.",
            "Run the EFA installer again on the node (`dkms status` lists what is built), or boot the previous kernel.",
            "modinfo efa",
        )
    return Finding(
        Level.FAIL, "EFA driver", "not loaded.", "`modprobe efa` on the node.", "cat /sys/module/efa/version"
    )


def libfabric(facts: NodeFacts, planned: Planned) -> Finding:
    """libfabric's version, and the version of the EFA installer that installed it."""
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
        message = f"{facts.accelerators} x {facts.accelerator}{driver}"
        if facts.accelerator_error:
            # nvidia-smi's exit code 14, a warning: every GPU is there and works (NVIDIA/gpu-operator#285).
            return Finding(
                Level.WARN,
                check,
                f"{message}; {facts.accelerator_error.rstrip('.')}.",
                "The GPUs can be used. If one fails, stop and start the node, so that it gets another host.",
                command,
            )
        return Finding(Level.PASS, check, message)
    remedy = "Look at `dmesg` for the driver; a lost device needs a stop and start, or a new node."
    if "version mismatch" in facts.accelerator_error:
        remedy = "The driver's packages were upgraded while the module was loaded: reboot the node."
    why = f" can be read: {facts.accelerator_error}" if facts.accelerator_error else ""
    if not facts.accelerators and not why and planned.accelerator_kind == "nvidia":
        why, remedy = ": the node has no nvidia-smi", "Take an image with NVIDIA's driver."
    return Finding(
        Level.FAIL,
        check,
        f"{facts.accelerators} of {planned.accelerators}{why.rstrip('.')}.",
        remedy,
        command,
    )


def cuda(facts: NodeFacts, planned: Planned) -> Finding:
    """CUDA starts: nvidia-smi also lists GPUs if CUDA does not start. On types with NVSwitch, CUDA waits for the
    fabric.

    Sources: NVIDIA/gpu-operator#2781 (all GPUs listed, state In Progress, error 802), dstackai/dstack#2348.
    """
    check, command = "CUDA", "nvidia-smi -q | grep -A 2 Fabric; systemctl status nvidia-fabricmanager"
    if planned.accelerator_kind != "nvidia":
        return Finding(Level.PASS, check, "none needed")
    waiting = [f"{state}, {status}" for state, status in facts.gpu_fabric if _is_waiting(state, status)]
    fabric = (
        f"; NVLink fabric of {len(waiting)} of {len(facts.gpu_fabric)} GPUs: {waiting[0]}" if waiting else ""
    )
    if facts.cuda == 0 and not waiting:
        return Finding(Level.PASS, check, "starts")
    if facts.cuda is None and not waiting:
        why = facts.cuda_error or "the node could not be asked"
        return Finding(Level.WARN, check, f"not known whether it starts: {why}.", command=command)
    if facts.cuda == 0:
        return Finding(Level.WARN, check, f"starts{fabric}.", _FABRIC_REMEDY, command)
    error = f"error {facts.cuda}{_CUDA_ERRORS.get(facts.cuda, '')}" if facts.cuda else "not asked"
    manager = f"; Fabric Manager: {facts.fabric_manager.rstrip('.')}" if facts.fabric_manager else ""
    remedy = _FABRIC_REMEDY if facts.cuda in (None, _CUDA_NOT_READY) else _CUDA_REMEDY
    return Finding(Level.FAIL, check, f"does not start: {error}{fabric}{manager}.", remedy, command)


def _is_waiting(state: str, status: str) -> bool:
    """Whether a GPU waits for its fabric. A GPU without NVSwitch, or an A100, has no fabric to wait for."""
    return state in ("In Progress", "Not Started") or (
        state == "Completed" and status not in ("Success", "N/A")
    )


def memlock(facts: NodeFacts, _planned: Planned) -> Finding:
    """The limit of locked memory, both for sessions of Session Manager and for services: EFA locks the memory that it
    registers."""
    limit = facts.service_memlock
    services = f"{_kib(limit)} for services" if limit not in ("", "infinity") else ""
    if facts.memlock == "unlimited" and not services:
        return Finding(Level.PASS, "memlock", "unlimited")
    shell = f"{facts.memlock or 'unknown'}{'' if facts.memlock == 'unlimited' else ' KiB'}"
    if services:
        return Finding(
            Level.FAIL,
            "memlock",
            f"{shell} for shells, {services}.",
            "`systemctl daemon-reexec` reads /etc/systemd/system.conf.d/99-nixl-efa.conf; then restart the services.",
            "systemctl show --property DefaultLimitMEMLOCK",
        )
    return Finding(
        Level.FAIL,
        "memlock",
        f"{shell}.",
        "Restart the SSM agent (its sessions inherit its limit) and look at "
        "/etc/systemd/system.conf.d/99-nixl-efa.conf.",
        "ulimit -l",
    )


def containers(facts: NodeFacts, planned: Planned) -> Finding:
    """Containers may lock memory, and see only the EFA devices (docs/containers.md).

    A container gets the limit that the container engine had when it was started. With all of /dev/infiniband, libfabric
    found no device on p6-b200 (aws-samples/aws-do-eks#63, ofiwg/libfabric#12708).
    """
    check, efa = "containers", len(facts.efa_devices)
    running = [one for one in facts.engines if one.is_container]
    if not facts.engines:
        return Finding(Level.PASS, check, "no container engine runs")
    if not planned.efa_interfaces:
        return Finding(Level.PASS, check, f"{len(running)} run; none needs more")
    told = [
        f"{one.name} may lock {_kib(one.locked)}"
        for one in facts.engines
        if one.locked != "unlimited" and (one.devices or not one.is_container)
    ]
    told += [
        f"{one.name} sees {one.devices} RDMA devices, {efa} of EFA" for one in running if one.devices > efa
    ]
    if not told:
        return Finding(Level.PASS, check, f"{len(running)} run; memlock unlimited")
    more = f" (and {len(told) - 2} more)" if len(told) > 2 else ""
    return Finding(
        Level.WARN,
        check,
        f"{'; '.join(told[:2])}{more}.",
        "Start containers with --ulimit memlock=-1 and only the EFA devices, as in docs/containers.md.",
        "grep 'locked memory' /proc/$(pgrep -x containerd)/limits",
    )


def _kib(limit: str) -> str:
    """A limit in bytes as KiB, the unit of `ulimit -l`."""
    return f"{int(limit) // 1024} KiB" if limit.isdecimal() else limit


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


def root_disk(facts: NodeFacts, planned: Planned) -> Finding:
    """There is room on the root volume: without it, a boot report, an installation or an engine's files are
    incomplete."""
    check, command, used = "root volume", "df -h /", facts.disk_used
    if used is None:
        return Finding(Level.SKIP, check, "df did not say how full it is.", command=command)
    if used < DISK_WARNS_AT:
        return Finding(Level.PASS, check, f"{used} % used", command=command)
    room = LOCAL_DISKS if planned.instance_storage_gb else "another volume"
    return Finding(
        Level.FAIL if used >= 100 else Level.WARN,
        check,
        f"{used} % of / is used.",
        f"Remove what is not needed, put models and caches on {room}, or set a larger volume_size.",
        command,
    )


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
    cuda,
    memlock,
    containers,
    local_disks,
    root_disk,
    nixl_rules.nixl,
)
