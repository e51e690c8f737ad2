"""This machine: the credentials and the programs that a deployment needs, and their versions."""

import re
from datetime import datetime

from nixl_efa.account import account_finding
from nixl_efa.cdk import COMMAND_LINES
from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.machine_facts import Machine, Tool
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.findings import Finding, failed, passed, warned
from nixl_efa.launch import Launch

# cdktf-cli 0.21 has a native module (node-pty) that is built for the ABIs of Node.js 20 and 22; on arm64 only for that
# of 20 (node-pty-prebuilt-multiarch 0.10.2, prebuilds).
_OTHER_NODE = (
    "Use Node.js 20, or 22 on x86_64, and run `make install` after a change of Node.js; or CDK Terrain (cdktn), which"
    " starts with every Node.js from 22.19 on: run `make install CDK=cdktn` and set NIXL_EFA_CDK=cdktn."
)


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """Credentials and account; and the programs, when they were asked for."""
    findings = _credentials(launch, facts)
    if facts.machine is not None:
        findings += programs(facts.machine)
    return findings


def programs(found: Machine) -> list[Finding]:
    """Those that a deployment runs."""
    return [_cdk(found), _node(found), _terraform(found)]


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version: "v20.20.2" -> (20, 20, 2); empty for no version."""
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _credentials(launch: Launch, facts: Facts) -> list[Finding]:
    by_hand = aws(launch, "sts", "get-caller-identity")
    if isinstance(facts.account, NoAnswer):
        return [no_answer("credentials", facts.account, by_hand)]
    account = facts.account
    found = passed("credentials", f"Account {account.id}, {account.arn}, region {launch.region}.", by_hand)
    of_settings = account_finding(launch, account, by_hand)
    return [found] if of_settings is None else [found, of_settings]


def _cdk(machine: Machine) -> Finding:
    tool = machine.cdk
    name, by_hand = tool.name, f"{tool.name} --version"
    install = f"Run `{machine.install}`"
    if not tool.path:
        return failed(name, f"The {name} command line is not installed.", f"{install}.", by_hand)
    if machine.no_app:
        return failed(
            name,
            f"cdktf.json's app begins with {machine.no_app}, which {name} does not find on PATH.",
            "Activate the virtual environment that has it, or name it by its path.",
            f"command -v {machine.no_app}",
        )
    ours, theirs = version_of(machine.library)[:2], version_of(tool.version)[:2]
    if ours and theirs and ours != theirs:
        return warned(
            name,
            f"The {name} command line is {tool.version}, but the Python package {name} is {machine.library}.",
            f"{install}: both must be of one version.",
            by_hand,
        )
    return present(name, tool, by_hand)


def _node(machine: Machine) -> Finding:
    tool, cli, by_hand = machine.node, COMMAND_LINES[machine.cdk.name], "node --version"
    install = f"Install Node.js {'.'.join(map(str, cli.least_node))} or newer."
    if not tool.path:
        return failed("node", f"Node.js is not installed; {cli.name} needs it.", install, by_hand)
    found = version_of(tool.version)
    if found and found < cli.least_node:
        message = f"Node.js {tool.version} ({tool.path}) is too old for {cli.name}."
        return failed("node", message, install, by_hand)
    if found and machine.cdk_fails:
        message = (
            f"The {cli.name} command line does not start with Node.js {tool.version} ({tool.path}): "
            f"{machine.cdk_fails}."
        )
        return failed("node", message, _OTHER_NODE, by_hand)
    return present("node", tool, by_hand)


def _terraform(machine: Machine) -> Finding:
    tool, (version, why) = machine.terraform, machine.least_terraform
    by_hand = f"{tool.name} version"
    least = ".".join(map(str, version))
    if not tool.path:
        return failed(
            "terraform",
            f"{tool.name} is not installed.",
            f"Install Terraform {least} or newer, or OpenTofu with TERRAFORM_BINARY_NAME=tofu.",
            by_hand,
        )
    found = version_of(tool.version)
    if found and found < version:
        return failed(
            "terraform",
            f"{tool.name} {tool.version} is too old: {why} needs {least}.",
            f"Install {least} or newer.",
            by_hand,
        )
    return present("terraform", tool, by_hand)


def present(check: str, tool: Tool, by_hand: str) -> Finding:
    """A program that is there: whether it starts."""
    if not tool.version:
        return warned(
            check,
            f"{tool.path} is installed, but does not print its version.",
            f"Run `{by_hand}` to see why.",
            by_hand,
        )
    return passed(check, f"{tool.name} {tool.version} ({tool.path}).", by_hand)
