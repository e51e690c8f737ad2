"""What a machine is answered at 169.254.169.254 without a role, a token or a key of it. The rest needs a machine."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from local_aws.metadata import Metadata

ROLES = "/latest/meta-data/iam/security-credentials/"


def gate(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """AWS itself, which answers everybody."""
    start_response("200 OK", [])
    return [b"an answer of AWS"]


def ask(path: str, method: str = "GET", **headers: str) -> tuple[str, bytes]:
    told: list[str] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "REMOTE_ADDR": "172.31.0.4", **headers}
    body = b"".join(Metadata(gate, 4566)(environ, lambda status, _: told.append(status)))
    return told[0].partition(" ")[0], body


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (ROLES, {}, "401"),
        (ROLES, {"HTTP_X_AWS_EC2_METADATA_TOKEN": "guessed"}, "401"),
        # No instance has this address, so it has no role.
        (ROLES, {"HTTP_X_AWS_EC2_METADATA_TOKEN": "local"}, "404"),
        ("/bucket/key", {}, "403"),
        (
            "/bucket/key",
            {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=local/1/us-east-2/s3/aws4"},
            "403",
        ),
        ("/nixl-efa-api/world", {}, "403"),
    ],
)
def test_who_has_no_role_token_or_key_gets_nothing(path: str, headers: dict[str, str], status: str) -> None:
    got, body = ask(path, **headers)
    assert (got, b"an answer of AWS" in body) == (status, False)


def test_a_token_is_given_to_who_puts_for_it() -> None:
    assert ask("/latest/api/token", "PUT") == ("200", b"local")
    assert ask("/latest/api/token")[0] == "401"
