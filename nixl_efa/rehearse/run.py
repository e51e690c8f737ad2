"""The rehearsal itself: its steps, each with the tool that a user will use."""

import json
import re
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local_aws.control import Control
from local_aws.machines.session import write_plugin
from local_aws.quotas import QUOTAS
from nixl_efa.failure import Failure
from nixl_efa.findings import listed
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes import outputs
from nixl_efa.rehearse import facts, kept, many_nodes, real_nodes, server, serving, workspace
from nixl_efa.rehearse.block import Block, Market
from nixl_efa.rehearse.built import running_nodes, tell_instances
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from nixl_efa.rehearse.programs import Programs, shown
from nixl_efa.rehearse.simulated_nodes import answer_as_planned
from nixl_efa.rehearse.tools import Tools, find_tools
from nixl_efa.settings import LocalBackend, Settings

Tell = Callable[[str], None]
DEPLOYED = re.compile(r"aws_(instance|launch_template)\.\w+: Creation complete|Apply complete|\bError\b")
PLANNED = re.compile(r"No changes|^Plan:|must be replaced|will be (created|destroyed|updated)|\bError\b")
CHANGED = re.compile(
    r"aws_instance\.\w+: (Creation|Modifications|Destruction) complete|Apply complete|\bError\b"
)
ANY = re.compile("")
DESTROYED = re.compile(r"aws_instance\.\w+: Destruction complete|Destroy complete|\bError\b")


@dataclass(frozen=True, slots=True)
class Options:
    """keep: leave the pair and the local AWS at the end. port: 0 takes a free one. real_nodes: the nodes boot.

    serve: a folder with an engine, which is served on nodes that boot.
    """

    keep: bool = False
    port: int = 0
    real_nodes: bool = False
    serve: Path | None = None


def rehearse(
    settings: Settings, options: Options, project: Path, environ: Mapping[str, str], python: str, tell: Tell
) -> None:
    """Rehearse an environment. Failure when a step fails; whatever happens, nothing is left running unless kept.

    Nothing outside this machine is called: the programs get the local AWS's address and keys that open nothing.
    """
    tools = find_tools(project, environ, python)
    layer = serving.require(options.serve) if options.serve else None
    earlier = server.left_running(project / workspace.FOLDER / settings.name)
    if earlier:
        raise Failure(
            f"an earlier rehearsal of {settings.name} was kept and still runs: end it with `kill {earlier}`"
        )
    are_real = options.real_nodes or layer is not None
    if are_real and (why := real_nodes.why_none_boots(environ, tell)):
        if layer is not None:
            raise Failure(f"--serve needs nodes that boot, and {why}.")
        tell(f"The nodes are simulated, since {why}.")
        are_real = False
    space = workspace.make(project, settings)
    started = server.start(
        python,
        space.folder,
        options.port,
        settings.region,
        workspace.environ_of(space, settings, "", environ),
        machines=are_real,
        layer=layer,
    )
    try:
        given = workspace.environ_of(space, settings, started.endpoint, environ)
        with terraform_environ(given) as complete:
            programs = Programs(space.folder, complete, space.log)
            _Rehearsal(settings, tools, programs, started, space, tell).run(options, are_real)
    except KeyboardInterrupt:
        server.stop(started.process)
        raise Failure(
            "interrupted: the local AWS was stopped, and with it all that was rehearsed is gone. Nothing was "
            "ever asked of the real AWS.",
            exit_code=130,
        ) from None
    except BaseException:
        server.stop(started.process)
        raise
    if not options.keep:
        server.stop(started.process)


