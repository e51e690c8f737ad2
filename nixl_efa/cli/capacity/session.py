"""What every capacity command works with: options, clients, settings, and a user at a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.account import Account
from nixl_efa.aws import Clients
from nixl_efa.aws_errors import explain
from nixl_efa.capacity.buyer import Buyer, WaitingRule, identify, lock_region, own_endpoint
from nixl_efa.capacity.order import Entry
from nixl_efa.capacity.reservation import Reservation, locate
from nixl_efa.cli import commands, output
from nixl_efa.cli.capacity import forms
from nixl_efa.cli.project import environments, project_folder
from nixl_efa.clock import Clock, clock_of
from nixl_efa.failure import BadInput
from nixl_efa.files import state_directory

if TYPE_CHECKING:
    from nixl_efa.capacity.history import Look
    from nixl_efa.capacity.search import Found, Request
    from nixl_efa.launch import Launch

Profile = Annotated[str | None, typer.Option(help="The AWS profile.")]
Region = Annotated[str | None, typer.Option(help="The AWS region.")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="An AWS region, or all for every enabled one; can be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Environment = Annotated[
    str, typer.Option("--env", help="The environment it is for.", autocompletion=environments)
]
ReservationId = Annotated[str, typer.Argument(metavar="ID", help="A reservation, cr-...")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; only with --max-fee.")]
MaxFee = Annotated[str | None, typer.Option(metavar="USD", help="Stop when the total fee is higher.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Ask EC2 whether it would be allowed; buy nothing.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace the environment's current reservation by this one.")
]
LookSeconds = Annotated[
    float, typer.Option(metavar="N", help="How long to look for a purchase whose answer was lost.")
]
Timeout = Annotated[
    str | None, typer.Option(metavar="TIME", help="Give up after 30m, 12h or 2d. [default: never]")
]
SettleSeconds = Annotated[
    float,
    typer.Option(metavar="N", help="After how long a purchase that is not found counts as not made."),
]
LOOK_SECONDS = 60.0
SETTLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command: a test hands in its own clients, clock and directories.

    profile: that of the clients; empty: none was named.
    """

    clients: Clients
    clock: Clock = field(default_factory=lambda: clock_of(os.environ))
    state: Path = field(default_factory=lambda: state_directory(os.environ))
    project: Path = field(default_factory=project_folder)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    profile: str = ""

    @property
    def searches(self) -> Path:
        """The file of the offerings that searches have shown."""
        from nixl_efa.capacity import shown

        return shown.path_in(self.state)

    def keep_search(self, request: Request, regions: Sequence[str], found: Found) -> None:
        """Writes down what a search has found, for `buy` and for the calendar. That it can't be kept is said, and stops
        nothing."""
        from nixl_efa.capacity import history

        self.keep_shown(request, found)
        self.keep_look(history.look(request, regions, found, self.clock.now(), self.endpoint(regions[0])))

    def keep_shown(self, request: Request, found: Found) -> None:
        """The same for `buy` alone."""
        from nixl_efa.capacity.shown import remember

        try:
            remember(self.searches, found.offerings, request, self.clock.now())
        except OSError as error:
            output.say(f"the search could not be kept for `buy` in {self.searches}: {error.strerror}")

    def keep_look(self, look: Look) -> None:
        """The same for the calendar alone."""
        from nixl_efa.capacity import history

        path = history.path_in(self.state)
        try:
            history.keep(path, look)
        except OSError as error:
            output.say(f"the search could not be kept for `calendar` in {path}: {error.strerror}")

    def endpoint(self, region: str) -> str:
        """Where EC2 is asked when that is not AWS's own; else empty."""
        return own_endpoint(self.clients.ec2(region).meta.endpoint_url)

    def region(self) -> str:
        """The one region to work in. BadInput when none is chosen."""
        if self.clients.region is None:
            raise BadInput("no AWS region is chosen: give --region NAME or set AWS_REGION")
        commands.remember(region=self.clients.region)
        return self.clients.region

    def launch(self, name: str) -> Launch:
        """The launch of an environment, or into one of its reservations ("prod/2"). BadInput for one that does not
        exist, with the nearest name, or has a fault."""
        from nixl_efa.capacity.targets import targets
        from nixl_efa.cli.environments import environment_settings, left_behind
        from nixl_efa.launch import launch_of
        from nixl_efa.reservation_source import environment_of
        from nixl_efa.settings import environment_names
        from nixl_efa.settings.names import did_you_mean

        names = environment_names(self.project / "environments")
        environment = environment_of(name)
        if names and environment not in names:
            message = f"--env {name!r}: there is no such environment. {did_you_mean(environment, names)}"
            raise BadInput("\n".join([message.rstrip(), *left_behind(environment, self.project)]))

        settings = environment_settings(environment, self.environ, self.project, self.profile, filled=False)
        found = targets(launch_of(settings, profile=self.profile))
        if name not in found:
            raise BadInput(
                f"--env {name!r}: {environment} has no such reservation. {did_you_mean(name, found)}".rstrip()
            )
        return found[name]

    def launches(self) -> dict[str, Launch]:
        """The launches of all environments of the project by name, into each of their reservations where an environment
        has several."""
        from nixl_efa.capacity.targets import targets_of_all
        from nixl_efa.cli.environments import launches

        return targets_of_all(launches(self.environ, self.project, self.profile, output.say))

    def acting_for(self, launch: Launch, region: str | None = None) -> Session:
        """The session that calls AWS as the environment's Terraform does. region: the default one."""
        commands.remember(acts_as=launch.profile)
        if launch.assume_role is None and launch.profile == self.profile and region is None:
            return self
        return replace(self, clients=self.clients.acting_for(launch, region), profile=launch.profile)

    def node_names(self, launch: Launch) -> tuple[str, ...]:
        """The nodes that are lost when the launch's reservation is put aside (users.node_names)."""
        from nixl_efa.capacity.users import node_names

        return node_names(launch, self.launches().values())

    def locate(self, reservation_id: str) -> Reservation:
        """The reservation with this id in the chosen region. Failure when it has none."""
        check_reservation_id(reservation_id)
        return locate(self.clients.ec2, [self.region()], reservation_id, self.clock.sleep)

    def buyer(self, region: str, *, as_json: bool = False, rule: WaitingRule | None = None) -> Buyer:
        """The buyer that these credentials are. region: where it is asked who they belong to."""
        commands.remember(region=region)
        account = identify(self.clients, region, self.profile or self.environ.get("AWS_PROFILE", ""))
        return Buyer(
            clients=self.clients,
            clock=self.clock,
            state=self.state,
            account=account,
            lock_region=lock_region(account, self.environ),
            talk=Terminal(account, as_json),
            rule=rule or WaitingRule(LOOK_SECONDS, SETTLE_SECONDS),
        )


