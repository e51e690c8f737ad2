"""checkov finds nothing in the synthesized JSON that is not suppressed in place, with a reason."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.suppressions import REASONS
from tests.terraform.conftest import ROOT, synthesize_to

CHECKOV = ROOT / ".tools" / "checkov" / "bin" / "checkov"
SUPPRESSED = re.compile(r"checkov:skip=(\w+):(.+)")


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CHECKOV.exists():
        message = "checkov is missing: make .tools/checkov/installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return synthesize_to(tmp_path_factory.mktemp("out"))


def scan(folder: Path) -> dict[str, Any]:
    # By its own Python: a script's first line names none where the path has a space.
    python = CHECKOV.with_name("python")
    done = subprocess.run(
        [
            python,
            CHECKOV,
            "-d",
            str(folder),
            "--framework",
            "terraform_json",
            "--skip-download",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_every_finding_of_checkov_is_suppressed_in_place_with_a_reason_and_no_more(
    environment: str, stacks: Path
) -> None:
    folder = stacks / f"nixl-efa-{environment}"
    lines = (folder / "cdk.tf.json").read_text(encoding="utf-8").splitlines()

    result = scan(folder)

    assert result["summary"]["parsing_errors"] == 0
    assert result["summary"]["passed"] > 50
    # checkov reads no suppressions from JSON; they stand there for people, and for this.
    found: Counter[str] = Counter()
    for failed in result["results"]["failed_checks"]:
        first, last = failed["file_line_range"]
        reasons = dict(match for line in lines[first - 1 : last] for match in SUPPRESSED.findall(line))
        assert failed["check_id"] in reasons, (
            f"{failed['check_id']} {failed['check_name']} {failed['resource']}"
        )
        found[failed["check_id"]] += 1
    assert set(found) == {check for reasons in REASONS.values() for check in reasons}
    assert sum(found.values()) == len(SUPPRESSED.findall("\n".join(lines)))
