"""What real cloud-init said on real machines (tests/recorded), from the node's sections to the finding."""

import json

import pytest

from nixl_efa.findings import Level
from nixl_efa.nodes.facts import Planned
from tests.nodes.looked_at import assert_told, looked_at
from tests.records import answer, record

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS


@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("cloud_init/done", PASS, "done"),
        ("cloud_init/ec2-degraded-by-ipv6-imds", PASS, "done, with 1 harmless warning"),
        (
            "cloud_init/ec2-user-script-failed",
            FAIL,
            "ended with an error: ('scripts_user', RuntimeError('Runparts: 1 failures (part-001) in 1 attempted",
        ),
        (
            "cloud_init/runcmd-failed",
            FAIL,
            "RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted commands')).",
        ),
        (
            "cloud_init/error-with-empty-errors",
            FAIL,
            "an error that it does not name; units of systemd that failed: cloud-final.service.",
        ),
        (
            "cloud_init/old-version-error-in-detail",
            FAIL,
            "ended with an error: ('scripts-user', RuntimeError('Runparts: 1 failures (part-002) in 1 attempted",
        ),
        ("cloud_init/error-told-as-a-warning", FAIL, "Failed to apply network config names"),
        ("cloud_init/running-for-ever", WARN, "although its last stage has ended: this will not change"),
        ("cloud_init/wait-dots-on-the-status-line", FAIL, "ended with an error: ('scripts."),
        ("cloud_init/not-started", FAIL, "not finished: not started."),
        ("cloud_init/disabled", FAIL, "Cloud-init disabled by /etc/cloud/cloud-init.disabled"),
    ],
)
def test_what_cloud_init_says(name: str, level: Level, words: str, p5_plan: Planned) -> None:
    said = answer(name)
    text = said if isinstance(said, str) else json.dumps(said, indent=1)
    printed: dict[str, str | tuple[str, int]] = {
        "cloud_init": (text, record(name)["question"].get("exit", 0)),
        "cloud_final": "active",
        "failed_units": "cloud-final.service loaded failed failed Execute cloud user/final scripts\n",
    }
    assert_told(looked_at(p5_plan, printed)["cloud-init"], level, words)


def test_a_warning_of_every_healthy_node_is_never_the_cause_of_an_error(p5_plan: Planned) -> None:
    degraded = answer("cloud_init/ec2-degraded-by-ipv6-imds")
    text = degraded.replace("status: done", "status: error").replace("degraded done", "error - done")
    units = "nixl-efa-boot-report.service loaded failed failed NIXL/EFA boot report\n"
    found = looked_at(p5_plan, {"cloud_init": (text, 1), "failed_units": units})["cloud-init"]
    assert_told(
        found, FAIL, "that it does not name; units of systemd that failed: nixl-efa-boot-report.service."
    )


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        # Forms that were not recorded, in the words of cloud-init's source and documentation.
        (
            "status: error\ntime: Wed, 28 Dec 2022 02:12:08 +0000\ndetail:\n('scripts-user', RuntimeError('1'),)\n",
            FAIL,
            "ended with an error: ('scripts-user', RuntimeError('1'),).",
        ),
        ("status: error\nerrors: []\nrecoverable_errors: {}\n", FAIL, "an error that it does not name."),
        ("status: degraded done\nerrors: []\n", PASS, "done"),
        (
            "status: done\nextended_status: degraded done\nerrors: []\nrecoverable_errors:\nDEPRECATED:\n\t- old key\n",
            PASS,
            "done, with 1 harmless warning",
        ),
        (
            "status: done\nerrors: []\nrecoverable_errors:\nWARNING:\n\t- Unhandled non-multipart\n\t- two\n  lines\n",
            WARN,
            "done, with 2 warnings: WARNING: Unhandled non-multipart (and 1 more).",
        ),
        ("....\nstatus: not run\n", FAIL, "not finished: not run."),
        ("status: running\nextended_status: degraded running\n", FAIL, "not finished: running."),
        (
            "status: error\nextended_status: error - running\nerrors:\n\t- ('x', RuntimeError('y'))\n",
            FAIL,
            "still runs, with an error: ('x', RuntimeError('y')).",
        ),
        ("status: paused\n", FAIL, "its status is not known here: 'paused'."),
        ("Traceback (most recent call last):\n", FAIL, "can't be read: Traceback (most recent call last):."),
        ("", FAIL, "cloud-init says nothing."),
    ],
)
def test_forms_of_cloud_init_that_nobody_recorded(
    text: str, level: Level, words: str, p5_plan: Planned
) -> None:
    assert_told(looked_at(p5_plan, {"cloud_init": text})["cloud-init"], level, words)


def test_while_cloud_init_runs_its_last_stage_has_not_ended(p5_plan: Planned) -> None:
    printed: dict[str, str | tuple[str, int]] = {
        "cloud_init": answer("cloud_init/running"),
        "cloud_final": ("activating", 3),
    }
    found = looked_at(p5_plan, printed)["cloud-init"]
    assert_told(found, FAIL, "not finished: running.")
    assert found.remedy.startswith("Wait some minutes")
