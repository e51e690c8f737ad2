"""The Grafana dashboard and Prometheus' configuration of the page, against what a real vLLM told at /metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from nixl_efa.cli import main
from nixl_efa.service.model import ENGINE_PORTS, ROUTER_METRICS_PORT
from tests.printed import ROOT, blocks
from tests.records import answer

KINDS = dict(one.split() for one in answer("vllm/metrics-0.32-load")["types"])
# The samples of a kind of metric: Prometheus, exposition formats.
SAMPLES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
REAL = {f"{name}{tail}" for name, kind in KINDS.items() for tail in SAMPLES[kind]}
# What its panels show.
WANTED = (
    "time_to_first_token_seconds_bucket",
    "inter_token_latency_seconds_bucket",
    "request_time_per_output_token_seconds_bucket",
    "prompt_tokens_total",
    "generation_tokens_total",
    "num_requests_running",
    "num_requests_waiting",
    "nixl_bytes_transferred_sum",
    "nixl_xfer_time_seconds_bucket",
    "nixl_num_failed_transfers_total",
    "prompt_tokens_by_source_total",
)


@pytest.fixture
def dashboard(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the command prints."""
    assert main(["serve", "dashboard"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]


def test_every_query_asks_for_what_a_real_engine_tells(dashboard: dict[str, Any]) -> None:
    asked = {name for query in queries(dashboard) for name in re.findall(r"\bvllm:\w+", query)}
    assert asked - REAL == set()
    assert {f"vllm:{name}" for name in WANTED} <= asked
    variables = [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    assert variables == ["label_values(vllm:num_requests_running, model_name)"]


def test_a_query_fits_the_kind_of_its_metric(dashboard: dict[str, Any]) -> None:
    """A counter, and a histogram's parts, only grow: they have a rate. A gauge has none."""
    for query in queries(dashboard):
        [name] = re.findall(r"\bvllm:\w+", query)
        grows = KINDS.get(name) != "gauge"
        assert grows == ("[$__rate_interval]" in query), query
        assert name.endswith("_bucket") == query.startswith("histogram_quantile("), query
        assert '{model_name=~"$model"}' in query
        assert query.count("(") == query.count(")")
        labels = re.findall(r"sum by \(([\w, ]+)\)", query)
        assert set(labels[0].split(", ")) <= {"instance", "le", "source"}


def test_it_names_no_data_source_of_its_own(dashboard: dict[str, Any]) -> None:
    [source] = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert (source["name"], source["query"], dashboard["id"]) == ("datasource", "prometheus", None)
    told = json.dumps(dashboard)
    assert set(re.findall(r'"uid": "([^"]+)"', told)) == {"${datasource}", dashboard["uid"]}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places) == 8


def test_the_configuration_of_prometheus_names_the_ports_of_the_service() -> None:
    [block] = blocks((ROOT / "docs/serve.md").read_text(encoding="utf-8"), "yaml")
    [job] = yaml.safe_load(block.text)["scrape_configs"]
    ports = {one["labels"]["role"]: one["targets"][0].split(":")[1] for one in job["static_configs"]}
    assert ports == {
        **{role: str(port) for role, port in ENGINE_PORTS.items()},
        "router": str(ROUTER_METRICS_PORT),
    }
