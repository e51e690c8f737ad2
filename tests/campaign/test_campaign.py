"""The campaign, in parts that several cores play at once."""

import pytest

from tests.campaign.campaign import PARTS, check, part

NUMBERS = (0, *(pytest.param(number, marks=pytest.mark.matrix) for number in range(1, PARTS)))


@pytest.mark.parametrize("number", NUMBERS)
def test_no_history_breaks_a_promise(number: int) -> None:
    check(part(number))