class _Rehearsal:
    def __init__(
        self,
        settings: Settings,
        tools: Tools,
        programs: Programs,
        local: server.Server,
        space: workspace.Workspace,
        tell: Tell,
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._programs = programs
        self._local = local
        self._space = space
        self._tell = tell
        self._control = Control(local.endpoint)
        self._began = time.monotonic()
        # With one more consumer, for which there is room in its reservation from the beginning.
        self._grown = settings
        self._blocks: list[Block] = []

    def run(self, options: Options, are_real: bool) -> None:
        name, stack = self._settings.name, self._settings.stack_name
        self._step(f"A local AWS listens on {self._local.endpoint} (pid {self._local.process.pid})")
        if self._space.set_aside:
            self._tell(f"  set aside, since they belong to your account: {', '.join(self._space.set_aside)}")
        self._read_what_buy_writes()
        launch = launch_of(self._settings)
        several = many_nodes.has_several(launch)
        if several:
            self._grown = many_nodes.with_one_more(self._settings)
        self._allow_quotas()
        self._get_capacity(many_nodes.reserved(launch_of(self._grown)))
        self._step("Look for what would stop the launch")
        self._command("check", name, "--brief")
        self._step(f"Deploy {stack}")
        self._cdk("deploy", DEPLOYED)
        deployed = time.time()
        self._step("A second plan is empty")
        self._second_plan()
        self._step("What was built")
        tell_instances(self._client("ec2"), name, self._tell)
        self._command("status", name)
        if are_real:
            self._verify_real_nodes(deployed)
            if options.serve:
                self._serve(options.keep)
        else:
            who = f"the {launch.count} nodes" if several else "the pair"
            self._step(f"Verify {who} (the nodes' answers are simulated: there is no machine to measure on)")
            self._simulate_nodes()
            self._command("verify", name, "--no-transfer")
        if several:
            self._add_consumer()
        if len(self._blocks) > 1:
            self._end_a_block()
        if options.keep:
            self._tell_inferred()
            self._explain_keep(are_real, options.serve is not None)
            return
        self._step(f"Destroy {stack}")
        self._cdk("destroy", DESTROYED)
        self._tell_inferred()
        self._step("Done: rehearsed, destroyed, and nothing left running")

    def _tell_inferred(self) -> None:
        leaned_on = self._control.inferred()
        if leaned_on:
            self._step("What this run assumed about AWS and nobody has documented (docs/facts.md)")
        for line in facts.told(leaned_on, facts.read(facts.page())):
            self._tell(f"  {line}")

    def _allow_quotas(self) -> None:
        """The local account has the quotas of a new account, which a few nodes exceed: a user requests an increase
        once."""
        wanted = many_nodes.quotas(launch_of(self._grown))
        allowed = {code: QUOTAS[code] for code in wanted if wanted[code] > QUOTAS[code].value}
        if not allowed:
            return
        self._control.settings(quotas={code: wanted[code] for code in allowed})
        for code, quota in allowed.items():
            self._tell(
                f"  the local account may have {wanted[code]} of {quota.name}; it has {quota.value:g}, as a new "
                f"account may (Service Quotas, {code}): ask for them in yours"
            )

    def _read_what_buy_writes(self) -> None:
        changed = many_nodes.with_parameters(self._settings)
        if given := many_nodes.variables(self._settings, changed):
            shown = ", ".join(f"{name}={value}" for name, value in given.items())
            self._tell(
                f"  what the settings name belongs to your account, or must be bought: it is rehearsed with {shown}"
            )
            self._use(changed, given)

    def _use(self, settings: Settings, given: Mapping[str, str]) -> None:
        """From now on, use these settings: those of the environment, changed by the variables `given`."""
        self._settings = settings
        self._programs = replace(self._programs, environ={**self._programs.environ, **given})

    def _market(self) -> Market:
        return Market(
            self._settings.region,
            self._tools,
            self._programs,
            self._control,
            self._tell,
            self._client("ec2"),
            launch_of(self._settings).instance_types,
        )

    def _get_capacity(self, wanted: Mapping[str, Launch]) -> None:
        """All that the environment is launched into, with room for the consumer that is added."""
        blocks = {name: one for name, one in wanted.items() if one.market == "capacity-block"}
        others = {name: one for name, one in wanted.items() if name not in blocks}
        if blocks:
            self._step(
                "Find and buy a Capacity Block"
                if len(blocks) == 1
                else f"Find and buy {len(blocks)} Capacity Blocks in one zone"
            )
            self._tell_room(blocks)
            self._blocks = self._market().buy_blocks(blocks)
        if others:
            self._step("Reserve capacity On-Demand")
            self._tell_room(others)
            zone = self._blocks[0].zone if self._blocks else self._settings.availability_zone or ""
            self._market().reserve(others, zone)

    def _tell_room(self, wanted: Mapping[str, Launch]) -> None:
        now = many_nodes.reserved(launch_of(self._settings))
        for name, one in wanted.items():
            if one.count > now[name].count:
                self._tell(
                    f"  {name}: {one.count}, one more than it has nodes, for the consumer that is added later"
                )

    def _add_consumer(self) -> None:
        if self._grown == self._settings:
            return
        before = {node.name for node in launch_of(self._settings).nodes}
        given = many_nodes.variables(self._settings, self._grown)
        self._step(f"One more consumer: {', '.join(f'{name}={value}' for name, value in given.items())}")
        self._use(self._grown, given)
        self._deploy_again({node.name for node in launch_of(self._grown).nodes} - before)

    def _end_a_block(self) -> None:
        """The earlier block ends during the rehearsal, with its nodes; a new block gets the nodes."""
        name, market = self._settings.name, self._market()
        block = min(self._blocks, key=lambda one: one.end)
        launch = many_nodes.reserved(launch_of(self._settings))[block.target]
        lost = [node.name for node in launch.nodes]
        self._step(f"The block of {block.target} ends: {listed(lost, 64)} with it, the others run")
        market.end_of(block)
        running = running_nodes(self._client("ec2"), name)
        living = [node.name for node in launch_of(self._settings).nodes if node.name not in lost]
        if list(running) != living:
            raise Failure(f"{listed(running, 64)} run, and it should be {listed(living, 64)}")
        self._tell(f"  run: {listed(running, 64)}; EC2 has terminated {listed(lost, 64)}")
        self._tell(f"$ nixl-efa status {name}")
        said = self._programs.read([*self._tools.nixl_efa, "status", name], accept=(0, 1))
        for line in said.splitlines():
            self._tell(line)
        if f"--env {block.target}` buys it" not in " ".join(said.split()):
            raise Failure(f"status does not say how to go on without {block.id}")
        self._step(f"A new block for {block.target}")
        market.buy_successor(block, launch)
        self._step(f"Deploy {self._settings.stack_name} again: what is missing, and nothing else")
        self._deploy_again(lost)
        after = running_nodes(self._client("ec2"), name)
        if any(after.get(one) != instance for one, instance in running.items()):
            raise Failure(f"the nodes that lived were {running}, and are {after}")
        self._tell(f"  run: {listed(after, 64)}; the {len(running)} that kept running are the same instances")

    def _deploy_again(self, built: Collection[str]) -> None:
        """`nixl-efa deploy`, which must build these nodes and do nothing to the others."""
        lines: list[str] = []

        def told(line: str) -> None:
            lines.append(line)
            if CHANGED.search(line):
                self._indented(line)

        command = ["deploy", self._settings.name, "--auto-approve", "--no-verify"]
        self._tell(f"$ nixl-efa {' '.join(command)}")
        self._programs.follow([*self._tools.nixl_efa, *command], told, ANY)
        changes = many_nodes.changes_of(lines)
        if found := many_nodes.faults(changes, built):
            raise Failure(
                f"the deployment did not do what it should: {listed(found)} (see {self._space.log})"
            )
        self._tell(f"  {changes}")
        if changes.changed:
            self._tell(f"  changed in place: {', '.join(changes.changed)}")

    def _step(self, text: str) -> None:
        self._tell(f"==> [{time.monotonic() - self._began:5.1f} s] {text}")

    def _command(self, *arguments: str) -> None:
        self._tell(f"$ nixl-efa {' '.join(arguments)}")
        self._programs.show([*self._tools.nixl_efa, *arguments])

    def _cdk(self, verb: str, wanted: re.Pattern[str]) -> None:
        command = [self._tools.cdk, verb, self._settings.stack_name, "--auto-approve"]
        self._tell(f"$ {shown(command)}")
        # Locking providers for other platforms asks Terraform's registry, and this lock file is thrown away.
        extra = ["--skip-provider-lock"] if verb == "deploy" else []
        self._programs.follow([*command, *extra], self._indented, wanted)

    def _second_plan(self) -> None:
        folder = self._space.folder / "cdktf.out" / "stacks" / self._settings.stack_name
        command = [
            self._tools.terraform,
            "plan",
            "-input=false",
            "-no-color",
            "-lock=false",
            "-detailed-exitcode",
        ]
        self._tell(f"$ {Path(self._tools.terraform).name} plan -detailed-exitcode")
        programs = replace(self._programs, folder=folder)
        code = programs.follow(command, self._indented, PLANNED, accept=(0, 2))
        if code:
            raise Failure(f"the second plan is not empty: see {self._space.log}")

    def _verify_real_nodes(self, deployed: float) -> None:
        self._step("The nodes have booted")
        pair = self._pair()
        booted = real_nodes.wait_for_boot(self._control.machines, pair, self._client("ssm"))
        real_nodes.tell_boot(booted, deployed, self._tell)
        self._step(
            "Verify the pair: the real scripts and a transfer, provider tcp, since there is no EFA here"
        )
        command = ["verify", self._settings.name, "--json"]
        self._tell(f"$ nixl-efa {' '.join(command)}")
        report = json.loads(self._programs.read([*self._tools.nixl_efa, *command], accept=(0, 1)))
        lacking = self._control.settings()["machines_lack"]
        judgement = real_nodes.judge(report, booted, lacking)
        real_nodes.tell_verified(report, judgement, self._tell)
        if judgement.unexpected:
            raise Failure(
                f"verify: {len(judgement.unexpected)} FAIL that this machine does not explain (above)"
            )

    def _serve(self, keep: bool) -> None:
        """A model on the nodes, proven, asked and, unless the rehearsal is kept, stopped."""
        name, service = self._settings.name, serving.Serving(self._pair(), self._client("ssm"))
        self._step("Serve a model: over TCP, since there is no EFA here, and each engine has one core")
        service.prepare()
        self._use(self._settings, serving.VARIABLES)
        self._command("serve", "start", name, "--model", serving.MODEL, "--", *serving.FLAGS)
        service.ask(self._tell)
        self._command("serve", "status", name)
        if not keep:
            self._command("serve", "stop", name)

    def _pair(self) -> outputs.PairOutputs:
        # As in the workspace, wherever the state of the real pair is.
        settings = self._settings.model_copy(update={"backend": LocalBackend()})
        return outputs.read(settings, self._space.folder, self._programs.environ)

    def _simulate_nodes(self) -> None:
        answer_as_planned(self._control, self._pair(), launch_of(self._settings))

    def _indented(self, line: str) -> None:
        self._tell(f"  {line}")

    def _client(self, service: str) -> Any:
        return server.client(self._local, service, self._settings.region)

    def _explain_keep(self, are_real: bool, serves: bool) -> None:
        name, folder, environ = self._settings.name, self._space.folder, self._programs.environ
        if are_real:
            write_plugin(folder / "bin")
        programs = kept.programs_of_a_user(environ, self._tools.cdk, self._tools.terraform)
        file = kept.write_shell_file(folder, environ, programs)
        self._step("Kept, as you asked. Look around in another shell, and stop it by the last line:")
        self._tell(f"  . {shlex.quote(str(file))}")
        shown = kept.looks(name, programs, are_real=are_real)
        for command in [*shown, *(serving.looks(name, folder) if serves else ())]:
            self._tell(f"  {command}")
        self._tell(f"  kill {self._local.process.pid}")
