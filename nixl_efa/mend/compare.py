"""Compares a stack's state with the instances in EC2: each difference, and what to do about it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nixl_efa.cdk import program
from nixl_efa.findings import Finding, aws_call, failed, passed, skipped, warned
from nixl_efa.instance_states import RUNNING, STOPPED
from nixl_efa.launch import Launch
from nixl_efa.node_names import Node
from nixl_efa.settings.model import names_a_state
from nixl_efa.state import State
from nixl_efa.times import moment

CHECK = "state"


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance as EC2 shows it.

    name, stack: its tags Name and STACK_TAG, empty without them.
    interface:   the id of its primary network interface, empty when it has none any more.
    """

    id: str
    name: str
    stack: str
    state: str
    launched: datetime
    interface: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it runs, is about to, or can be started again."""
        return self.state in (*RUNNING, *STOPPED)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock of the state that a run of Terraform left behind or still holds.

    who:     "user@host" as Terraform writes it.
    own:     it is this user on this machine, and no Terraform here works on the state. Another machine with the same
             name looks the same.
    created: the time, as Terraform writes it.
    """

    id: str
    who: str
    operation: str
    created: str
    own: bool


class Kind(StrEnum):
    """The kind of a difference."""

    TAINTED = "tainted"
    UNKNOWN = "unknown"
    GONE = "gone"
    STOPPED = "stopped"
    SEVERAL = "several"
    FOREIGN = "foreign"
    ELSEWHERE = "elsewhere"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the state and EC2.

    kind:      TAINTED: the node exists, and the next plan would replace it.
               UNKNOWN: a node runs that is not in the state. GONE: the state has a node that does not exist any more.
               STOPPED: the node exists and is stopped; no deployment starts it.
               SEVERAL: more than one instance runs as one node. FOREIGN: an instance of another stack has a node's
               name. ELSEWHERE: the instance seems to belong to another working copy: it has the stack's tag and
               another name, and the state is local. LOCKED: the state is locked.
    address:   of the resource in Terraform; empty with LOCKED.
    ids:       the resource in AWS; with SEVERAL those that are not in the state.
    known:     the id that the state has for the node; empty for none.
    stack:     with FOREIGN the tag STACK_TAG of the instance, empty without one.
    text:      more information: an instance's state or launch.
    """

    kind: Kind
    address: str = ""
    ids: tuple[str, ...] = ()
    known: str = ""
    stack: str = ""
    text: str = ""
    lock: Lock | None = None

    @property
    def can_be_mended(self) -> bool:
        """Whether `nixl-efa mend` has a step for it, or none is needed: a deployment builds a node that is GONE, a
        STOPPED node is in the state, and one that is ELSEWHERE belongs to somebody else."""
        if self.lock is not None:
            return self.lock.own
        return self.kind in (Kind.TAINTED, Kind.UNKNOWN, Kind.GONE, Kind.STOPPED, Kind.ELSEWHERE)


def address_of(node: Node) -> str:
    """A node's instance in Terraform: "aws_instance.producer"."""
    return f"aws_instance.{terraform_name(node)}"


def compare(
    state: State, seen: Sequence[Seen], launch: Launch, lock: Lock | None = None, *, take_over: bool = False
) -> tuple[Difference, ...]:
    """All differences, the lock first.

    seen:      the instances with a node's name, with the stack's tag, or with an id of the state.
    take_over: instances of another stack count as this one's.
    """
    found = [Difference(Kind.LOCKED, lock=lock)] if lock is not None else []
    by_id = {one.id: one for one in seen}
    for address, resource in state.resources.items():
        instance = by_id.get(resource.id)
        if resource.tainted and (
            resource.type != "aws_instance" or (instance is not None and instance.is_alive)
        ):
            text = instance.state if instance is not None else ""
            found.append(Difference(Kind.TAINTED, address, (resource.id,), text=text))
    known = {resource.id for resource in state.resources.values()}
    for node in launch.nodes:
        found += _of_node(node, state, by_id, known, launch, take_over=take_over)
    found += _without_a_place(seen, known, launch)
    return tuple(found)


