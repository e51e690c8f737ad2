"""What machines reach at 169.254.169.254: their instance's metadata and AWS's services, with the permissions of the
instance's role.

EC2 user guide, instancedata-data-retrieval and instance-metadata-security-credentials. Only version 2 (sessions): a
request without a token is refused. Each role may do only what its policies allow.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.ec2.models import ec2_backends
from moto.sts.models import AssumedRole, sts_backends
from moto.utilities.utils import get_partition

from local_aws.authorization.asked import ACCOUNT
from local_aws.authorization.denial import Caller
from local_aws.control_api import PREFIX
from local_aws.gate import CALLER
from local_aws.permissions import policies_of_arn
from local_aws.world import world

_LATEST = "/latest/"
_TOKEN_PATH, _ROLES_PATH = "/latest/api/token", "/latest/meta-data/iam/security-credentials/"
_ID_PATH, _SPOT_PATH = "/latest/meta-data/instance-id", "/latest/meta-data/spot/instance-action"
_TOKEN = "local"
_HOST = "127.0.0.1"
_KEY_SECONDS = 6 * 3600
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Metadata:
    """The WSGI application for machines; the gate, `application`, answers for AWS as at 127.0.0.1 and `port`."""

    def __init__(self, application: Callable[..., Iterable[bytes]], port: int) -> None:
        self._application = application
        self._port = port
        self._roles: dict[str, AssumedRole] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, caller = environ.get("PATH_INFO", ""), self._caller(environ)
        if path.startswith(_LATEST):
            status, kind, body = self._metadata(environ, path)
        elif caller is None or path.startswith((PREFIX, "/moto-api")):
            status, kind, body = (
                403,
                "text/plain",
                b"A machine's request has the key of its instance's role.\n",
            )
        else:
            of_ours = {"HTTP_HOST": f"{_HOST}:{self._port}", "SERVER_PORT": str(self._port), CALLER: caller}
            return self._application(environ | of_ours, start_response)
        start_response(f"{status} local", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _metadata(self, environ: Mapping[str, Any], path: str) -> tuple[int, str, bytes]:
        if path == _TOKEN_PATH and environ["REQUEST_METHOD"] == "PUT":
            return 200, "text/plain", _TOKEN.encode()
        if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != _TOKEN:
            return 401, "text/plain", b""
        region, instance = _instance_at(environ["REMOTE_ADDR"])
        if instance is not None and path == _ID_PATH:
            return 200, "text/plain", instance.id.encode()
        if instance is not None and path == _SPOT_PATH and instance.id in world().notices:
            told = {"action": "terminate", "time": world().notices[instance.id].strftime(_TIME)}
            return 200, "application/json", json.dumps(told).encode()
        role = _role_of(region, instance)
        if role is None or path not in (_ROLES_PATH, f"{_ROLES_PATH}{role.name}"):
            return 404, "text/plain", b""
        if path == _ROLES_PATH:
            return 200, "text/plain", role.name.encode()
        return 200, "application/json", json.dumps(self._credentials(region, instance.id, role.arn)).encode()

    def _credentials(self, region: str, instance_id: str, role_arn: str) -> dict[str, str]:
        sts = sts_backends[ACCOUNT][get_partition(region)]
        assumed = sts.assume_role(region, instance_id, role_arn, "", _KEY_SECONDS, "")
        self._roles[assumed.access_key_id] = assumed
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": assumed.expiration.strftime(_TIME),
            "AccessKeyId": assumed.access_key_id,
            "SecretAccessKey": assumed.secret_access_key,
            "Token": assumed.session_token,
            "Expiration": assumed.expiration.strftime(_TIME),
        }

    def _caller(self, environ: Mapping[str, Any]) -> Caller | None:
        """Who signed a request; None for a key that this server did not issue."""
        key = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        role = self._roles.get(key)
        if role is None:
            return None
        return Caller(role.arn, policies_of_arn(ACCOUNT, role.partition, role.role_arn) or [])


def _instance_at(address: str) -> tuple[str, Any]:
    """The running instance with this address, and its region; None in its place where there is none."""
    for _, region, backend in list(ec2_backends.iter_backends()):
        for instance in backend.all_instances():
            if instance.state == "running" and instance.private_ip == address:
                return region, instance
    return "", None


def _role_of(region: str, instance: Any) -> Any:
    """The role of the instance's profile; None without one."""
    if instance is None:
        return None
    association = ec2_backends[ACCOUNT][region].iam_instance_profile_associations.get(instance.id)
    return next(iter(association.iam_instance_profile.roles), None) if association is not None else None
