"""What EC2 says about instance types: moto's data, separately for each region."""

from functools import cache

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from local_aws.ec2.api import Actions, refuse
from local_aws.ec2.ultra_servers import MORE_OFFERED


@cache
def types_in(region: str) -> frozenset[str]:
    """The names of the types that a region offers in any of its zones."""
    offered = INSTANCE_TYPE_OFFERINGS["region"].get(region, [])
    return frozenset(one["InstanceType"] for one in offered)


class InstanceTypeActions(Actions):
    """Mixed into the EC2 response class."""

    def describe_instance_types(self) -> ActionResult:
        """The types of this region; with IncludeUnsupportedInRegion, also those of other regions."""
        self.error_on_dryrun()
        names = self._get_param("InstanceTypes", [])
        here = types_in(self.region).union(filter(self.ec2_backend.zones_of, MORE_OFFERED))
        every = self._get_param("IncludeUnsupportedInRegion", False)
        if not every and (missing := set(names) - here):
            raise refuse(
                "InvalidInstanceType",
                f"The following supplied instance types do not exist: [{', '.join(sorted(missing))}]",
                inferred="type-of-another-region",
            )
        found = self.ec2_backend.describe_instance_types(names, self._filters_from_querystring())
        shown = [
            {**one, "SupportedInRegion": one["InstanceType"] in here}
            for one in found
            if every or one["InstanceType"] in here
        ]
        return ActionResult({"InstanceTypes": shown})
