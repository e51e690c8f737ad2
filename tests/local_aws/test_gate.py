from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws import LocalAws
from local_aws.requests import Request, parse
from tests.local_aws.conftest import Launch, into

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@pytest.mark.parametrize(
    ("service", "method", "arguments"),
    [
        ("ec2", "describe_client_vpn_endpoints", {}),
        ("ssm", "list_nodes", {}),
        ("iam", "list_organizations_features", {}),
    ],
)
def test_an_action_that_is_not_there_is_a_400_and_not_a_500_that_clients_retry(
    aws: LocalAws, client: Any, service: str, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service, retries=5, checked=False), method)(**arguments)
    assert caught.value.response["Error"]["Code"] == "InvalidAction"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert len(aws.calls.all()) == 1


def test_a_filter_that_is_not_there_is_named(ec2: EC2Client, image: str, refused: Any) -> None:
    ec2.run_instances(ImageId=image, InstanceType="g7e.8xlarge", MinCount=1, MaxCount=1)
    with refused("InvalidParameterValue", "lacks a filter of DescribeInstances: "):
        ec2.describe_instances(Filters=[{"Name": "usage-operation", "Values": ["RunInstances"]}])


def test_an_action_that_even_botocore_does_not_know_is_the_same(aws: LocalAws) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", aws.port, timeout=20)
    credential = "Credential=local/20261201/us-east-2/ec2/aws4_request"
    connection.request(
        "POST",
        "/",
        body="Action=MakeCoffee&Version=2016-11-15",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
        },
    )
    answer = connection.getresponse()
    assert (answer.status, b"InvalidAction" in answer.read()) == (400, True)


def test_a_failure_of_the_local_aws_itself_is_a_400_that_names_it(
    aws: LocalAws, ec2: EC2Client, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr("moto.ec2.responses.vpcs.VPCs.describe_vpcs", broken)
    with refused("LocalAwsFailure", "KeyError: 'a bug'"):
        ec2.describe_vpcs()


def test_the_log_has_service_action_region_status_and_code(
    aws: LocalAws, ec2: EC2Client, client: Any
) -> None:
    ec2.describe_vpcs()
    with pytest.raises(ClientError):
        client("ssm", region="us-west-2").get_parameter(Name="/none")
    client("s3", checked=False).list_buckets()
    assert [(call.service, call.action, call.region, call.status, call.code) for call in aws.calls.all()] == [
        ("ec2", "DescribeVpcs", "us-east-2", 200, ""),
        ("ssm", "GetParameter", "us-west-2", 400, "ParameterNotFound"),
        ("s3", "ListBuckets", "us-east-2", 200, ""),
    ]


def test_the_last_slot_is_given_once_to_many_at_the_same_time(
    aws: LocalAws, block: Any, launch: Launch
) -> None:
    bought = block(count=1)
    aws.clock.set(bought["StartDate"])

    def outcome(_: int) -> str:
        try:
            launch(bought["AvailabilityZone"], InstanceType="p5.48xlarge", **into(bought))
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "launched"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(outcome, range(6)))
    assert outcomes == ["ReservationCapacityExceeded"] * 5 + ["launched"]


def test_it_listens_on_this_machine_alone(aws: LocalAws) -> None:
    assert aws.endpoint == f"http://127.0.0.1:{aws.port}"


def test_the_environment_for_children_names_this_aws_and_no_account(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    given = aws.environ("eu-north-1")
    assert given["AWS_ENDPOINT_URL"] == aws.endpoint
    assert (given["AWS_REGION"], given["AWS_DEFAULT_REGION"]) == ("eu-north-1", "eu-north-1")
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & set(given)
    assert given["PATH"]


def test_one_process_has_one_local_aws(aws: LocalAws) -> None:
    with pytest.raises(RuntimeError, match="already runs"):
        LocalAws().start()


def test_a_request_to_s3_that_fits_no_operation_goes_by_its_method() -> None:
    authorization = "AWS4-HMAC-SHA256 Credential=local/20261201/us-east-2/s3/aws4_request, Signature=0"
    environ = {"HTTP_AUTHORIZATION": authorization, "REQUEST_METHOD": "PATCH", "PATH_INFO": "/bucket"}
    assert parse(environ, b"") == Request("s3", "us-east-2", "PATCH")


OWN = "127.0.0.1:{port}"
STOP = "/?Action=TerminateInstances&InstanceId.1=i-0123456789abcdef0&Version=2016-11-15"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", STOP, {"Host": OWN}, 400),
        ("GET", STOP, {"Host": "localhost:{port}"}, 400),
        ("GET", STOP, {"Host": OWN, "Sec-Fetch-Site": "none"}, 400),
        ("GET", STOP, {"Host": "rebound.example.com"}, 403),
        ("GET", STOP, {"Host": "rebound.example.com:{port}"}, 403),
        ("GET", STOP, {"Host": "127.0.0.1.example.com:{port}"}, 403),
        ("GET", STOP, {"Host": "127.0.0.1:1"}, 403),
        ("GET", STOP, {"Host": ""}, 403),
        ("GET", STOP, {"Host": OWN, "Origin": "https://example.com"}, 403),
        ("GET", STOP, {"Host": OWN, "Origin": "null"}, 403),
        ("GET", STOP, {"Host": OWN, "Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", STOP, {"Host": OWN, "Sec-Fetch-Site": "same-site"}, 403),
        ("POST", "/nixl-efa-api/clock", {"Host": OWN, "Origin": "https://example.com"}, 403),
        ("POST", "/moto-api/reset", {"Host": OWN, "Origin": "https://example.com"}, 403),
        ("POST", "/moto-api/reset", {"Host": OWN}, 200),
        ("GET", "/moto-api/reset", {"Host": OWN}, 403),
        ("GET", "/moto-api/data.json", {"Host": OWN}, 403),
        ("POST", "/moto-api/recorder/start-recording", {"Host": OWN}, 403),
        ("POST", "/moto-api/recorder/upload-recording", {"Host": OWN}, 403),
        ("POST", "/moto-api/config", {"Host": OWN}, 403),
        ("GET", "/moto-api/", {"Host": OWN}, 403),
    ],
)
def test_a_program_of_this_machine_is_answered_and_a_web_page_is_not(
    aws: LocalAws, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", aws.port)
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value.format(port=aws.port))
    signed = "AWS4-HMAC-SHA256 Credential=local/20261201/us-east-2/ec2/aws4_request, Signature=0"
    connection.putheader("Authorization", signed)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert answer.status == status
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert aws.calls.actions() == (("TerminateInstances",) if status == 400 else ())
