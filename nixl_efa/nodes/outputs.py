"""The stack's outputs: which nodes Terraform says there are. Read with the same Terraform that cdktf uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nixl_efa.cdk import program
from nixl_efa.failure import Failure
from nixl_efa.settings.model import STACK_PREFIX
from nixl_efa.terraform import Capture, Terraform, TerraformError, capture

PRODUCER, CONSUMER = "producer", "consumer"


@dataclass(frozen=True, slots=True)
class Node:
    """One node by the outputs. name: "producer" or "consumer"; public_ip is empty without an Elastic IP."""

    name: str
    instance_id: str
    private_ip: str
    public_ip: str


@dataclass(frozen=True, slots=True)
class PairOutputs:
    """Both nodes and what they share. capacity_reservation_id is empty without a reservation, scripts_bucket where a
    deployment ended before it was there."""

    environment: str
    producer: Node
    consumer: Node
    efa_interfaces: int
    capacity_reservation_id: str
    scripts_bucket: str = ""

    @property
    def nodes(self) -> tuple[Node, Node]:
        """Both nodes, the producer first."""
        return (self.producer, self.consumer)


def read(
    environment: str, cdktf_out: Path, environ: Mapping[str, str], run: Capture = capture
) -> PairOutputs:
    """The outputs of an environment's stack. Failure, in one line, when there are none or the pair is half-built.

    cdktf_out: the folder that cdktf synthesizes to. Local, S3 and Terraform Cloud states alike:
    `terraform output` runs in the stack's folder, which must have been initialized by a deploy.
    """
    stack = f"{STACK_PREFIX}{environment}"
    folder = cdktf_out / "stacks" / stack
    if not folder.is_dir():
        raise Failure(
            f"environment {environment!r}: there is no {folder}: nothing was synthesized here. "
            f"Run `{program()} synth`, and `{program()} deploy {stack}` when the pair was never deployed."
        )
    try:
        return parse(environment, Terraform(folder, environ, capture=run).ask("output", "-no-color", "-json"))
    except TerraformError as error:
        raise Failure(f"{error.message} {_remedy(error.text, stack)}") from error


def parse(environment: str, text: str) -> PairOutputs:
    """The pair from the text of `terraform output -json`. Failure when a part of it is missing."""
    stack = f"{STACK_PREFIX}{environment}"
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Failure(f"`terraform output -json` of {stack} is no JSON object: {text.strip()[:60]!r}")
    values: dict[str, Any] = {name: output.get("value") for name, output in document.items()}
    if not values:
        raise Failure(
            f"environment {environment!r} has no outputs: it is not deployed. Run `{program()} deploy {stack}`."
        )
    wanted = [f"{node}_{what}" for node in (PRODUCER, CONSUMER) for what in ("instance_id", "private_ip")]
    missing = [name for name in wanted if not values.get(name)]
    if missing:
        raise Failure(
            f"environment {environment!r} is half-built: its stack has no {', no '.join(missing)}. "
            f"`nixl-efa mend {environment}` keeps what runs, `nixl-efa deploy {environment}` then builds the rest."
        )

    def node(name: str) -> Node:
        return Node(
            name,
            values[f"{name}_instance_id"],
            values[f"{name}_private_ip"],
            values.get(f"{name}_public_ip") or "",
        )

    return PairOutputs(
        environment,
        node(PRODUCER),
        node(CONSUMER),
        int(values.get("efa_interfaces") or 0),
        values.get("capacity_reservation_id") or "",
        values.get("scripts_bucket") or "",
    )


def _remedy(stderr: str, stack: str) -> str:
    if "init" in stderr:
        return f"Run `{program()} deploy {stack}`, or `terraform init` in that folder when it is deployed already."
    return "Check the state's backend and the credentials for it."
