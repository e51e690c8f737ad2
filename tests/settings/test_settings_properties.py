"""What holds for whatever a user may write: no exception, no Terraform expression, the same answer twice."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nixl_efa.findings import failures
from nixl_efa.settings import SETTING_NAMES, Settings, load
from nixl_efa.settings.names import OTHER_VARIABLES, REGIONS, camel_case, variable

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(SETTING_NAMES)
spellings = (
    names | names.map(camel_case) | st.sampled_from(["dev", "vllmPort", "prod"]) | st.text(max_size=10)
)
variables = names.map(variable) | names.map(lambda name: variable(name, "dev")) | st.just("NIXL_EFA_X")
texts = st.text(max_size=20) | st.sampled_from(
    ["true", "none", "1", "[1", "{", '{"type": "s3"}', "a=b", "p5.48xlarge"]
)

in_one_directory = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@in_one_directory
@given(
    file=st.binary(max_size=60) | st.just(b'instance_type = "p5.48xlarge"'),
    environ=st.dictionaries(variables, texts, max_size=4),
    context=st.dictionaries(
        spellings, anything | st.dictionaries(spellings, anything, max_size=3), max_size=4
    ),
)
def test_loading_answers_with_findings_on_one_line_whatever_is_written(
    tmp_path: Path, file: bytes, environ: dict[str, str], context: dict[str, object]
) -> None:
    (tmp_path / "dev.toml").write_bytes(file)
    loaded = load(tmp_path, environ, context)
    assert load(tmp_path, environ, context) == loaded
    assert all(one.line().isprintable() for one in loaded.findings)
    assert loaded.environments or failures(loaded.findings)


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_in(key)
            yield from strings_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings_in(item)


EXPRESSIONS = ["${x}", "%{x}", "a${x}", "/a/${x}", "arn:aws:s3:::${x}", "vpc-${x}", "us-${x}-1", "1.${x}"]
TEXT_SETTINGS = [name for name in SETTING_NAMES if name not in ("instance_type",)]


@pytest.mark.parametrize("setting", TEXT_SETTINGS)
def test_no_valid_value_holds_a_terraform_expression(setting: str) -> None:
    for text in EXPRESSIONS:
        for value in (
            text,
            [text],
            {text: "a"},
            {"a": text},
            {"type": "s3", "bucket": "states", "key": text},
        ):
            with pytest.raises(ValidationError):
                Settings.model_validate({"name": "dev", "instance_type": "p5.48xlarge", setting: value})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_instance_type_with_a_terraform_expression_is_a_fault(tmp_path: Path, expression: str) -> None:
    (tmp_path / "dev.toml").write_text(f'instance_type = "{expression}"')
    assert failures(load(tmp_path, {}, {}).findings)


def test_the_known_regions_are_those_of_botocore() -> None:
    partitions = Session().get_component("data_loader").load_data("partitions")["partitions"]
    known = {name for one in partitions for name in one["regions"] if not name.endswith("-global")}
    assert set(REGIONS) == known


def test_every_known_region_and_its_zones_are_taken() -> None:
    for region in REGIONS:
        for zone in (f"{region}a", f"{region}-bos-1a", f"{region}-wl1-bos-wlz-1"):
            made = Settings(name="dev", instance_type="p5.48xlarge", region=region, availability_zone=zone)
            assert made.availability_zone == zone


def test_the_table_of_other_variables_holds_no_setting() -> None:
    assert not {variable(name) for name in SETTING_NAMES} & set(OTHER_VARIABLES)


def table_rows(text: str) -> dict[str, list[str]]:
    rows = (line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def test_the_documentation_has_every_setting_with_its_default_and_meaning() -> None:
    text = Path("docs/settings.md").read_text(encoding="utf-8")
    rows = table_rows(text.partition("## All settings")[2].partition("\n### ")[0])
    assert list(rows) == list(SETTING_NAMES)
    for name, (default, meaning, *_) in rows.items():
        field = Settings.model_fields[name]
        assert meaning == field.description, name
        if field.is_required():
            assert default == "required"
        elif field.default is None:
            assert default == "absent"
        elif name != "backend":
            shown = tomllib.loads(f"value = {default.strip('`')}")["value"]
            assert (tuple(shown) if isinstance(shown, list) else shown) == field.default, name
