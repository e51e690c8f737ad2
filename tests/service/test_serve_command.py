"""`nixl-efa serve` as a user runs it, against the local AWS: what a node says is handed to its Run Command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.cli.output import iso
from nixl_efa.service.model import Service
from nixl_efa.settings.model import STACK_TAG
from nixl_efa.times import moment
from tests.nodes.conftest import aws, block_end, project, run
from tests.nodes.local_pair import REGION, Project, Run
from tests.policies import denied, under
from tests.printed import ROOT, blocks
from tests.records import record

__all__ = ["aws", "block_end", "project", "run"]

SERVICE = Service("vllm", "/models/x", "0.32.0", ("--max-model-len", "4096"))
LOAD = record("vllm/metrics-0.32-load")


def unit(started: str, **changes: Any) -> dict[str, Any]:
    return {
        "state": "active",
        "restarts": 0,
        "invocation": started,
        "healthy": True,
        "log": "",
        "end": "the last line",
        "metrics": "",
        "earlier": "",
        "seconds": 0.0,
        **changes,
    }


# What starts an engine at boot, and what drains a node, which are not there.
OTHERS = (unit("", state=""), unit("", state=""))
NOT_TOLD = {"at_boot": "", "drained": ""}


def under_load(node: str) -> dict[str, Any]:
    """What an engine tells twice."""
    told = {when: "\n".join(lines) for when, lines in LOAD["answer"][node].items()}
    return {
        "metrics": told["after"],
        "earlier": told["before"],
        "seconds": LOAD["question"]["seconds"][node],
    }


def section(name: str, text: str) -> str:
    return f"@@ begin {name}\n{text}\n@@ end {name} 0\n"


@pytest.fixture
def service(project: Project, aws: LocalAws) -> Any:
    """Lets both nodes say what runs on them: with changes of the producer's engine."""

    def say(drain: Mapping[str, Any] | None = None, **changes: Any) -> None:
        proven = json.dumps({"engines": {"producer": "p1", "consumer": "c1"}, "at": "2026-12-01T09:00:00Z"})
        units = {
            "producer": [unit("p1", **under_load("producer") | changes), *OTHERS],
            "consumer": [unit("c1", **under_load("consumer")), *OTHERS, unit("r1")],
        }
        for (name, several), instance_id in zip(units.items(), project.ids, strict=True):
            told = {
                "units": several,
                "service": SERVICE.text,
                "proven": proven if name == "consumer" else "",
                **NOT_TOLD,
            }
            if drain is not None:
                saved = {"saved": f"s3://b/{name}", "left": "", "problems": [], **drain}
                told["drained"] = json.dumps(saved)
            log = section("log", f"{name}: a line")
            log += section("armed", "") + section("asked", "")
            stdout = section("program", json.dumps(told)) + section("stopped", "") + log
            aws.command_output(instance_id, stdout=stdout)

    say()
    return say


def test_a_service_that_is_what_was_proven(service: Any, run: Run) -> None:
    code, out, _ = run("serve", "status", "prod")
    assert code == 0
    page = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    [table] = [one.text for one in blocks(page, "") if one.text.startswith("NODE ")]
    address = re.compile(r"http://172\.31\.[\d.]+:(?=\d+/metrics)")
    *lines, last = address.sub("ADDRESS:", out).splitlines()
    assert lines == [
        "PASS engine (producer): vLLM answers",
        "PASS engine (consumer): vLLM answers",
        "PASS KV transfer (consumer): 186 MiB by NIXL at 1.09 Gbps on average, 37200 prompt tokens by KV transfer, "
        "none failed",
        "PASS router: it answers",
        "PASS proof: of 2026-12-01T09:00:00Z",
        "PASS capacity: no reservation: the nodes have no end time.",
        "",
        *address.sub("ADDRESS:", table).splitlines(),
        "",
    ]
    assert re.fullmatch(r"Ready: http://172\.31\.[\d.]+:8000/v1 answers for /models/x\.", last)


def test_the_time_left_in_the_block_counts_to_the_moment_at_which_ec2_terminates(
    block_end: datetime, service: Any, aws: LocalAws, run: Run
) -> None:
    """A warning that it is near is none of the service."""
    stop = block_end - timedelta(minutes=30)
    aws.clock.set(stop - timedelta(minutes=40))
    code, out, _ = run("serve", "status", "prod")
    [line] = [one for one in out.splitlines() if " capacity: " in one]
    told = (
        f"EC2 begins to terminate at {moment(stop)}, in 40 min. The block ends at {moment(block_end)}. Save"
    )
    assert (code, line.startswith("WARN capacity: Capacity Block cr-"), told in line) == (0, True, True), out
    [found] = json.loads(run("serve", "status", "prod", "--json")[1])["reservations"]
    assert (found["terminates"], found["end"]) == (iso(stop), iso(block_end))


