"""Checks before an engine starts: whether each node has what the service needs, and whether all nodes agree. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nixl_efa.findings import Finding, failed, listed, passed, warned
from nixl_efa.nodes import nixl_rules
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import Node
from nixl_efa.service.engine import Engine, unfit
from nixl_efa.service.model import (
    ENGINE_UNIT,
    OTHER_ROUTER_PORTS,
    ROUTER_PORTS,
    ROUTER_UNITS,
    Service,
)
from nixl_efa.service.way import Way

GIB = 1 << 30
# vLLM's share of an accelerator's memory (--gpu-memory-utilization), and what beside the weights an engine takes of the
# host's memory at least: an engine without a GPU took 2.4 GB in a trial.
GPU_SHARE, HOST_BYTES = 0.9, 2 * GIB
# The oldest driver of NVIDIA's that runs programs of a major version of CUDA (CUDA Compatibility documentation, "Minor
# Version Compatibility", table 1).
OLDEST_DRIVERS = {"11": 450, "12": 525, "13": 580}
# Room that a node's disk keeps beside what is copied to it.
SPARE_BYTES = 5 * GIB


@dataclass(frozen=True, slots=True)
class Prepared:
    """What prepare.py reports about a node.

    installed: versions by package. path: where the engine finds the model. sum: of its config.json.
    weight_bytes: of all its weights; to_copy: bytes of the model that the node lacks. source: the folder in S3 from
    which it is copied before the engine starts, empty: none; is_whole: it was copied. content: the sum of its manifest,
    where it is staged; incomplete: a staged copy without one.
    install_source: the last line of install-engine.sh; empty: there was nothing to install.
    taken: the program that listens on a port of ours, by the port. running: our units that run. service: what they were
    started for, empty if the model's files are newer. at_boot: whether the node starts its engine at boot ("enabled",
    "disabled"; empty: it has no unit for that). cuda: for which torch is built, as 13.0; empty: none, or it does not
    matter.
    """

    installed: Mapping[str, str]
    path: str
    config: Mapping[str, Any]
    sum: str
    weight_bytes: int
    to_copy: int
    hub: str
    kv_transfer_config: str
    free_bytes: int
    memory_bytes: int
    gpu_bytes: tuple[int, ...]
    taken: Mapping[str, str]
    running: tuple[str, ...]
    service: str = ""
    at_boot: str = ""
    source: str = ""
    is_whole: bool = False
    content: str = ""
    incomplete: str = ""
    install_source: str = ""
    install_error: str = ""
    model_error: str = ""
    cuda: str = ""

    @property
    def vocabulary(self) -> int:
        """The size of the model's vocabulary in tokens; 0 if its config does not say."""
        text = self.config.get("text_config")
        found = self.config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, dict) else None)
        return int(found or 0)


def prepared(document: Mapping[str, Any]) -> Prepared:
    """The document of prepare.py."""
    model = document["model"]
    return Prepared(
        installed=document["installed"],
        path=model["path"],
        config=model["config"],
        sum=model["sum"],
        weight_bytes=model["weight_bytes"],
        to_copy=model["to_copy"],
        hub=document["hub"],
        kv_transfer_config=document["kv_transfer_config"],
        free_bytes=document["free_bytes"],
        memory_bytes=document["memory_bytes"],
        gpu_bytes=tuple(document["gpu_bytes"]),
        taken=document["taken"],
        running=tuple(document["running"]),
        service=document["service"],
        at_boot=document["at_boot"],
        source=model["source"],
        is_whole=model["is_whole"],
        content=model["content"],
        incomplete=model["incomplete"],
        install_source=document["source"],
        install_error=document["error"],
        model_error=model["error"],
        cuda=document["cuda"],
    )


def gib(size: int) -> str:
    """Bytes as text: "12.3 GiB", below 1 GiB in MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / (1 << 20):.0f} MiB"


def nixl_finding(facts: NodeFacts, planned: Planned, way: Way) -> Finding:
    """NIXL makes the backend that is planned, over what is planned: by the probe, before anything is installed."""
    seen, provider = facts.nixl, way.provider or "ucx"
    if (seen.backend, seen.provider) == (way.backend, provider):
        return passed("NIXL", f"{seen.version} with {way.backend}, provider {provider}")
    return nixl_rules.nixl(facts, planned)


def type_finding(planned: Planned, engine: Engine) -> Finding | None:
    """Why an instance type can't run the engine; None if it can."""
    why = unfit(engine, planned.instance_type, planned.accelerator_kind)
    return failed("engine", why, "Take a type with NVIDIA GPUs.") if why else None


