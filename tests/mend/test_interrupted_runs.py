"""A deployment that Ctrl-C or a lost machine ended in its middle: after `nixl-efa mend` and another deployment the same
instances run, the plan is empty and nothing is left over.

Real processes of the real programs. Four runs, three of them of the matrix, or MOMENTS=all: ten moments, each by both
signals, with a state on this machine and in S3, of both commands that deploy.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.mend.interrupted import CDKTF, DEPLOYED, ENVIRONMENT, STACK, Backend, Moment, Project, project

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1800)]

COMMANDS = {
    "cdktf": CDKTF,
    "nixl-efa": (
        *(sys.executable, "-m", "nixl_efa", "deploy", ENVIRONMENT),
        *("--auto-approve", "--no-verify"),
    ),
}
MOMENTS = (
    Moment("CreateRole"),
    Moment("CreateSecurityGroup"),
    Moment("CreateNetworkInterface"),
    Moment("AuthorizeSecurityGroupEgress"),
    Moment("AllocateAddress", 2),
    Moment("CreateInstanceProfile"),
    Moment("CreateLaunchTemplate", 2),
    Moment("RunInstances", 1, in_flight=True),
    Moment("RunInstances", 2, after=0.5, in_flight=True),
    Moment("RunInstances", 2, after=3),
)
# Those that cost money when they are not mended: nodes run that the state does not know, or knows as tainted.
FEW = [
    pytest.param("nixl-efa", "local", signal.SIGKILL, MOMENTS[7]),
    pytest.param("cdktf", "local", signal.SIGINT, MOMENTS[9], marks=pytest.mark.matrix),
    pytest.param("nixl-efa", "s3", signal.SIGINT, MOMENTS[8], marks=pytest.mark.matrix),
    pytest.param("cdktf", "s3", signal.SIGKILL, MOMENTS[9], marks=pytest.mark.matrix),
]
BACKENDS: tuple[Backend, ...] = ("local", "s3")
ALL = [
    (command, backend, how, moment)
    for command in COMMANDS
    for moment in reversed(MOMENTS)
    for backend in BACKENDS
    for how in (signal.SIGINT, signal.SIGKILL)
]


@pytest.mark.parametrize(
    ("command", "backend", "how", "moment"), ALL if os.environ.get("MOMENTS") == "all" else FEW, ids=str
)
def test_after_mend_and_another_deployment_the_same_nodes_run_and_nothing_is_left_over(
    command: str,
    backend: Backend,
    how: signal.Signals,
    moment: Moment,
    tmp_path: Path,
    environ: dict[str, str],
) -> None:
    with project(tmp_path / "project", backend, environ) as one:
        # Every call is answered a little late, so that some are under way at each moment.
        one.control.faults.add("*", late=0.2, times=None)
        one.interrupt(COMMANDS[command], moment, how)
        ran = one.instances()
        if ran:
            assert "FAIL  state" in one.cli("check", ENVIRONMENT, "--brief", code=1), one.story()
        said = one.mend()
        assert "0 to destroy" in said, one.story()
        # What cdktf would run, without another synthesis.
        apply = ["terraform", "apply", "-input=false", "-no-color", "-auto-approve"]
        assert "0 destroyed" in one.run(apply, folder=one.stack_folder), one.story()
        assert_whole(one, ran)


def assert_whole(one: Project, ran: dict[str, str]) -> None:
    """What ran before still runs, and all is as a single deployment makes it."""
    assert ran.items() <= one.instances().items(), one.story()
    assert one.inventory() == DEPLOYED, one.story()
    assert one.plan_is_empty(), one.story()


@pytest.mark.matrix
def test_what_is_whole_is_left_alone_and_the_pair_of_a_lost_machine_is_taken_over_in_a_fresh_clone(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with project(tmp_path / "project", "local", environ) as one:
        one.run(CDKTF)
        ran = one.instances()
        state = one.folder / "state" / f"{STACK}.tfstate"
        before = state.read_bytes()
        said = one.mend()
        assert "There is nothing to mend" in said
        assert "0 to add, 0 to change, 0 to destroy" in said
        assert state.read_bytes() == before

        one.fresh_clone()
        # A newer image than that of the nodes: it must replace nothing afterwards.
        one.control.settings(image_generation=2)
        told = one.cli("check", ENVIRONMENT, "--brief", code=1)
        assert "the state does not know it" in told
        assert "FAIL  names" in told
        made = one.inventory()
        assert "These names are taken" in one.cli("deploy", ENVIRONMENT, "--auto-approve", code=1)
        assert (one.inventory(), state.exists()) == (made, False)
        said = one.cli("mend", ENVIRONMENT, "--yes", code=1)
        assert "may belong to another working copy" in said
        assert "If it does, stop here" in said
        assert not state.exists()
        assert "0 to destroy" in one.cli("mend", ENVIRONMENT, "--yes", "--take-over"), one.story()
        one.run(CDKTF)
        told = one.cli("check", ENVIRONMENT, "--brief")
        assert not {"FAIL  state", "FAIL  names"} & {line[:11] for line in told.splitlines()}, one.story()
        assert_whole(one, ran)


@pytest.mark.matrix
def test_the_pair_of_a_lost_state_is_kept_although_a_deployment_was_tried_without_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with project(tmp_path / "project", "local", environ) as one:
        one.run(CDKTF)
        ran = one.instances()
        (one.folder / "state" / f"{STACK}.tfstate").unlink()
        # It freezes this image for its state, and then fails at the first name that is taken.
        one.control.settings(image_generation=2)
        assert "already exists" in one.run(CDKTF, code=1), one.story()

        [first, second] = sorted(one.buckets())
        said = one.mend()
        assert "0 to destroy" in said, one.story()
        assert f"{second} is then left over, and in no state" in said
        one.client("s3").delete_bucket(Bucket=second)
        one.run(CDKTF)
        assert_whole(one, ran)
        assert one.buckets() == [first]
