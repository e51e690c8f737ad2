"""`nixl-efa mend`: makes steps from the differences, and does them one after the other.

Every step is one Terraform command in the stack's folder, so a user can also run it by hand. If a run is interrupted,
the next run continues.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa import state
from nixl_efa.deploy.plan import NODE, read
from nixl_efa.deploy.plan import Plan as Planned
from nixl_efa.failure import Failure
from nixl_efa.findings import listed
from nixl_efa.launch import Launch
from nixl_efa.mend import frozen, look
from nixl_efa.mend.at_work import at_work
from nixl_efa.mend.compare import Difference, Kind, compare, stop_message
from nixl_efa.mend.look import Look
from nixl_efa.mend.parts import OF_NODES, Part, Surroundings, foreign, import_ids, made_for, parts_of
from nixl_efa.mend.surroundings import surroundings
from nixl_efa.settings import Settings
from nixl_efa.state import State
from nixl_efa.synthesis import synthesize
from nixl_efa.terraform import Capture, Terraform, capture

if TYPE_CHECKING:
    from nixl_efa.aws import Clients

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it does and why, and Terraform's arguments. freezes: the values that it puts into the state."""

    what: str
    words: tuple[str, ...]
    freezes: tuple[Part, ...] = ()

    def command(self, program: str) -> str:
        """The step as a command for a shell."""
        return shlex.join([program, *self.words])


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, and what a user must know before agreeing.

    notes:     resources that are not clear, and are not changed.
    is_taken_over: nothing in the state shows that the running nodes are its own: only the user knows whose they are.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    is_taken_over: bool = False


def plan_steps(
    differences: Sequence[Difference],
    parts: Sequence[Part],
    known: State,
    there: Surroundings,
    *,
    shared_identity: bool,
) -> Plan:
    """The steps that make the state agree with what runs. Pure.

    known:  the state. there: the resources in AWS with the stack's names.
    shared_identity: other working copies have the same identity, since the state is local.
    """
    steps: list[Step] = []
    notes: list[str] = []
    for one in differences:
        if one.lock is not None:
            what = f"Unlock the state, which {one.lock.who} locked at {one.lock.created}: no Terraform here uses it."
            steps.append(Step(what, ("force-unlock", "-force", one.lock.id)))
        elif one.kind is Kind.TAINTED:
            what = f"Keep {one.address} ({one.ids[0]}): it is there, and tainted since its creation was interrupted."
            steps.append(Step(what, ("untaint", one.address)))
        elif one.kind is Kind.UNKNOWN and one.known:
            what = f"Remove from the state: {one.known}, which is gone: {one.ids[0]} runs instead."
            steps.append(Step(what, ("state", "rm", one.address)))
    replaced = {one.address for one in differences if one.kind is Kind.UNKNOWN}
    for part in parts:
        held = known.resources.get(part.address)
        has = import_ids(part, there) if replaced and held and part.type in OF_NODES else []
        if held and len(has) == 1 and has[0] != held.id:
            what = f"Remove from the state: {held.id} as {part.address}: it was made by a deployment without the nodes. They have {has[0]}."  # noqa: E501
            forgotten = [part.address, *(one for one in made_for(part, parts) if one in known.resources)]
            steps.append(Step(what, ("state", "rm", *forgotten)))
            replaced.add(part.address)
            notes.append(f"{held.id} is then left over, and in no state: delete it after the repair.")
    imported: list[str] = []
    first = len(steps)
    # While a node is missing in the state, every check FAILs and names `mend`. A mend that is killed must not leave all
    # nodes in the state without their frozen values, or the next deployment would replace them. So the nodes come last,
    # and the frozen values before the last node.
    for part in sorted(parts, key=lambda part: part.type == NODE):
        if part.address in known.resources and part.address not in replaced:
            continue
        ids = import_ids(part, there)
        if len(ids) == 1:
            imported.append(part.address)
            what = f"Take {ids[0]} into the state as {part.address}."
            steps.append(Step(what, ("import", "-input=false", "-no-color", part.address, ids[0])))
        elif ids:
            notes.append(
                f"{part.address} may be any of {listed(ids)}: not taken over. Delete those that are left over, or "
                f"`terraform import {part.address} ID` in the stack's folder."
            )
    unused = frozen.unused(parts, known, imported)
    for part in unused:
        what = f"Remove from the state: {part.address}, which was chosen again without the nodes: no node uses it."
        steps.insert(first, Step(what, ("state", "rm", part.address)))
    lost = [*unused, *frozen.lost(parts, known, {*known.resources, *imported})]
    if lost:
        names = listed(part.address for part in lost)
        what = f"Keep the values with which the nodes were made: {names}."
        others = known.nodes.keys() - {one.partition(".")[2] for one in replaced}
        coming = [one for one in imported if one.startswith(f"{NODE}.")]
        # The values are read from a node in the state: a single node must come before them.
        before_last = 1 if coming and (others or len(coming) > 1) else 0
        steps.insert(len(steps) - before_last, Step(what, ("state", "push", "-"), freezes=tuple(lost)))
    taken_over = bool(imported) and shared_identity and not _is_its_own(known, there)
    return Plan(tuple(steps), tuple(notes), taken_over)