def driver_findings(driver: str, cuda: str) -> tuple[Finding, ...]:
    """Why NVIDIA's driver ("575.51.03") can't run the engine's torch; none if it can, or if that is not known. cuda: as
    Prepared has it."""
    needed, major = OLDEST_DRIVERS.get(cuda.partition(".")[0]), driver.partition(".")[0]
    if needed is None or not major.isdigit() or int(major) >= needed:
        return ()
    return (
        failed(
            "driver",
            f"the engine's torch is built for CUDA {cuda}, which needs NVIDIA's driver {needed} or newer; the node has "
            f"{driver}.",
            "Take a newer image, or an engine for an older CUDA (--engine-version).",
            "nvidia-smi",
        ),
    )


def node_findings(
    environment: str, node: Node, found: Prepared, service: Service, way: Way, engine: Engine
) -> tuple[Finding, ...]:
    """What stops the service on one node."""
    return (
        *_engine(environment, found, service, engine),
        _settings(environment, node, found, way),
        *(_model(environment, found, service, engine) if not found.install_error else ()),
        *(_room(found, service.flags_of(node.role), engine) if found.sum else ()),
        _ports(environment, found),
    )


def _engine(environment: str, found: Prepared, service: Service, engine: Engine) -> tuple[Finding, ...]:
    there = found.installed.get(engine.PACKAGE, "")
    if found.install_error:
        return (
            failed(
                "engine",
                f"{engine.PACKAGE}=={service.version} can't be installed: {found.install_error}.",
                f"Stage the packages (`{_stages(environment, service)}`), or look at what pip's own settings say: "
                "/etc/pip.conf on the node, and whether it has a way out.",
                f"/opt/nixl-efa/venv/bin/python -m pip install {engine.PACKAGE}=={service.version}",
            ),
        )
    source, _, why = found.install_source.partition(": ")
    came = f", installed from {source}" if source else ""
    told = f"{engine.WORDS} {there}, NIXL {found.installed.get('nixl', 'of its own')}{came}"
    if not why:
        return (passed("engine", told),)
    again = (
        "Is it for the node's Python (`--python`), and may the node's role read it? "
        f"`{_stages(environment, service)}` stages the packages again."
    )
    return passed("engine", told), warned("staged packages", f"not used: {why}.", again)


def _stages(environment: str, service: Service) -> str:
    """The command that stages a service."""
    return f"nixl-efa serve prepare {environment} --model {service.model} --engine-version {service.version}"


def _settings(environment: str, node: Node, found: Prepared, way: Way) -> Finding:
    """The engine's own settings of its KV transfer, which /etc/nixl-efa/env gives it."""
    remedy = f"`nixl-efa nodes sync {environment}` writes them."
    try:
        told = json.loads(found.kv_transfer_config)
        backends = told.get("kv_connector_extra_config", {}).get("backends")
        seen = (told.get("kv_role"), backends)
    except (ValueError, AttributeError):
        return failed("settings", "/etc/nixl-efa/env has no PAIR_KV_TRANSFER_CONFIG that is JSON.", remedy)
    if seen[0] != f"kv_{node.role}":
        return failed("settings", f"kv_role is {seen[0]}, and the node is a {node.role}.", remedy)
    if backends != [way.backend]:
        # Without a setting, vLLM uses UCX, and prints no message about it (vllm-project/vllm#41814).
        named = listed(backends) if isinstance(backends, list) else "not set, which is UCX"
        return failed(
            "settings", f"the backend of KV transfers is {named}, and {way.backend} is planned.", remedy
        )
    return passed("settings", f"{seen[0]}, {way.backend}")


def _model(environment: str, found: Prepared, service: Service, engine: Engine) -> tuple[Finding, ...]:
    if found.model_error or not found.sum:
        in_s3 = "s3://" in found.model_error or service.model.startswith("s3://")
        remedy = "Is the name right, and may the nodes' role read that bucket (s3:GetObject, s3:ListBucket)?"
        if service.model.startswith("/"):
            remedy = "Copy it to every node, at the same place."
        elif not in_s3:
            remedy = (
                "Is the name right, has the node a way out, does the model need HF_TOKEN in "
                "/etc/nixl-efa/service.env?"
            )
        return (failed("model", f"{found.model_error}.", remedy),)
    if not found.weight_bytes:
        return (
            failed("model", f"{found.path} has no weights (*.safetensors or *.bin).", "Copy them there."),
        )
    config = dict(found.config)
    kind = (config.get("architectures") or ["unknown"])[0]
    staged = ", staged" if found.content else ""
    told = f"{kind}, {engine.dtype(service.flags, config)}, {gib(found.weight_bytes)} of weights{staged}"
    if not found.incomplete:
        return (passed("model", told),)
    again = f"`{_stages(environment, service)}` completes it."
    return (
        passed("model", told),
        warned("staged", f"{found.incomplete} have no manifest, so they are not used.", again),
    )


