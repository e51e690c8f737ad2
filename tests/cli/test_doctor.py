"""`nixl-efa doctor` as a user runs it: this machine, and an account of the local AWS."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local_aws import LocalAws
from tests.cli.conftest import ROOT, Cli


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """prod alone, in a folder of its own."""
    folder = tmp_path / "pair"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "prod.toml").write_bytes((ROOT / "environments" / "prod.toml").read_bytes())
    (folder / "cdktf.json").write_text('{"app": "true"}', encoding="utf-8")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    monkeypatch.chdir(folder)
    return folder


def rows(cli: Cli, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = cli("doctor", "--json", *arguments)
    assert done.json["schema"] == "nixl-efa/doctor/1"
    assert done.json["ok"] == (done.code == 0)
    return done.code, {one["check"]: one for one in done.json["findings"]}


def test_the_only_environment_is_the_one_that_is_looked_at(aws: LocalAws, project: Path, cli: Cli) -> None:
    code, found = rows(cli)
    assert code == 0, found
    assert found["region"]["message"] == "us-east-2 (environments/prod.toml: region)."
    assert "IAM's simulation allows the " in found["permissions"]["message"]
    assert found["project"]["message"] == f"{project}: prod."
    assert "instead of AWS" in found["account"]["message"]
    assert found["node"]["level"] == found["terraform"]["level"] == found["cdktf"]["level"] == "PASS"
    assert list(rows(cli, "prod")[1]) == list(found)


@pytest.mark.parametrize(
    ("check", "program", "printed", "told"),
    [
        ("AWS CLI", "aws", "aws-cli/2.31.1 Python/3.13.7 Linux/6.8 exe/x86_64", "aws 2.31.1 ("),
        ("session plugin", "session-manager-plugin", "1.2.707.0", "session-manager-plugin 1.2.707.0 ("),
    ],
)
def test_the_version_of_a_program_is_what_it_prints_first(
    *,
    check: str,
    program: str,
    printed: str,
    told: str,
    aws: LocalAws,
    project: Path,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / program).write_text(f"#!/bin/sh\necho {printed}\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert rows(cli)[1][check]["message"].startswith(told)


def test_on_a_screen_it_ends_with_a_summary_and_no_line_has_a_space_at_its_end(
    aws: LocalAws, project: Path, cli: Cli
) -> None:
    done = cli("doctor")
    assert done.err == ""
    assert "checks:" in done.out.splitlines()[-1]
    assert [line for line in done.out.splitlines() if line != line.rstrip()] == []


def test_a_region_that_the_account_has_not_enabled_is_a_fault(
    aws: LocalAws, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIXL_EFA_PROD_REGION", "ap-southeast-7")
    code, found = rows(cli)
    assert (code, found["region"]["level"]) == (1, "FAIL")
    assert "ap-southeast-7 (variable NIXL_EFA_PROD_REGION) is not enabled" in found["region"]["message"]


def test_a_region_that_accepts_no_credentials_is_asked_about_elsewhere(
    aws: LocalAws, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIXL_EFA_PROD_REGION", "ap-southeast-7")
    aws.faults.add("GetCallerIdentity", code="InvalidClientTokenId", status=403)
    code, found = rows(cli)
    assert (code, found["account"]["level"], found["region"]["level"]) == (1, "PASS", "FAIL")
    assert "ap-southeast-7 (variable NIXL_EFA_PROD_REGION) is not enabled" in found["region"]["message"]
    asked = [call for call in aws.calls.all() if call.action in ("GetCallerIdentity", "DescribeRegions")]
    assert [call.region for call in asked] == ["ap-southeast-7", "us-east-1", "us-east-1"]


def test_credentials_that_no_region_accepts_are_a_fault(aws: LocalAws, project: Path, cli: Cli) -> None:
    aws.faults.add("GetCallerIdentity", code="InvalidClientTokenId", status=403, times=None)
    code, found = rows(cli)
    assert (code, found["account"]["level"]) == (1, "FAIL")
    assert "A region that the account has not enabled answers like this, too." in found["account"]["message"]


def test_keys_that_end_soon_are_warned_about(
    aws: LocalAws, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=30)
    aws.clock.set(datetime.now(UTC))
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    _, found = rows(cli)
    assert found["credentials"]["level"] == "WARN"
    assert (
        f"By environment variables, until {ends:%Y-%m-%d %H:%M} UTC, in " in found["credentials"]["message"]
    )


def test_a_wrong_setting_stops_nothing_else(aws: LocalAws, project: Path, cli: Cli) -> None:
    (project / "environments" / "prod.toml").write_text('region = "us-east-2"\n', encoding="utf-8")
    code, found = rows(cli)
    assert (code, found["project"]["level"]) == (1, "FAIL")
    assert "instance_type" in found["project"]["message"]
    assert found["account"]["level"] == "PASS"
    assert found["permissions"]["level"] == "SKIP"


@pytest.mark.parametrize(
    ("app", "level"), [("python -m stacks", "WARN"), ("scripts/app", "PASS"), ("nowhere app.py", "PASS")]
)
def test_an_app_that_another_python_would_run_is_warned_about(
    app: str, level: str, aws: LocalAws, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "cdktf.json").write_text(json.dumps({"app": app}), encoding="utf-8")
    other = project / "bin" / "python"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho /usr\n", encoding="utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")
    _, found = rows(cli)
    assert found["python"]["level"] == level
    assert (f"cdktf.json's app runs {other}," in found["python"]["message"]) == (level == "WARN")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert rows(cli)[1]["python"]["level"] == "PASS"


def test_a_context_that_is_none_stops_nothing_else(aws: LocalAws, project: Path, cli: Cli) -> None:
    (project / "cdktf.json").write_text("{", encoding="utf-8")
    code, found = rows(cli)
    assert (code, found["project"]["level"]) == (1, "FAIL")
    assert "cdktf.json" in found["project"]["message"]


def test_without_a_project_credentials_or_programs_each_is_said(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, found = rows(cli)
    levels = {check: one["level"] for check, one in found.items()}
    assert code == 1
    assert {check for check, level in levels.items() if level == "FAIL"} == {
        "cdktf", "node", "terraform", "credentials", "region",
    }  # fmt: skip
    assert found["cdktf"]["remedy"] == "Run `npm install cdktf-cli@0.21`."
    assert levels["project"] == levels["session plugin"] == levels["AWS CLI"] == "WARN"


def test_an_environment_that_is_not_there_is_bad_input(project: Path, cli: Cli) -> None:
    done = cli("doctor", "prud")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean prod?" in done.err


def test_a_profile_that_is_not_there_is_told_as_ever(aws: LocalAws, project: Path, cli: Cli) -> None:
    code, found = rows(cli, "--profile", "nobody")
    assert (code, found["credentials"]["level"]) == (1, "FAIL")
    assert "nobody" in json.dumps(found["credentials"])
