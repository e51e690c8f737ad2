"""The steps and their order, and what is asked before they are done."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.cli import main
from nixl_efa.deploy.plan import Plan as Planned
from nixl_efa.failure import Failure
from nixl_efa.mend import run as mend_run
from nixl_efa.mend.compare import compare
from nixl_efa.mend.parts import Surroundings, parts_of
from nixl_efa.mend.run import Mender, Plan, Step, plan_steps
from nixl_efa.state import State, parse
from tests.mend.test_compare import LAUNCH, LOCK, PAIR, PRODUCER, WHOLE, runs, stored
from tests.synthesis import synthesize

PARTS = parts_of(synthesize("prod"))
IDENTITY = LAUNCH.stack_identity


def steps(state: State, seen: list[Any], **there: Any) -> Plan:
    """The plan for these."""
    living = {one.name: one for one in seen if one.is_alive}
    found = compare(state, seen, LAUNCH, there.pop("lock", None))
    surroundings = Surroundings(IDENTITY, nodes=living, **there)
    return plan_steps(found, PARTS, state, surroundings, shared_identity=there.pop("shared_identity", False))


def holds(*addresses_and_ids: str) -> State:
    """A state with these resources: an address, its id, the next address ..."""
    pairs = zip(addresses_and_ids[::2], addresses_and_ids[1::2], strict=True)
    resources = [
        {
            "mode": "managed",
            "type": address.partition(".")[0],
            "name": address.partition(".")[2],
            "instances": [{"attributes": {"id": one}}],
        }
        for address, one in pairs
    ]
    return parse({"version": 4, "resources": resources})


def words(plan: Plan) -> list[str]:
    return [" ".join(step.words) for step in plan.steps]


def test_the_lock_comes_first_and_what_was_frozen_last() -> None:
    found = steps(stored("producer", **WHOLE), PAIR, lock=LOCK)
    assert words(found)[:2] == ["force-unlock -force 1234", "untaint aws_instance.producer"]
    assert words(found)[-1] == "state push -"
    assert {part.address for part in found.steps[-1].freezes} >= {
        "terraform_data.image",
        "terraform_data.subnet",
    }


@pytest.mark.parametrize(
    ("state", "seen", "last"),
    [
        (stored(), PAIR, ["aws_instance.consumer", "frozen", "aws_instance.producer"]),
        (stored(producer="i-p"), PAIR, ["frozen", "aws_instance.consumer"]),
        (stored(producer="i-gone", consumer="i-c"), PAIR, ["frozen", "aws_instance.producer"]),
        (stored(), PAIR[:1], ["aws_instance.producer", "frozen"]),
    ],
)
def test_a_mend_that_is_killed_leaves_no_pair_in_the_state_without_what_was_frozen(
    state: State, seen: list[Any], last: list[str]
) -> None:
    found = steps(state, seen, roles=("nixl-efa-prod-us-east-2",)).steps
    done = ["frozen" if step.freezes else step.words[-2] for step in found]
    assert done[-len(last) :] == last
    assert "aws_iam_role.node" in done[: -len(last)]


def test_what_a_deployment_without_the_nodes_chose_anew_gives_way_to_what_they_were_made_with() -> None:
    chosen = holds("aws_s3_bucket.scripts", "nixl-efa-prod-1", "terraform_data.image", "1234")
    found = steps(chosen, PAIR, lock=LOCK)
    assert words(found)[:2] == ["force-unlock -force 1234", "state rm terraform_data.image"]
    [freezing] = [step for step in found.steps if step.freezes]
    assert "terraform_data.image" in [part.address for part in freezing.freezes]
    # With which a node of the state was made, stays.
    made = holds("aws_instance.producer", "i-p", "terraform_data.image", "1234")
    assert "state rm terraform_data.image" not in words(steps(made, PAIR))


def test_a_bucket_of_a_deployment_without_the_nodes_gives_way_to_theirs() -> None:
    [bucket] = [part for part in PARTS if part.type == "aws_s3_bucket"]
    prefix = bucket.body["bucket_prefix"]
    theirs, other = f"{prefix}20261126053409330900000001", f"{prefix}20261126054409330900000001"
    policy = "aws_s3_bucket_policy.scripts"
    state = holds(bucket.address, other, policy, other)
    there = {"buckets": (theirs, other), "user_data": f"aws s3 cp s3://{theirs}/"}

    found = steps(state, PAIR, **there)
    assert words(found)[0] == f"state rm {bucket.address} {policy}"
    assert f"import -input=false -no-color {bucket.address} {theirs}" in words(found)
    assert found.notes == (f"{other} is then left over, and in no state: delete it after the repair.",)

    # Theirs already, or no node that the state does not know: nothing is forgotten.
    assert "state rm" not in " ".join(
        words(steps(holds(bucket.address, theirs, policy, theirs), PAIR, **there))
    )
    nodes = [word for one in PAIR for word in (f"aws_instance.{one.name.rpartition('-')[2]}", one.id)]
    assert "state rm" not in " ".join(words(steps(holds(*nodes, bucket.address, other), PAIR, **there)))


def test_a_node_that_took_anothers_place_is_forgotten_before_it_is_imported() -> None:
    seen = [runs("i-p", state="terminated"), runs("i-q"), PAIR[1]]
    found = words(steps(stored(**WHOLE), seen))
    assert found.index("state rm aws_instance.producer") < found.index(
        "import -input=false -no-color aws_instance.producer i-q"
    )


def test_what_can_not_be_told_apart_is_said_and_left_alone() -> None:
    addresses = tuple(
        {
            "AllocationId": name,
            "Tags": [{"Key": "Name", "Value": PRODUCER}, {"Key": "nixl-efa:stack", "Value": IDENTITY}],
        }
        for name in ("eipalloc-1", "eipalloc-2")
    )
    found = steps(stored(**WHOLE), PAIR, addresses=addresses)
    assert "aws_eip.producer may be any of eipalloc-1, eipalloc-2" in found.notes[0]
    assert not any("aws_eip" in one for one in words(found))


@pytest.mark.parametrize(
    ("state", "shared", "taken_over"),
    [
        (stored(), True, True),
        (stored(), False, False),
        (stored(consumer="i-c"), True, False),
        # A second clone's deployment that failed at the first one's role, and left its own bucket.
        (holds("aws_s3_bucket.scripts", "nixl-efa-prod-1"), True, True),
        (holds("aws_s3_bucket.scripts", "nixl-efa-prod-1"), False, False),
        # The process was killed while EC2 launched both nodes: their interfaces were made, and written, before.
        (
            holds("aws_network_interface.producer", "eni-p", "aws_network_interface.consumer", "eni-c"),
            True,
            False,
        ),
        (holds("aws_network_interface.producer", "eni-p"), True, True),
    ],
)
def test_a_state_without_a_place_of_its_own_that_does_not_show_whose_the_pair_is_needs_to_be_told(
    state: State, shared: bool, taken_over: bool
) -> None:
    found = compare(state, PAIR, LAUNCH)
    pair = [replace(one, interface=f"eni-{one.id[-1]}") for one in PAIR]
    there = Surroundings(IDENTITY, nodes={one.name: one for one in pair})
    assert plan_steps(found, PARTS, state, there, shared_identity=shared).is_taken_over is taken_over


CHANGES = Planned((), added=0, changed=1, destroyed=0, missed=(), ended=frozenset(), is_empty=False)
STEP = Step("Keep it.", ("untaint", "aws_instance.producer"))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What a Mender would do, which does nothing here."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/prod.toml").write_text('instance_type = "p5.48xlarge"\n')
    monkeypatch.chdir(tmp_path)
    did: list[str] = []
    monkeypatch.setattr(Mender, "do", lambda self, plan: did.extend(words(plan)))
    monkeypatch.setattr(Mender, "what_follows", lambda self: CHANGES)
    return did


@pytest.mark.parametrize(
    ("plan", "arguments", "typed", "code", "says"),
    [
        (Plan(()), [], "", 0, "There is nothing to mend"),
        (Plan((STEP,)), [], "yes\n", 0, "0 to add, 1 to change, 0 to destroy"),
        (Plan((STEP,)), [], "y\n", 1, "nothing was done: the answer was not yes"),
        (Plan((STEP,)), [], "", 1, "stdin has ended"),
        (Plan((STEP,)), ["--yes"], "", 0, "terraform untaint aws_instance.producer"),
        (Plan((STEP,), is_taken_over=True), [], "yes\n", 0, "another working copy"),
        (Plan((STEP,), is_taken_over=True), ["--yes"], "", 1, "--take-over together with --yes"),
        (Plan((STEP,), is_taken_over=True), ["--yes", "--take-over"], "", 0, "Next: `nixl-efa deploy prod`"),
    ],
)
def test_nothing_is_done_before_somebody_agrees(
    plan: Plan,
    arguments: list[str],
    typed: str,
    code: int,
    says: str,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    monkeypatch.setattr(Mender, "prepare", lambda self, *, take_over: plan)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["mend", "prod", *arguments]) == code
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    assert done == (words(plan) if code == 0 else [])


def test_a_plan_that_would_still_destroy_is_an_error_that_names_what(
    done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Mender, "prepare", lambda self, *, take_over: Plan(()))
    destroys = replace(CHANGES, destroyed=1, ended=frozenset({"aws_instance.producer"}))
    monkeypatch.setattr(Mender, "what_follows", lambda self: destroys)
    assert main(["mend", "prod"]) == 1
    assert "would destroy aws_instance.producer" in capsys.readouterr().err


def test_nothing_is_mended_while_terraform_is_at_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.synthesis import settings_of

    monkeypatch.setattr(mend_run, "at_work", lambda *_: [4711])
    clients: Any = None
    mender = Mender(settings_of("dev"), replace(LAUNCH), clients, tmp_path, {}, print)
    with pytest.raises(Failure, match=r"still working on nixl-efa-dev \(process 4711\)"):
        mender.prepare(take_over=False)
