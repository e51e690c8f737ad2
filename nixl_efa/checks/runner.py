"""The whole check: every question in parallel, then the rules.

A question that needs another answer waits for it. No such chain is longer than three calls (VPC, subnets, dry run;
parameter, image, dry run), so the whole takes at most as long as the three slowest calls one after the other. The
search of all other regions for a missing reservation is a second call, in parallel with these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixl_efa import provider_lock, state
from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.gather.asking import answer_of
from nixl_efa.checks.gather.gatherer import Gatherer
from nixl_efa.checks.gather.machine import machine
from nixl_efa.checks.ownership import owned
from nixl_efa.checks.rules import judge, pending, stacks
from nixl_efa.clock import Clock
from nixl_efa.findings import Finding
from nixl_efa.launch import Launch, launch_of
from nixl_efa.mend.look import differences_in, look, terraform_environ
from nixl_efa.old_states import abandoned
from nixl_efa.settings import Settings, environment_names

if TYPE_CHECKING:
    from nixl_efa.aws import Clients


def run(
    settings: Settings,
    clients: Clients,
    clock: Clock,
    *,
    min_hours: float | None = None,
    must_be_active: bool = False,
    replace_nodes: bool = False,
    profile: str | None = None,
    project: Path | None = None,
    at_synthesis: bool = False,
    environ: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Every finding on the launch that the settings describe. Errors of AWS or the network are findings, not raised.

    min_hours: hours that a reservation must still last; None uses the setting.
    must_be_active: a deployment follows: a reservation that has not started is then a FAIL, else a WARN.
    replace_nodes: the user agrees to a replacement of running nodes, or is asked elsewhere: it is not a FAIL.
    profile:   the AWS profile of the clients; the commands to look by hand name it.
    project:   the directory of cdktf.json, in which a local state is; when given, the environment's state shows which
               resources are its own, and which of its names others have.
    at_synthesis: the check of a synthesis: without the programs of this machine (those on the search path in
               `environ`), without the comparison of the state with what runs, and without other environments' lost
               files.
    """
    launch = launch_of(settings, min_hours=min_hours, must_be_active=must_be_active, profile=profile or "")
    known = environ or {}
    with ExitStack() as stack:
        first = Gatherer(launch.requests[0], clients, known, clock, has_state=project is not None)
        gatherers = [stack.enter_context(first)]
        for request in launch.requests[1:]:
            other = Gatherer(request, clients, known, clock, has_state=project is not None, beside=first)
            gatherers.append(stack.enter_context(other))
        asked = [gatherer.facts() for gatherer in gatherers]
        shared: Callable[[Facts], Facts] = replace
        if project is not None and at_synthesis:
            read = first.begin(
                lambda: answer_of("", lambda: state.read(settings, project, terraform_environ(known, launch)))
            )
            shared = partial(replace, state=read.result())
        elif project is not None:
            programs = first.begin(lambda: machine(project, known, state.least_terraform(settings)))
            looking = first.begin(
                lambda: answer_of(
                    "ec2:DescribeInstances", lambda: look(settings, launch, clients, project, known)
                )
            )
            looked = looking.result()
            shared = partial(
                replace,
                machine=programs.result(),
                state=looked if isinstance(looked, NoAnswer) else looked.state,
                provider=provider_lock.see(settings, project),
                differences=looked if isinstance(looked, NoAnswer) else differences_in(looked, launch),
            )
        seen = [answers() for answers in asked]
    requests = [
        (request, owned(shared(facts), request)) for request, facts in zip(launch.requests, seen, strict=True)
    ]
    found = findings(requests, clock.now())
    if project is not None and not at_synthesis:
        names = environment_names(project / "environments")
        found += [
            *abandoned(project, names).values(),
            *stacks.without_a_file(launch, requests[0][1], names),
        ]
    return pending.agreed(found) if replace_nodes else found


def findings(requests: Sequence[tuple[Launch, Facts]], now: datetime) -> list[Finding]:
    """The findings on the facts of each request of a launch. A fault of the credentials or the network is shown only
    once, by the question about the credentials, and not by every other question again."""
    return judge([(launch, _once(facts)) for launch, facts in requests], now)


def _once(facts: Facts) -> Facts:
    account = facts.account
    if isinstance(account, NoAnswer) and not account.denied:
        return replace(facts, **_following(facts))
    return facts


def _following(facts: Facts) -> dict[str, Any]:
    values = {field.name: getattr(facts, field.name) for field in fields(facts) if field.name != "account"}
    return {
        name: replace(
            value, told_elsewhere=True, reason="AWS can't be asked with these credentials (see above)"
        )
        for name, value in values.items()
        if isinstance(value, NoAnswer) and not value.denied
    }
