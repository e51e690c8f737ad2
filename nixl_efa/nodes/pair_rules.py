"""What concerns both nodes at once: they know each other, and run the same software. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.facts import NodeFacts
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.parse import objects

# Where the two nodes' pair.json differ by right.
_OWN = ("node", "role")


def agreement(pair: PairOutputs, facts: Mapping[str, NodeFacts]) -> Finding:
    """pair.json on both nodes says the same, and what the outputs say. facts: by node name."""
    check, command = "pair.json", "cat /etc/nixl-efa/pair.json"
    remedy = f"`nixl-efa nodes sync {pair.environment}` writes it anew on both nodes."
    documents = {name: one.pair for name, one in facts.items()}
    if absent := [name for name, document in documents.items() if document is None]:
        return Finding(
            Level.FAIL,
            check,
            f"missing on {' and '.join(absent)}.",
            "Look at cloud-init's log on the node.",
            command,
        )
    first, second = (_shared(document or {}) for document in documents.values())
    if differing := sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key)):
        return Finding(Level.FAIL, check, f"the nodes differ in {', '.join(differing)}.", remedy, command)
    known = {node.get("name"): node.get("address") for node in objects(first, "nodes")}
    for node in pair.nodes:
        if known.get(node.name) != node.private_ip:
            message = f"has {known.get(node.name)} for the {node.name}, the outputs have {node.private_ip}."
            return Finding(Level.FAIL, check, message, remedy, command)
    if mistaken := [name for name, one in documents.items() if (one or {}).get("node") != name]:
        message = f"on the {mistaken[0]} says that it is the {(documents[mistaken[0]] or {}).get('node')}."
        remedy = "The nodes were not launched by the same deploy: replace the one that is wrong."
        return Finding(Level.FAIL, check, message, remedy, command)
    return Finding(Level.PASS, check, "equal on both nodes, and as in the outputs")


def versions(facts: Mapping[str, NodeFacts]) -> Finding:
    """Both nodes run the same versions: a mixed pair works or fails in ways that are hard to find."""
    first, second = facts.values()
    differing = [
        f"{name} {ours or 'none'} and {theirs or 'none'}"
        for name, ours, theirs in (
            ("EFA driver", first.efa_driver, second.efa_driver),
            ("libfabric", first.libfabric, second.libfabric),
            ("accelerator driver", first.accelerator_driver, second.accelerator_driver),
            ("NIXL", first.nixl.version, second.nixl.version),
        )
        if ours != theirs
    ]
    if not differing:
        return Finding(Level.PASS, "versions", "the same on both nodes")
    remedy = "Deploy both nodes from one image (ami_id) and one nixl_version."
    return Finding(Level.WARN, "versions", f"differ: {'; '.join(differing)}.", remedy)


def _shared(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _OWN}
