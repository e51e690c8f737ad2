"""What botocore knows of AWS's calls: it judges the requests of the product and the answers of the model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.paginate import Paginator, PaginatorModel
from botocore.parsers import create_parser
from botocore.validate import validate_parameters

_LOADER = Loader()
_PYTHON = {
    "string": str,
    "character": str,
    "timestamp": datetime,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": float,
    "double": float,
    "blob": bytes,
}
# What a proxy answers instead of AWS: one that XML parsers take, one that they don't, and nothing at all.
PAGES = (
    b"<html><body>Please log in</body></html>",
    b"<!DOCTYPE html><html><body>Please log in<br></body></html>",
    b"",
)


@cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of "ec2", "ssm", "sts" or "iam"."""
    return ServiceModel(_LOADER.load_service_model(service, "service-2"), service)


@cache
def operations(service: str) -> dict[str, OperationModel]:
    """The operations of a service by the name of the client's method."""
    model = service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


def check_request(operation: OperationModel, request: Mapping[str, Any]) -> None:
    """Raises ParamValidationError for a request that botocore would not send."""
    if operation.input_shape is not None:
        validate_parameters(dict(request), operation.input_shape)


def check_answer(operation: OperationModel, answer: Mapping[str, Any]) -> None:
    """AssertionError for an answer that AWS can't give by botocore's model."""
    for name, value in answer.items():
        assert name in members(operation), f"{operation.name} has no {name}"
        _check(members(operation)[name], value, f"{operation.name}.{name}")


def _check(shape: Shape, value: Any, where: str) -> None:
    if shape.type_name == "structure":
        known = shape.members  # type: ignore[attr-defined]
        assert isinstance(value, dict), where
        for name, inner in value.items():
            assert name in known, f"{where}.{name} is not in botocore's model"
            _check(known[name], inner, f"{where}.{name}")
    elif shape.type_name == "list":
        assert isinstance(value, list), where
        for inner in value:
            _check(shape.member, inner, where)  # type: ignore[attr-defined]
    elif shape.type_name != "map":
        assert type(value) is _PYTHON[shape.type_name], f"{where}: {value!r}"
        enum = getattr(shape, "enum", None)
        assert not enum or value in enum, f"{where}: {value!r} is none of {enum}"


def members(operation: OperationModel) -> Mapping[str, Shape]:
    """What an operation's answer has in it."""
    return operation.output_shape.members if operation.output_shape is not None else {}


def page_answer(operation: OperationModel, page: bytes) -> dict[str, Any]:
    """What botocore makes of an HTML page with status 200. Raises ResponseParserError where it can't be read."""
    parser = create_parser(operation.service_model.resolved_protocol)
    parsed: dict[str, Any] = parser.parse(
        {"body": page, "headers": {}, "status_code": 200},
        operation.output_shape,  # type: ignore[arg-type]
    )
    return parsed


@cache
def _paginators(service: str) -> PaginatorModel:
    return PaginatorModel(_LOADER.load_service_model(service, "paginators-1"))


def paginator(service: str, name: str, method: Any) -> Paginator[Any]:
    """botocore's own paginator over the method of a client."""
    operation = operations(service)[name]
    return Paginator(method, _paginators(service).get_paginator(operation.name), operation)


def refusal(code: str, operation: str, status: int = 400, message: str = "refused") -> ClientError:
    """AWS's error with this code, as botocore raises it."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
    }
    return ClientError(answer, operation)
