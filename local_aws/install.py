"""Puts our parts into moto, before its first request. This is the one place that changes moto."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from moto.ec2 import models as ec2_models
from moto.ec2 import urls as ec2_urls
from moto.ec2 import utils as ec2_utils
from moto.ec2.models import elastic_block_store, nat_gateways, vpcs
from moto.iam import models as iam_models
from moto.iam import urls as iam_urls
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.ram import models as ram_models
from moto.s3 import models as s3_models
from moto.servicequotas import urls as quotas_urls
from moto.ssm import models as ssm_models
from moto.ssm import urls as ssm_urls

from local_aws.billing import Billing
from local_aws.ec2.backend import Backend, SecurityGroupRule
from local_aws.ec2.instances import INSTANCE_FILTERS, Instance
from local_aws.ec2.responses import Ec2
from local_aws.gate import Gate
from local_aws.iam import Iam
from local_aws.quotas import ServiceQuotas
from local_aws.ssm import Parameter, PublicParameters, Ssm
from local_aws.world import world

# CreateTags refuses ids whose prefix it does not know; DescribeTags names the type in moto's own words.
_PREFIXES = {
    "capacity-reservation": "cr",
    "placement-group": "pg",
    "capacity-block": "cb",
    "elastic-ip": "eipalloc",
}
# AWS's managed policies, only those that a node's role may need: creating all 1,400 of moto takes 1.5 seconds.
_POLICIES = ("AmazonSSM", "AmazonS3", "AmazonEC2", "AmazonSageMaker", "CloudWatchAgent")


@cache
def application() -> Gate:
    """The WSGI application: moto's services with ours in place, behind the gate."""
    # Public images are made here, for the parameters that name them; moto's own take seconds in each region.
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    ec2_utils.EC2_RESOURCE_TO_PREFIX.update(_PREFIXES)
    ec2_utils.EC2_PREFIX_TO_RESOURCE.update({prefix: resource for resource, prefix in _PREFIXES.items()})
    ec2_utils.filter_dict_attribute_mapping.update(INSTANCE_FILTERS)
    ec2_models.instances.Instance = Instance
    ec2_models.security_groups.SecurityGroupRule = SecurityGroupRule
    ec2_models.ec2_backends.backend = Backend
    ec2_urls.url_paths = {"{0}/": Ec2.dispatch}
    ssm_models.Parameter = Parameter
    # The interfaces of NAT gateways and endpoints take an address of their subnet, instead of a random one.
    nat_gateways.random_private_ip = vpcs.random_private_ip = lambda: None
    iam_models.SERVICE_NAME_CONVERSION["spot"] = "EC2Spot"
    iam_urls.url_paths = dict.fromkeys(iam_urls.url_paths, Iam.dispatch)
    ssm_models.ParameterDict = PublicParameters
    ssm_urls.url_paths = dict.fromkeys(ssm_urls.url_paths, Ssm.dispatch)
    quotas_urls.url_paths = dict.fromkeys(quotas_urls.url_paths, ServiceQuotas.dispatch)
    ram_models.ResourceShare.SHAREABLE_RESOURCES.append("capacity-reservation")  # (RAM user guide, shareable)
    s3_models.FakeBucket = FakeBucket
    s3_models.FakeDeleteMarker = FakeDeleteMarker
    iam_models.IAMBackend.list_account_aliases = _account_aliases
    ssm_models.utcnow = elastic_block_store.utcnow = s3_models.utcnow = _naive_now
    policies = json.loads(iam_models.aws_managed_policies_data)
    wanted = {name: policy for name, policy in policies.items() if name.startswith(_POLICIES)}
    iam_models.aws_managed_policies_data = json.dumps(wanted)
    return Gate(Billing(DomainDispatcherApplication(create_backend_app)))


def _account_aliases(backend: Any) -> list[str]:
    """The alias that a test has set, else what CreateAccountAlias made."""
    return [world().account_alias] if world().account_alias else list(backend.account_aliases)


def _naive_now() -> datetime:
    """The simulated time as moto writes it: the dates of Parameter Store, of volumes and of S3 follow the clock."""
    return world().clock.now().replace(tzinfo=None)


class RequestHandler(MotoRequestHandler):  # type: ignore[misc]
    """moto's handler without the delay of small writes on a kept-alive connection, and with our clock's Date."""

    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header: the simulated time, by which clients can tell how long a block still runs."""
        now: str = super().date_time_string(timestamp or world().clock.now().timestamp())
        return now


class FakeBucket(s3_models.FakeBucket):  # type: ignore[misc]
    """moto's bucket (and its class name), whose policy is evaluated as if every request came over TLS."""

    def get_permission(self, action: str, resource: str) -> Any:
        """The decision of the policy. moto ignores conditions, so "deny without TLS" would deny everything."""
        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        policy["Statement"] = [statement for statement in policy["Statement"] if not _demands_tls(statement)]
        if not policy["Statement"]:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


class FakeDeleteMarker(s3_models.FakeDeleteMarker):  # type: ignore[misc]
    """moto's delete marker: DeleteObjects calls its `dispose` when a bucket is emptied."""

    def dispose(self, garbage: bool = False) -> None:
        """There is no content to release."""


def _demands_tls(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return statement.get("Effect") == "Deny" and str(condition.get("aws:SecureTransport")).lower() == "false"