def test_it_fits_a_terminal_of_80_columns(service: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    service(invocation="p2", healthy=False)
    _, out, _ = run("serve", "status", "prod")
    assert "\n    METRICS http://172.31." in out
    # A command stays whole, so that it can be copied.
    whole = "`nixl-efa serve start prod --model /models/x --engine-version 0.32.0 --"
    assert [line for line in out.splitlines() if len(line) > 80 and whole not in line] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"invocation": "p2"},
            "WARN proof: producer started again since the proof: what they do now is not proven. `nixl-efa serve start "
            "prod --model /models/x --engine-version 0.32.0 -- --max-model-len 4096` proves it again",
        ),
        ({"healthy": False}, "FAIL engine (producer): it does not answer: the last line"),
        (
            {"state": "failed", "end": "CUDA out of memory"},
            "FAIL engine (producer): the engine ended: CUDA out of memory",
        ),
        ({"state": ""}, "SKIP engine (producer): no engine runs."),
    ],
)
def test_what_is_not_ready_ends_with_1(service: Any, run: Run, changes: dict[str, Any], said: str) -> None:
    service(**changes)
    code, out, _ = run("serve", "status", "prod")
    assert code == 1
    assert said in out
    assert out.splitlines()[-1].startswith("Not ready: ")


def test_the_document_has_the_members_of_the_page(service: Any, run: Run) -> None:
    code, out, _ = run("serve", "status", "prod", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["ready"]) == (0, "nixl-efa/serve/1", True)
    page = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| `nixl-efa/serve/1` \|(.*)$", page, re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", line))
    inner = set(document["findings"][0]) | set(document["engines"][0])
    assert documented == set(document) - {"schema"} | inner
    assert document["reservations"] == []
    load = {name: value for name, value in document["engines"][1].items() if name != "node"}
    assert load.pop("kv_gbps") == pytest.approx(1.0936, rel=0.001)
    assert load == {
        "prompt_tokens": pytest.approx(908.4, rel=0.001),
        "generated_tokens": pytest.approx(110.0, rel=0.001),
        "running": 3,
        "waiting": 0,
        "kv_bytes": 195035136,
        "failed_transfers": 0,
        "expired": 0,
    }
    assert [url.rpartition(":")[2] for url in document["metrics"].values()] == [
        "8100/metrics",
        "8200/metrics",
        "29000/metrics",
    ]


def test_logs_are_printed_as_they_are(service: Any, run: Run) -> None:
    assert run("serve", "logs", "prod")[:2] == (
        0,
        "==> producer\nproducer: a line\n==> consumer\nconsumer: a line\n",
    )
    assert run("serve", "logs", "prod", "producer")[:2] == (0, "==> producer\nproducer: a line\n")
    assert run("serve", "logs", "prod", "--router")[:2] == (0, "==> consumer\nconsumer: a line\n")
    code, _, err = run("serve", "logs", "prod", "third")
    assert (code, "node 'third' is not one of prod: give producer, consumer." in err) == (2, True)


def test_stop_says_that_nothing_runs(service: Any, run: Run) -> None:
    assert run("serve", "stop", "prod")[:2] == (0, "No service runs on prod.\n")


def test_a_drain_says_where_all_is_and_what_could_not_be_copied(service: Any, run: Run) -> None:
    service(drain={})
    assert run("serve", "drain", "prod") == (
        0,
        "PASS requests (producer): none is left\n"
        "PASS copy (producer): s3://b/producer/\n"
        "PASS requests (consumer): none is left\n"
        "PASS copy (consumer): s3://b/consumer/\n"
        "Drained: nothing of the service runs on prod.\n",
        "Draining both nodes: requests have 300 s to end; then results and logs are copied ...\n",
    )
    service(drain={"problems": ["s3://b/x: AccessDenied"]})
    code, out, _ = run("serve", "drain", "prod", "--limit", "5")
    assert (code, "FAIL copy (producer): s3://b/x: AccessDenied. Fix that" in out) == (1, True)
    assert "nothing of the service runs" not in out


def test_nixl_that_does_not_go_as_planned_ends_a_start_before_anything_is_installed(
    project: Project, aws: LocalAws, run: Run
) -> None:
    for instance_id in project.ids:
        probe = "nixl 1.5.1 LIBFABRIC failed: libfabric.so.1: version `FABRIC_1.10' not found"
        aws.command_output(
            instance_id, stdout=section("nixl", probe) + section("libfabric", "libfabric: 2.6.0amzn1.0")
        )
    code, out, err = run("serve", "start", "prod", "--model", "/models/x")
    assert code == 1
    assert err == "Asking both nodes through Run Command ...\n"
    assert (
        "FAIL NIXL (producer): 1.5.1 makes no LIBFABRIC: libfabric.so.1: version `FABRIC_1.10' not found."
        in out
    )
    assert "install-nixl 1.5.0 on the node" in out
    assert out.splitlines()[-1] == "Not ready: 2 steps of 2 did not pass."


