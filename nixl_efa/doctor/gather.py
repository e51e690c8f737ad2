"""Reads facts from this machine and AWS. Changes nothing; raises no errors of the network, AWS or a program."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixl_efa import provider_lock
from nixl_efa.aws_calls import ANYWHERE
from nixl_efa.capacity.buyer import identify
from nixl_efa.cdk import BINDINGS, command_line
from nixl_efa.checks.facts import Answer, NoAnswer
from nixl_efa.checks.gather.account_settings import simulated
from nixl_efa.checks.gather.asking import answer_of
from nixl_efa.checks.gather.machine import app_word, machine, said
from nixl_efa.checks.machine_facts import Tool
from nixl_efa.checks.permissions import wanted
from nixl_efa.doctor.facts import Credentials, Disk, Facts, Project, Region, System
from nixl_efa.files import cache_directory
from nixl_efa.findings import failed, failures
from nixl_efa.launch import launch_of
from nixl_efa.nodes.session import PLUGIN
from nixl_efa.settings import Settings, app_context, environment_names, load
from nixl_efa.state import STACKS_TERRAFORM, least_terraform

if TYPE_CHECKING:
    from nixl_efa.aws import Clients

_FAMILIES = {"debian": ("debian", "ubuntu"), "rpm": ("rhel", "fedora", "centos", "amzn")}
_PYTHON = re.compile(r"python3?(\.\d+)?")
# Terraform's documentation, CLI configuration.
_CONFIG_VARIABLE, _CONFIG = "TF_CLI_CONFIG_FILE", ".terraformrc"


def look(
    folder: Path,
    project: Project,
    settings: Settings | None,
    clients: Clients,
    profile: str,
    environ: Mapping[str, str],
) -> Facts:
    """folder: the project's, or the current one. settings: of the chosen environment, where they are right. profile:
    that the clients were made with; empty for none."""
    least = least_terraform(settings) if settings else STACKS_TERRAFORM
    with ThreadPoolExecutor() as pool:
        programs = pool.submit(machine, folder, environ, least)
        aws_cli = pool.submit(_tool, "aws", environ)
        plugin = pool.submit(_tool, PLUGIN, environ)
        told = _ask(settings, clients, profile, project.region, environ)
        named = environ.get(_CONFIG_VARIABLE, "")
        config = Path(named or Path.home() / _CONFIG)
        return Facts(
            system=system(),
            python=Tool("python", platform.python_version(), sys.executable),
            packages=_packages(environ),
            other_python=_other_python(folder, environ),
            machine=programs.result(),
            aws_cli=aws_cli.result(),
            plugin=plugin.result(),
            disks=tuple(_disks([folder.absolute(), cache_directory(environ)])),
            project=project,
            provider=provider_lock.see(settings, folder) if settings else None,
            launch=launch_of(settings, profile=profile) if settings else None,
            terraform_config=str(config) if config.is_file() else "",
            missing_config=named if named and not config.is_file() else "",
            **told,
        )


def project(
    folder: Path | None, environment: str, environ: Mapping[str, str]
) -> tuple[Project, Settings | None]:
    """What is in a project's folder, None for none; and the settings of the environment, or of the only one, where they
    are right."""
    if folder is None:
        return Project(), None
    names = environment_names(folder / "environments")
    try:
        context = app_context(environ, folder / "cdktf.json")
    except ValueError as error:
        return Project(str(folder.absolute()), names, (failed("cdktf.json", str(error), ""),)), None
    chosen = environment or (names[0] if len(names) == 1 else "")
    loaded = load(folder / "environments", environ, context, only=[chosen] if chosen else [])
    settings = next((one for one in loaded.environments if one.name == chosen), None)
    region = next((one.region for one in loaded.environments), "")
    found = Project(str(folder.absolute()), names, tuple(failures(loaded.findings)), region)
    return found, settings


def system(release: Path = Path("/etc/os-release")) -> System:
    """This machine's, by its kernel and os-release(5)."""
    arm = platform.machine() in ("arm64", "aarch64")
    if platform.system() == "Darwin":
        return System("macos", arm)
    try:
        lines = release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return System("", arm)
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    ids = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    family = next((name for name, known in _FAMILIES.items() if {*known} & {*ids}), "")
    return System(family, arm)


