"""One run: the scenario of a seed is played, everything is recovered, and the history is looked through."""

from __future__ import annotations

import math
import random
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.campaign import check_purchases, check_records, disk, product
from tests.campaign.clients import ACCOUNT, PURCHASES, Aws, Clients, Fault, Faults
from tests.campaign.ec2 import HOUR, Ec2, Offer
from tests.campaign.facts import LOCK_REGION, Facts, short
from tests.campaign.history import Command, History, Purchase, Write
from tests.campaign.scenario import COUNT, LIVING, PEOPLE, TYPE, ByHand, Environment, Step, User, draw
from tests.campaign.schedule import Crash, Process, Schedule, moment
from tests.campaign.ssm import Ssm

# After this no purchase is under way any more, and every one can be seen.
CALM_AFTER = 2 * HOUR


@dataclass(slots=True)
class Result:
    """What a run found, and what there was to find."""

    seed: int
    violations: list[tuple[str, str]]
    history: History
    bought: int
    struck: Counter[Fault]


class Clock:
    """The time of the simulation, for one command."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> Any:
        return moment(self._process.schedule.now)

    def sleep(self, seconds: float) -> None:
        self._process.point("while it waits")
        self._process.pause(max(seconds, 0.001))


class Talk:
    """The user at the terminal of one command: hears what it says, and answers."""

    def __init__(self, run: Run, process: Process, command: Command, step: Step) -> None:
        self._run = run
        self._process = process
        self._command = command
        self._step = step

    def tell(self, message: str) -> None:
        self._process.point("before it says something")
        self._command.said.append((self._run.schedule.now, message))
        self._run.note(self._command.name, f"says: {message}")

    def ask(self, question: str) -> str:
        """The fee where it is asked for; that a lost command has ended; else whether something may be replaced."""
        self.tell(question)
        self._process.pause(self._run.rng.uniform(1, 200))
        offer = self._run.ec2.offers.get(self._step.offer)
        if "fee" in question and offer is not None:
            return offer.fee
        return "y" if self._step.replace or "has ended" in question else "n"

    def report(self, entry: Any, outcome: str, kept_as: str = "") -> None:
        """A line of the result, on stdout."""
        self._process.point("before its result")
        ids = tuple(entry.reservation_ids)
        self._command.reported.append((self._run.schedule.now, outcome, entry.tag, ids))
        self._run.note(self._command.name, f"result: {outcome} {' '.join(ids)} {kept_as}")
        self._process.point("after its result")


class Run:
    """The world of one seed."""

    def __init__(self, seed: int, root: Path) -> None:
        self.seed = seed
        self.root = root
        self.rng = random.Random(seed)
        self.scenario = draw(self.rng)
        self.schedule = Schedule()
        self.history = History()
        self.ec2 = Ec2(self.schedule, self.rng, ACCOUNT)
        self.ec2.hides_for, self.ec2.payment_fails = self.scenario.hides_for, self.scenario.payment_fails
        self.ec2.page = self.rng.choice((1, 2, 1000))
        self.ec2.offers = {one.id: one for one in self.scenario.offers}
        self.ssm = Ssm(self.schedule)
        self.ssm.on_write = self._wrote
        self.aws = Aws(self.schedule, self.ec2, self.ssm, self._called)
        self.launches = {one.name: product.launch_of(one) for one in self.scenario.environments.values()}
        self.reads: Counter[str] = Counter()
        self.struck: Counter[Fault] = Counter()
        self.processes: dict[str, tuple[Process, Step]] = {}
        for home in self.scenario.environments.values():
            if home.has_old:
                self._had_block(home)

    def note(self, who: str, text: str) -> None:
        self.history.note(self.schedule.now, who, text)

    def play(self) -> Result:
        """Runs the scenario and then `recover` on every machine."""
        uuids = random.Random(self.seed)
        random.seed(self.seed)
        with (
            product.one_thread(),
            patch.object(uuid, "uuid4", lambda: uuid.UUID(int=uuids.getrandbits(128), version=4)),
        ):
            for user in self.scenario.users:
                self._type(user, 0)
            for deed in self.scenario.by_hand:
                if deed.at >= 0:
                    self.schedule.at(deed.at, partial(self._write_by_hand, deed))
            self.schedule.run()
            self._recover()
            self._buy_once_more()
        unsynced = {name: process.unsynced for name, (process, _) in self.processes.items()}
        facts = Facts(
            self.scenario,
            self.history,
            self.ec2,
            self.schedule.now,
            self._files(),
            self._journals(),
            unsynced,
        )
        return Result(self.seed, _violations(facts), self.history, len(facts.bought()), self.struck)

    def _had_block(self, home: Environment) -> None:
        """The environment's parameter holds a block that has ended."""
        old = Offer(
            f"cb-{home.name}", home.region, f"{home.region}a", TYPE, COUNT, -72 * HOUR, -24 * HOUR, "1.00"
        )
        block = self.ec2.add(old, {}, "somebody", visible_at=0.0)
        block.pays_at, block.fails = -96 * HOUR, False
        self.ssm.write(home.region, home.id_parameter, block.id, "by hand")

    def _type(self, user: User, place: int, *, calm: bool = False) -> None:
        """Plans the user's step, and the one after it when it has ended."""
        if place == len(user.steps):
            return
        step = user.steps[place]
        process = Process(self.schedule, f"{user.name}-{len(self.processes) + 1}")
        process.crash_at, process.interrupt_at = max(step.killed, 0), max(step.interrupted, 0)
        process.again_after = step.again_after
        process.sleep_at, process.sleeps_for = max(step.sleeps[0], 0), step.sleeps[1]
        self.processes[process.name] = process, step

        def body() -> None:
            now = replace(step, offer=self._still_offered(step.offer))
            block = self._last_told(now.environment) if now.kind in ("save", "extend") else ""
            command = Command(
                process.name, now.kind, user.machine, now.environment, now.offer, block, now.replace, calm
            )
            self._execute(process, command, now)
            self._type(user, place + 1, calm=calm)

        self.schedule.launch(self.schedule.now + step.wait, process, body)

    def _still_offered(self, offer: str) -> str:
        """The offering; when it has started, the next one of its region that has not."""
        wanted = self.ec2.offers.get(offer)
        if wanted is None or wanted.start > self.schedule.now:
            return offer
        later = [
            one.id
            for one in self.scenario.offers
            if one.region == wanted.region and one.start > self.schedule.now
        ]
        return later[0] if later else offer

    def _execute(self, process: Process, command: Command, step: Step) -> None:
        """The command itself, from its start to its end."""
        name = process.name
        self.history.commands[name] = command
        command.started = self.schedule.now
        self.note(name, f"types {command.text()}")

        def on_stop(how: str, label: str) -> None:
            command.is_stopped = command.is_stopped or how != "sleeps"
            self.note(name, f"{how} {label}")

        process.on_stop = on_stop
        faults = Faults(self.rng, step.rate, step.purchase_rate, step.kinds, struck=self.struck)
        faults.steady = {(operation, region): fault for operation, region, fault in step.steady}
        disk.FULL[name] = lambda: bool(step.disk_full) and self.rng.random() < step.disk_full
        clients = Clients(self.aws, process, faults, self._region(step))
        talk = Talk(self, process, command, step)
        try:
            state = self.root / command.machine
            self._run(
                step, command.block, product.Machine(clients, Clock(process), state, talk, self.launches)
            )
            command.how = "done"
        except Crash:
            command.how = process.ends
        except KeyboardInterrupt:
            command.how = "interrupted"
        except BaseException as error:
            command.how = "refused" if product.is_message(error) else "broken"
            if not process.is_dead:
                command.said.append((self.schedule.now, product.message(error)))
                self.note(name, f"ends with: {product.message(error)}")
        if process.is_dead:
            command.how = process.ends
        del disk.FULL[name]
        command.ended = self.schedule.now
        self.note(name, f"has ended: {command.how}")

    def _run(self, step: Step, block: str, machine: product.Machine) -> None:
        """The command by the product."""
        if step.kind == "buy":
            machine.buy(step, self.ec2.offers[step.offer])
        elif step.kind == "recover":
            machine.recover(step)
        elif step.kind == "switch":
            machine.switch(step)
        elif block:
            act = machine.save if step.kind == "save" else machine.extend
            act(step, block, self.ec2.blocks[block].offer.region)

    def _last_told(self, environment: str) -> str:
        """The newest block of the environment that somebody was told of."""
        commands = self.history.commands
        told = [
            one.id
            for one in self.ec2.blocks.values()
            if one.bought_by in commands
            and commands[one.bought_by].environment == environment
            and self.history.told_at(one.id) is not None
        ]
        return told[-1] if told else ""

    def _region(self, step: Step) -> str:
        """The region of the folder that the command is typed in: the environment's, or another project's."""
        home = self.scenario.environments.get(step.environment)
        return home.region if home and self.rng.random() < 0.7 else "us-west-2"

    def _recover(self) -> None:
        """The outage is over: `recover` runs on one machine, then on every other one."""
        machines = sorted({user.machine for user in self.scenario.users} - {self.scenario.final_machine})
        for machine in [self.scenario.final_machine, *machines]:
            self.schedule.now += CALM_AFTER
            self._type(User("final", machine, (Step(0.0, "recover", ""),)), 0, calm=True)
            self.schedule.run()

    def _buy_once_more(self) -> None:
        """Somebody new buys for each environment: a block that starts soon. It must be made where nothing lives."""
        for home in self.scenario.environments.values():
            self.schedule.now = now = float(math.ceil(self.schedule.now))
            start, name = now + 2 * HOUR, f"cb-{self.rng.getrandbits(68):017x}"
            offer = Offer(
                name, home.region, f"{home.region}b", TYPE, COUNT, start, start + 24 * HOUR, "1200.00"
            )
            self.ec2.offers[name] = offer
            bought = [one for one in self.ec2.blocks.values() if one.bought_by in self.history.commands]
            lives = any(
                self.history.commands[one.bought_by].environment == home.name and one.lives(now)
                for one in bought
            )
            stored = [self.ssm.value(home.region, one) for one in (home.id_parameter, home.next_parameter)]
            taken = [
                one
                for one in stored
                if one and (one not in self.ec2.blocks or self.ec2.blocks[one].lives(now))
            ]
            step = Step(0.0, "buy", home.name, name)
            self._type(User("last", "new", (step,)), 0, calm=not lives and not taken)
            self.schedule.run()

    def _called(
        self, name: str, region: str, request: Mapping[str, Any], answer: Mapping[str, Any], by: str
    ) -> None:
        if name in PURCHASES and answer:
            self._bought(name, request, answer, by)
        if name.startswith("get_parameter"):
            asked = [request["Name"]] if "Name" in request else request.get("Names", ())
            for one in asked or [row["Name"] for row in answer.get("Parameters", ())]:
                self._was_read(by, region, one)

    def _was_read(self, by: str, region: str, name: str) -> None:
        self.history.reads[by, region, name] = self.schedule.now
        self.reads[name] += 1
        for deed in self.scenario.by_hand:
            home = self.scenario.environments[deed.environment]
            due = name == (home.next_parameter if deed.is_next else home.id_parameter)
            if due and deed.at == -self.reads[name] and by.startswith(PEOPLE):
                self.schedule.at(self.schedule.now, partial(self._write_by_hand, deed))

    def _bought(self, name: str, request: Mapping[str, Any], answer: Mapping[str, Any], by: str) -> None:
        process, step = self.processes[by]
        extended = name != "purchase_capacity_block"
        row = answer["CapacityBlockExtensions"][0] if extended else answer["CapacityReservation"]
        tags = tuple(tag["Value"] for tag in row.get("Tags", ()))
        offer = request["CapacityBlockExtensionOfferingId" if extended else "CapacityBlockOfferingId"]
        block = row["CapacityReservationId"]
        home = self.scenario.environments.get(step.environment)
        read_at = self.history.reads.get((by, home.region, home.id_parameter), 0.0) if home else 0.0
        self.history.purchases.append(
            Purchase(self.schedule.now, by, block, offer, tags, self._journals(), read_at, extended)
        )
        self.note(by, f"has bought {offer}: {block}")
        if step.killed < 0:
            process.crash_at = process.points - step.killed
        if step.interrupted < 0:
            process.interrupt_at = process.points - step.interrupted

    def _journals(self) -> dict[str, str]:
        """Every shared journal as it is now."""
        return {
            name: self.ssm.value(LOCK_REGION, name) or ""
            for name in self.ssm.names(LOCK_REGION, "/nixl-efa/")
            if "/purchases/" in name
        }

    def _files(self) -> dict[tuple[str, str], str]:
        """Every local journal as it is now."""
        return {
            (path.parts[-3], path.stem): path.read_text(encoding="utf-8")
            for path in sorted(self.root.glob(product.JOURNAL_FILES))
        }

    def _wrote(self, region: str, name: str, before: str | None, after: str | None, by: str) -> None:
        read_at = self.history.reads.get((by, region, name), 0.0)
        process, step = self.processes.get(by, (None, None))
        if process is not None and step is not None and "/purchases/" in name and step.sleeps[0] < 0:
            # The lock is taken; later writes of the journal move the moment no more.
            process.sleep_at = process.sleep_at or process.points - step.sleeps[0]
        self.history.writes.append(Write(self.schedule.now, region, name, before, after, by, read_at))
        shown = after if after is None or len(after) < 60 else short(after)
        self.note(by, f"writes {region} {name} = {shown}")

    def _write_by_hand(self, deed: ByHand) -> None:
        home = self.scenario.environments[deed.environment]
        name = home.next_parameter if deed.is_next else home.id_parameter
        value = deed.value
        if value is None:
            self.ssm.remove(home.region, name, "by hand")
            return
        if value == LIVING:
            offer = next(one for one in self.scenario.offers if one.region == home.region)
            value = self.ec2.add(offer, {}, "somebody", visible_at=0.0).id
        self.ssm.write(home.region, name, value, "by hand")


def _violations(facts: Facts) -> list[tuple[str, str]]:
    """Each violation: the check's name, and what it found."""
    checks = (*check_purchases.CHECKS, *check_records.CHECKS)
    return [(check.__name__, found) for check in checks for found in check(facts)]


def run(seed: int, scratch: Path) -> Result:
    """Plays the run of a seed, with the state directories below `scratch`."""
    root = scratch / str(seed)
    try:
        return Run(seed, root).play()
    finally:
        shutil.rmtree(root, ignore_errors=True)
