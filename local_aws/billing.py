"""The Price List, which moto lacks, and Cost Explorer, which moto answers without a bill.

Sources: botocore, pricing and ce; tests/recorded/prices.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local_aws import prices
from local_aws.inferred import lean_on
from local_aws.world import world

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PAGE = 2  # a page holds less than everything, so that a client that does not read all pages misses products


class Billing:
    """The WSGI application in front of moto's services: it answers the requests to these two."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = _ANSWERS.get(environ.get("HTTP_X_AMZ_TARGET", ""))
        if answer is None:
            return self._application(environ, start_response)
        given = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        body = json.dumps(answer(given)).encode()
        head = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        start_response("200 OK", head)
        return [body]


def get_products(given: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the products of one region that match the filters; each is a JSON document as a string."""
    filters = given.get("Filters", [])
    region = next((each["Value"] for each in filters if each["Field"] == "regionCode"), "us-east-1")
    found = [
        json.dumps(one)
        for one in prices.products(given["ServiceCode"], region)
        if prices.passes(one, filters)
    ]
    lean_on("prices-of-examples")
    start = int(given.get("NextToken") or 0)
    end = start + min(int(given.get("MaxResults") or _PAGE), _PAGE)
    more = {"NextToken": str(end)} if end < len(found) else {}
    return {"FormatVersion": "aws_v1", "PriceList": found[start:end], **more}


def get_cost_and_usage(given: Mapping[str, Any]) -> dict[str, Any]:
    """One period with the amounts of World.billed by service. Without a bill it has no group, as for a tag that is not
    active."""
    (metric,) = given["Metrics"]
    groups = [
        {"Keys": [service], "Metrics": {metric: {"Amount": amount, "Unit": "USD"}}}
        for service, amount in world().billed.items()
    ]
    lean_on("bill-of-examples")
    period = {"TimePeriod": given["TimePeriod"], "Total": {}, "Groups": groups, "Estimated": True}
    return {"GroupDefinitions": given.get("GroupBy", []), "ResultsByTime": [period]}


_ANSWERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "AWSPriceListService.GetProducts": get_products,
    "AWSInsightsIndexService.GetCostAndUsage": get_cost_and_usage,
}
