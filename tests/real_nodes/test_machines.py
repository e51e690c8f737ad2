"""Instances of the local AWS as machines: what they boot with, and what becomes of them."""

import json
import threading
import time
from dataclasses import replace

import pytest

from nixl_efa.bootstrap import Bootstrap, PeerNode
from tests.real_nodes.conftest import UNDER_WAY, Account, boot, wait_until
from tests.told_at_boot import P5

FACTS = replace(
    P5,
    environment="trial",
    instance_type="g7e.8xlarge",
    efa_interfaces=1,
    accelerators=1,
    install_nixl=False,
    nixl_version="",
)


def of_a_pair(own: PeerNode) -> Bootstrap:
    """What the product tells one of a pair."""
    return replace(FACTS, node=own.name, nodes=(own,))


def of_a_bystander(_addresses: list[str]) -> str:
    return "#cloud-config\nruncmd:\n- [sh, -c, 'date >>/var/tmp/first-boots']\n"


@pytest.fixture(scope="module")
def nodes(account: Account) -> list[str]:
    """Two instances with the user data of a pair, whose cloud-init has ended."""
    return [node.instance_id for node in boot(account, of_a_pair, "producer", "consumer")]


def test_a_node_boots_with_the_products_user_data(account: Account, nodes: list[str]) -> None:
    first, second = nodes
    [reservation] = account.ec2.describe_instances(InstanceIds=[first])["Reservations"]
    address = reservation["Instances"][0]["PrivateIpAddress"]
    assert f"inet {address}/20 " in account.out(first, "ip -4 address show host0")
    assert account.out(first, "hostname").strip() == f"ip-{address.replace('.', '-')}"
    assert json.loads(account.out(first, "cat /etc/nixl-efa/pair.json"))["environment"] == "trial"
    assert account.out(first, "stat -c %a /opt/nixl-efa/bin/boot-report").strip() == "755"
    gateway = address.rsplit(".", 1)[0].rsplit(".", 1)[0] + ".0.1"
    assert f"default via {gateway} dev host0" in account.out(first, "ip route")
    peer = json.loads(account.out(first, "cat /etc/nixl-efa/pair.json"))["nodes"][1]["address"]
    assert "1 received" in account.out(first, f"ping -c 1 {peer}")
    assert account.out(second, "ip -4 -brief address show host0").split()[2].startswith(f"{peer}/")


def test_its_boot_report_says_what_it_lacks_and_cloud_init_says_that_the_report_failed(
    account: Account, nodes: list[str]
) -> None:
    report = json.loads(account.out(nodes[0], "cat /var/lib/nixl-efa/boot-report.json"))
    seen = {check["check"]: check["ok"] for check in report["checks"]}
    assert (report["ok"], seen["efa_devices"], seen["accelerators"]) == (False, False, False)
    assert "NOT AS PLANNED" in account.out(nodes[0], "journalctl -u nixl-efa-boot-report.service")
    status = account.run(nodes[0], "cloud-init status --long")
    assert (status["ResponseCode"], "scripts-user" in status["StandardOutputContent"]) == (1, True)


def test_run_command_is_what_the_agent_does(account: Account, nodes: list[str]) -> None:
    answer = account.run(nodes[0], "pwd", "echo $0", "echo words >&2", "exit 4")
    assert (answer["Status"], answer["ResponseCode"]) == ("Failed", 4)
    assert answer["StandardOutputContent"].splitlines()[0] == "/usr/bin"
    assert answer["StandardErrorContent"] == "words\n"
    assert account.run(nodes[0], "pwd", workingDirectory=["/etc"])["StandardOutputContent"] == "/etc\n"
    late = account.run(nodes[0], "echo begun; sleep 100 & sleep 100", executionTimeout=["1"])
    assert (late["Status"], late["StatusDetails"]) == ("TimedOut", "Execution Timed Out")
    assert late["StandardOutputContent"] == "begun\n"
    assert (
        account.run(nodes[0], "pgrep -x sleep")["ResponseCode"] == 1
    )  # it was ended, with all that it began


def test_a_command_is_in_progress_while_it_runs(account: Account, nodes: list[str]) -> None:
    command = account.send(nodes[0], "while [ ! -e /run/go ]; do sleep 0.1; done; echo gone")
    assert account.invocation(command, nodes[0])["Status"] == "InProgress"
    account.run(nodes[0], "touch /run/go")
    wait_until(lambda: account.invocation(command, nodes[0])["Status"] == "Success", "the command's end")
    assert account.invocation(command, nodes[0])["StandardOutputContent"] == "gone\n"


def test_a_command_has_the_limits_of_a_service(account: Account, nodes: list[str]) -> None:
    shown = account.out(nodes[0], "systemctl show --property=DefaultLimitMEMLOCK", "ulimit -l").splitlines()
    assert shown[0] == "DefaultLimitMEMLOCK=infinity"  # configure has made systemd read it
    limited = "memlock" in account.aws.world.machines_lack
    assert (shown[1] == "unlimited") is not limited


