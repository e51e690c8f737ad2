"""Errors of boto3 and AWS as one line that says what to do."""

import threading
from typing import Any, cast

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from nixl_efa.aws import Clients
from nixl_efa.aws_calls import may_pass
from nixl_efa.aws_errors import error_code, explain, missing_permission
from tests.capacity.fake_aws import refusal


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.NoCredentialsError(), "there are no AWS credentials. Run `aws configure`"),
        (exceptions.PartialCredentialsError(provider="env", cred_var="key"), "credentials are incomplete"),
        (exceptions.UnauthorizedSSOTokenError(), "the AWS login has ended"),
        (
            exceptions.ProfileNotFound(profile="x"),
            "The config profile (x) could not be found. `aws configure",
        ),
        (exceptions.NoRegionError(), "no AWS region is chosen. Give --region"),
        (exceptions.EndpointConnectionError(endpoint_url="https://e"), "Check the network"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://e"), "Check the network"),
        (exceptions.ReadTimeoutError(endpoint_url="https://e"), "Check the network"),
        (
            refusal("ExpiredToken", "Op"),
            "the credentials have expired, or this machine's clock is wrong. Log in",
        ),
        (
            refusal(
                "SignatureDoesNotMatch", "Op", message="Signature expired: 20261126T000000Z is now earlier"
            ),
            "this machine's clock is wrong. Set the clock",
        ),
        (refusal("OptInRequired", "Op"), "Enable the region"),
        (
            refusal("OptInRequired", "Op", message="In order to use this AWS Marketplace product"),
            "not subscribed to the image. Accept the image's terms",
        ),
        (
            refusal("AuthFailure", "Op", message="Not authorized for images: [ami-1]"),
            "the account may not use the image. Have its owner share it",
        ),
        (
            refusal("InvalidThing", "DoThing", message="bad\nthing"),
            "DoThing was refused: InvalidThing: bad thing",
        ),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("odd"), "RuntimeError: odd (set NIXL_EFA_TRACEBACK=1 to see where)"),
    ],
)
def test_an_error_is_one_line_with_the_way_out(error: Exception, words: str) -> None:
    line = explain(error)
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("code", "operation", "message", "permission"),
    [
        ("UnauthorizedOperation", "PurchaseCapacityBlock", "no", "ec2:PurchaseCapacityBlock"),
        ("AccessDeniedException", "SendCommand", "no", "SendCommand"),
        (
            "AccessDeniedException",
            "PutParameter",
            "User: x is not authorized to perform: ssm:PutParameter on resource: y",
            "ssm:PutParameter",
        ),
        (
            "UnauthorizedOperation",
            "PurchaseCapacityBlock",
            "User: x is not authorized to perform: ec2:CreateTags on resource: y",
            "ec2:CreateTags",
        ),
        ("InvalidThing", "PutParameter", "no", ""),
    ],
)
def test_the_permission_that_is_missing_is_named(
    code: str, operation: str, message: str, permission: str
) -> None:
    error = refusal(code, operation, 403, message)
    assert missing_permission(error) == permission
    assert permission in explain(error)


def test_a_permission_has_the_name_of_the_service_that_refused() -> None:
    clients = Clients(region="us-east-2")
    for client, operation, permission in (
        (clients.ssm(), "send_command", "ssm:SendCommand"),
        (clients.service_quotas(), "get_service_quota", "servicequotas:GetServiceQuota"),
    ):
        with Stubber(cast(Any, client)) as stub:
            stub.add_client_error(operation, "AccessDeniedException", "no", http_status_code=403)
            arguments: dict[str, Any] = (
                {"DocumentName": "x"}
                if operation == "send_command"
                else {"ServiceCode": "ec2", "QuotaCode": "L-1"}
            )
            with pytest.raises(ClientError) as refused:
                getattr(client, operation)(**arguments)
        assert missing_permission(refused.value) == permission


def test_a_client_that_is_made_is_handed_out_while_another_is_being_made() -> None:
    clients = Clients(region="us-east-2")
    made = clients.ec2()
    handed: list[object] = []
    with clients._lock:
        thread = threading.Thread(target=lambda: handed.append(clients.ec2()), daemon=True)
        thread.start()
        thread.join(5)
    assert handed == [made]


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="https://e"), True),
        (exceptions.ConnectTimeoutError(endpoint_url="https://e"), True),
        (exceptions.ReadTimeoutError(endpoint_url="https://e"), True),
        (exceptions.ConnectionClosedError(endpoint_url="https://e"), True),
        (exceptions.ProxyConnectionError(proxy_url="http://proxy"), True),
        (exceptions.SSLError(endpoint_url="https://e", error=OSError("a certificate")), True),
        (exceptions.HTTPClientError(error=OSError("reset")), True),
        (refusal("ThrottlingException", "Op"), True),
        (refusal("InternalServerError", "Op", 500), True),
        (refusal("AccessDenied", "Op", 403), False),
        (refusal("InvalidParameterValue", "Op"), False),
        (exceptions.NoCredentialsError(), False),
        (exceptions.NoRegionError(), False),
        (OSError("No space left on device"), False),
    ],
    ids=lambda value: error_code(value) or type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_the_network_or_the_service_may_pass_and_a_refusal_does_not(
    error: Exception, passes: bool
) -> None:
    assert may_pass(error) == passes


def test_an_error_that_is_no_answer_has_no_code() -> None:
    assert error_code(refusal("Code", "Op")) == "Code"
    assert error_code(ValueError("x")) == ""
