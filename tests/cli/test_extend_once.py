"""`capacity extend` again after a kill, and while somebody else extends the block."""

from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.capacity.agreement import agree
from tests.cli.conftest import REGION, Cli, actions, journal, until

PURCHASE = "PurchaseCapacityBlockExtension"


@pytest.fixture
def block(cli: Cli, aws: LocalAws) -> str:
    """A block that is paid for."""
    bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    aws.advance(timedelta(minutes=6))
    return bought.out.strip()


def command(block: str) -> tuple[str, ...]:
    return ("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "99999")


def test_an_extension_of_which_nobody_was_told_is_not_bought_again(
    cli: Cli, aws: LocalAws, block: str, tmp_path: Path
) -> None:
    aws.faults.add("PutParameter", delay=1, times=None)
    process = cli.start(*command(block))

    def bought() -> bool:
        entries = journal(tmp_path / "state")
        return [one["state"] for one in entries if one["order"]["offering"]["extends"]] == ["bought"]

    until(bought, process)
    process.kill()
    process.communicate()
    aws.faults.clear()
    # Now the block ends later, and the offerings to extend it are others.
    aws.advance(timedelta(minutes=6))
    again = cli(*command(block), "--json")
    assert (again.code, again.json["outcome"]) == (0, "already-bought"), again.err
    assert actions(aws, PURCHASE) == 1
    more = cli(*command(block), "--json")
    assert (more.code, more.json["outcome"]) == (0, "bought"), more.err
    assert "bought, payment pending" in more.err
    assert actions(aws, PURCHASE) == 2


def test_who_extends_the_block_while_another_is_asked_is_seen(
    cli: Cli, aws: LocalAws, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: object, **more: object) -> None:
        ec2 = boto3.client("ec2", region_name=REGION)
        (offered,) = ec2.describe_capacity_block_extension_offerings(
            CapacityReservationId=block, CapacityBlockExtensionDurationHours=24
        )["CapacityBlockExtensionOfferings"]
        ec2.purchase_capacity_block_extension(
            CapacityBlockExtensionOfferingId=offered["CapacityBlockExtensionOfferingId"],
            CapacityReservationId=block,
        )
        agree(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("nixl_efa.capacity.extend.agree", meanwhile)
    told = cli(*command(block))
    assert (told.code, f"{block} was extended by somebody else just now" in told.err) == (1, True)
    assert actions(aws, PURCHASE) == 1
