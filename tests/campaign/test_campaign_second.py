"""The second half of the campaign: two files, so that two cores play it at once."""

from __future__ import annotations

import pytest

from tests.campaign.campaign import PARTS, check, part


@pytest.mark.parametrize("number", range(PARTS // 2, PARTS))
def test_no_history_breaks_a_promise(number: int) -> None:
    check(part(number))
