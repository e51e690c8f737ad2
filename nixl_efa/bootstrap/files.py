"""The files that a node gets at its first boot: what stands in each."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nixl_efa.bootstrap.model import Bootstrap, PeerNode
from nixl_efa.bootstrap.packaged import packaged
from nixl_efa.bootstrap.service import service_files
from nixl_efa.nixl_releases import for_node

# vLLM's default for VLLM_NIXL_SIDE_CHANNEL_PORT (vLLM documentation, NixlConnector usage guide).
SIDE_CHANNEL_PORT = 5600
# Seconds for which a producer keeps a request's KV cache without a sign of life from its consumer. vLLM's default of 30
# is over before an engine that loads a model or compiles comes back to it.
KV_LEASE_SECONDS = 120
# The form of these files as a whole: raised once in a release that changes any of them, so that an older command line
# does not put its own in their place (nixl_efa.nodes.files).
FORM = 2
# Every variable that any release has written into /etc/nixl-efa/env. Other lines there are the user's own.
ENV_NAMES = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "FI_PROVIDER",
    "PAIR_[A-Z_]+",
    "SGLANG_DISAGGREGATION_NIXL_BACKEND",
    "TRTLLM_NIXL_KVCACHE_BACKEND",
    "UCX_TLS",
    "VLLM_NIXL_SIDE_CHANNEL_HOST",
    "VLLM_NIXL_SIDE_CHANNEL_PORT",
)


@dataclass(frozen=True, slots=True)
class NodeFile:
    """One file on the node: absolute path, octal permissions, whole content."""

    path: str
    permissions: str
    content: str


def node_files(bootstrap: Bootstrap) -> tuple[NodeFile, ...]:
    """Every file that cloud-init writes on this node, in the order in which they are written."""
    files = [
        NodeFile("/etc/nixl-efa/pair.json", "0644", pair_json(bootstrap)),
        NodeFile("/etc/nixl-efa/env", "0644", env_file(bootstrap)),
        NodeFile("/etc/profile.d/nixl-efa.sh", "0644", _packaged("profile.sh")),
        NodeFile("/etc/security/limits.d/99-nixl-efa.conf", "0644", _LIMITS),
        NodeFile("/etc/systemd/system.conf.d/99-nixl-efa.conf", "0644", _SYSTEMD_MANAGER),
        NodeFile("/etc/systemd/system/nixl-efa-boot-report.service", "0644", _BOOT_REPORT_UNIT),
        NodeFile("/etc/apt/apt.conf.d/99nixl-efa", "0644", _NO_DRIVER_UPGRADE),
        NodeFile("/etc/update-motd.d/98-nixl-efa", "0755", _MOTD),
        NodeFile("/opt/nixl-efa/bin/configure", "0755", _packaged("configure.sh")),
        NodeFile(
            "/opt/nixl-efa/bin/boot-report",
            "0755",
            _packaged("boot-report.sh", serves=bootstrap.service is not None),
        ),
        NodeFile("/opt/nixl-efa/bin/read-members", "0755", _packaged("read-members.sh")),
        NodeFile("/opt/nixl-efa/bin/nixl-probe", "0755", _packaged("nixl-probe.sh")),
    ]
    if bootstrap.install_nixl:
        releases = for_node(bootstrap.nixl_versions, bootstrap.architecture)
        files.append(NodeFile("/opt/nixl-efa/bin/install-nixl", "0755", _packaged("install-nixl.sh")))
        files.append(NodeFile("/opt/nixl-efa/releases.txt", "0644", releases))
    if bootstrap.service:
        files += [NodeFile(*one) for one in service_files(bootstrap, bootstrap.service)]
    return tuple(files)


def pair_json(bootstrap: Bootstrap) -> str:
    """What this node is, and who is in the environment and where. read-members.sh puts `nodes` anew, the same bytes."""
    planned = {
        "form": FORM,
        "environment": bootstrap.environment,
        "node": bootstrap.node,
        "role": bootstrap.own.role,
        "region": bootstrap.region,
        "instance_type": bootstrap.instance_type,
        "efa_interfaces": bootstrap.efa_interfaces,
        "accelerators": bootstrap.accelerators,
        "accelerator_kind": bootstrap.accelerator_kind,
        "nixl_backend": bootstrap.nixl.name,
        "scripts_bucket": bootstrap.scripts_bucket,
        "service_ports": list(bootstrap.service_ports),
        "side_channel_port": SIDE_CHANNEL_PORT,
    }
    return with_nodes(planned, bootstrap.nodes)


def with_nodes(document: Mapping[str, object], nodes: Iterable[PeerNode]) -> str:
    """The document as JSON, with the nodes as its last member, whose lines read-members.sh exchanges."""
    listed = {**document, "nodes": [asdict(node) for node in nodes]}
    return json.dumps(listed, ensure_ascii=False, indent=1) + "\n"


def env_file(bootstrap: Bootstrap) -> str:
    """Variables as KEY=VALUE lines that a shell's `.` and systemd's EnvironmentFile both read.

    vLLM is told NIXL's backend by its option --kv-transfer-config, SGLang and TensorRT-LLM by a variable. All three
    take UCX when they are told nothing, and say nothing of it.

    LD_PRELOAD is added on the node (configure.sh), since the library's directory depends on the architecture.
    The names begin with PAIR_ and not NIXL_EFA_, so that this project's own command line, run on a node, does
    not take them for settings.
    """
    kv_transfer = {
        "kv_connector": "NixlConnector",
        "kv_role": f"kv_{bootstrap.own.role}",
        # vLLM documentation, KVTransferConfig: where the connector's buffer is; else on the accelerator.
        **({"kv_buffer_device": "cpu"} if bootstrap.nixl.host_memory else {}),
        # A KV cache that did not arrive is an error. The other policy, recompute, hides it: the consumer does the
        # producer's work, slowly.
        "kv_load_failure_policy": "fail",
        "kv_connector_extra_config": {
            "backends": [bootstrap.nixl.name],
            "kv_lease_duration": KV_LEASE_SECONDS,
        },
    }
    variables = {
        "AWS_REGION": bootstrap.region,
        "AWS_DEFAULT_REGION": bootstrap.region,
        "PAIR_ENVIRONMENT": shlex.quote(bootstrap.environment),
        "PAIR_NODE": shlex.quote(bootstrap.node),
        "PAIR_ROLE": shlex.quote(bootstrap.own.role),
        "PAIR_INSTANCE_TYPE": shlex.quote(bootstrap.instance_type),
        "PAIR_EFA_INTERFACES": str(bootstrap.efa_interfaces),
        "PAIR_ACCELERATORS": str(bootstrap.accelerators),
        "PAIR_ACCELERATOR_KIND": shlex.quote(bootstrap.accelerator_kind),
        "PAIR_SCRIPTS_BUCKET": bootstrap.scripts_bucket,
        "PAIR_NIXL": "yes" if bootstrap.install_nixl else "no",
        "PAIR_NIXL_BACKEND": bootstrap.nixl.name,
        **({"PAIR_NIXL_WHEELS": shlex.quote(bootstrap.nixl_wheels)} if bootstrap.nixl_wheels else {}),
        **({"PAIR_MODELS_BUCKET": bootstrap.models_bucket} if bootstrap.models_bucket else {}),
        **bootstrap.nixl.variables,
        "VLLM_NIXL_SIDE_CHANNEL_HOST": bootstrap.own.address,
        "VLLM_NIXL_SIDE_CHANNEL_PORT": str(SIDE_CHANNEL_PORT),
        "PAIR_KV_TRANSFER_CONFIG": shlex.quote(json.dumps(kv_transfer, separators=(",", ":"))),
        "SGLANG_DISAGGREGATION_NIXL_BACKEND": bootstrap.nixl.name,
        "TRTLLM_NIXL_KVCACHE_BACKEND": bootstrap.nixl.name,
    }
    if bootstrap.efa_interfaces:
        # Without it libfabric may choose its tcp provider in silence; with it, no EFA is an error
        # (libfabric fi_provider(7), FI_PROVIDER; EC2 user guide, efa-start-nccl, sets the same).
        variables["FI_PROVIDER"] = "efa"
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _packaged(name: str, *, serves: bool = False) -> str:
    return packaged(Path(__file__).with_name(name), serves=serves)


# EFA registers memory for the device, which counts as locked (EC2 user guide, efa-start-nccl). PAM applies
# the first file to logins ("-": the soft and the hard limit; "*" leaves root out, limits.conf(5)); services, the SSM
# agent's sessions among them, take the second.
_LIMITS = """\
* - memlock unlimited
root - memlock unlimited
"""

_SYSTEMD_MANAGER = """\
[Manager]
DefaultLimitMEMLOCK=infinity
"""

# A driver whose packages are renewed under the loaded module makes every CUDA program fail until the node is rebooted
# ("Driver/library version mismatch"). unattended-upgrades matches these at the beginning of a package's name.
_NO_DRIVER_UPGRADE = (
    'Unattended-Upgrade::Package-Blacklist {"(lib|linux-modules-)?nvidia"; "cuda-drivers";};\n'
)

# No ordering after cloud-final: the first start comes from within it and would wait for itself.
_BOOT_REPORT_UNIT = """\
[Unit]
Description=NIXL/EFA boot report: what the machine has against what was planned
After=network-online.target dlami-nvme.service nvidia-persistenced.service nvidia-fabricmanager.service
Wants=network-online.target
ConditionPathExists=/etc/nixl-efa/env

[Service]
Type=oneshot
ExecStart=/opt/nixl-efa/bin/boot-report
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""

_MOTD = """\
#!/bin/sh
cat /var/lib/nixl-efa/boot-report.txt
"""
