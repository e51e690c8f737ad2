"""Why the volumes of a launch can't be made: EC2 takes the launch, and its instances end while they are pending.

Sources: tests/recorded/run_instances_errors/ebs-key-no-grant-after-launch; EC2 user guide, "Instance terminates
immediately" (Client.VolumeLimitExceeded); cloudfoundry/bosh-aws-cpi-release 46; KMS developer guide, key-state.
"""

from collections.abc import Sequence
from typing import Any

from moto.kms import kms_backends

from local_aws import quotas
from local_aws.ec2.account_settings import AWS_KEY
from local_aws.world import Cause

_GIB_A_TIB = 1024


def why_they_fail(backend: Any, devices: Sequence[dict[str, Any]], count: int) -> Cause | None:
    """A key that can't be used, or too little left of the quota; None when the volumes can be made.

    devices: of one instance; count: of how many.
    """
    volumes = [device["Ebs"] for device in devices]
    keys = {each.get("KmsKeyId") or backend.settings.key for each in volumes if each.get("Encrypted")}
    if not all(_is_usable(backend, key) for key in keys if key):
        return "volume-key"
    wanted = sum(int(each["VolumeSize"]) for each in volumes if each["VolumeType"] == "gp3") * count
    used = sum(int(one.size) for one in backend.volumes.values() if one.volume_type == "gp3")
    if used + wanted > quotas.value(quotas.GP3_STORAGE) * _GIB_A_TIB:
        return "volume-limit"
    return None


def _is_usable(backend: Any, key_id: str) -> bool:
    """An enabled symmetric key of this account. One of another account has no grant for this one here."""
    if key_id.endswith(AWS_KEY):
        return True
    if key_id.startswith("arn:") and key_id.split(":")[4] != backend.account_id:
        return False
    kms = kms_backends[backend.account_id][backend.region_name]
    try:
        found = kms.describe_key(kms.get_key_id(key_id))
    except KeyError:
        return False
    return (found.key_state, found.key_spec) == ("Enabled", "SYMMETRIC_DEFAULT")
