"""Which service and action a request is for, and the form of an error in that service's protocol."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode
from uuid import uuid4
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException

from local_aws.inferred import lean_on

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_JSON_SERVICES = {
    *("ssm", "servicequotas", "kms", "logs", "events", "dynamodb", "cloudtrail", "tagging", "pricing", "ce"),
}
_THROTTLING = {"ec2": "RequestLimitExceeded", "s3": "SlowDown", "iam": "Throttling", "sts": "Throttling"}
# EC2 API reference, errors-overview: its server errors, the 500 series. The other codes have the status that public
# logs show.
_STATUS = {
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ServerInternal": 500,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "RequestLimitExceeded": 503,
    "BandwidthLimitExceeded": 503,
    "SlowDown": 503,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AuthFailure": 401,
    "OptInRequired": 401,
    "DryRunOperation": 412,
}
_NO_CAPACITY = re.compile(r"Insufficient(\w*)Capacity")


class JsonError(ServiceException):  # type: ignore[misc]
    """A refusal, by code and message, of a service that speaks JSON. moto looks up its own classes by their module.

    inferred: the row of docs/facts.md, as for EC2's refusals.
    """

    def __init__(self, code: str, message: str, *, inferred: str = "") -> None:
        if inferred:
            lean_on(inferred)
        super().__init__(code, message)


@dataclass(frozen=True, slots=True)
class Request:
    """What a request is for. `action` is empty if it can't be determined (a plain page, a REST path)."""

    service: str
    region: str
    action: str


def parse(environ: dict[str, Any], body: bytes) -> Request:
    """Read service and region from the signature, the action from the body, the target header or the path."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    region, service = scope.groups() if scope else ("", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return Request(service, region, target.rpartition(".")[2])
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
        return Request(service, region, action)
    action = parse_qs(environ.get("QUERY_STRING", "")).get("Action", [""])[0]
    if not action and service == "s3":
        action = _s3_action(environ)
    return Request(service, region, action)


def _s3_action(environ: dict[str, Any]) -> str:
    """S3's operation by method and path, as botocore's model routes it."""
    from moto.core.request import Request as MotoRequest
    from moto.core.routing import get_service_router

    try:
        operation, _ = get_service_router("s3").match(MotoRequest(environ.copy()))
    except Exception:  # moto has its own routing for S3: only the name in the log is lost
        return str(environ.get("REQUEST_METHOD", ""))
    return str(operation.name)


def throttling_code(service: str) -> str:
    """The code with which a service says "slow down"."""
    return _THROTTLING.get(service, "ThrottlingException")


def error_status(code: str) -> int:
    """The HTTP status that belongs to an error code: 500 if capacity is missing, 400 for a client's mistake."""
    return 500 if _NO_CAPACITY.fullmatch(code) else _STATUS.get(code, 400)


def error_body(request: Request, code: str, message: str) -> tuple[str, str]:
    """An error as the service would write it: content type and body."""
    if request.service in _JSON_SERVICES:
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if request.service == "s3":
        return "application/xml", f"<Error>{inner}<RequestId>local</RequestId></Error>"
    if request.service == "ec2":
        errors = f"<Errors><Error>{inner}</Error></Errors><RequestID>local</RequestID>"
        return "text/xml", f"<Response>{errors}</Response>"
    error = f"<Error><Type>Sender</Type>{inner}</Error><RequestId>local</RequestId>"
    return "text/xml", f"<ErrorResponse>{error}</ErrorResponse>"


_CODE = re.compile(rb"<Code>([^<]+)</Code>")


def error_code(body: bytes) -> str:
    """The error's code in an answer of any of these protocols; empty when there is none."""
    found = _CODE.search(body)
    if found:
        return found.group(1).decode("utf-8", "replace")
    try:
        return str(json.loads(body).get("__type", "")).rpartition("#")[2]
    except (ValueError, AttributeError):
        return ""


# Also well-formed XML: a client that checks only that gets an answer without a result.
_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Sign in to go on.</p></body></html>"
_NEXT_TOKEN = re.compile(rb"<nextToken>[^<]*</nextToken>|<nextToken ?/>")


def replaced_answer(request: Request, answer: str) -> tuple[str, str]:
    """What is sent with the status 200 instead of the answer: content type and body. `answer` is "html" or "empty"."""
    if answer == "html":
        return "text/html; charset=utf-8", _PAGE
    if request.service in _JSON_SERVICES:
        return "application/x-amz-json-1.1", "{}"
    if request.service == "ec2":
        namespace, inner = "http://ec2.amazonaws.com/doc/2016-11-15/", "<requestId>local</requestId>"
    else:
        namespace = f"https://{request.service}.amazonaws.com/doc/"
        inner = "<ResponseMetadata><RequestId>local</RequestId></ResponseMetadata>"
    return "text/xml", f'<{request.action}Response xmlns="{namespace}">{inner}</{request.action}Response>'


def without_token(request: Request, body: bytes) -> bytes:
    """The body of a request for the first page."""
    if request.service in _JSON_SERVICES:
        given = json.loads(body)
        given.pop("NextToken", None)
        return json.dumps(given).encode()
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    return urlencode([pair for pair in pairs if pair[0] != "NextToken"]).encode()


def with_token(request: Request, answer: bytes) -> bytes:
    """The answer of EC2, or of a service that speaks JSON, with a NextToken that was not there before."""
    token = uuid4().hex
    if request.service in _JSON_SERVICES:
        return json.dumps({**json.loads(answer), "NextToken": token}).encode()
    head, end, tail = _NEXT_TOKEN.sub(b"", answer).rpartition(b"</")
    return head + f"<nextToken>{token}</nextToken>".encode() + end + tail