def test_the_aws_cli_inside_may_do_what_the_instances_role_may(account: Account) -> None:
    s3, iam = account.client("s3"), account.client("iam")
    s3.create_bucket(Bucket="trial", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    s3.put_object(Bucket="trial", Key="given", Body=b"words")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::trial/given"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName="reader")
    iam.add_role_to_instance_profile(InstanceProfileName="reader", RoleName="reader")
    [instance] = account.launch(of_a_bystander, profile="reader")
    account.wait_until_managed(instance)
    aws = "aws --region us-east-2 s3api"
    assert account.out(instance, f"{aws} get-object --bucket trial --key given /dev/stderr").startswith("{")
    refused = account.run(instance, f"{aws} put-object --bucket trial --key given --body /etc/os-release")
    assert refused["ResponseCode"] != 0
    assert (
        f"assumed-role/reader/{instance} is not authorized to perform: s3:PutObject"
        in refused["StandardErrorContent"]
    ), refused
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_an_instance_whose_machine_is_not_up_yet_is_not_managed(account: Account) -> None:
    [instance] = account.launch(of_a_bystander)
    assert instance not in account.managed()
    with pytest.raises(account.ssm.exceptions.InvalidInstanceId):
        account.send(instance, "true")
    account.wait_until_managed(instance)
    without_role = account.run(instance, "aws --region us-east-2 s3api list-buckets")
    assert "Unable to locate credentials" in without_role["StandardErrorContent"]
    account.ec2.terminate_instances(InstanceIds=[instance])
    assert instance not in account.managed()


def test_stop_start_and_reboot_keep_what_was_written_and_boot_anew(account: Account) -> None:
    [instance] = account.launch(of_a_bystander)
    boots: set[str] = set()
    for again in (
        lambda: None,
        lambda: account.ec2.reboot_instances(InstanceIds=[instance]),
        lambda: account.ec2.stop_instances(InstanceIds=[instance]),
    ):
        again()
        if account.state(instance) == "stopped":
            wait_until(lambda: machine_state(account, instance) == "off", "the machine's end")
            assert instance not in account.managed()
            account.ec2.start_instances(InstanceIds=[instance])
        wait_until(lambda: booted(account, instance) not in (*boots, ""), "another boot")
        boots.add(booted(account, instance))
        account.run(instance, "cloud-init status --wait")
    assert len(boots) == 3
    assert len(account.out(instance, "cat /var/tmp/first-boots").splitlines()) == 1
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_a_command_whose_machine_goes_down_is_in_progress_for_ever(account: Account) -> None:
    [instance] = account.launch(of_a_bystander)
    account.wait_until_managed(instance)
    command = account.send(instance, "touch /run/begun; sleep 300")
    account.out(instance, "until test -e /run/begun; do sleep 0.1; done")
    account.ec2.stop_instances(InstanceIds=[instance])
    wait_until(lambda: machine_state(account, instance) == "off", "the machine's end")
    for thread in threading.enumerate():
        if thread.name == f"run-command-{command}":
            thread.join(20)
    assert account.invocation(command, instance)["Status"] == "InProgress"
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_a_machine_that_powers_itself_off_stops_its_instance(account: Account) -> None:
    [instance] = account.launch(of_a_bystander)
    account.wait_until_managed(instance)
    account.send(instance, "systemctl poweroff")
    wait_until(lambda: account.state(instance) == "stopped", "the instance's stop")
    [reservation] = account.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert reservation["Instances"][0]["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_what_is_terminated_or_ends_without_a_call_has_no_machine_any_more(account: Account) -> None:
    called, ended = account.launch(of_a_bystander, count=2)
    account.wait_until_managed(called, ended)
    account.ec2.terminate_instances(InstanceIds=[called])
    account.aws.end(ended, "spot")
    assert account.state(ended) == "terminated"
    for instance in (called, ended):
        wait_until(lambda: machine_state(account, instance) == "none", "the machine's end")  # noqa: B023


def test_a_node_that_replaces_another_is_reached_at_its_address(account: Account) -> None:
    peer, old = account.launch(of_a_bystander, count=2)
    account.wait_until_managed(peer, old)
    [reservation] = account.ec2.describe_instances(InstanceIds=[old])["Reservations"]
    [interface] = reservation["Instances"][0]["NetworkInterfaces"]
    address, mac = interface["PrivateIpAddress"], interface["MacAddress"]
    assert "1 received" in account.run(peer, f"ping -c 1 {address}")["StandardOutputContent"]
    account.ec2.terminate_instances(InstanceIds=[old])
    [new] = account.launch_on([interface["NetworkInterfaceId"]], of_a_bystander([]))
    account.wait_until_managed(new)
    assert account.out(new, "cat /sys/class/net/host0/address").strip() == mac
    assert "1 received" in account.run(peer, f"ping -c 1 -W 2 {address}")["StandardOutputContent"]
    account.ec2.terminate_instances(InstanceIds=[peer, new])


def test_an_emptied_account_has_no_machines(account: Account) -> None:
    """The last test of the module: the pair goes with all else."""
    fleet = account.aws.world.machines
    assert fleet is not None
    assert fleet.describe()
    from local_aws.control import Control

    Control(account.aws.endpoint).reset()
    assert fleet.describe() == {}


def machine_state(account: Account, instance: str) -> str:
    fleet = account.aws.world.machines
    assert fleet is not None
    return str(fleet.describe().get(instance, {"state": "none"})["state"])


def booted(account: Account, instance: str) -> str:
    """The id of the boot that runs; empty while none takes a command, and for a command that a shutdown ended."""
    try:
        command = account.send(instance, "cat /proc/sys/kernel/random/boot_id")
    except account.ssm.exceptions.InvalidInstanceId:
        return ""
    end = time.monotonic() + 10
    while (answer := account.invocation(command, instance))["Status"] in UNDER_WAY:
        if time.monotonic() > end:
            return ""
        time.sleep(0.2)
    return str(answer["StandardOutputContent"]).strip()
