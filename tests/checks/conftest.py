"""A launch and a world in which everything is in order; each test changes one thing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import in_order

from nixl_efa.checks.facts import Facts
from nixl_efa.checks.launch import Launch


@pytest.fixture
def block_launch() -> Launch:
    """p5.48xlarge into a Capacity Block."""
    return in_order.BLOCK_LAUNCH


@pytest.fixture
def block_facts() -> Facts:
    """What is seen when that launch would work."""
    return in_order.BLOCK_FACTS


@pytest.fixture
def demand_launch() -> Launch:
    """g7e.8xlarge On-Demand."""
    return in_order.DEMAND_LAUNCH


@pytest.fixture
def demand_facts() -> Facts:
    """What is seen when that launch would work."""
    return in_order.DEMAND_FACTS
