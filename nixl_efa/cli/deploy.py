"""`nixl-efa deploy`: the check, the plan in words, consent, the apply of that very plan, and verify."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.aws_errors import explain
from nixl_efa.cdk import program
from nixl_efa.cli import output
from nixl_efa.cli.check import Environment, MinHours, Profile, Strict, findings_of, settings_of, show_findings
from nixl_efa.cli.project import project_folder
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Finding, Level, listed
from nixl_efa.settings import Settings
from nixl_efa.settings.model import STACK_PREFIX
from nixl_efa.settings.names import nearest

if TYPE_CHECKING:
    from nixl_efa.deploy.outcome import Outcome
    from nixl_efa.deploy.run import Deployment

# An app of its own, since a plain function can't say that it answers for options that it does not know.
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass
class _Course:
    """How far a deployment has come, for the document of one that stops on the way.

    switched: the next block that was made the current one; empty for none.
    """

    settings: Settings
    switched: str = ""
    findings: list[Finding] = field(default_factory=list)
    deployment: Deployment | None = None
    applied: bool = False
    verified: Mapping[str, Any] | None = None

    @property
    def changed(self) -> bool:
        """Whether anything may have been changed in AWS."""
        return self.deployment is not None and self.deployment.changed


@app.command("deploy", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def deploy(
    context: typer.Context,
    environment: Environment,
    min_hours: MinHours = None,
    strict: Strict = False,
    auto_approve: Annotated[
        bool, typer.Option("--auto-approve", help="Agree to any plan that destroys no running node.")
    ] = False,
    replace_nodes: Annotated[
        bool, typer.Option("--replace-nodes", help="Agree that running nodes are destroyed or replaced.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Verify the pair when it has booted.")
    ] = True,
    boot_minutes: Annotated[
        int, typer.Option("--boot-minutes", min=1, help="How long to wait for the nodes' first boot.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    _skip_provider_lock: Annotated[
        bool,
        typer.Option("--skip-provider-lock", help="Accepted for compatibility with cdktf; it has no effect."),
    ] = False,
    profile: Profile = None,
) -> None:
    """Check an environment, deploy it, then verify the pair.

    Shows what Terraform's plan does to the nodes, and why, before it is applied. Exits with 1 when nothing was changed,
    3 when the apply failed, 4 when the pair was built and verify FAILs.
    """
    from nixl_efa.deploy.outcome import Outcome, document

    if context.args:
        near = nearest(context.args[0], [name for one in context.command.params for name in one.opts])
        meant = f"Did you mean {near}? " if near else ""
        raise BadInput(
            f"deploy takes no {context.args[0]!r}. {meant}`nixl-efa deploy --help` shows what it takes. "
            f"For options of cdktf, use `{program()} deploy {STACK_PREFIX}{environment}`, which does not ask about the "
            "nodes that it replaces"
        )
    _fill(environment, profile)
    course = _Course(settings_of(environment, profile))

    def end(outcome: Outcome, message: str) -> None:
        if message:
            output.say(f"nixl-efa: {message}")
        if as_json:
            plan = course.deployment.plan if course.deployment else None
            found = document(course.settings, outcome, message, course.findings, plan, course.verified)
            output.print_json("deploy", found)
        raise typer.Exit(outcome.exit_code)

    try:
        _check(course, min_hours=min_hours, strict=strict, profile=profile, as_json=as_json)
        _apply(
            course, auto_approve=auto_approve, replace_nodes=replace_nodes, profile=profile, as_json=as_json
        )
        course.applied = True
        if verify:
            _verify(course, boot_minutes, strict=strict, profile=profile, as_json=as_json)
    except BadInput:
        raise
    except KeyboardInterrupt:
        end(Outcome.INTERRUPTED, f"interrupted. {_what_is_left(course)}")
    except Exception as error:
        message = error.message if isinstance(error, Failure) else explain(error)
        outcome = Outcome.APPLY_FAILED if course.changed else Outcome.STOPPED
        outcome = Outcome.VERIFY_FAILED if course.applied else outcome
        end(outcome, f"{message.rstrip('.')}. {_what_is_left(course)}")
    end(Outcome.DONE, "")


def _check(
    course: _Course, *, min_hours: float | None, strict: bool, profile: str | None, as_json: bool
) -> None:
    from nixl_efa.checks import rendering
    from nixl_efa.checks.rules import price

    settings = course.settings
    course.switched = _switch(settings, profile)
    course.findings = findings_of(
        settings, min_hours=min_hours, profile=profile, must_be_active=True, replace_nodes=True
    )
    if not as_json:
        show_findings(course.findings, brief=True)
        for one in course.findings:
            if one.check == price.CHECK and one.level is Level.PASS:
                output.data(one.message)
    if rendering.stops(course.findings, strict=strict):
        found = dict.fromkeys(one.check for one in course.findings if rendering.stops([one], strict=strict))
        raise Failure(f"{settings.stack_name} was not deployed: the check found problems ({listed(found)})")


def _fill(environment: str, profile: str | None) -> None:
    """Finds a place for nodes whose reservation is left open, or has ended."""
    from nixl_efa.cli.capacity.fill import filled, unfilled_settings
    from nixl_efa.cli.capacity.session import session

    run = session(profile)
    if settings := unfilled_settings(environment, run):
        filled(settings, run)


def _switch(settings: Settings, profile: str | None) -> str:
    """Goes over to the next block where no node runs in a current one that lives, and says so; the ids, or empty."""
    from nixl_efa.capacity.save import switch_when_free
    from nixl_efa.capacity.targets import targets
    from nixl_efa.cli.capacity.session import session
    from nixl_efa.launch import launch_of

    switched = []
    for name, launch in targets(launch_of(settings)).items():
        if launch.market != "capacity-block":
            continue
        run = session(profile, settings.region).acting_for(launch)
        if taken := switch_when_free(launch, run.node_names(launch), run.buyer(settings.region)):
            output.say(f"{name}'s next block {taken} is its current one now.")
            switched.append(taken)
    return " and ".join(switched)


def _apply(
    course: _Course, *, auto_approve: bool, replace_nodes: bool, profile: str | None, as_json: bool
) -> None:
    from nixl_efa import terraform
    from nixl_efa.aws import clients_of
    from nixl_efa.clock import clock_of
    from nixl_efa.deploy.run import Deployment, Site
    from nixl_efa.launch import launch_of

    settings = course.settings
    site = Site(
        settings=settings,
        launch=launch_of(settings),
        project=project_folder().absolute(),
        environ={**os.environ, **({"AWS_PROFILE": profile} if profile else {})},
        ec2=clients_of(settings, profile).ec2(settings.region),
        clock=clock_of(os.environ),
        show=terraform.show_on_stderr if as_json else terraform.show,
        say=output.say,
        tell=output.say if as_json else output.data,
        ask=lambda question: output.ask(question) if sys.stdin.isatty() else None,
    )
    course.deployment = Deployment(site)
    course.deployment.run(auto_approve=auto_approve, replace_nodes=replace_nodes)


def _verify(course: _Course, boot_minutes: int, *, strict: bool, profile: str | None, as_json: bool) -> None:
    from nixl_efa.aws import clients_of
    from nixl_efa.checks import rendering
    from nixl_efa.cli import nodes, nodes_view
    from nixl_efa.clock import clock_of
    from nixl_efa.deploy.boot import wait_for_boot
    from nixl_efa.launch import launch_of
    from nixl_efa.nodes import verify as look

    settings, clock = course.settings, clock_of(os.environ)
    clients = clients_of(settings, profile)
    ssm = clients.ssm(settings.region)
    pair = nodes.deployed(settings, profile)
    limit = timedelta(minutes=boot_minutes)
    if not wait_for_boot(ssm, [node.instance_id for node in pair.nodes], clock, limit, output.say):
        output.say(f"A node has not booted within {boot_minutes} minutes; this is what is known of it:")
    report = look.verify(
        clients.ec2(settings.region),
        ssm,
        pair,
        launch=launch_of(settings),
        measure=True,
        clock=clock,
        say=output.say,
        s3=clients.s3(settings.region),
    )
    course.verified = nodes_view.document(report)
    if not as_json:
        nodes_view.show(report, "verify", as_json=False)
    if rendering.stops(report.all_findings, strict=strict):
        raise Failure("verify found problems")


def _what_is_left(course: _Course) -> str:
    """What runs, and the next command."""
    name, deployment = course.settings.name, course.deployment
    if deployment is None or not (course.applied or deployment.changed):
        if course.switched:
            return (
                f"No node was changed; {name}'s current block is {course.switched} now, its next one before."
            )
        return "Nothing was changed."
    if course.applied:
        return f"The pair is built: it runs and is billed. `nixl-efa verify {name}` looks again."
    return (
        f"{deployment.what_runs()} `nixl-efa mend {name}` shows and repairs what Terraform's state lacks; "
        f"`nixl-efa deploy {name}` continues."
    )
