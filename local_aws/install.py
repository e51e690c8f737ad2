"""Puts our parts into moto, before its first request. This is the one place that changes moto."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from local_aws.gate import Gate


@cache
def application() -> Gate:
    """The WSGI application: moto's services with ours in place, behind the gate."""
    # Public images are made here, for the parameters that name them; moto's own take seconds in each region.
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    _install_ec2()
    _install_ssm()
    _install_service_quotas()
    _install_s3()
    _install_iam()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return Gate(DomainDispatcherApplication(create_backend_app))


@cache
def request_handler() -> type[Any]:
    """moto's handler without the delay that small writes on a kept connection suffer."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    class Handler(MotoRequestHandler):  # type: ignore[misc]
        disable_nagle_algorithm = True

    return Handler


def _install_ec2() -> None:
    from moto.ec2 import models, urls, utils

    from local_aws.ec2.backend import Backend
    from local_aws.ec2.instances import INSTANCE_FILTERS, Instance
    from local_aws.ec2.responses import Ec2
    from local_aws.ec2.security_group_rules import SecurityGroupRule

    # CreateTags refuses ids whose prefix it does not know.
    for resource, prefix in (
        ("capacity-reservation", "cr"),
        ("placement-group", "pg"),
        ("capacity-block", "cb"),
    ):
        utils.EC2_RESOURCE_TO_PREFIX[resource] = prefix
        utils.EC2_PREFIX_TO_RESOURCE[prefix] = resource
    utils.filter_dict_attribute_mapping.update(INSTANCE_FILTERS)
    models.instances.Instance = Instance
    models.security_groups.SecurityGroupRule = SecurityGroupRule
    models.ec2_backends.backend = Backend
    urls.url_paths = {"{0}/": Ec2.dispatch}


def _install_ssm() -> None:
    from moto.ssm import models, urls

    from local_aws.ssm import PublicParameters, Ssm

    models.ParameterDict = PublicParameters
    urls.url_paths = dict.fromkeys(urls.url_paths, Ssm.dispatch)


def _install_s3() -> None:
    from moto.s3 import models

    from local_aws.s3 import FakeBucket, FakeDeleteMarker

    models.FakeBucket = FakeBucket
    models.FakeDeleteMarker = FakeDeleteMarker


def _install_iam() -> None:
    from moto.iam import models

    from local_aws.iam import few_policies

    models.aws_managed_policies_data = few_policies(models.aws_managed_policies_data)


def _install_service_quotas() -> None:
    from moto.servicequotas import urls

    from local_aws.service_quotas import ServiceQuotas

    urls.url_paths = dict.fromkeys(urls.url_paths, ServiceQuotas.dispatch)
