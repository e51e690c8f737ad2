"""Checks of several nodes together: they know each other, and run the same software. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nixl_efa.findings import Finding, Level, listed
from nixl_efa.launch import Launch
from nixl_efa.node_names import place
from nixl_efa.nodes.facts import NodeFacts
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.parse import objects

# The pair.json of the nodes may differ here: each describes its own node. The nodes that it lists are compared with the
# outputs.
_OWN = frozenset(
    {
        *("node", "role", "nodes"),
        *("instance_type", "efa_interfaces", "accelerators", "accelerator_kind", "nixl_backend"),
    }
)


def as_settings(pair: PairOutputs, launch: Launch) -> Finding | None:
    """A WARN if the settings have other nodes than were deployed (a deployment ended early, or a variable is set only
    in another shell); None if they are the same."""
    wanted, there = {node.name for node in launch.nodes}, {node.name for node in pair.nodes}
    missing, beyond = sorted(wanted - there, key=place), sorted(there - wanted, key=place)
    if not missing and not beyond:
        return None
    said = [
        *([f"{listed(missing, 16)} of the settings {_is_are(missing)} not deployed"] if missing else []),
        *([f"{listed(beyond, 16)} {_is_are(beyond)} deployed and not in the settings"] if beyond else []),
    ]
    return Finding(
        Level.WARN,
        "nodes",
        f"{'; '.join(said)}.",
        f"`nixl-efa deploy {pair.environment}` shows the plan for it and asks; it would destroy what is not in the "
        "settings (producers, consumers; a variable of another shell may be missing here).",
    )


def _is_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def agreement(pair: PairOutputs, facts: Mapping[str, NodeFacts]) -> Finding:
    """pair.json is the same on all nodes, and agrees with the outputs. facts: by node name."""
    check, command = "pair.json", "cat /etc/nixl-efa/pair.json"
    remedy = f"`nixl-efa nodes sync {pair.environment}` writes it again on the nodes."
    documents = {name: one.pair for name, one in facts.items()}
    if absent := [name for name, document in documents.items() if document is None]:
        return Finding(
            Level.FAIL,
            check,
            f"missing on {listed(absent)}.",
            "Look at cloud-init's log on the node.",
            command,
        )
    shared = {name: _shared(document or {}) for name, document in documents.items()}
    first = next(iter(shared.values()))
    if differing := sorted(
        {
            key
            for one in shared.values()
            for key in one.keys() | first.keys()
            if one.get(key) != first.get(key)
        }
    ):
        return Finding(Level.FAIL, check, f"the nodes differ in {', '.join(differing)}.", remedy, command)
    lists = {name: _known(document or {}) for name, document in documents.items()}
    wanted = {node.name: node.private_ip for node in pair.nodes}
    if older := [name for name, known in lists.items() if known != wanted]:
        said = _difference(lists[older[0]], wanted)
        message = f"not as the outputs, on {listed(older, limit=3)}: {said}."
        return Finding(Level.FAIL, check, message, remedy, command)
    if mistaken := [name for name, one in documents.items() if (one or {}).get("node") != name]:
        message = f"on the {mistaken[0]} says that it is the {(documents[mistaken[0]] or {}).get('node')}."
        remedy = "The nodes were not launched by the same deploy: replace the one that is wrong."
        return Finding(Level.FAIL, check, message, remedy, command)
    return Finding(Level.PASS, check, f"equal on {_who(pair, facts)}, and the same as in the outputs")


def _known(document: Mapping[str, Any]) -> dict[str, Any]:
    """The addresses of the nodes that a node knows, by name."""
    return {str(node.get("name")): node.get("address") for node in objects(document, "nodes")}


def _difference(known: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """The difference between a node's list and the outputs."""
    missing = [name for name in wanted if name not in known]
    gone = [name for name in known if name not in wanted]
    moved = [
        f"{name} at {known[name]}, not {address}"
        for name, address in wanted.items()
        if name in known and known[name] != address
    ]
    return "; ".join(
        [
            *([f"without {listed(missing, limit=3)}"] if missing else []),
            *([f"with {listed(gone, limit=3)}, gone"] if gone else []),
            *moved,
        ]
    )


_VERSIONS: Mapping[str, Callable[[NodeFacts], str]] = {
    "EFA driver": lambda one: one.efa_driver,
    "libfabric": lambda one: one.libfabric,
    "accelerator driver": lambda one: one.accelerator_driver,
    "NIXL": lambda one: one.nixl.version,
}


def versions(pair: PairOutputs, facts: Mapping[str, NodeFacts]) -> Finding:
    """All nodes run the same versions: mixed versions cause failures that are hard to find."""
    differing = []
    for name, version_of in _VERSIONS.items():
        nodes: dict[str, list[str]] = {}
        for node, one in facts.items():
            nodes.setdefault(version_of(one) or "none", []).append(node)
        if len(nodes) > 1:
            differing.append(
                f"{name} {' and '.join(f'{found} ({listed(where, limit=3)})' for found, where in nodes.items())}"
            )
    if not differing:
        return Finding(Level.PASS, "versions", f"the same on {_who(pair, facts)}")
    remedy = "Deploy all nodes from one image (ami_id) and one nixl_version."
    return Finding(Level.WARN, "versions", f"differ: {'; '.join(differing)}.", remedy)


def _who(pair: PairOutputs, facts: Mapping[str, NodeFacts]) -> str:
    """The nodes that answered, as text."""
    if len(facts) == len(pair.nodes):
        return pair.every_node
    return f"the {len(facts)} of {len(pair.nodes)} nodes that answered"


def _shared(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _OWN}
