"""The deployment of one stack: synthesize, plan, show the plan, ask the user, apply exactly this plan.

Fixed capacity (a Capacity Block or a reservation) has no room for a new node while the old one exists, and the slot is
free again only some minutes after the old node has ended. In this case a first plan only destroys the nodes, then the
command waits for the slots, and a second plan may build what was agreed and nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.aws_errors import missing_permission
from nixl_efa.capacity.judge import is_at_end
from nixl_efa.capacity.reservation import Reservation, find_reservation
from nixl_efa.checks.gather.usage import running
from nixl_efa.checks.ownership import own_instances
from nixl_efa.clock import Clock
from nixl_efa.deploy import words
from nixl_efa.deploy.agreement import Question, question
from nixl_efa.deploy.plan import NodeChange, Plan, beyond, read
from nixl_efa.deploy.slots import wait_for_slots
from nixl_efa.failure import Failure
from nixl_efa.findings import listed
from nixl_efa.instance_states import RUNNING
from nixl_efa.launch import Launch
from nixl_efa.provider_lock import keep, places
from nixl_efa.settings import Settings
from nixl_efa.state import parse
from nixl_efa.synthesis import synthesize
from nixl_efa.terraform import Capture, Show, Terraform, TerraformError, capture

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Site:
    """The surroundings of a deployment: folder, environment, programs, and the user.

    project: the folder of cdktf.json. environ: the environment variables of the programs that are run.
    show:    runs Terraform's apply and shows its output. capture: runs all other programs.
    say:     shows a message. tell: shows a line of the plan.
    ask:     asks a question and returns the answer; None without a terminal.
    """

    settings: Settings
    launch: Launch
    project: Path
    environ: Mapping[str, str]
    ec2: EC2Client
    clock: Clock
    show: Show
    say: Callable[[str], None]
    tell: Callable[[str], None]
    ask: Callable[[str], str | None]
    capture: Capture = capture


class Deployment:
    """One deployment. plan: the plan. changed: whether anything may have been changed in AWS."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._terraform = Terraform(
            site.project / "cdktf.out" / "stacks" / site.settings.stack_name,
            site.environ,
            capture=site.capture,
            show=site.show,
        )
        self.plan: Plan | None = None
        self.changed = False

    def run(self, *, auto_approve: bool, replace_nodes: bool) -> None:
        """Runs the deployment. Failure when it can't be done or the user did not agree; KeyboardInterrupt after Ctrl-C,
        when Terraform has ended."""
        try:
            self._run(auto_approve=auto_approve, replace_nodes=replace_nodes)
        finally:
            if self._site.settings.protect_nodes:
                self._synthesize(protected=True)

    def _run(self, *, auto_approve: bool, replace_nodes: bool) -> None:
        site = self._site
        # With protection, Terraform could not plan the replacement about which the user is then asked.
        self._synthesize(protected=False)
        with tempfile.TemporaryDirectory(prefix="nixl-efa-plan-") as folder:
            file = Path(folder) / "plan"
            plan = self.plan = self._planned(file)
            reservations = self._reservations(plan)
            if not (plan.is_empty and plan.left_stopped()):
                for line in words.lines(plan, reservations, site.clock.now()):
                    site.tell(line)
            self._must_run(plan)
            self._must_let_in(plan, reservations)
            asked = question(plan, site.settings.name, auto_approve=auto_approve, replace_nodes=replace_nodes)
            if asked is not None:
                self._agree(asked)
            if site.settings.protect_nodes and plan.ending():
                site.say("protect_nodes is set, and is ignored for what you agreed to.")
            if not plan.is_empty:
                # The user may have answered only after hours.
                reservations = self._reservations(plan)
                self._must_let_in(plan, reservations)
                self._apply(plan, file, reservations)

    def _synthesize(self, *, protected: bool) -> None:
        """Synthesizes the stack; unless `protected`, without the setting protect_nodes."""
        site = self._site
        unprotected = site.settings.protect_nodes and not protected
        changes = {"protect_nodes": "false"} if unprotected else None
        synthesize(site.settings, site.project, site.environ, site.say, site.capture, changes)

    def what_runs(self) -> str:
        """Which nodes run now, in one sentence; when EC2 does not answer, how to look by hand."""
        site = self._site
        try:
            seen = own_instances(running(site.ec2), site.launch, parse(self._terraform.state()))
        except Exception as error:
            return f"Which nodes run could not be seen ({error}): look with `nixl-efa status {site.settings.name}`."
        nodes = [f"{one.name} {one.id}" for one in seen if one.own and one.state in RUNNING]
        if not nodes:
            return "No node runs."
        return f"{listed(nodes)} {'runs and is' if len(nodes) == 1 else 'run and are'} billed."

    def _must_run(self, plan: Plan) -> None:
        """Failure when a node is stopped and stays so, since Terraform plans nothing for it; and when a node that must
        be launched again would not be."""
        if stopped := plan.left_stopped():
            ids = " ".join(node.instance_id for node in stopped)
            raise Failure(
                f"{listed(f'{node.name} {node.instance_id}' for node in stopped)} "
                f"{'is' if len(stopped) == 1 else 'are'} stopped, and no deployment starts a node: "
                f"`aws ec2 start-instances --region {self._site.settings.region} --instance-ids {ids}` does"
            )

        if why := words.not_anew(plan, self._site.settings.name):
            raise Failure(why)

    def _must_let_in(self, plan: Plan, reservations: Mapping[str, Reservation]) -> None:
        """Failure when living nodes would be destroyed although EC2 would let the new nodes into no reservation."""
        if not any(node.alive for node in plan.ending()):
            return
        for name in dict.fromkeys(node.target_id for node in plan.beginning() if node.target_id):
            found = reservations.get(name)
            if found is None:
                why = (
                    f"{name} is not known to EC2, or may not be looked at (ec2:DescribeCapacityReservations)"
                )
            elif found.state != "active":
                why = f"{name} is {found.state}, not active"
            elif is_at_end(found, self._site.clock.now()):
                why = f"{name} is at its end"
            else:
                continue
            raise Failure(
                f"{why}: the running nodes would be destroyed, and the new ones could not start there. "
                "Name a reservation that is active"
            )

    def _agree(self, asked: Question) -> None:
        """Failure when the user does not agree, and when another run has changed the state before the user answered:
        Terraform would refuse the plan as stale."""
        before = self._terraform.state()
        answer = self._site.ask(asked.text)
        if answer is None:
            raise Failure(asked.unasked)
        if answer != asked.agrees:
            raise Failure(f"{answer!r} is not {asked.agrees!r}")
        now = self._terraform.state()
        if any(before.get(member) != now.get(member) for member in ("lineage", "serial")):
            raise Failure(
                "another run has changed the state after the question was asked, so the plan is no longer valid. "
                f"Run `nixl-efa deploy {self._site.settings.name}` to see the one that does"
            )

    def _apply(self, plan: Plan, file: Path, reservations: Mapping[str, Reservation]) -> None:
        needed: dict[str, int] = {}
        for node in plan.beginning():
            if node.target_id in reservations:
                needed[node.target_id] = needed.get(node.target_id, 0) + 1
        full = {one: count for one, count in needed.items() if reservations[one].free < count}
        ending = [node for node in plan.ending() if node.alive]
        if any(node.reservation_id in full for node in ending):
            self._destroy(ending)
            self._wait(full)
            second = self._planned(file)
            if found := beyond(plan, second):
                raise Failure(
                    f"the plan for building the nodes does more than was agreed: {listed(found)}. "
                    f"Run `nixl-efa deploy {self._site.settings.name}` to see it"
                )
        else:
            self._wait(full)
        self._apply_file(file)

    def _destroy(self, nodes: Sequence[NodeChange]) -> None:
        """Destroys these nodes and nothing else."""
        addresses = {node.address for node in nodes}
        with tempfile.TemporaryDirectory(prefix="nixl-efa-plan-") as folder:
            file = Path(folder) / "plan"
            targets = [f"-target={address}" for address in sorted(addresses)]
            found = self._planned(file, "-destroy", *targets)
            if found.ended != addresses or found.added or found.changed:
                others = (
                    listed(sorted(found.ended - addresses)) if found.ended - addresses else "other changes"
                )
                raise Failure(f"destroying only the nodes would also cause {others}")
            if {node.instance_id for node in found.ending()} != {node.instance_id for node in nodes}:
                raise Failure(
                    "the nodes are no longer those that you agreed to destroy: somebody has replaced them. "
                    f"Run `nixl-efa deploy {self._site.settings.name}` to see the plan for these"
                )
            self._site.say(
                f"Destroying {listed(node.name for node in nodes)} first, then waiting for their slots."
            )
            self._apply_file(file)

    def _wait(self, full: Mapping[str, int]) -> None:
        site = self._site
        for reservation_id, count in full.items():
            wait_for_slots(partial(self._reservation, reservation_id), count, site.clock, site.say)

    def _apply_file(self, file: Path) -> None:
        self.changed = True
        code, text = self._terraform.run("apply", "-input=false", str(file))
        if code:
            refused = "".join(f". {one}" for one in words.refused(text, self._site.launch.asked))
            raise Failure(f"{self._terraform.program} apply ended with exit code {code}{refused}")

    def _planned(self, file: Path, *options: str) -> Plan:
        try:
            self._terraform.init()
            self._keep_lock()
            return read(self._terraform.plan(file, *options), self._site.settings)
        except TerraformError as error:
            # The message of a precondition is below Terraform's first line.
            self._site.say(error.text.strip())
            raise

    def _keep_lock(self) -> None:
        """Keeps the lock file with the provider's version outside of cdktf.out, which may be deleted."""
        site = self._site
        project = site.project
        keep(places(site.settings, project, self._terraform.folder, project / "environments"))

    def _reservations(self, plan: Plan) -> dict[str, Reservation]:
        """The reservations of the nodes, by id; none without the permission to read them."""
        ids = {one for node in plan.nodes for one in (node.reservation_id, node.target_id) if one}
        try:
            found = {one: self._reservation(one) for one in sorted(ids)}
        except Exception as error:
            if not missing_permission(error):
                raise
            return {}
        return {name: one for name, one in found.items() if one is not None}

    def _reservation(self, reservation_id: str) -> Reservation | None:
        site = self._site
        return find_reservation(site.ec2, site.settings.region, reservation_id, site.clock.sleep)
