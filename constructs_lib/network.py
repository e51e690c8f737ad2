"""The VPC and the one subnet, in one zone, that both nodes stand in.

EFA does not cross zones, and both ends belong in one subnet (EC2 user guide, efa-start-nccl).
"""

from __future__ import annotations

from cdktf import Precondition
from cdktf_cdktf_provider_aws.data_aws_ec2_instance_type_offerings import (
    DataAwsEc2InstanceTypeOfferings,
    DataAwsEc2InstanceTypeOfferingsFilter,
)
from cdktf_cdktf_provider_aws.data_aws_ssm_parameter import DataAwsSsmParameter
from cdktf_cdktf_provider_aws.data_aws_subnet import DataAwsSubnet
from cdktf_cdktf_provider_aws.data_aws_subnets import DataAwsSubnets, DataAwsSubnetsFilter
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from constructs import Construct

from constructs_lib.terraform import frozen, named, reference, token
from nixl_efa.launch import Launch

OFFERED_ZONES = reference("data.aws_ec2_instance_type_offerings", "zones", "locations")
SUBNETS_FOUND = reference("data.aws_subnets", "subnets", "ids")
GIVEN_SUBNET = "data.aws_subnet.subnet"


class Network(Construct):
    """Finds the VPC and the subnet, and fails the plan when they don't fit the settings.

    vpc_id, vpc_cidr and subnet_id are Terraform tokens. The subnet is the given one, else the first (by id) of the
    VPC in the wanted zone, else in any zone that offers the type; the choice stays what it was (see frozen).
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self._launch = launch
        zone = self._wanted_zone()
        offerings = self._offerings()
        given = self._given_subnet()
        vpc_id = given.vpc_id if given else launch.vpc_id
        named(DataAwsVpc(self, "vpc", id=vpc_id or None, default=None if vpc_id else True), "vpc")
        self.vpc_id: str = token("data.aws_vpc", "vpc", "id")
        self.vpc_cidr: str = token("data.aws_vpc", "vpc", "cidr_block")
        if given:
            value = given.id
            conditions = [*self._given_fits(zone), self._type_offered(f"{GIVEN_SUBNET}.availability_zone")]
        else:
            self._find_subnets([zone] if zone else offerings.locations)
            value = f'${{try(sort({SUBNETS_FOUND})[0], "")}}'
            # Without an offered zone there is no subnet either: the first cause is said first.
            conditions = [self._type_offered(_bare(zone) if zone else None), self._subnet_found(zone)]
        self.subnet_id: str = frozen(
            self,
            "subnet",
            value,
            until={
                "availability_zone": zone or "",
                "instance_type": launch.instance_type,
                "subnet_id": launch.subnet_id,
                "vpc_id": launch.vpc_id,
            },
            preconditions=conditions,
        )

    def _wanted_zone(self) -> str | None:
        """The zone that the user wants, as text or as a token; None when any will do."""
        source = self._launch.reservation
        if not source.reads_zone:
            return source.zone or None
        named(DataAwsSsmParameter(self, "zone", name=source.zone_parameter), "zone")
        # Not `value`: that one is marked sensitive, and a plan would hide what it changes.
        return token("data.aws_ssm_parameter", "zone", "insecure_value")

    def _offerings(self) -> DataAwsEc2InstanceTypeOfferings:
        wanted = DataAwsEc2InstanceTypeOfferingsFilter(
            name="instance-type", values=[self._launch.instance_type]
        )
        return named(
            DataAwsEc2InstanceTypeOfferings(
                self, "zones", location_type="availability-zone", filter=[wanted]
            ),
            "zones",
        )

    def _given_subnet(self) -> DataAwsSubnet | None:
        if not self._launch.subnet_id:
            return None
        return named(DataAwsSubnet(self, "subnet", id=self._launch.subnet_id), "subnet")

    def _find_subnets(self, zones: list[str]) -> None:
        named(
            DataAwsSubnets(
                self,
                "subnets",
                filter=[
                    DataAwsSubnetsFilter(name="vpc-id", values=[self.vpc_id]),
                    DataAwsSubnetsFilter(name="availability-zone", values=zones),
                ],
            ),
            "subnets",
        )

    def _given_fits(self, zone: str | None) -> list[Precondition]:
        subnet, vpc = self._launch.subnet_id, self._launch.vpc_id
        conditions = []
        if zone:
            conditions.append(
                Precondition(
                    condition=f"${{{GIVEN_SUBNET}.availability_zone == {_bare(zone)}}}",
                    error_message=f"subnet_id {subnet} lies in zone ${{{GIVEN_SUBNET}.availability_zone}}, not in the "
                    f"wanted {zone}: choose a subnet of that zone, or change availability_zone.",
                )
            )
        if vpc:
            conditions.append(
                Precondition(
                    condition=f'${{{GIVEN_SUBNET}.vpc_id == "{vpc}"}}',
                    error_message=f"subnet_id {subnet} lies in ${{{GIVEN_SUBNET}.vpc_id}}, not in vpc_id {vpc}: "
                    "leave vpc_id out, or choose a subnet of that VPC.",
                )
            )
        return conditions

    def _type_offered(self, zone: str | None) -> Precondition:
        """`zone` is a Terraform expression; None asks for any zone of the region."""
        wanted = self._launch.instance_type
        zones = f'${{join(", ", sort({OFFERED_ZONES}))}}'
        if zone is None:
            return Precondition(
                condition=f"${{length({OFFERED_ZONES}) > 0}}",
                error_message=f"{wanted} is not offered in {self._launch.region}: change region or instance_type.",
            )
        return Precondition(
            condition=f"${{contains({OFFERED_ZONES}, {zone})}}",
            error_message=f"{wanted} is not offered in zone ${{{zone}}}. Zones of {self._launch.region} that offer "
            f"it: {zones}. Change availability_zone, subnet_id, region or instance_type.",
        )

    def _subnet_found(self, zone: str | None) -> Precondition:
        where = f"zone {zone}" if zone else f"a zone that offers {self._launch.instance_type}"
        return Precondition(
            condition=f"${{length({SUBNETS_FOUND}) > 0}}",
            error_message=f"{self.vpc_id} has no subnet in {where}: create one, or set vpc_id, subnet_id or "
            "availability_zone.",
        )


def _bare(value: str) -> str:
    """A value as a Terraform expression: a token without its braces, text in quotes."""
    return value[2:-1] if value.startswith("${") else f'"{value}"'
