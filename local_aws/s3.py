"""S3 buckets that can be emptied, and whose policy may demand TLS: the local AWS has none, and lets it pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket as MotoBucket
from moto.s3.models import FakeDeleteMarker as MotoDeleteMarker


class FakeBucket(MotoBucket):  # type: ignore[misc]
    """moto's bucket (its name too), with a policy that is judged as though every request came over TLS."""

    def get_permission(self, action: str, resource: str) -> Any:
        """What the policy says. moto looks at no condition, so "deny without TLS" would deny everything."""
        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        policy["Statement"] = [statement for statement in policy["Statement"] if not _demands_tls(statement)]
        if not policy["Statement"]:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


class FakeDeleteMarker(MotoDeleteMarker):  # type: ignore[misc]
    """moto's delete marker, which DeleteObjects asks to dispose of itself when a bucket is emptied."""

    def dispose(self, garbage: bool = False) -> None:
        """There is no content to let go of."""


def _demands_tls(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return statement.get("Effect") == "Deny" and str(condition.get("aws:SecureTransport")).lower() == "false"
