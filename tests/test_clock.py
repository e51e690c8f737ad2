from datetime import UTC, datetime, timedelta

import pytest

from local_aws import LocalAws
from nixl_efa.clock import SystemClock, clock_of

AHEAD = timedelta(days=2, hours=5)


@pytest.mark.parametrize(
    ("environ", "ahead"),
    [
        ({}, timedelta()),
        ({"AWS_ENDPOINT_URL": "{local}"}, AHEAD),
        (
            {"AWS_ENDPOINT_URL_EC2": "{local}", "AWS_ENDPOINT_URL": "https://ec2.us-east-2.amazonaws.com"},
            AHEAD,
        ),
        ({"AWS_ENDPOINT_URL": "{local}", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, timedelta()),
        # Nothing listens there, or nothing that has a clock: the machine's own time.
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, timedelta()),
        ({"AWS_ENDPOINT_URL": "no address"}, timedelta()),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, timedelta()),
    ],
)
def test_the_clock_is_that_of_the_server_which_stands_in_for_aws(
    aws: LocalAws, environ: dict[str, str], ahead: timedelta
) -> None:
    aws.clock.advance(AHEAD)
    clock = clock_of({name: value.format(local=aws.endpoint) for name, value in environ.items()})

    difference = clock.now() - datetime.now(UTC) - ahead

    assert abs(difference) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "host",
    [
        "ec2.eu-north-1.amazonaws.com",
        "vpce-1.ec2.us-east-2.vpce.amazonaws.com",
        "ec2.cn-north-1.amazonaws.com.cn",
    ],
)
def test_awss_own_addresses_are_not_asked_for_the_time(host: str) -> None:
    assert type(clock_of({"AWS_ENDPOINT_URL": f"https://{host}"})) is SystemClock


def test_a_clock_that_stands_still_does_not_keep_a_wait_from_its_end(aws: LocalAws) -> None:
    aws.clock.set(datetime(2026, 12, 1, 8, tzinfo=UTC))
    clock = clock_of({"AWS_ENDPOINT_URL": aws.endpoint})

    first = clock.now()
    clock.sleep(0.01)

    assert clock.now() > first
