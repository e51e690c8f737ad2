"""What a block costs with its extensions: what was paid, and what is still to be paid."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nixl_efa.capacity.extension import Extension, from_api, payments
from nixl_efa.capacity.reservation import FEE_TAG
from tests.checks.in_order import BLOCK, NOW

BOUGHT = replace(BLOCK, tags={FEE_TAG: "2383.40 USD"})


def extension(status: str = "payment-succeeded", fee: str = "1510.27", **changes: Any) -> Extension:
    return from_api(
        {
            "CapacityReservationId": BLOCK.id,
            "CapacityBlockExtensionStatus": status,
            "CapacityBlockExtensionStartDate": NOW,
            "CapacityBlockExtensionEndDate": NOW + timedelta(days=1),
            "UpfrontFee": fee,
            "CurrencyCode": "USD",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("block", "extensions", "paid", "of_extensions", "pending"),
    [
        ({}, (), "2383.40 USD", "", ""),
        ({}, (extension(),), "3893.67 USD", "1510.27 USD", ""),
        ({}, (extension(), extension(fee="0.03")), "3893.70 USD", "1510.30 USD", ""),
        # Only what is paid is paid.
        ({}, (extension("payment-pending"),), "2383.40 USD", "", "1510.27 USD"),
        ({}, (extension(), extension("payment-pending", "7")), "3893.67 USD", "1510.27 USD", "7 USD"),
        ({}, (extension("payment-failed"),), "2383.40 USD", "", ""),
        ({"state": "expired"}, (extension(),), "3893.67 USD", "1510.27 USD", ""),
        ({"state": "payment-pending"}, (), "", "", "2383.40 USD"),
        ({"state": "payment-failed"}, (), "", "", ""),
        # Another block's extension, and a block that was bought elsewhere.
        ({}, (extension(CapacityReservationId="cr-other"),), "2383.40 USD", "", ""),
        ({"tags": {}}, (extension(),), "", "1510.27 USD", ""),
        ({"tags": {}}, (extension("payment-pending"),), "", "", "1510.27 USD"),
        # What can't be added up stands side by side.
        ({}, (extension(CurrencyCode="CNY"),), "2383.40 USD + 1510.27 CNY", "1510.27 CNY", ""),
        ({"tags": {FEE_TAG: "a lot"}}, (extension(),), "", "1510.27 USD", ""),
        # Anybody can change a tag.
        *(
            ({"tags": {FEE_TAG: text}}, (), "", "", "")
            for text in (
                "-5 USD",
                "NaN USD",
                "1_000 USD",
                "1e999999999 USD",
                f"{'9' * 38} USD",
                "1888.42",
                "5 usd",
            )
        ),
    ],
)
def test_what_is_paid_is_added_up_and_what_is_pending_is_apart(
    block: dict[str, Any], extensions: tuple[Extension, ...], paid: str, of_extensions: str, pending: str
) -> None:
    found = payments(replace(BOUGHT, **block), extensions)
    assert (found.paid, found.extensions, found.pending) == (paid, of_extensions, pending)
