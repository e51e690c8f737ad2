"""The systemd units of an engine and of what drains its node, and what systemd reads in one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VENV = "/opt/nixl-efa/venv"
WATCH_UNIT, DRAIN_UNIT = "nixl-efa-watch.service", "nixl-efa-drain.service"
# The default of systemd, and CUDA's compiler, which an engine may need.
_PATH = "/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Variable:
    """A word of a command that comes from the unit's environment: always one word, also with spaces in it."""

    name: str


def word(one: str | Variable) -> str:
    """A word as ExecStart= takes it (systemd.service, "Command lines"; systemd.unit, "Specifiers")."""
    if isinstance(one, Variable):
        return f"${{{one.name}}}"
    escaped = one.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    # A line's end would end the setting.
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def engine_unit(
    what: str,
    environment: str,
    role: str,
    command: Sequence[str | Variable],
    variables: Sequence[str],
    copied: tuple[str, str, str] = ("", "", ""),
) -> str:
    """An engine's unit. what: the engine in words. variables: NAME=VALUE. copied: from where and to where a model is
    copied, and its manifest's name; start-service.sh reads that, systemd does not (systemd.unit, "X-").

    The user's own variables are in /etc/nixl-efa/service.env, which has precedence.
    """
    model = "X-Model={}\nX-Folder={}\nX-Manifest={}\n".format(*copied) if copied[0] else ""
    given = "".join(f"Environment={word(one)}\n" for one in variables)
    return f"""\
[Unit]
Description={what}, {role} of {environment} (nixl-efa serve)
After=network-online.target nvidia-persistenced.service nvidia-fabricmanager.service
Wants=network-online.target {WATCH_UNIT}
{model}
[Service]
Environment="HOME=/root" "PATH={VENV}/bin:{_PATH}"
{given}EnvironmentFile=/etc/nixl-efa/env
EnvironmentFile=-/etc/nixl-efa/service.env
ExecStart={" ".join(map(word, command))}
LimitMEMLOCK=infinity
LimitNOFILE=1048576
Restart=on-failure
RestartSec=2
TimeoutStopSec=60
"""


# The AWS CLI waits one second for the role's keys, and asks once (AWS SDKs and tools reference guide, IMDS credential
# provider): a busy node answers later.
_KEYS = 'Environment="AWS_METADATA_SERVICE_TIMEOUT=5" "AWS_METADATA_SERVICE_NUM_ATTEMPTS=3"\n'


def boot_unit(environment: str, packages: Sequence[str]) -> str:
    """The unit that starts a node's engine when the node boots. packages: NAME==VERSION, which a first start installs.

    After the boot report: at a first boot, the one that comes before the engine is the one that cloud-init waits for.
    Not a oneshot: nothing else of a boot waits until a large model is copied.
    """
    return f"""\
[Unit]
Description=Starts the engine of {environment} at boot (nixl-efa serve)
After=network-online.target dlami-nvme.service nvidia-persistenced.service nvidia-fabricmanager.service
After=nixl-efa-boot-report.service
Wants=network-online.target

[Service]
Type=exec
{_KEYS}EnvironmentFile=/etc/nixl-efa/env
EnvironmentFile=-/etc/nixl-efa/service.env
UnsetEnvironment=LD_PRELOAD
ExecStart={" ".join(map(word, ("/opt/nixl-efa/bin/start-service", *packages)))}

[Install]
WantedBy=multi-user.target
"""


def watch_unit(environment: str) -> str:
    """The unit that waits for the end of its node; it runs while the engine does."""
    about = f"Waits for the end of this node of {environment}"
    return _drains(about, "PartOf=nixl-efa-engine.service\n", "watch", "Restart=on-failure\nRestartSec=5\n")


def drain_unit(environment: str) -> str:
    """The unit of a drain; systemd runs it once at a time. It stops the engine, so it is no part of it."""
    return _drains(f"Drains this node of {environment}", "", "drain", "Type=oneshot\n")


def _drains(about: str, more: str, action: str, service: str) -> str:
    return f"""\
[Unit]
Description={about} (nixl-efa serve)
ConditionPathExists=/etc/nixl-efa/drain.json
After=network-online.target
{more}
[Service]
Environment="HOME=/root" "PATH={_PATH}:/snap/bin"
{_KEYS}EnvironmentFile=/etc/nixl-efa/env
UnsetEnvironment=LD_PRELOAD
ExecStart=/usr/bin/python3 /opt/nixl-efa/bin/drain {action}
{service}"""
