"""The traffic that is allowed to and from the nodes."""

import json

from cdktf import ITerraformDependable, Precondition, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_security_groups import (
    DataAwsSecurityGroups,
    DataAwsSecurityGroupsFilter,
)
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct

from constructs_lib.network import Network
from constructs_lib.terraform import named, reference, token
from nixl_efa.launch import Launch

ALL_PROTOCOLS = "-1"
DESCRIPTION = "NIXL/EFA node pair {}: everything between the nodes, services from the VPC"


class PairSecurityGroup(Construct):
    """The pair's security group, or the one that the settings name.

    security_group_id is a token or an id. The resources in rules must exist before a node boots. preconditions fail
    when the given group is not one that the nodes can have.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch, network: Network) -> None:
        super().__init__(scope, id)
        self.rules: list[ITerraformDependable] = []
        self.preconditions: list[Precondition] = []
        if launch.security_group_id:
            self.security_group_id: str = launch.security_group_id
            self._given(launch, network)
            return
        named(
            SecurityGroup(
                self,
                "group",
                name=launch.name_of("pair"),
                description=DESCRIPTION.format(launch.environment),
                vpc_id=network.vpc_id,
                tags={"Name": launch.name_of("pair")},
                # Neither can be changed in place: see NAME_STAYS.
                lifecycle=TerraformResourceLifecycle(ignore_changes=["name", "description"]),
            ),
            "pair",
        )
        self.security_group_id = token("aws_security_group", "pair", "id")
        self._between_the_nodes()
        self._to_the_internet()
        self._services(launch, network)

    def _given(self, launch: Launch, network: Network) -> None:
        # The plural data source, which does not fail when the group is gone (see network).
        wanted = DataAwsSecurityGroupsFilter(name="group-id", values=[launch.security_group_id])
        named(DataAwsSecurityGroups(self, "given", filter=[wanted]), "given")
        its_vpc = f'try({reference("data.aws_security_groups", "given", "vpc_ids")}[0], "no VPC")'
        self.preconditions.append(
            Precondition(
                condition=f"${{{its_vpc} == {network.vpc_id[2:-1]}}}",
                error_message=f"security_group_id {launch.security_group_id} is in ${{{its_vpc}}}, and the pair in "
                f"{network.vpc_id}: choose a security group of that VPC.",
            )
        )

    def _between_the_nodes(self) -> None:
        """All protocols in both directions, to the group itself.

        EFA's traffic has neither IPv4 nor IPv6 addresses, so egress to 0.0.0.0/0 does not cover it, and Terraform
        drops the egress rule that AWS adds by default. Source: EC2 user guide, efa-start-nccl, step 1.
        """
        for rule, name in (
            (VpcSecurityGroupIngressRule, "from_pair"),
            (VpcSecurityGroupEgressRule, "to_pair"),
        ):
            self.rules.append(
                named(
                    rule(
                        self,
                        name,
                        security_group_id=self.security_group_id,
                        referenced_security_group_id=self.security_group_id,
                        ip_protocol=ALL_PROTOCOLS,
                        description="EFA and all else between the nodes",
                    ),
                    name,
                )
            )

    def _to_the_internet(self) -> None:
        self.rules.append(
            named(
                VpcSecurityGroupEgressRule(
                    self,
                    "to_anywhere",
                    security_group_id=self.security_group_id,
                    cidr_ipv4="0.0.0.0/0",
                    ip_protocol=ALL_PROTOCOLS,
                    description="Session Manager, packages, models",
                ),
                "to_anywhere",
            )
        )

    def _services(self, launch: Launch, network: Network) -> None:
        """Lets in the services' ports from the given blocks, else from all blocks of the VPC. The first block has a
        rule for each port. The VPC's further blocks have a separate map of rules, so that existing rules keep their
        addresses in the state."""
        ports, given = launch.service_ports, launch.service_cidrs
        first, further_cidrs = network.vpc_cidr, network.further_cidrs
        block, further_block = "the VPC", "a further block of the VPC"
        if given:
            first, further_cidrs = given[0], json.dumps(given[1:])
            block, further_block = given[0], "${each.value.cidr}"
        self.rules += [
            named(
                VpcSecurityGroupIngressRule(
                    self,
                    f"service_{port}",
                    security_group_id=self.security_group_id,
                    cidr_ipv4=first,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description=f"Service port {port} from {block}",
                ),
                f"service_{port}",
            )
            for port in ports
        ]
        if not ports:
            return
        further = VpcSecurityGroupIngressRule(
            self,
            "services_further",
            security_group_id=self.security_group_id,
            cidr_ipv4="${each.value.cidr}",
            ip_protocol="tcp",
            description=f"Service port ${{each.value.port}} from {further_block}",
        )
        named(further, "services_further")
        pairs = f"setproduct({list(ports)}, {further_cidrs})"
        rules = '"${one[0]} ${one[1]}" => {port = one[0], cidr = one[1]}'
        further.add_override("for_each", f"${{{{for one in {pairs} : {rules}}}}}")
        for end in ("from_port", "to_port"):
            further.add_override(end, "${each.value.port}")
        self.rules.append(further)