def _of_node(
    node: Node, state: State, by_id: dict[str, Seen], known: set[str], launch: Launch, *, take_over: bool
) -> Iterator[Difference]:
    address = address_of(node)
    recorded = state.nodes.get(terraform_name(node))
    in_state = by_id.get(recorded.id) if recorded is not None else None
    lives = in_state is not None and in_state.is_alive
    strangers = [
        one for one in by_id.values() if one.name == node.tag_name and one.is_alive and one.id not in known
    ]
    unknown = [one for one in strangers if one.stack == launch.stack_identity or take_over]
    for one in strangers:
        if one not in unknown:
            yield Difference(Kind.FOREIGN, address, (one.id,), stack=one.stack, text=one.state)
    if len(unknown) + lives > 1:
        ids = tuple(one.id for one in unknown)
        yield Difference(Kind.SEVERAL, address, ids, known=in_state.id if in_state and lives else "")
    elif unknown:
        [one] = unknown
        text = f"{one.state}, launched {moment(one.launched)}"
        yield Difference(Kind.UNKNOWN, address, (one.id,), known=recorded.id if recorded else "", text=text)
    elif in_state is not None and in_state.state in STOPPED:
        yield Difference(Kind.STOPPED, address, (in_state.id,), text=in_state.state)
    elif recorded is not None and recorded.id and not lives:
        text = in_state.state if in_state is not None else "unknown to EC2"
        yield Difference(Kind.GONE, address, (recorded.id,), text=text)


def _without_a_place(seen: Iterable[Seen], known: set[str], launch: Launch) -> Iterator[Difference]:
    """Instances with the stack's tag and a name that no node has: project_prefix was changed, or a node was removed.

    With local states all working copies have the same tag, and different values of project_prefix let two of them exist
    at the same time.
    """
    kind = Kind.SEVERAL if names_a_state(launch.stack_identity) else Kind.ELSEWHERE
    for one in seen:
        if one.is_alive and one.id not in known and one.name not in launch.node_names:
            yield Difference(kind, one.name or "an instance without a name", (one.id,))


def terraform_name(node: Node) -> str:
    """A node's name in Terraform ("consumer_2")."""
    return node.name.replace("-", "_")


def findings(differences: Iterable[Difference], launch: Launch) -> list[Finding]:
    """The differences as findings; a single PASS when there are none."""
    found = [_finding(one, launch) for one in differences]
    return found or [passed(CHECK, "Terraform's state and EC2 agree on what runs.")]


def not_compared(permission: str, reason: str) -> Finding:
    """The finding when the comparison got no answer. It stops nothing: the deployment itself reads the state too.

    permission: the one that is missing; empty for another reason.
    """
    if permission:
        return skipped(CHECK, f"No permission to look: {permission} is not allowed.")
    message = f"The state was not compared with EC2: {reason.rstrip('.')}."
    return warned(CHECK, message, "Check the backend and the credentials for it.")