def _ask(
    settings: Settings | None, clients: Clients, profile: str, any_region: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """The members of Facts that come from AWS. Each call depends on the one before. any_region: the region for the call
    about the credentials, if the user has chosen none."""
    region = _region(settings, clients, environ)
    told: dict[str, Any] = {"region": region}
    given = answer_of("sts:AssumeRole", clients.credentials)
    if given is None or isinstance(given, NoAnswer):
        return {**told, "credentials": given}
    told["credentials"] = Credentials(given[0], profile or environ.get("AWS_PROFILE", ""), given[1])
    asked_in = region.name or any_region or ANYWHERE
    account = answer_of("sts:GetCallerIdentity", lambda: identify(clients, asked_in, profile))
    if isinstance(account, NoAnswer) and asked_in != ANYWHERE:
        # A region that is not enabled accepts no credentials: another region says whether this is the cause.
        elsewhere = answer_of("sts:GetCallerIdentity", lambda: identify(clients, ANYWHERE, profile))
        if not isinstance(elsewhere, NoAnswer):
            account, asked_in = elsewhere, ANYWHERE
    told["account"] = account
    if isinstance(account, NoAnswer):
        return told
    if region.name:
        told["region"] = Region(region.name, region.by, _status(clients, asked_in, region.name))
    if settings is not None:
        launch = launch_of(settings, profile=profile)
        told["permissions"] = answer_of(
            "iam:SimulatePrincipalPolicy",
            lambda: simulated(clients.iam(), account, wanted(launch, account)),
        )
    return told


def _region(settings: Settings | None, clients: Clients, environ: Mapping[str, str]) -> Region:
    if settings is not None:
        return Region(settings.region, settings.source("region").label)
    by = next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if environ.get(name)), "the profile")
    name = answer_of("", lambda: clients.region)
    return Region(name if isinstance(name, str) else "", by)


def _status(clients: Clients, asked_in: str, region: str) -> Answer[str]:
    def ask() -> str:
        answer: Mapping[str, Any] = clients.ec2(asked_in).describe_regions(
            AllRegions=True, RegionNames=[region]
        )
        return str(answer["Regions"][0].get("OptInStatus", ""))

    return answer_of("ec2:DescribeRegions", ask)


def _other_python(folder: Path, environ: Mapping[str, str]) -> str:
    """The Python by whose name cdktf.json's app begins, where it is not this one; empty for an app of another kind."""
    word = app_word(folder)
    path = shutil.which(word, path=environ.get("PATH", "")) if _PYTHON.fullmatch(word) else None
    # Each is asked for itself: it may be a link, or a script that chooses one.
    return path if path and said([path, "-c", "import sys; print(sys.prefix)"], environ) != sys.prefix else ""


def _packages(environ: Mapping[str, str]) -> dict[str, str]:
    library = command_line(environ).name
    names = ("nixl-efa", library, BINDINGS[library].replace("_", "-"), "boto3", "nixl-efa-local-aws")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _tool(name: str, environ: Mapping[str, str]) -> Tool:
    """A program that prints its version first: "1.2.707.0", or "aws-cli/2.31.1 Python/3.13.7 ..."."""
    path = shutil.which(name, path=environ.get("PATH", "")) or ""
    told = said([path, "--version"], environ).split() if path else []
    return Tool(name, told[0].rpartition("/")[2] if told else "", path)


def _disks(folders: Sequence[Path]) -> list[Disk]:
    """Of several folders on one file system, only the first; for a folder that does not exist, the folder in which it
    will be created."""
    found: dict[int, Disk] = {}
    for folder in folders:
        there = next(one for one in (folder, *folder.parents) if one.exists())
        free = shutil.disk_usage(there).free / 2**30
        found.setdefault(there.stat().st_dev, Disk(str(folder), free, os.access(there, os.W_OK)))
    return list(found.values())
