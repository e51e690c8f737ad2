"""A purchase is no resource of Terraform: it takes longer than the provider waits, and is then bought again."""

from pathlib import Path

from tests.records import record

SNAPSHOTS = Path(__file__).parent / "__snapshots__"


def test_no_stack_buys_a_block() -> None:
    found = record("purchase/terraform-purchase-takes-minutes")
    resource = found["question"]["resource"]
    assert found["answer"]["end"] == "Provider returned invalid result object after apply"
    stacks = [path.read_text(encoding="utf-8") for path in SNAPSHOTS.rglob("*.json")]
    assert stacks
    assert not any(resource in stack or "capacity_block_offering" in stack for stack in stacks)