def session(profile: str | None, region: str | None = None) -> Session:
    """The session for AWS and this machine. It calls AWS as the Terraform of all environments does; where they differ,
    with the plain credentials."""
    from nixl_efa.cli.environments import launches

    commands.remember(profile=profile, acts_as=profile, region=region)
    run = Session(Clients(profile, region), profile=profile or "")
    found = launches(run.environ, run.project, run.profile, lambda _: None)
    whose = {(one.profile, one.assume_role): one for one in found.values()}
    return run.acting_for(next(iter(whose.values()))) if len(whose) == 1 else run


def check_reservation_id(text: str) -> None:
    """BadInput for what is not a reservation's id."""
    from nixl_efa.capacity.judge import is_well_formed

    if not is_well_formed(text):
        raise BadInput(f"ID {text!r}: a reservation's id is cr- and 8 or 17 hexadecimal digits")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP interrupt as Ctrl-C does, so that what was bought is said before the command ends. A
    signal that is ignored (nohup) stays so."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    for one, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(one, interrupt)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A user at a terminal: data on stdout, talk on stderr."""

    account: Account
    as_json: bool = False

    def tell(self, message: str) -> None:
        """A line on stderr."""
        output.say(message)

    def ask(self, question: str) -> str:
        """The user's answer."""
        return output.ask(question)

    def report(self, entry: Entry, outcome: str, kept_as: str = "") -> None:
        """The ids of what was bought, or the document of the purchase, on stdout; complete when this returns."""
        if self.as_json:
            form = forms.purchase_form(entry.order, self.account, outcome, kept_as, entry)
            output.print_json("capacity-purchase", form)
        else:
            for reservation_id in entry.reservation_ids:
                output.data(reservation_id)
        sys.stdout.flush()


# Longer than any block lasts: 182 days, bought 8 weeks ahead.
_LONGEST_TIMEOUT_SECONDS = 366 * 86400.0


def timeout_seconds(text: str) -> float:
    """The length of time that --timeout names. BadInput for another word."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_TIMEOUT_SECONDS:
        raise BadInput(f"--timeout {text!r}: give a time such as 90s, 30m, 12h or 2d")
    return seconds


def tell_failed(failed: Mapping[str, Exception]) -> None:
    """Names the regions that could not be asked, those with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for region, error in failed.items():
        by_reason.setdefault(explain(error), []).append(region)
    for reason, regions in by_reason.items():
        output.say(f"not asked: {', '.join(regions)}: {reason}")


def failed_regions(failed: Mapping[str, Exception]) -> list[dict[str, Any]]:
    """The regions that could not be asked, for a document."""
    return [{"region": region, "error": explain(error)} for region, error in failed.items()]
