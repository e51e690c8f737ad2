"""A security group rule as DescribeSecurityGroupRules shows it."""

from __future__ import annotations

from moto.ec2.models.security_groups import SecurityGroupRule as MotoRule


class SecurityGroupRule(MotoRule):  # type: ignore[misc]
    """moto reads back the description of a rule for addresses; ours also that of one for another group."""

    @property
    def description(self) -> str | None:
        """What was given with the peer, whichever kind of peer it is."""
        found: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return found
