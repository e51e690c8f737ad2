"""IAM with the policy simulator, and the role with which EC2 asks for Spot Instances.

Sources: IAM API reference, SimulatePrincipalPolicy; EC2 user guide, service-linked-roles-spot-instance-requests.
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from local_aws.ec2.api import refuse
from local_aws.permissions import decide, policies_of_arn, policies_of_key
from local_aws.world import world

_SPOT_ROLE = "AWSServiceRoleForEC2Spot"
_SPOT_SERVICE = "spot.amazonaws.com"


class Iam(IamResponse):  # type: ignore[misc]
    """One request to IAM."""

    def simulate_principal_policy(self) -> ActionResult:
        """The decision of a user's or role's policies for each action on each resource. The local key belongs to no
        user: it may do everything, or what the policy that is set allows."""
        source = self._get_param("PolicySourceArn")
        documents = policies_of_arn(self.current_account, self.partition, source)
        if documents is None:
            if not source.endswith(":user/moto"):
                raise NotFoundException(f"The policy source {source} cannot be found.")
            documents = [world().policy or {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]
        given = self._get_param("ContextEntries", [])
        context = {one["ContextKeyName"]: one["ContextKeyValues"][0] for one in given}
        results = []
        for action in self._get_param("ActionNames", []):
            for resource in self._get_param("ResourceArns", []) or ["*"]:
                decision, missing = decide(documents, action, resource, context)
                results.append(
                    {
                        "EvalActionName": action,
                        "EvalResourceName": resource,
                        "EvalDecision": decision,
                        "MatchedStatements": [],
                        "MissingContextValues": missing,
                    }
                )
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def make_spot_role(account: str, partition: str, access_key: str) -> None:
    """Create the role at the first request for a Spot Instance, if the caller is allowed to create it."""
    iam: Any = iam_backends[account][partition]
    if any(role.name == _SPOT_ROLE for role in iam.roles.values()):
        return
    documents = policies_of_key(account, partition, access_key)
    arn = f"arn:{partition}:iam::{account}:role/aws-service-role/{_SPOT_SERVICE}/{_SPOT_ROLE}"
    context = {"iam:AWSServiceName": _SPOT_SERVICE}
    if documents is not None:
        decision, _ = decide(documents, "iam:CreateServiceLinkedRole", arn, context)
        if decision != "allowed":
            raise refuse(
                "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
                "The provided credentials do not have permission to create the service-linked role for EC2 Spot "
                "Instances.",
            )
    iam.create_service_linked_role(_SPOT_SERVICE, "", "")
