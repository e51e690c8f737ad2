"""What a run is about, drawn from its seed: who types what, on which machine, when, and what goes wrong."""

import random
from dataclasses import dataclass, field, replace

from tests.campaign.clients import LOST, Fault
from tests.campaign.ec2 import HOUR, Offer

TYPE, COUNT = "p5.48xlarge", 2
DAY = 24 * HOUR
PEOPLE = ("ada", "bob", "eve")
# In place of an environment's name: a block that is bought for none.
NO_ENVIRONMENT = "none"
# Of what a person writes into a parameter by hand: a reservation that EC2 does not know, and no reservation at all.
# And one that lives, of which the id is known only then.
UNKNOWN_ID, NO_ID, LIVING = "cr-0fedcba9876543210", "to be decided", "living"


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of the project.

    parameter: where its reservation is kept; empty: the default. has_old: a block that has ended stands there.
    """

    name: str
    region: str
    parameter: str = ""
    has_old: bool = False

    @property
    def id_parameter(self) -> str:
        return self.parameter or f"/nixl-efa/{self.name}/capacity-reservation-id"

    @property
    def next_parameter(self) -> str:
        return f"{self.id_parameter}-next"


@dataclass(frozen=True, slots=True)
class Step:
    """A command that a user types, `wait` seconds after the last one ended. `save` and `extend` are about the
    environment's newest block.

    killed, interrupted: after how many points, counted from the start or, when negative, from its purchase call.
    again_after: after how many more points the user presses Ctrl-C again.
    sleeps: after how many points its machine sleeps, from the start or, when negative, from its lock, and for how many
    seconds.
    """

    wait: float
    kind: str
    environment: str
    offer: str = ""
    replace: bool = False
    types_fee: bool = False
    rate: float = 0.0
    purchase_rate: float = 0.0
    kinds: tuple[Fault, ...] = tuple(Fault)
    steady: tuple[tuple[str, str, Fault], ...] = ()
    killed: int = 0
    interrupted: int = 0
    again_after: int = 0
    sleeps: tuple[int, float] = (0, 0.0)
    disk_full: float = 0.0


@dataclass(frozen=True, slots=True)
class User:
    """A person at a machine (a state directory) who types one command after the other."""

    name: str
    machine: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a person writes into a parameter with another tool; value None: deletes it.

    at: seconds after the beginning; -n: at once after commands have read the parameter n times.
    """

    at: float
    environment: str
    is_next: bool
    value: str | None


@dataclass(slots=True)
class Scenario:
    """One run."""

    environments: dict[str, Environment] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    by_hand: list[ByHand] = field(default_factory=list)
    hides_for: float = 300.0
    payment_fails: float = 0.0
    final_machine: str = ""


def draw(rng: random.Random) -> Scenario:
    """A scenario: a third of them have one user with one mishap, half of them several users with many; the others need
    an exact order of things."""
    scenario = Scenario(hides_for=rng.choice((0, 30, 300, 300)), payment_fails=rng.choice((0, 0, 0.3)))
    _draw_world(scenario, rng)
    kinds = {
        _draw_one_mishap: 32,
        _draw_many: 48,
        _draw_buyer_that_sleeps: 5,
        _draw_recovery_that_sleeps: 5,
        _draw_block_that_is_hidden: 5,
        _draw_extension_that_is_cut_off: 5,
    }
    rng.choices(list(kinds), list(kinds.values()))[0](scenario, rng)
    machines = sorted({user.machine for user in scenario.users})
    scenario.final_machine = rng.choice([*machines, "another"])
    return scenario


def _draw_world(scenario: Scenario, rng: random.Random) -> None:
    names = ["prod", "dev"][: rng.choice((1, 1, 2))]
    for name in names:
        region = rng.choice(("us-east-1", "us-east-2", "us-west-2"))
        parameter = rng.choice(("", "", f"/team/{name}/block"))
        scenario.environments[name] = Environment(name, region, parameter, rng.random() < 0.3)
    for region in sorted({one.region for one in scenario.environments.values()} | {"us-west-2"}):
        soon = rng.choice((0.7 * HOUR, 6 * HOUR, 2 * DAY))
        blocks = [(soon, 24), (soon + DAY, 24), (soon, 72), (0.6 * HOUR, 24)]
        blocks += [(soon + days * DAY, 24) for days in (3, 6, 9, 12)]
        for number, (start, hours) in enumerate(blocks):
            offering = f"cb-{region.replace('-', '')}{number:x}{rng.getrandbits(40):010x}"
            fee = f"{1000 + 10 * number}.{rng.randrange(100):02}"
            offer = Offer(offering, region, f"{region}a", TYPE, COUNT, start, start + hours * HOUR, fee)
            scenario.offers.append(offer)


