"""What was found out. Plain values only; moments in UTC, sizes in GiB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nixl_efa.account import Account
from nixl_efa.checks.facts import Answer, Simulated
from nixl_efa.checks.machine_facts import Machine, Tool
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch
from nixl_efa.provider_lock import Seen


@dataclass(frozen=True, slots=True)
class System:
    """family: how programs are installed on it: "macos", "debian" (dpkg), "rpm" or "". arm: whether it is arm64."""

    family: str
    arm: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that takes much, and how much more it can take. writable: whether this user may write there."""

    folder: str
    free_gib: float
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """folder: empty where there is none. environments: the names of all. faults: of the chosen one, else of all.
    region: that of the first that is right."""

    folder: str = ""
    environments: tuple[str, ...] = ()
    faults: tuple[Finding, ...] = ()
    region: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """source: what gives them, by botocore's name of the method ("sso"). profile: empty for none. expires: None where
    that is not known."""

    source: str
    profile: str = ""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """name: empty where none is chosen. by: what chose it. status: EC2's OptInStatus."""

    name: str
    by: str
    status: Answer[str] = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """packages: the versions of those that are installed, by their names. other_python: the one that cdktf.json's app
    would run, where that is another than this one.

    terraform_config: the file that Terraform reads; missing_config: the one that TF_CLI_CONFIG_FILE names, where there
    is none. provider, launch: of the chosen environment. permissions: None where there was no reason to ask.
    """

    system: System
    python: Tool
    packages: Mapping[str, str]
    machine: Machine
    aws_cli: Tool
    plugin: Tool
    disks: tuple[Disk, ...]
    project: Project
    region: Region
    credentials: Answer[Credentials | None]
    account: Answer[Account] | None = None
    launch: Launch | None = None
    provider: Seen | None = None
    permissions: Answer[tuple[Simulated, ...]] | None = None
    other_python: str = ""
    terraform_config: str = ""
    missing_config: str = ""
