"""The nodes' volumes: the key that encrypts them, and the region's quota of gp3 storage.

EC2 checks both only after it has accepted the launch: the instances then end with a reason, and a dry run shows nothing
(EC2 API reference, StateReason; cloudfoundry/bosh-aws-cpi-release 46; aws/karpenter-provider-aws 1407).
"""

from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, VolumeKey
from nixl_efa.checks.ownership import of_another
from nixl_efa.checks.quota_codes import GP3_STORAGE
from nixl_efa.checks.rules.common import aws, no_answer, takes
from nixl_efa.findings import Finding, failed, passed, skipped, warned
from nixl_efa.launch import Launch

_KEY, _QUOTA = "volume key", "volume quota"
_GIB_A_TIB = 1024
# KMS developer guide, key-state: a key in another state can't encrypt.
_USABLE = "Enabled"
_MENDED_BY = {"Disabled": "enable-key", "PendingDeletion": "cancel-key-deletion"}


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The key and the quota."""
    return [*_key(launch, facts), *_quota(launch, facts)]


def _key(launch: Launch, facts: Facts) -> list[Finding]:
    """The key that the settings name; without one, the account's default key."""
    key, chosen = facts.volume_key, launch.volume.kms_key_id
    by_hand = aws(launch, "ec2", "get-ebs-default-kms-key-id")
    if chosen:
        by_hand = aws(launch, "kms", "describe-key", "--key-id", chosen)
    if isinstance(key, NoAnswer):
        return [no_answer(_KEY, key, by_hand)]
    if key is None:
        return []
    if not key.owner and key.state != "gone":
        return [passed(_KEY, f"The volumes are encrypted with AWS's own key ({key.id}).", by_hand)]
    by_hand = aws(launch, "kms", "describe-key", "--key-id", key.id)
    if key.state not in ("", _USABLE):
        return [_unusable(launch, key, by_hand)]
    own = None if isinstance(facts.account, NoAnswer) else facts.account.id
    if own is not None and key.owner != own:
        return [
            warned(
                _KEY,
                f"{_named(launch, key)} is of account {key.owner}: if its policy does not let you "
                "create grants, EC2 accepts the launch, and its instances end at once (Client.InternalError).",
                "Have kms:CreateGrant, kms:Decrypt, kms:DescribeKey, kms:GenerateDataKeyWithoutPlaintext and "
                f"kms:ReEncrypt* allowed to account {own} in that key's policy; or {_another(launch)}.",
                by_hand,
            )
        ]
    return [passed(_KEY, f"The volumes are encrypted with {key.id}, which is enabled.", by_hand)]


def _unusable(launch: Launch, key: VolumeKey, by_hand: str) -> Finding:
    state = "is not there" if key.state == "gone" else f"is {key.state}"
    mend = _MENDED_BY.get(key.state)
    remedy = _another(launch)
    if mend:
        remedy = f"`{aws(launch, 'kms', mend, '--key-id', key.id)}`, or {remedy}"
    return failed(
        _KEY,
        f"{_named(launch, key)} {state}: EC2 accepts the launch, and its instances end at once (Client.InternalError).",
        f"{remedy[0].upper()}{remedy[1:]}.",
        by_hand,
    )


def _named(launch: Launch, key: VolumeKey) -> str:
    if launch.volume.kms_key_id:
        return f"The key of the volumes (kms_key_id), {key.id},"
    return f"The key of the account's EBS encryption, {key.id},"


def _another(launch: Launch) -> str:
    if launch.volume.kms_key_id:
        return "set kms_key_id to another key, or leave it out for the account's default one"
    return (
        f"choose another key for EBS (`{aws(launch, 'ec2', 'reset-ebs-default-kms-key-id')}` takes AWS's own)"
    )


def _quota(launch: Launch, facts: Facts) -> list[Finding]:
    by_hand = aws(
        launch, "service-quotas", "get-service-quota", "--service-code", "ebs", "--quota-code", GP3_STORAGE
    )
    volumes = aws(launch, "ec2", "describe-volumes", "--filters", "Name=volume-type,Values=gp3")
    if isinstance(facts.volume_quota, NoAnswer):
        return [no_answer(_QUOTA, facts.volume_quota, by_hand)]
    if isinstance(facts.volumes_gib, NoAnswer):
        return [no_answer(_QUOTA, facts.volumes_gib, volumes)]
    if facts.volume_quota is None:
        message = f"Service Quotas knows no quota {GP3_STORAGE} in {launch.region}."
        return [skipped(_QUOTA, message, "", by_hand)]
    limit = int(facts.volume_quota.value * _GIB_A_TIB)
    running = () if isinstance(facts.running, NoAnswer) else facts.running
    # A running node's volume is deleted before the node that replaces it gets one.
    own = [each for each in running if each.own]
    needed = sum(
        (one.count - min(sum(not of_another(one, each) for each in own), one.count)) * one.volume.gib
        for one in launch.beside
    )
    name = f"{facts.volume_quota.name} ({GP3_STORAGE})"
    seen = f"{name}: {facts.volumes_gib} of {limit} GiB in use; {takes(launch)} {needed} more"
    if facts.volumes_gib + needed > limit:
        return [
            failed(
                _QUOTA,
                f"{seen}. EC2 accepts the launch, and its instances end at once (Client.VolumeLimitExceeded).",
                f"Ask for more in Service Quotas ({launch.region}), delete volumes that nothing uses, or lower "
                "volume_size.",
                volumes,
            )
        ]
    return [passed(_QUOTA, f"{seen}.", by_hand)]
