"""The one place that makes AWS clients.

boto3 is imported on first use. boto3 itself decides where calls go: AWS_ENDPOINT_URL, AWS_PROFILE and the configuration
files work as with every other AWS tool.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from nixl_efa.aws_errors import ANSWERED_BY

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

    from nixl_efa.launch import Launch
    from nixl_efa.settings import AssumeRole, Settings

# The number of all attempts: two more after a lost packet or a throttled call. The caller waits longer for throttling
# (nixl_efa.aws_calls): botocore would also wait that long if there is no network.
ATTEMPTS = 3
CONNECT_SECONDS = 5
READ_SECONDS = 30
# A purchase may take long to answer, and its answer can't be asked for again.
PURCHASE_READ_SECONDS = 60


class Clients:
    """Clients for one profile and a default region; each is created once and kept. Thread-safe.

    profile: a profile of ~/.aws/config; None or "" takes AWS_PROFILE or the default.
    region:  a region's name; None takes AWS_REGION, AWS_DEFAULT_REGION or the profile's.
    role:    the role that the profile's credentials assume; None: they are used as they are.
    """

    def __init__(
        self,
        profile: str | None = None,
        region: str | None = None,
        environ: Mapping[str, str] | None = None,
        role: AssumeRole | None = None,
    ) -> None:
        known = os.environ if environ is None else environ
        self._profile = profile or None
        self._role = role
        # boto3 alone reads only AWS_DEFAULT_REGION, while Terraform and the AWS CLI prefer AWS_REGION.
        self._region = region or known.get("AWS_REGION") or None
        self._made: dict[tuple[str, str | None, bool], Any] = {}
        self._lock = threading.Lock()
        self._kept_session: boto3.session.Session | None = None

    def acting_for(self, whose: Settings | Launch, region: str | None = None) -> Clients:
        """Clients that call AWS as an environment's Terraform does. region: the default one, instead of this one's."""
        return Clients(whose.profile, region or self._region, role=whose.assume_role)

    @property
    def region(self) -> str | None:
        """The default region's name, None when nothing names one."""
        if self._region is None:
            with self._lock:
                self._region = self._session().region_name
        return self._region

    def ec2(self, region: str | None = None) -> EC2Client:
        """EC2 in a region."""
        return cast("EC2Client", self._client("ec2", region))

    def ec2_once(self, region: str | None = None) -> EC2Client:
        """EC2 in a region for calls that are sent once: no retry of any kind."""
        return cast("EC2Client", self._client("ec2", region, once=True))

    def ssm(self, region: str | None = None) -> SSMClient:
        """Systems Manager (Parameter Store) in a region."""
        return cast("SSMClient", self._client("ssm", region))

    def ssm_once(self, region: str | None = None) -> SSMClient:
        """Parameter Store without retries, for writes whose repetition would change what they report."""
        return cast("SSMClient", self._client("ssm", region, once=True))

    def s3(self, region: str | None = None) -> S3Client:
        """S3 in a region."""
        return cast("S3Client", self._client("s3", region))

    def dynamodb(self, region: str | None = None) -> Any:
        """DynamoDB in a region, for the lock of a state."""
        return self._client("dynamodb", region)

    def service_quotas(self, region: str | None = None) -> ServiceQuotasClient:
        """Service Quotas in a region."""
        return cast("ServiceQuotasClient", self._client("service-quotas", region))

    def pricing(self, region: str) -> Any:
        """The Price List: a few regions answer for all regions."""
        return self._client("pricing", region)

    def cost_explorer(self, region: str) -> Any:
        """Cost Explorer; botocore finds its endpoint for the partition."""
        return self._client("ce", region)

    def sts(self, region: str | None = None) -> STSClient:
        """The Security Token Service in a region."""
        return cast("STSClient", self._client("sts", region))

    def kms(self, region: str | None = None) -> Any:
        """The Key Management Service in a region."""
        return self._client("kms", region)

    def iam(self) -> IAMClient:
        """Identity and Access Management, which has no region."""
        return cast("IAMClient", self._client("iam", None))

    def credentials(self) -> tuple[str, datetime | None] | None:
        """The source of the credentials, by botocore's name of the method ("sso"), and when they expire (None if not
        known); None without credentials. The credentials are fetched; if that fails, botocore's error is raised."""
        found = self._session().get_credentials()
        if found is None:
            return None
        found.get_frozen_credentials()
        return found.method, getattr(found, "_expiry_time", None)

    def environ(self) -> dict[str, str]:
        """The environment variables with which another AWS program acts as these clients do."""
        if self._role is None:
            return {"AWS_PROFILE": self._profile} if self._profile else {}
        credentials = self._session().get_credentials()
        assert credentials is not None
        frozen = credentials.get_frozen_credentials()
        return {
            "AWS_ACCESS_KEY_ID": frozen.access_key or "",
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key or "",
            "AWS_SESSION_TOKEN": frozen.token or "",
        }

    def _session(self) -> boto3.session.Session:
        import boto3

        if self._kept_session is None:
            self._kept_session = boto3.session.Session(
                profile_name=self._profile, region_name=self._region or None
            )
            if self._role is not None:
                self._kept_session = _assuming(self._role, self._kept_session)
        return self._kept_session

    def _client(self, service: str, region: str | None, *, once: bool = False) -> Any:
        key = (service, region or self._region, once)
        made = self._made.get(key)
        if made is not None:
            return made
        from botocore.config import Config

        # Making a client isn't thread-safe in boto3; using one is.
        with self._lock:
            if key not in self._made:
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=PURCHASE_READ_SECONDS if once else READ_SECONDS,
                    # One region answers several searches in parallel.
                    max_pool_connections=20,
                )
                make = cast(Any, self._session().client)
                client = make(service, region_name=key[1], config=config)
                client.meta.events.register("after-call", _name_service)
                self._made[key] = client
            return self._made[key]


def clients_of(settings: Settings, profile: str | None = None) -> Clients:
    """The clients of an environment, which call AWS as its Terraform does. profile: instead of the settings'."""
    return Clients(profile or settings.profile, settings.region, role=settings.assume_role)


def _assuming(role: AssumeRole, session: boto3.session.Session) -> boto3.session.Session:
    """A session that acts as the role. The given session assumes the role at the first call and whenever the
    credentials expire."""
    import boto3
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.exceptions import NoCredentialsError
    from botocore.session import get_session

    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    options = {"ExternalId": role.external_id, "RoleSessionName": role.session_name}
    fetcher = AssumeRoleCredentialFetcher(
        partial(session.client, region_name=session.region_name),
        source,
        role.arn,
        extra_args={name: value for name, value in options.items() if value},
    )

    class Assumed(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> DeferredRefreshableCredentials:
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    acting = get_session()
    acting.register_component("credential_provider", CredentialResolver([Assumed()]))
    return boto3.session.Session(botocore_session=acting, region_name=session.region_name)


def _name_service(parsed: dict[str, Any], model: Any, **_: Any) -> None:
    """Adds the name of the service to an answer. An error contains the answer, but not its client."""
    parsed.setdefault("ResponseMetadata", {})[ANSWERED_BY] = model.service_model.signing_name
