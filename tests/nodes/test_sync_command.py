"""`nixl-efa nodes sync` as a user runs it, against the local AWS."""

import json
import re
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.nodes import files
from nixl_efa.settings.model import STACK_TAG
from tests.nodes.local_pair import REGION, Project, Run
from tests.nodes.stand_in import ADDRESSES, StandIn
from tests.policies import denied, under
from tests.printed import ROOT


@pytest.fixture
def stand_ins(project: Project, aws: LocalAws) -> dict[str, StandIn]:
    """The pair's nodes; Run Command says what the looking script prints there."""
    found = {}
    for name, instance_id in zip(ADDRESSES, project.ids, strict=True):
        found[name] = StandIn(name, project.folder / f"{name}-looked-at")
        looks(aws, instance_id, found[name])
    return found


def looks(aws: LocalAws, instance_id: str, node: StandIn) -> None:
    aws.command_output(instance_id, stdout=node.run(files.look(node.files).commands))


def test_a_pair_in_order(stand_ins: Any, project: Project, run: Run) -> None:
    code, out, err = run("nodes", "sync", "prod")
    assert (code, err) == (0, "Asking both nodes through Run Command ...\n")
    producer, consumer = project.ids
    assert out == (
        f"producer {producer}: all files are as the settings have them\n"
        f"consumer {consumer}: all files are as the settings have them\n"
    )


def test_check_names_the_files_of_each_node_and_ends_with_1(
    stand_ins: dict[str, StandIn], project: Project, aws: LocalAws, run: Run
) -> None:
    stand_ins["consumer"].file("etc/nixl-efa/env", "MY_TOKEN=secret\n")
    looks(aws, project.ids[1], stand_ins["consumer"])
    code, out, _ = run("nodes", "sync", "prod", "--check")
    producer, consumer = project.ids
    assert code == 1
    assert out == (
        f"producer {producer}: all files are as the settings have them\n"
        f"consumer {consumer}: 1 file to write\n"
        "  /etc/nixl-efa/env\n"
        "Nothing was written: `nixl-efa nodes sync prod` writes these files.\n"
    )


def test_what_was_written_is_told_with_the_boot_report(
    stand_ins: dict[str, StandIn], project: Project, aws: LocalAws, run: Run
) -> None:
    reports = {
        "producer": '{"ok": true}',
        "consumer": '{"ok": false, "checks": [{"check": "memlock", "ok": false}]}',
    }
    for (name, report), instance_id in zip(reports.items(), project.ids, strict=True):
        stand_ins[name].file("etc/nixl-efa/env", "")
        looked = stand_ins[name].run(files.look(stand_ins[name].files).commands)
        stand_ins[name].file("var/lib/nixl-efa/boot-report.json", report)
        stand_ins[name].command("systemctl", f"case $* in restart*) exit {int('false' in report)} ;; esac")
        env = [file for file in stand_ins[name].files if file.path == "/etc/nixl-efa/env"]
        written = stand_ins[name].run(files.writer(env).commands)
        aws.command_output(instance_id, stdout=looked + written)
    code, out, err = run("nodes", "sync", "prod")
    producer, consumer = project.ids
    assert code == 1
    assert err.splitlines()[-1] == "Writing what differs, on producer, consumer ..."
    assert out == (
        f"producer {producer}: 1 file written, boot report as planned\n"
        "  /etc/nixl-efa/env\n"
        f"consumer {consumer}: 1 file written. FAIL the boot report is not as planned: memlock. Look at "
        "`nixl-efa verify prod`.\n"
        "  /etc/nixl-efa/env\n"
        "Services take the new environment when they are started again.\n"
    )


def test_a_node_that_may_not_be_written_is_one_line_of_its_own(
    stand_ins: dict[str, StandIn], project: Project, aws: LocalAws, run: Run
) -> None:
    pair = stand_ins["producer"].root / "etc/nixl-efa/pair.json"
    pair.write_text(pair.read_text(encoding="utf-8").replace('"prod"', '"dev"'), encoding="utf-8")
    looks(aws, project.ids[0], stand_ins["producer"])
    code, out, _ = run("nodes", "sync", "prod")
    assert code == 1
    assert out.startswith(
        f"producer {project.ids[0]}: FAIL says in /etc/nixl-efa/pair.json that it is the producer of environment dev: "
        "the stack's outputs name another machine. Look at `nixl-efa status prod`.\n"
    )
    assert out.endswith("\nNothing was written on any node.\n")


def test_the_document_has_the_members_of_the_page(stand_ins: Any, run: Run) -> None:
    code, out, _ = run("nodes", "sync", "prod", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["ok"]) == (0, "nixl-efa/nodes-sync/1", True)
    page = (ROOT / "docs/nodes.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| `nixl-efa/nodes-sync/1` \|(.*)$", page, re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", line))
    assert documented == set(document) - {"schema"} | set(document["nodes"][0])


def test_ctrl_c_says_what_is_left_and_how_to_see_it(
    stand_ins: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nixl_efa.nodes.run_command._look", interrupt)
    code, out, err = run("nodes", "sync", "prod")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == (
        "nixl-efa: interrupted: commands that were already sent continue, and each node has its old "
        "files or its new ones. "
        "`nixl-efa nodes sync prod --check` tells which."
    )


def test_an_environment_that_does_not_exist_is_bad_input(project: Project, run: Run) -> None:
    code, _, err = run("nodes", "sync", "prdo")
    assert (code, err) == (2, 'nixl-efa: There is no environment "prdo". Did you mean prod?\n')


def test_the_policy_of_verify_is_enough(stand_ins: Any, project: Project, aws: LocalAws, run: Run) -> None:
    tag: Any = [{"Key": STACK_TAG, "Value": "nixl-efa-prod local"}]
    boto3.client("ec2", REGION).create_tags(Resources=project.ids, Tags=tag)
    _, printed, _ = run("policy", "verify", "--env", "prod")
    under(aws, printed)
    code, out, err = run("nodes", "sync", "prod")
    assert code == 0, out + err
    assert denied(aws) == []
