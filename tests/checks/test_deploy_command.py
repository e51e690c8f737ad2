"""`nixl-efa deploy`: the check, the plan in words, consent, the apply of that very plan, verify, and the exit codes.

cdktf and Terraform are stand-ins that note how they were run; the plans are those that the real ones made.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.deploy.boot import wait_for_boot
from nixl_efa.settings.model import STACK_TAG
from tests.checks.in_order import NOW
from tests.checks.local_project import IMAGE, REGION, Project
from tests.deploy.cases import recorded

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

STACK = "nixl-efa-dev"
# Notes how it is run in a stack's folder; `show` prints the next of the plans, the last one again and again.
TERRAFORM = """
case "$PWD" in */stacks/*) echo "$@" >> "$ROOT/terraform.log" ;; esac
case "$1" in
version) echo '{"terraform_version": "1.11.4"}' ;;
show) ls "$ROOT"/plan.* | head -1 | { read file; cat "$file"; [ $(ls "$ROOT"/plan.* | wc -l) = 1 ] || rm "$file"; } ;;
output) cat "$ROOT/outputs.json" ;;
state) [ ! -e "$ROOT/state.json" ] || cat "$ROOT/state.json" ;;
apply) echo "Apply complete"; exit $(cat "$ROOT/apply.code") ;;
esac
"""


class Terminal(io.StringIO):
    """A terminal on which an answer is typed."""

    def isatty(self) -> bool:
        return True


class Deploying:
    """A project whose Terraform makes a recorded plan."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("ROOT", str(project.folder))
        project.program("bin/terraform", TERRAFORM.strip())
        project.program(
            "node_modules/cdktf-cli/bundle/bin/cdktf",
            f'echo "$@" >> cdktf.log; env >> cdktf.env; mkdir -p cdktf.out/stacks/{STACK}',
        )
        self.applies(0)
        self.plans("nothing")
        self.types("")

    def plans(self, *names: str) -> None:
        """What Terraform plans, one after the other."""
        for number, name in enumerate(names):
            document = recorded(name)
            (self.project.folder / f"plan.{number}").write_text(json.dumps(document), encoding="utf-8")

    def applies(self, code: int) -> None:
        """How an apply ends."""
        (self.project.folder / "apply.code").write_text(str(code), encoding="utf-8")

    def types(self, answer: str | None) -> None:
        """The answer on the terminal; "" without one."""
        stdin = Terminal(f"{answer}\n") if answer else io.StringIO()
        self._monkeypatch.setattr(sys, "stdin", stdin)

    def terraform(self) -> list[str]:
        """What Terraform was told to do, without options and files; without the reading of the state."""
        log = self.project.folder / "terraform.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line.split()[0] for line in lines if not line.startswith(("version", "state pull"))]

    def cdktf(self) -> list[str]:
        """How cdktf was run."""
        log = self.project.folder / "cdktf.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        # Each is made into a folder of its own: `synth --output FOLDER`.
        return [line.split()[0] for line in lines]


@pytest.fixture
def deploying(project: Project, monkeypatch: pytest.MonkeyPatch) -> Deploying:
    return Deploying(project, monkeypatch)


def reservation(ec2: EC2Client, size: int) -> str:
    """The id of an On-Demand reservation of dev's type."""
    made = ec2.create_capacity_reservation(
        InstanceType="g7e.8xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=size,
    )
    return made["CapacityReservation"]["CapacityReservationId"]


PLANNED = ["init", "plan", "show"]
APPLIED = [*PLANNED, "apply"]


@pytest.mark.parametrize(
    ("plan", "options", "typed", "code", "said"),
    [
        ("nothing", (), "", 0, ""),
        ("owner", ("--auto-approve",), "", 0, ""),
        ("owner", ("--auto-approve", "--skip-provider-lock"), "", 0, ""),
        ("owner", (), "yes", 0, ""),
        ("owner", (), "no", 1, "'no' is not 'yes'. Nothing was changed."),
        ("owner", (), "", 1, "there is no terminal to ask on: run `nixl-efa deploy dev --auto-approve`"),
        ("key", ("--auto-approve",), "", 1, "the plan destroys 2 running nodes (producer i-"),
        ("key", ("--auto-approve",), "yes", 1, "'yes' is not '2'"),
        ("key", ("--auto-approve",), "2", 0, ""),
        ("key", (), "2", 0, ""),
        ("key", ("--replace-nodes",), "", 1, "run `nixl-efa deploy dev --auto-approve --replace-nodes`"),
        ("key", ("--replace-nodes",), "yes", 0, ""),
        ("key", ("--replace-nodes", "--auto-approve"), "", 0, ""),
    ],
)
def test_only_what_was_agreed_is_applied(
    plan: str, options: tuple[str, ...], typed: str, code: int, said: str, deploying: Deploying
) -> None:
    deploying.plans(plan)
    deploying.types(typed)
    ran = deploying.project.run("deploy", "dev", "--no-verify", *options)
    assert (ran.code, said in ran.err) == (code, True), ran
    assert deploying.terraform() == (PLANNED if code or plan == "nothing" else APPLIED)
    assert "Nothing was changed" in ran.err or not code


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ("cancelled", " is cancelled, not active"),
        ("denied", "may not be looked at (ec2:DescribeCapacityReservations)"),
        ("unknown", " is not known to EC2"),
    ],
)
def test_running_nodes_are_not_destroyed_for_a_reservation_that_lets_nothing_in(
    seen: str, said: str, deploying: Deploying, aws: LocalAws
) -> None:
    ec2 = boto3.client("ec2", REGION)
    made = reservation(ec2, 2)
    if seen == "cancelled":
        ec2.cancel_capacity_reservation(CapacityReservationId=made)
    if seen == "denied":
        aws.faults.add("DescribeCapacityReservations", code="UnauthorizedOperation", times=None)
    deploying.plans("reservation")
    if seen != "unknown":
        plan = deploying.project.folder / "plan.0"
        text = plan.read_text(encoding="utf-8")
        plan.write_text(text.replace("cr-0123456789abcdef0", made), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert (ran.code, said in ran.err) == (1, True), ran
    assert "their successors would not be let in" in ran.err
    assert deploying.terraform() == PLANNED


def test_a_reservation_that_is_lost_while_the_question_stands_is_seen(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = boto3.client("ec2", REGION)
    made = reservation(ec2, 2)
    deploying.plans("reservation")
    plan = deploying.project.folder / "plan.0"
    plan.write_text(plan.read_text(encoding="utf-8").replace("cr-0123456789abcdef0", made), encoding="utf-8")

    def answers_late(_: str) -> str:
        ec2.cancel_capacity_reservation(CapacityReservationId=made)
        return "2"

    deploying.types("2")
    monkeypatch.setattr("nixl_efa.cli.output.ask", answers_late)
    ran = deploying.project.run("deploy", "dev", "--no-verify")
    assert (ran.code, " is cancelled, not active" in ran.err) == (1, True), ran
    assert deploying.terraform() == PLANNED


def test_a_state_that_another_run_changed_while_the_question_stood_is_seen_before_the_apply(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = deploying.project.folder / "state.json"

    def answers_late(_: str) -> str:
        state.write_text('{"lineage": "a", "serial": 2}', encoding="utf-8")
        return "yes"

    state.write_text('{"lineage": "a", "serial": 1}', encoding="utf-8")
    deploying.plans("owner")
    deploying.types("yes")
    monkeypatch.setattr("nixl_efa.cli.output.ask", answers_late)
    ran = deploying.project.run("deploy", "dev", "--no-verify")
    assert (ran.code, "another run has changed the state" in ran.err) == (1, True), ran
    assert "Nothing was changed." in ran.err
    assert deploying.terraform() == PLANNED


@pytest.mark.parametrize("name", ["nothing", "owner"])
def test_a_node_that_is_stopped_is_no_part_of_a_pair_that_is_done(name: str, deploying: Deploying) -> None:
    plan = recorded(name)
    (consumer,) = [one for one in plan["resource_changes"] if one["address"] == "aws_instance.consumer"]
    consumer["change"]["before"]["instance_state"] = "stopped"
    (deploying.project.folder / "plan.0").write_text(json.dumps(plan), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve")
    started = f"aws ec2 start-instances --region {REGION} --instance-ids {consumer['change']['before']['id']}"
    assert (ran.code, started in ran.err) == (1, True), ran
    assert "the pair is as the settings say" not in ran.out
    assert deploying.terraform() == PLANNED


def test_nodes_that_somebody_replaced_meanwhile_are_not_destroyed(deploying: Deploying) -> None:
    made = reservation(boto3.client("ec2", REGION), 1)
    agreed = recorded("key")
    nodes = [one for one in agreed["resource_changes"] if one["type"] == "aws_instance"]
    target = [{"capacity_reservation_target": [{"capacity_reservation_id": made}]}]
    for node in nodes:
        for moment in ("before", "after"):
            node["change"][moment]["capacity_reservation_specification"] = target
    # What Terraform then plans for the nodes alone: the same addresses, and other instances.
    ending = json.loads(json.dumps({"resource_changes": nodes}))
    for number, node in enumerate(ending["resource_changes"]):
        node["change"] |= {"actions": ["delete"], "after": None, "replace_paths": []}
        node["change"]["before"]["id"] = f"i-{number}"
    for number, plan in enumerate((agreed, ending)):
        (deploying.project.folder / f"plan.{number}").write_text(json.dumps(plan), encoding="utf-8")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert (ran.code, "somebody has replaced them meanwhile" in ran.err) == (1, True), ran
    assert "apply" not in deploying.terraform()


def test_the_plan_that_was_shown_is_the_one_that_is_applied(deploying: Deploying) -> None:
    deploying.plans("owner")
    assert deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve").code == 0
    lines = (deploying.project.folder / "terraform.log").read_text(encoding="utf-8").splitlines()
    (planned,) = [word for line in lines for word in line.split() if word.startswith("-out=")]
    (applied,) = [line for line in lines if line.startswith("apply")]
    assert applied == f"apply -input=false {planned.removeprefix('-out=')}"


def test_the_plan_is_told_in_words(deploying: Deploying) -> None:
    deploying.plans("type")
    ran = deploying.project.run("deploy", "dev")
    lines = ran.out.splitlines()
    producer = next(number for number, line in enumerate(lines) if line.startswith("producer i-"))
    assert lines[producer].endswith("is REPLACED: destroyed, then built anew.")
    assert lines[producer + 1].startswith("    because: instance_type went from g7e.8xlarge to g7e.12xlarge")
    assert any(line.startswith("Beside the nodes: ") for line in lines)


def test_the_other_environments_and_the_check_are_left_out_of_the_synthesis(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = deploying.project.folder / "config"
    config.write_text("[profile ann]\naws_access_key_id = a\naws_secret_access_key = b\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert deploying.project.run("deploy", "dev", "--no-verify", "--profile", "ann").code == 0
    assert deploying.cdktf() == ["synth"]
    environ = (deploying.project.folder / "cdktf.env").read_text(encoding="utf-8").splitlines()
    assert {"NIXL_EFA_ENVIRONMENTS=dev", "NIXL_EFA_DEV_CHECK=off", "AWS_PROFILE=ann"} <= set(environ)


def test_protect_nodes_is_left_aside_for_what_is_agreed_and_put_back(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.8xlarge", protect_nodes=True)
    deploying.plans("key")
    ran = deploying.project.run("deploy", "dev", "--no-verify", "--auto-approve", "--replace-nodes")
    assert ran.code == 0, ran
    assert "protect_nodes is set, and left aside for what was agreed." in ran.err
    assert deploying.cdktf() == ["synth", "synth"]
    environ = (deploying.project.folder / "cdktf.env").read_text(encoding="utf-8").splitlines()
    assert [line for line in environ if "PROTECT_NODES" in line] == ["NIXL_EFA_DEV_PROTECT_NODES=false"]


def test_a_failed_check_stops_before_cdktf(deploying: Deploying, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="InsufficientInstanceCapacity", message="No capacity.")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  dry run" in ran.out
    assert "nixl-efa-dev was not deployed: the check found what would stop it (dry run)" in ran.err
    assert (deploying.cdktf(), deploying.terraform()) == ([], [])


def test_another_account_stops_a_deployment(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.8xlarge", account_id="999999999999")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  account " in ran.out
    assert deploying.cdktf() == []


def test_a_block_that_starts_later_stops_a_deployment(deploying: Deploying, aws: LocalAws) -> None:
    deploying.project.environment("prod", **deploying.project.buy_block())
    aws.advance(timedelta(minutes=10))
    ran = deploying.project.run("deploy", "prod", "--auto-approve")
    assert ran.code == 1
    assert "FAIL  reservation state" in ran.out
    assert deploying.cdktf() == []


def test_a_switch_to_the_next_block_is_no_nothing(
    deploying: Deploying, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = deploying.project.buy_block()["capacity_reservation_id"]
    monkeypatch.setattr("nixl_efa.capacity.save.switch_when_free", lambda *_: bought)
    deploying.project.environment(
        "prod",
        instance_type="p5.48xlarge",
        use_capacity_block=True,
        capacity_reservation_parameter="/nixl-efa/capacity-reservation-id",
    )
    ran = deploying.project.run("deploy", "prod")
    assert ran.code == 1
    assert f"No node was changed; prod's current block is {bought} now" in ran.err
    assert "Nothing was changed" not in ran.err


def test_strict_stops_on_a_warning(deploying: Deploying) -> None:
    deploying.project.environment("dev", instance_type="g7e.2xlarge")
    assert deploying.project.run("deploy", "dev", "--no-verify").code == 0
    assert len(deploying.cdktf()) == 1
    assert deploying.project.run("deploy", "dev", "--no-verify", "--strict").code == 1
    assert len(deploying.cdktf()) == 1


def test_a_failed_synthesis_is_told_with_its_words(deploying: Deploying) -> None:
    deploying.project.program("node_modules/cdktf-cli/bundle/bin/cdktf", "echo the disk is full; exit 3")
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert "cdktf synth ended with exit code 3" in ran.err
    assert deploying.terraform() == []


def test_without_cdktf_nothing_is_deployed(deploying: Deploying) -> None:
    (deploying.project.folder / "node_modules/.bin/cdktf").unlink()
    ran = deploying.project.run("deploy", "dev")
    assert ran.code == 1
    assert "make install" in ran.out
    assert deploying.terraform() == []


@pytest.mark.parametrize("option", ["--outputs-file", "--refresh-only", "--auto-aprove"])
def test_an_option_that_is_not_known_is_bad_input(option: str, deploying: Deploying) -> None:
    ran = deploying.project.run("deploy", "dev", option)
    assert ran.code == 2
    assert f"deploy takes no {option!r}" in ran.err
    assert deploying.cdktf() == []


def test_a_plan_that_fails_is_told_with_all_its_words(deploying: Deploying) -> None:
    deploying.project.program(
        "bin/terraform",
        """case "$1" in version) echo '{"terraform_version": "1.11.4"}' ;; plan)
        echo "Error: Resource precondition failed"; echo "the subnet lies elsewhere"; exit 1 ;; esac""",
    )
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 1
    assert "the subnet lies elsewhere" in ran.err
    assert "Nothing was changed." in ran.err


def test_a_failed_apply_says_what_runs_and_what_comes_next(deploying: Deploying) -> None:
    deployed(deploying.project)
    deploying.plans("owner")
    deploying.applies(1)
    ran = deploying.project.run("deploy", "dev", "--auto-approve")
    assert ran.code == 3
    assert "terraform apply ended with exit code 1. nixl-efa-dev-producer i-" in ran.err
    assert "run and are billed" in ran.err
    assert "`nixl-efa mend dev`" in ran.err
    assert "`nixl-efa deploy dev` goes on from here" in ran.err


def test_after_the_apply_the_pair_is_verified(
    deploying: Deploying, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)
    deployed(deploying.project)
    ran = deploying.project.run("deploy", "dev")
    # Run Command of the local AWS prints nothing here, and verify says so.
    assert "Waiting for the nodes' first boot" in ran.err
    assert "Asking both nodes through Run Command" in ran.err
    assert "FAIL" in ran.out
    assert ran.code == 4
    assert "The pair is built: it runs and is billed." in ran.err
    assert "SendCommand" in aws.calls.actions()


@pytest.mark.parametrize(
    ("plan", "options", "apply_code", "outcome", "code"),
    [
        ("nothing", ("--no-verify",), 0, "done", 0),
        ("key", ("--auto-approve",), 0, "stopped", 1),
        ("owner", ("--auto-approve",), 1, "apply-failed", 3),
        ("owner", ("--auto-approve",), 0, "verify-failed", 4),
    ],
)
def test_the_document_says_how_it_ended(
    plan: str,
    options: tuple[str, ...],
    apply_code: int,
    outcome: str,
    code: int,
    deploying: Deploying,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nixl_efa.nodes.run_command.POLL_SECONDS", 0.01)
    deployed(deploying.project)
    deploying.plans(plan)
    deploying.applies(apply_code)
    ran = deploying.project.run("deploy", "dev", "--json", *options)
    document = json.loads(ran.out)
    assert document["schema"] == "nixl-efa/deploy/1"
    assert (ran.code, document["exit_code"], document["outcome"]) == (code, code, outcome)
    assert (document["message"] == "") == (outcome == "done")
    assert (document["verify"] is not None) == (outcome == "verify-failed")
    assert {finding["level"] for finding in document["findings"]} == {"PASS"}
    assert [node["name"] for node in document["nodes"]] == ["producer", "consumer"]
    assert set(document) == documented("`nixl-efa/deploy/1`")
    assert set(document["nodes"][0]) == documented("one of `nodes`")
    if plan == "key":
        (cause,) = document["nodes"][0]["causes"]
        assert set(cause) == documented("one of `causes`")
        assert (cause["what"], cause["before"], cause["after"]) == ("key_name", "none", "ann")


def documented(form: str) -> set[str]:
    """The members of a form by docs/deploy.md."""
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {form} |")]
    # What stands in brackets tells of a member.
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row.split("|")[2])))


def test_a_failed_check_has_a_document_without_a_plan(deploying: Deploying, aws: LocalAws) -> None:
    aws.faults.add(action="RunInstances", code="InsufficientInstanceCapacity", message="No capacity.")
    document = json.loads(deploying.project.run("deploy", "dev", "--json").out)
    assert (document["outcome"], document["nodes"], document["verify"]) == ("stopped", [], None)
    assert "FAIL" in {finding["level"] for finding in document["findings"]}


def deployed(project: Project) -> None:
    """Two running nodes, and a state and outputs that name them."""
    iam = boto3.client("iam", REGION)
    iam.create_instance_profile(InstanceProfileName="nodes")
    ec2 = boto3.client("ec2", REGION)
    image = boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"]
    ec2.create_placement_group(GroupName="nixl-efa-dev-pair", Strategy="cluster")
    outputs: dict[str, Any] = {"efa_interfaces": 1, "capacity_reservation_id": ""}
    resources: list[dict[str, Any]] = []
    for node in ("producer", "consumer"):
        launched = ec2.run_instances(
            ImageId=image,
            InstanceType="g7e.8xlarge",
            MinCount=1,
            MaxCount=1,
            Placement={"GroupName": "nixl-efa-dev-pair"},
            IamInstanceProfile={"Name": "nodes"},
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [
                        {"Key": "Name", "Value": f"nixl-efa-dev-{node}"},
                        {"Key": STACK_TAG, "Value": f"{STACK} local"},
                    ],
                }
            ],
        )["Instances"][0]
        outputs[f"{node}_instance_id"] = launched["InstanceId"]
        outputs[f"{node}_private_ip"] = launched["PrivateIpAddress"]
        resources.append(
            {
                "mode": "managed",
                "type": "aws_instance",
                "name": node,
                "instances": [{"attributes": {"id": launched["InstanceId"]}}],
            }
        )
    state = {"version": 4, "outputs": {}, "resources": resources}
    (project.folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    said = project.folder / "outputs.json"
    said.write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}), encoding="utf-8")


class MovingClock:
    """Moves when somebody waits."""

    def __init__(self) -> None:
        self._now = NOW
        self.waits: list[float] = []

    def now(self) -> datetime:
        """The time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Moves on."""
        self.waits.append(seconds)
        self._now += timedelta(seconds=seconds)


class Registering:
    """Systems Manager, in which a node is registered at the given try."""

    def __init__(self, at_try: int) -> None:
        self._at_try = at_try
        self.tries = 0

    def send_command(self, **_: Any) -> dict[str, Any]:
        """Refused before the node is registered."""
        from botocore.exceptions import ClientError

        self.tries += 1
        if self.tries < self._at_try:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": ""}}, "SendCommand")
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, **_: Any) -> dict[str, Any]:
        """Done at once."""
        return {"Status": "Success", "StandardOutputContent": ""}


@pytest.mark.parametrize(("at_try", "minutes", "booted"), [(1, 1, True), (3, 5, True), (1000, 5, False)])
def test_the_boot_is_waited_for_until_the_limit(at_try: int, minutes: int, booted: bool) -> None:
    clock, ssm = MovingClock(), Registering(at_try)
    limit = timedelta(minutes=minutes)
    assert wait_for_boot(ssm, ["i-1"], clock, limit, lambda _: None) is booted  # type: ignore[arg-type]
    assert clock.now() <= NOW + limit
    assert ssm.tries == (at_try if booted else len(clock.waits) + 1)


def test_ctrl_c_during_the_apply_lets_terraform_end_and_says_what_runs(deploying: Deploying) -> None:
    deployed(deploying.project)
    deploying.plans("owner")
    # As Terraform does: told to stop, it still writes its state, which takes longer than Python waits by itself.
    stopping = "trap 'kill $!; sleep 1; echo saved > \"$ROOT/state\"; exit 1' INT"
    waiting = f"{stopping}; sleep 60 > /dev/null & echo begun; wait"
    script = TERRAFORM.replace('echo "Apply complete"', waiting)
    deploying.project.program("bin/terraform", script.strip())
    process = subprocess.Popen(
        [sys.executable, "-m", "nixl_efa", "deploy", "dev", "--auto-approve"],
        cwd=deploying.project.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() not in ("begun\n", ""):
        pass
    # What a terminal does at Ctrl-C: the whole group is told.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "nixl-efa: interrupted. nixl-efa-dev-producer i-" in said
    assert "`nixl-efa mend dev`" in said
    assert (deploying.project.folder / "state").read_text(encoding="utf-8") == "saved\n"
