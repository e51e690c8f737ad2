"""The rehearsal itself: one step after the other, each with the tool that a user will use."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local_aws.control import Control
from local_aws.machines.failure import CannotBootError
from local_aws.machines.root import home, prepare
from local_aws.machines.run import Run
from local_aws.machines.session import write_plugin
from nixl_efa.checks.quota_codes import ELASTIC_IPS
from nixl_efa.failure import Failure
from nixl_efa.launch import launch_of
from nixl_efa.nodes import outputs
from nixl_efa.rehearse import facts, real_nodes, server, workspace
from nixl_efa.rehearse.block import buy_block, parameters_to_read
from nixl_efa.rehearse.built import tell_instances
from nixl_efa.rehearse.kept import programs_of_a_user, write_shell_file
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from nixl_efa.rehearse.programs import Programs, shown
from nixl_efa.rehearse.simulated_nodes import answer_as_planned
from nixl_efa.rehearse.tools import Tools, find_tools
from nixl_efa.settings import LocalBackend, Settings

Tell = Callable[[str], None]
# VPC user guide, amazon-vpc-limits: Elastic IP addresses per Region.
NEW_ACCOUNTS_ADDRESSES = 5
DEPLOYED = re.compile(r"aws_(instance|launch_template)\.\w+: Creation complete|Apply complete|\bError\b")
PLANNED = re.compile(r"No changes|^Plan:|must be replaced|will be (created|destroyed|updated)|\bError\b")
# What can be looked at in a rehearsal that was kept.
_BY_AWS_CLI = (
    "aws ec2 describe-instances --query 'Reservations[].Instances[].[InstanceId,InstanceType,State.Name]'",
    "aws ec2 describe-capacity-reservations",
)
DESTROYED = re.compile(r"aws_instance\.\w+: Destruction complete|Destroy complete|\bError\b")


@dataclass(frozen=True, slots=True)
class Options:
    """keep: leave the pair and the local AWS at the end. port: 0 takes a free one. real_nodes: the nodes boot."""

    keep: bool = False
    port: int = 0
    real_nodes: bool = False


def rehearse(
    settings: Settings, options: Options, project: Path, environ: Mapping[str, str], python: str, tell: Tell
) -> None:
    """Rehearse an environment. Failure when a step fails; whatever happens, nothing is left running unless kept.

    Nothing outside this machine is called: the programs get the local AWS's address and keys that open nothing.
    """
    tools = find_tools(project, environ, python)
    earlier = server.left_running(project / workspace.FOLDER / settings.name)
    if earlier:
        raise Failure(
            f"an earlier rehearsal of {settings.name} was kept and still runs: end it with `kill {earlier}`"
        )
    are_real = options.real_nodes and can_boot(environ, tell)
    space = workspace.make(project, settings)
    started = server.start(
        python,
        space.folder,
        options.port,
        settings.region,
        workspace.environ_of(space, settings, "", environ),
        machines=are_real,
    )
    try:
        given = workspace.environ_of(space, settings, started.endpoint, environ)
        with terraform_environ(given) as complete:
            programs = Programs(space.folder, complete, space.log)
            _Rehearsal(settings, tools, programs, started, space, tell).run(options.keep, are_real)
    except KeyboardInterrupt:
        server.stop(started.process)
        raise Failure(
            "interrupted: the local AWS was stopped, and with it all that was rehearsed is gone. Nothing was "
            "ever asked of the real AWS."
        ) from None
    except BaseException:
        server.stop(started.process)
        raise
    if not options.keep:
        server.stop(started.process)


def can_boot(environ: Mapping[str, str], tell: Tell) -> bool:
    """Whether machines can boot here, with what they boot from made ready and namespaces tried; says why not."""
    try:
        tree = prepare(environ, tell)
        Run(home(environ), tree).close()
    except CannotBootError as error:
        tell(f"The nodes are simulated, since {error}.")
        return False
    return True


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

    def run(self, keep: bool, are_real: bool) -> None:
        name, stack = self._settings.name, self._settings.stack_name
        self._step(f"A local AWS listens on {self._local.endpoint} (pid {self._local.process.pid})")
        if self._space.set_aside:
            self._tell(f"  set aside, since they belong to your account: {', '.join(self._space.set_aside)}")
        if self._settings.use_capacity_block:
            self._step("Find and buy a Capacity Block")
            self._read_what_buy_writes()
            buy_block(self._settings, self._tools, self._programs, self._control, self._tell)
        self._allow_addresses()
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
        else:
            self._step(
                "Verify the pair (the nodes' answers are simulated: there is no machine to measure on)"
            )
            self._simulate_nodes()
            self._command("verify", name, "--no-transfer")
        if keep:
            self._tell_inferred()
            self._explain_keep(are_real)
            return
        self._step(f"Destroy {stack}")
        self._cdk("destroy", DESTROYED)
        self._tell_inferred()
        self._step("Done: rehearsed, destroyed, and nothing left running")

    def _tell_inferred(self) -> None:
        leaned_on = self._control.inferred()
        if leaned_on:
            self._step("What this run believed of AWS and nobody has documented (docs/facts.md)")
        for line in facts.told(leaned_on, facts.read(facts.page())):
            self._tell(f"  {line}")

    def _allow_addresses(self) -> None:
        """The local account has the quota of a new one, which a few nodes go beyond: a user asks for more once."""
        count = launch_of(self._settings).count
        if self._settings.elastic_ip and count > NEW_ACCOUNTS_ADDRESSES:
            self._control.settings(quotas={ELASTIC_IPS: count})
            self._tell(
                f"  the local account may have {count} Elastic IPs; a new account has {NEW_ACCOUNTS_ADDRESSES} "
                f"(Service Quotas, {ELASTIC_IPS}): ask for them in yours"
            )

    def _read_what_buy_writes(self) -> None:
        given = parameters_to_read(self._settings)
        if given:
            shown = ", ".join(f"{name}={value}" for name, value in given.items())
            self._tell(
                f"  the settings read no reservation from a parameter, so it is rehearsed with {shown}"
            )
            self._programs = replace(self._programs, environ={**self._programs.environ, **given})

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

    def _pair(self) -> outputs.PairOutputs:
        # As the workspace has it, wherever the real pair's state is.
        settings = self._settings.model_copy(update={"backend": LocalBackend()})
        return outputs.read(settings, self._space.folder, self._programs.environ)

    def _simulate_nodes(self) -> None:
        answer_as_planned(self._control, self._pair(), launch_of(self._settings))

    def _indented(self, line: str) -> None:
        self._tell(f"  {line}")

    def _client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        # Not the user's own profile and configuration file, which the variables of this process may name.
        nobody = Session(
            session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        )
        session: Any = boto3.Session(botocore_session=nobody)
        return session.client(
            service,
            region_name=self._settings.region,
            endpoint_url=self._local.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            # The local AWS stands on this machine; the user's proxy would be asked for it.
            config=Config(proxies={}),
        )

    def _explain_keep(self, are_real: bool) -> None:
        name, folder, environ = self._settings.name, self._space.folder, self._programs.environ
        if are_real:
            write_plugin(folder / "bin")
        programs = programs_of_a_user(environ, self._tools.cdk, self._tools.terraform)
        file = write_shell_file(folder, environ, programs)
        # Commands alone below: a shell may take no comment behind one (zsh).
        self._step("Kept, as you asked. Look around in another shell, and stop it by the last line:")
        commands = [
            f". {shlex.quote(str(file))}",
            f"nixl-efa status {name}",
            *([f"nixl-efa connect {name} producer"] if are_real else []),
            *(_BY_AWS_CLI if any(Path(one).name == "aws" for one in programs) else ()),
            f"kill {self._local.process.pid}",
        ]
        for command in commands:
            self._tell(f"  {command}")
