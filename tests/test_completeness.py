"""What CONTRIBUTING.md says that a test catches, and no other test does."""

import ast
import importlib
import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import boto3

from local_aws import ec2
from local_aws.ec2.offerings import sells
from local_aws.ec2.responses import Ec2
from nixl_efa import instance_types
from nixl_efa.checks import rules
from nixl_efa.checks.facts import Facts
from nixl_efa.checks.rules import judge
from nixl_efa.ultra_servers import is_ultra_server
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, DEMAND_FACTS, DEMAND_LAUNCH, NOW

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "check.md"


def test_every_check_is_in_the_table_of_its_page() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## What is looked at")[2].partition("\n\n#")[0]
    rows = [cell.split(", ") for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)]
    # "reservation type, platform" stands for two checks of a reservation.
    told = {
        name
        for first, *more in rows
        for name in (first, *more, *(f"{first.split()[0]} {one}" for one in more))
    }
    found = [*judge([(BLOCK_LAUNCH, BLOCK_FACTS)], NOW), *judge([(DEMAND_LAUNCH, DEMAND_FACTS)], NOW)]
    assert sorted({one.check for one in found} - told) == []


def test_the_local_aws_sells_every_type_that_aws_sells_as_a_block() -> None:
    # Parts of UltraServers are not sold by their instance type (botocore, DescribeCapacityBlockOfferings).
    sold = {
        name
        for name, one in instance_types.all_types().items()
        if one.supports_capacity_block and not is_ultra_server(name)
    }
    regions = boto3.Session().get_available_regions("ec2")
    assert {name for name in sold if not any(sells(region, name) for region in regions)} == set()


def test_every_rule_is_among_the_subjects() -> None:
    modules = [
        importlib.import_module(f"{rules.__name__}.{one.name}")
        for one in pkgutil.iter_modules(rules.__path__)
    ]
    checks = {value for module in modules for name, value in vars(module).items() if name.startswith("check")}
    assert checks == set(rules.SUBJECTS)


def test_every_fact_is_gathered() -> None:
    sources = (ROOT / "nixl_efa" / "checks" / name for name in ("gather/gatherer.py", "runner.py"))
    calls = [node for source in sources for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))]
    given = {word.arg for node in calls if isinstance(node, ast.Call) for word in node.keywords}
    assert {field.name for field in fields(Facts)} - given == set()


def test_every_class_of_actions_answers() -> None:
    found = [
        importlib.import_module(f"{ec2.__name__}.{one.name}") for one in pkgutil.iter_modules(ec2.__path__)
    ]
    kinds = {value for module in found for name, value in vars(module).items() if name.endswith("Actions")}
    assert kinds <= set(Ec2.__mro__)