def _is_its_own(known: State, there: Surroundings) -> bool:
    """Whether the state itself shows that the running nodes are its own: it has one of the nodes, or the interface with
    which each node was launched and which is created before the node.

    Other resources in the state don't prove it: a deployment that failed because another copy's role exists leaves a
    bucket of its own.
    """
    ids = {one.id for one in known.resources.values()}
    nodes = there.nodes.values()
    if not nodes:
        return bool(known.resources)
    return any(one.id in ids for one in nodes) or all(one.interface in ids for one in nodes)


class Mender:
    """Repairs the state of one environment. say: gets a line for each thing that is done.

    project: the folder of cdktf.json. environ: the environment variables of Terraform and cdktf.
    """

    def __init__(
        self,
        settings: Settings,
        launch: Launch,
        clients: Clients,
        project: Path,
        environ: Mapping[str, str],
        say: Say,
        run: Capture = capture,
    ) -> None:
        self._settings = settings
        self._launch = launch
        self._clients = clients
        self._project = project
        self._say = say
        self._run = run
        self._environ = look.terraform_environ(environ, launch)
        folder = project / "cdktf.out" / "stacks" / settings.stack_name
        self.terraform = Terraform(folder, self._environ, capture=run)

    def prepare(self, *, take_over: bool) -> Plan:
        """Reads, synthesizes and decides; changes nothing. Failure for what can't be repaired."""
        if processes := at_work(self._settings, self._project):
            raise Failure(
                f"Terraform is still working on {self._settings.stack_name} (process "
                f"{listed(map(str, processes))}): wait "
                "until it has ended, then run mend."
            )
        seen = look.look(self._settings, self._launch, self._clients, self._project, self._environ, self._run)
        found = compare(seen.state, seen.seen, self._launch, seen.lock, take_over=take_over)
        if message := stop_message(found, self._launch):
            raise Failure(message)
        self._say(f"Synthesizing {self._settings.stack_name} ...")
        synthesize(self._settings, self._project, self._environ, self._say, self._run)
        self.terraform.init()
        self._parts = parts_of(
            json.loads((self.terraform.folder / "cdk.tf.json").read_text(encoding="utf-8"))
        )
        there = self._there(seen, take_over=take_over)
        shared = self._settings.backend.type == "local"
        return plan_steps(found, self._parts, seen.state, there, shared_identity=shared)

    def _there(self, seen: Look, *, take_over: bool) -> Surroundings:
        known = {one.id for one in seen.state.nodes.values()}
        names = self._launch.node_names
        # Two living instances with one name can't occur here: `compare` stops at them.
        living = sorted(
            (one for one in seen.seen if one.is_alive and one.name in names),
            key=lambda one: one.id in known,
        )
        identity = "" if take_over else self._launch.stack_identity
        there = surroundings(self._parts, living, self._clients, self._launch.region, identity)
        if theirs := foreign(there, {one.id for one in seen.state.resources.values()}):
            raise Failure(
                f"{listed(theirs)} have this stack's names but not its tag ({self._launch.stack_identity!r}). "
                f"Change this environment's name or project_prefix; when no other state holds them: "
                f"`nixl-efa mend {self._launch.environment} --take-over`."
            )
        return there

    def do(self, plan: Plan) -> None:
        """Does the steps in their order. TerraformError at the first that fails; the next run continues from there."""
        for number, step in enumerate(plan.steps, 1):
            self._say(f"Step {number} of {len(plan.steps)} ...")
            if step.freezes:
                self._freeze(step.freezes)
            else:
                self.terraform.ask(*step.words)

    def _freeze(self, lost: Sequence[Part]) -> None:
        document = self.terraform.state()
        known = state.parse(document)
        values = {part.address: frozen.in_use(part, self._parts, known) for part in lost}
        with tempfile.TemporaryDirectory(prefix="nixl-efa-mend-") as folder:
            # Only these targets: a whole plan would replace the nodes, and protect_nodes makes such a plan fail.
            planned = self.terraform.plan(Path(folder) / "plan", *(f"-target={one}" for one in values))
            file = Path(folder) / "state.json"
            pushed = frozen.with_frozen(document, values, planned["resource_changes"])
            file.write_text(json.dumps(pushed), encoding="utf-8")
            self.terraform.ask("state", "push", str(file))

    def what_follows(self) -> Planned:
        """What a deployment would do now."""
        with tempfile.TemporaryDirectory(prefix="nixl-efa-mend-") as folder:
            return read(self.terraform.plan(Path(folder) / "plan"), self._settings)