def _offer(scenario: Scenario, environment: str, rng: random.Random) -> str:
    """Mostly the same offering of the environment's region, seldom one of elsewhere."""
    region = scenario.environments[environment].region
    home = [one.id for one in scenario.offers if one.region == region]
    if rng.random() < 0.05:
        return rng.choice([one.id for one in scenario.offers])
    return rng.choice([home[0], home[0], home[0], *home[:5]])


def _draw_one_mishap(scenario: Scenario, rng: random.Random) -> None:
    """A command that is killed, interrupted or cut off at one point, and what its user or another does next."""
    environment = next(iter(scenario.environments))
    offer = _offer(scenario, environment, rng)
    point = rng.choice((rng.randrange(1, 80), -rng.randrange(1, 25), -rng.randrange(1, 60)))
    mishap = rng.randrange(5)
    first = Step(
        0.0,
        "buy",
        environment,
        offer,
        types_fee=rng.random() < 0.2,
        killed=point if mishap in (0, 1) else 0,
        interrupted=point if mishap == 2 else 0,
        again_after=rng.choice((0, 0, rng.randrange(1, 12))),
        purchase_rate=1.0 if mishap in (3, 4) else 0.0,
        rate=0.1 if mishap == 4 else 0.0,
    )
    steps, machine = [first], "a"
    for _ in range(rng.randrange(1, 4)):
        kind = rng.choice(("buy", "buy", "recover"))
        which = offer if rng.random() < 0.5 else _offer(scenario, environment, rng)
        steps.append(Step(_wait(rng), kind, environment, which if kind == "buy" else ""))
        machine = "b" if rng.random() < 0.4 else machine
    cut = rng.randrange(1, len(steps) + 1)
    scenario.users = [User("ada", "a", tuple(steps[:cut])), User("bob", machine, tuple(steps[cut:]))]


def _draw_buyer_that_sleeps(scenario: Scenario, rng: random.Random) -> None:
    """It falls asleep with the lock taken. Meanwhile somebody at another machine closes its order and buys."""
    environment = next(iter(scenario.environments))
    sleeps = rng.uniform(700, 2 * HOUR)
    first = Step(
        0.0, "buy", environment, _offer(scenario, environment, rng), sleeps=(-rng.randrange(1, 9), sleeps)
    )
    recovers = Step(rng.uniform(620, sleeps), "recover", environment)
    buys = Step(rng.uniform(0, 100), "buy", environment, _offer(scenario, environment, rng))
    scenario.users = [
        User("ada", "a", (first,)),
        User("bob", "b", (recovers, buys, replace(recovers, wait=300.0))),
    ]


def _draw_recovery_that_sleeps(scenario: Scenario, rng: random.Random) -> None:
    """The answer to a purchase is lost, and who looks for the block sleeps between two looks, or during one."""
    scenario.hides_for = 300.0
    environment = next(iter(scenario.environments))
    offer = _offer(scenario, environment, rng)
    first = Step(0.0, "buy", environment, offer, purchase_rate=1.0, kinds=LOST)
    sleeps = (rng.randrange(1, 60), rng.uniform(300, HOUR))
    kind = rng.choice(("buy", "recover"))
    second = Step(rng.uniform(0, 30), kind, environment, offer if kind == "buy" else "", sleeps=sleeps)
    scenario.users = [User("ada", "a", (first, second))]


def _draw_extension_that_is_cut_off(scenario: Scenario, rng: random.Random) -> None:
    """Its user is killed or interrupted after the call, and does something else next."""
    environment = next(iter(scenario.environments))
    first = Step(0.0, "buy", environment, _offer(scenario, environment, rng))
    point = -rng.randrange(1, 20)
    killed, interrupted = rng.choice(((point, 0), (0, point)))
    second = Step(2 * HOUR, "extend", environment, killed=killed, interrupted=interrupted)
    later = [
        Step(_wait(rng), kind, environment, _offer(scenario, environment, rng) if kind == "buy" else "")
        for kind in rng.sample(("save", "recover", "extend", "buy"), 2)
    ]
    scenario.users = [User("ada", rng.choice("ab"), (first, second, *later))]


