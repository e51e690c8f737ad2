"""What a user must agree to before a plan is applied. Pure."""

from dataclasses import dataclass

from nixl_efa.deploy.plan import Plan
from nixl_efa.findings import counted


@dataclass(frozen=True, slots=True)
class Question:
    """The question on a terminal, the answer that agrees, and the message when nobody can be asked."""

    text: str
    agrees: str
    unasked: str


def question(plan: Plan, environment: str, *, auto_approve: bool, replace_nodes: bool) -> Question | None:
    """The question that a plan needs; None when everything is agreed already, or nothing is to be done.

    Living nodes are destroyed only if the user types their number or gives --replace-nodes. --auto-approve agrees to
    everything else, as in cdktf.
    """
    if plan.is_empty:
        return None
    alive = [node for node in plan.ending() if node.alive]
    command = f"`nixl-efa deploy {environment} --auto-approve"
    if alive and not replace_nodes:
        nodes = ", ".join(f"{node.name} {node.instance_id}" for node in alive)
        return Question(
            text=f"{counted(len(alive), 'running node')} and the data on {'it' if len(alive) == 1 else 'them'} "
            f"will be destroyed. Type {len(alive)} to agree:",
            agrees=str(len(alive)),
            unasked=f"the plan destroys {counted(len(alive), 'running node')} ({nodes}), and you did not "
            "agree to that. "
            f"Set the setting back, or run {command} --replace-nodes`",
        )
    if auto_approve:
        return None
    return Question(
        text="Type yes to apply this plan:",
        agrees="yes",
        unasked=f"there is no terminal to ask on: run {command}{' --replace-nodes' if replace_nodes else ''}`",
    )