def _room(found: Prepared, flags: tuple[str, ...], engine: Engine) -> tuple[Finding, ...]:
    """Memory and disk for the weights."""
    findings = []
    used = min(engine.accelerators(flags), len(found.gpu_bytes))
    if found.gpu_bytes:
        room = int(GPU_SHARE * sum(found.gpu_bytes[:used]))
        where = f"{used} of {len(found.gpu_bytes)} GPUs"
        enough = -(-found.weight_bytes // max(1, int(GPU_SHARE * found.gpu_bytes[0])))
        remedy = (
            f"Give `-- --tensor-parallel-size {_power(enough)}` or more."
            if _power(enough) <= len(found.gpu_bytes)
            else "The model does not fit on a node of this type: take a quantized one, or a larger type."
        )
    else:
        room, where = found.memory_bytes - HOST_BYTES, "the host, which has no GPU"
        remedy = "Take a smaller model, or a larger type."
    told = f"{gib(found.weight_bytes)} of weights, and {where} can hold {gib(max(0, room))}"
    fits = found.weight_bytes < room
    findings.append(passed("memory", told) if fits else failed("memory", f"{told}.", remedy))
    if found.to_copy:
        of = f" from {found.source}" if found.source else ""
        told = f"{gib(found.to_copy)} to copy{of}, {gib(found.free_bytes)} free"
        findings.append(
            passed("disk", told)
            if found.to_copy + SPARE_BYTES <= found.free_bytes
            else failed("disk", f"{told}.", "Make room there, or set a larger volume_size.", "df -h")
        )
    return tuple(findings)


def _power(count: int) -> int:
    """The smallest power of two that is not below this number: it must divide the attention heads."""
    return 1 << max(0, count - 1).bit_length()


def _ports(environment: str, found: Prepared) -> Finding:
    """Ports that other programs use. The ports of our own units become free when the units are restarted."""
    routers = set(map(str, (*ROUTER_PORTS, *OTHER_ROUTER_PORTS)))
    # A drain ends one router before the other.
    ours = routers if {*ROUTER_UNITS} & {*found.running} else set()
    if ENGINE_UNIT in found.running:
        ours |= set(found.taken) - routers
    others = {port: who for port, who in found.taken.items() if port not in ours}
    if not others:
        return passed("ports", "free")
    told = listed(f"{port} ({who})" for port, who in others.items())
    return failed(
        "ports",
        f"taken: {told}.",
        f"End what listens there: is it a service of your own? `nixl-efa serve stop {environment}` ends ours.",
        "ss -ltnp",
    )


def agreement(found: Mapping[str, Prepared], engine: Engine) -> tuple[Finding, ...]:
    """The same engine and the same model on all nodes: otherwise a KV cache is refused, or misread."""
    return (
        _same(
            "same engine", {name: one.installed.get(engine.PACKAGE, "none") for name, one in found.items()}
        ),
        _same("same NIXL", {name: one.installed.get("nixl", "none") for name, one in found.items()}),
        _same("same model", {name: _identity(one) for name, one in found.items()}),
    )


def _identity(found: Prepared) -> str:
    """What tells two models apart, or a whole copy from one that was cut."""
    content = f", content {found.content[:12]}" if found.content else ""
    return f"config.json {found.sum[:12]}, {found.weight_bytes} bytes of weights{content}"


def _same(check: str, values: Mapping[str, str]) -> Finding:
    if len(set(values.values())) == 1:
        return passed(check, next(iter(values.values())))
    told = "; ".join(
        f"{value} on {listed(name for name, one in values.items() if one == value)}"
        for value in dict.fromkeys(values.values())
    )
    remedies = {
        "same engine": "Give --engine-version one that all nodes can have.",
        "same NIXL": "Run /opt/nixl-efa/bin/install-nixl VERSION on each node.",
        "same model": "Copy the same config.json and weights to all nodes.",
    }
    return failed(check, f"it differs: {told}.", remedies[check])