def _draw_block_that_is_hidden(scenario: Scenario, rng: random.Random) -> None:
    """EC2 does not show a new block yet, and a person takes it out of the parameter: the journals alone know of it."""
    scenario.hides_for = 300.0
    environment = next(iter(scenario.environments))
    first = Step(
        0.0, "buy", environment, _offer(scenario, environment, rng), purchase_rate=rng.choice((0.0, 1.0))
    )
    second = Step(rng.uniform(5, 200), "buy", environment, _offer(scenario, environment, rng))
    scenario.users = [User("ada", "a", (first,)), User("bob", rng.choice("ab"), (second,))]
    value = rng.choice((None, NO_ID, LIVING))
    scenario.by_hand.append(ByHand(rng.uniform(5, 100), environment, False, value))


def _draw_many(scenario: Scenario, rng: random.Random) -> None:
    heavy = rng.choice((0.0, 0.01, 0.05))
    names = list(scenario.environments)
    for name in PEOPLE[: rng.choice((1, 2, 2, 3))]:
        machine = rng.choice("aab" if name == "bob" else "abc")
        steps = [
            _draw_step(scenario, rng.choice([names[0], *names]), heavy, rng)
            for _ in range(rng.randrange(1, 4))
        ]
        scenario.users.append(User(name, machine, tuple(steps)))
    for _ in range(rng.choice((0, 0, 1, 2))):
        at = rng.choice(
            (-rng.randrange(1, 7), -rng.randrange(1, 7), rng.uniform(0, 600), rng.uniform(0, 2 * DAY))
        )
        value = rng.choice((LIVING, LIVING, UNKNOWN_ID, NO_ID, None))
        scenario.by_hand.append(ByHand(at, rng.choice(names), rng.random() < 0.3, value))


def _draw_step(scenario: Scenario, environment: str, heavy: float, rng: random.Random) -> Step:
    kind = rng.choice(("buy",) * 12 + ("recover",) * 4 + ("save", "switch", "extend", "extend"))
    if kind == "buy" and rng.random() < 0.03:
        return Step(_wait(rng), kind, NO_ENVIRONMENT, _offer(scenario, environment, rng), purchase_rate=0.5)
    point = rng.choice((rng.randrange(1, 120), -rng.randrange(1, 40)))
    fate = rng.random()
    steady: tuple[tuple[str, str, Fault], ...] = ()
    if rng.random() < 0.12:
        operation = rng.choice(
            ("describe_capacity_reservations", "get_parameters_by_path", "get_parameter", "put_parameter")
        )
        region = rng.choice(("", scenario.environments[environment].region, "us-east-1"))
        steady = ((operation, region, rng.choice(list(Fault)[1:])),)
    return Step(
        _wait(rng),
        kind,
        "" if kind == "recover" and rng.random() < 0.3 else environment,
        _offer(scenario, environment, rng) if kind == "buy" else "",
        replace=rng.random() < 0.08,
        types_fee=rng.random() < 0.2,
        rate=heavy,
        purchase_rate=rng.choice((0.0, heavy, 0.5)),
        kinds=tuple(Fault) if rng.random() < 0.7 else tuple(rng.sample(list(Fault), 2)),
        steady=steady,
        killed=point if fate < 0.2 else 0,
        interrupted=point if 0.2 < fate < 0.35 else 0,
        again_after=rng.choice((0, 0, rng.randrange(1, 12))),
        sleeps=(rng.randrange(1, 120), rng.uniform(60, HOUR)) if fate > 0.93 else (0, 0.0),
        disk_full=rng.choice((0.0, 0.0, 0.0, 0.0, 0.1)),
    )


def _wait(rng: random.Random) -> float:
    return rng.choice(
        (
            rng.uniform(0, 2),
            rng.uniform(0, 2),
            rng.uniform(0, 60),
            rng.uniform(0, 1200),
            rng.uniform(0, 6 * HOUR),
            rng.uniform(0, 4 * DAY),
        )
    )