def test_without_a_model_the_settings_say_what_is_served(service: Any, project: Project, run: Run) -> None:
    """No node tells of its NIXL here, so that a start ends with its first step."""
    file = project.folder / "environments/prod.toml"
    table = '[service]\nmodel = "a/b"\nflags = ["--max-model-len", "4096"]\nproducer_flags = ["-x"]\n'
    file.write_text(f"{file.read_text(encoding='utf-8')}{table}", encoding="utf-8")

    def served(*words: str) -> list[Any]:
        code, out, _ = run("serve", "start", "prod", "--json", *words)
        document = json.loads(out)
        assert (code, document["ready"]) == (1, False)
        return [document[name] for name in ("model", "version", "flags", "producer_flags", "consumer_flags")]

    assert served() == ["a/b", "0.32.0", ["--max-model-len", "4096"], ["-x"], []]
    assert served("--consumer-flags=-y '1 2'", "--producer-flags=", "--", "-z") == [
        "a/b",
        "0.32.0",
        ["-z"],
        [],
        ["-y", "1 2"],
    ]
    assert served("--model", "c/d") == ["c/d", "0.32.0", [], [], []]
    file.write_text(f"{file.read_text(encoding='utf-8')}version = 'x'\n", encoding="utf-8")
    code, _, err = run("serve", "start", "prod")
    said = "prod: service.version (environments/prod.toml: service.version) 'x' is not a version of vllm"
    assert (code, said in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("start", "prod"),
            "there is no model to serve: give --model, or set service.model in environments/prod.toml",
        ),
        (
            ("start", "prod", "--model", "a/b", "--producer-flags", "'x"),
            '--producer-flags "\'x" is not what a shell',
        ),
        (("start", "prdo", "--model", "a/b"), 'There is no environment "prdo". Did you mean prod?'),
        (("start", "prod", "--model", "a b"), "--model 'a b' is neither"),
        (
            ("start", "prod", "--model", "a/b", "--engine", "sglang"),
            "--engine 'sglang' can't be served: give vllm.",
        ),
        # `serve ENV` is `serve start ENV`.
        (("prod", "--model", "a/b", "--", "--port", "1"), "--port can't be given to vllm here"),
        (("prdo",), 'There is no environment "prdo". Did you mean prod?'),
        (("--model", "a/b", "prod"), "No such option: --model"),
        (("start", "prod", "--model", "a/b", "--", "--port", "1"), "--port can't be given to vllm here"),
    ],
)
def test_bad_input_ends_with_2(project: Project, run: Run, words: tuple[str, ...], said: str) -> None:
    code, _, err = run("serve", *words)
    assert (code, said in err) == (2, True)


def test_a_restart_without_a_service_says_how_to_start_one(project: Project, aws: LocalAws, run: Run) -> None:
    told = {"units": [unit("", state=""), *OTHERS], "service": "", "proven": "", **NOT_TOLD}
    for instance_id in project.ids:
        aws.command_output(instance_id, stdout=section("program", json.dumps(told)))
    code, _, err = run("serve", "restart", "prod")
    assert (code, "no service was started on prod: `nixl-efa serve start prod --model MODEL`" in err) == (
        1,
        True,
    )


def test_a_node_that_does_not_run_is_told_before_anything_is_asked(
    service: Any, project: Project, run: Run
) -> None:
    boto3.client("ec2", REGION).terminate_instances(InstanceIds=project.ids[:1])
    code, _, err = run("serve", "start", "prod", "--model", "/models/x")
    assert code == 1
    assert "prod can serve nothing: the producer" in err


def test_ctrl_c_says_that_nothing_is_proven(service: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nixl_efa.nodes.run_command._look", interrupt)
    code, out, err = run("serve", "start", "prod", "--model", "/models/x")
    assert (code, out) == (130, "")
    assert "nothing is proven. `nixl-efa serve status prod` shows what runs." in err.splitlines()[-1]
    code, out, err = run("serve", "drain", "prod")
    assert (code, out) == (130, "")
    assert (
        "nodes that were already asked continue. `nixl-efa serve drain prod` joins them and tells what they save."
        in err
    )


def test_credentials_that_expire_during_a_drain_end_no_drain(service: Any, aws: LocalAws, run: Run) -> None:
    aws.faults.add("GetCommandInvocation", code="ExpiredTokenException", message="it has expired")
    code, out, err = run("serve", "drain", "prod")
    assert (code, out) == (1, "")
    assert "WARN nodes that were already asked continue. `nixl-efa serve drain prod` joins them" in err
    assert "GetCommandInvocation was refused: ExpiredTokenException" in err.splitlines()[-1]


def test_the_policy_of_verify_is_enough(service: Any, project: Project, aws: LocalAws, run: Run) -> None:
    tag: Any = [{"Key": STACK_TAG, "Value": "nixl-efa-prod local"}]
    boto3.client("ec2", REGION).create_tags(Resources=project.ids, Tags=tag)
    _, printed, _ = run("policy", "verify", "--env", "prod")
    under(aws, printed)
    for command in ("status", "logs", "stop", "drain"):
        if command == "drain":
            service(drain={})
        code, out, err = run("serve", command, "prod")
        assert code == 0, out + err
    assert denied(aws) == []