def _finding(difference: Difference, launch: Launch) -> Finding:
    mend = f"`nixl-efa mend {launch.environment}`"
    what, ids = difference.address, " and ".join(difference.ids)
    if what.startswith("aws_instance."):  # by the node's own name
        what = what.removeprefix("aws_instance.").replace("_", "-")
    by_hand = _look(difference.ids, launch)
    if difference.lock is not None:
        return _locked(difference.lock, launch, mend)
    match difference.kind:
        case Kind.TAINTED:
            message = f"{what} {ids} is there and tainted in the state: a deploy would destroy it and build another."
            return failed(CHECK, message, f"{mend} keeps it: it removes that mark.", by_hand)
        case Kind.UNKNOWN:
            message = (
                f"{what} {ids} is {difference.text}, and the state does not know it: a deploy would fail."
            )
            remedy = f"{mend} puts it into the state."
            if not names_a_state(launch.stack_identity):
                remedy = (
                    f"If a deployment from this working copy was interrupted, {mend} puts it into the state. If another"
                    " working copy has it: deploy from there, or change project_prefix or the environment's name."
                )
            return failed(CHECK, message, remedy, by_hand)
        case Kind.GONE:
            message = f"{what} {ids} of the state is gone ({difference.text})."
            if launch.must_be_active:
                return warned(CHECK, message, "This deployment builds it again.", by_hand)
            name = launch.environment
            remedy = f"`nixl-efa status {name}` says why; `nixl-efa deploy {name}` builds it again."
            return failed(CHECK, message, remedy, by_hand)
        case Kind.STOPPED:
            start = aws_call(
                "ec2",
                "start-instances",
                "--instance-ids",
                *difference.ids,
                region=launch.region,
                profile=launch.profile,
            )
            told = warned if launch.must_be_active else failed
            message = f"{what} {ids} is {difference.text}, and no deployment starts it."
            return told(CHECK, message, f"Start it: `{start}`.", by_hand)
        case Kind.ELSEWHERE:
            message = (
                f"{what}: {ids} runs with this stack's tag, a name that no node of the settings has, and is not in"
                " this state."
            )
            remedy = (
                "Nothing is wrong if another working copy has it; ask before you terminate it. If "
                "project_prefix, producers"
                f" or consumers was changed here since: set it back, and {mend} puts it into the state."
            )
            return warned(CHECK, message, remedy, by_hand)
        case Kind.SEVERAL:
            beside = f" beside {difference.known}, which is the state's" if difference.known else ""
            run = "run" if len(difference.ids) > 1 else "runs"
            message = f"{what}: {ids} {run}{beside}; the state does not know it."
            spare = difference.ids if difference.known or len(difference.ids) == 1 else ("THE-ONE-TO-END",)
            end = aws_call(
                "ec2",
                "terminate-instances",
                "--instance-ids",
                *spare,
                region=launch.region,
                profile=launch.profile,
            )
            return failed(
                CHECK, message, f"Each is billed. Terminate the one that you don't want: `{end}`.", by_hand
            )
        case _:
            belongs = f"belongs to {difference.stack!r}" if difference.stack else "has no tag of a stack"
            message = (
                f"{what}: {ids} runs under its name and {belongs}; this stack is {launch.stack_identity!r}."
            )
            remedy = (
                "Is it a colleague's, or another copy's? Then change this environment's name or project_prefix. "
                f"When no other state holds it, `nixl-efa mend {launch.environment} --take-over` puts it into this one."
            )
            own_name, _, place = difference.stack.partition(" ")
            if own_name == launch.stack_name and place:
                remedy = (
                    f"Was this environment's backend changed? Then its state is still in {place}: set backend back. "
                    f"To move it, let Terraform remember it first, with the old backend: `{program()} synth`, "
                    f"`terraform -chdir=cdktf.out/stacks/{own_name} init`; then, with the new one: "
                    f"`{program()} deploy {own_name} --migrate-state`, which alone would begin an empty state. {remedy}"
                )
            return failed(CHECK, message, remedy, by_hand)


def _locked(lock: Lock, launch: Launch, mend: str) -> Finding:
    message = f"The state is locked by {lock.who} since {lock.created} ({lock.operation})."
    if lock.own:
        # A container or a CI runner may have the same user and host, and only this machine's processes can be seen.
        return failed(
            CHECK,
            f"{message} No Terraform of this machine works on that state any more: the lock was left behind, if no"
            " other machine has this one's name.",
            f"{mend} unlocks it.",
        )
    return warned(
        CHECK,
        message,
        f"Wait for that run. If it was killed, {lock.who} runs {mend}; where that machine is gone: "
        f"`terraform -chdir=cdktf.out/stacks/{launch.stack_name} force-unlock {lock.id}`.",
    )


def _look(ids: Iterable[str], launch: Launch) -> str:
    instances = [one for one in ids if one.startswith("i-")]
    if not instances:
        return ""
    return aws_call(
        "ec2",
        "describe-instances",
        "--instance-ids",
        *instances,
        region=launch.region,
        profile=launch.profile,
    )


def stop_message(differences: Iterable[Difference], launch: Launch) -> str:
    """The differences that `mend` can't repair, in one message; empty when it can repair all."""
    return "\n".join(_finding(one, launch).line() for one in differences if not one.can_be_mended)
