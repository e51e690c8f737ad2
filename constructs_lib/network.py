"""The VPC and the one subnet, in one zone, for all nodes.

EFA does not cross zones, and both ends must be in one subnet (EC2 user guide, efa-start-nccl).

No data source here fails when what it reads is gone, since `cdktf destroy` reads all of them before it destroys.
Conditions stop a plan instead.
"""

from cdktf import Precondition
from cdktf_cdktf_provider_aws.data_aws_ec2_instance_type_offerings import (
    DataAwsEc2InstanceTypeOfferings,
    DataAwsEc2InstanceTypeOfferingsFilter,
)
from cdktf_cdktf_provider_aws.data_aws_subnet import DataAwsSubnet
from cdktf_cdktf_provider_aws.data_aws_subnets import DataAwsSubnets, DataAwsSubnetsFilter
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from cdktf_cdktf_provider_aws.data_aws_vpcs import DataAwsVpcs, DataAwsVpcsFilter
from constructs import Construct

from constructs_lib.parameters import Parameter
from constructs_lib.terraform import frozen, named, reference
from nixl_efa.launch import Launch
from nixl_efa.settings.values import ZONE_NAME

OFFERS = reference("data.aws_ec2_instance_type_offerings", "zones", "locations")
VPCS_FOUND = reference("data.aws_vpcs", "vpcs", "ids")
GIVEN_FOUND = reference("data.aws_subnets", "given", "ids")
# Lists with at most one member.
VPC = "data.aws_vpc.vpc"
GIVEN_SUBNET = "data.aws_subnet.subnet"
# A map by zone.
SUBNETS = "data.aws_subnets.subnets"
SUBNETS_FOUND = f"sort(flatten(values({SUBNETS})[*].ids))"
ROLE = reference("aws_iam_role", "node", "name")
PRESENT_SUBNET = "terraform_data.subnet.output.value"
# The same value, but known at every plan: the output is unknown in a plan that takes another subnet.
PRESENT_SUBNET_AT_PLAN = "terraform_data.subnet.input.value"
# Matches us-east-1-atl-2a, and not us-east-1a (EC2 user guide, using-regions-availability-zones); the group is the name
# without its letter.
LOCAL_ZONE = "^([a-z]+(?:-[a-z]+)+-[0-9]+-[a-z]+-[0-9]+)[a-z]$"


class Network(Construct):
    """Finds the VPC and the subnet, and fails the plan when they don't fit the settings.

    vpc_id, vpc_cidr, subnet_id and border_group are Terraform tokens. border_group is the network border group for the
    pair's Elastic IPs, null outside of a Local Zone. further_cidrs is a list as an expression.

    The subnet is the given one, else the first (by id) of the VPC in the wanted zone, else in any zone that offers the
    type. It stays the same (see frozen) until the user names another subnet, zone or VPC. The pair does not move when
    the user removes such a name from the settings, or chooses another type.

    preconditions: what must hold before nodes are launched in it.
    """

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        self._launch = launch
        types = launch.instance_types
        self._types = " and ".join(types)
        # Each offer is for one type in one zone.
        self._offered: str = (
            OFFERS
            if len(types) == 1
            else f"[for zone in distinct({OFFERS}) : zone if length([for one in {OFFERS} : one if one == zone]) "
            f"== {len(types)}]"
        )
        self.preconditions: list[Precondition] = []
        conditions = [self._same_region()]
        zone = self._wanted_zone(conditions)
        self._offerings()
        self._find_vpc()
        self.vpc_id: str = f'${{try({VPC}[0].id, "")}}'
        # Without a VPC a condition fails; before it does, the rules of the security group need some valid address.
        self.vpc_cidr: str = f'${{try({VPC}[0].cidr_block, "127.0.0.1/32")}}'
        # A VPC can have more blocks than its first (VPC user guide, vpc-cidr-blocks). A block that was removed stays in
        # the list for some time.
        self.further_cidrs: str = (
            f"[for block in try({VPC}[0].cidr_block_associations, []) : block.cidr_block "
            # Terraform also evaluates this when the VPC does not exist any more, for example in a destroy.
            f'if block.state == "associated" && block.cidr_block != try({VPC}[0].cidr_block, "")]'
        )
        if launch.subnet_id:
            subnet, its_zone = launch.subnet_id, f"{GIVEN_SUBNET}[0].availability_zone"
            present_zone = its_zone
            conditions += [self._given_found(), *self._given_fits(zone), self._type_offered(its_zone)]
        else:
            zones = f"compact([{_bare(zone)}])" if zone else self._offered
            self._find_subnets(zones)
            subnet = f'${{try({SUBNETS_FOUND}[0], "")}}'
            its_zone = _zone_of(f"{SUBNETS_FOUND}[0]")
            present_zone = _zone_of(PRESENT_SUBNET_AT_PLAN)
            # Without an offered zone there is no subnet either: the first cause is reported first.
            conditions += [
                self._type_offered(_bare(zone) if zone else None),
                self._vpc_found(),
                self._subnet_found(zone),
            ]
            self.preconditions.append(self._present_fits(zone))
        self.border_group: str = _border_group(present_zone)
        user_names = {
            "availability_zone": zone is not None,
            "instance_type": False,
            "subnet_id": bool(launch.subnet_id),
            "vpc_id": bool(launch.vpc_id),
        }
        self.subnet_id: str = frozen(
            self,
            "subnet",
            subnet,
            until={
                "availability_zone": zone or f'${{try({its_zone}, "")}}',
                "instance_type": launch.instance_type,
                "subnet_id": subnet,
                "vpc_id": launch.vpc_id or self.vpc_id,
            },
            kept=[name for name, named_by_user in user_names.items() if not named_by_user],
            preconditions=conditions,
        )

    def _same_region(self) -> Precondition:
        """Fails when the settings' region is not that of the running pair. Without it Terraform would find nothing of
        the pair in the new region, forget it, and build a second pair, or report that the pair is destroyed.

        Only the pair's role is visible in every region, and its name ends with the region. Without a role of the stack
        only the state knows the region. A destroy would continue when a condition is false; it stops when a condition
        can't be evaluated.
        """
        region = self._launch.region
        where = f"the region in which the name of its role ends, ${{{ROLE}}}"
        stays = f'endswith({ROLE}, "-{region}")'
        if self._launch.instance_profile:
            where = frozen(self, "region", region, until={})
            stays = f'{where[2:-1]} == "{region}"'
        message = (
            f"region is {region}, and the pair stands in {where}: set region back. "
            "To move the pair, destroy it there first."
        )
        return Precondition(condition=f'${{{stays} ? true : tobool("{message}")}}', error_message=message)

    def _wanted_zone(self, conditions: list[Precondition]) -> str | None:
        """The zone that the user wants, as text or as a token; None when any will do."""
        source = self._launch.reservation
        if not source.reads_zone:
            return source.zone or None
        parameter = Parameter(
            self,
            "zone",
            parameter=source.zone_parameter,
            holds="a zone's name",
            form=ZONE_NAME,
            remedy=f"`nixl-efa capacity save ID --env {source.environment}` writes it; or set availability_zone, or "
            "availability_zone_parameter to another one.",
        )
        conditions += parameter.preconditions
        return parameter.value

    def _offerings(self) -> None:
        wanted = DataAwsEc2InstanceTypeOfferingsFilter(
            name="instance-type", values=list(self._launch.instance_types)
        )
        named(
            DataAwsEc2InstanceTypeOfferings(
                self, "zones", location_type="availability-zone", filter=[wanted]
            ),
            "zones",
        )

    def _find_vpc(self) -> None:
        if self._launch.subnet_id:
            by_id = DataAwsSubnetsFilter(name="subnet-id", values=[self._launch.subnet_id])
            named(DataAwsSubnets(self, "given", filter=[by_id]), "given")
            subnet = named(DataAwsSubnet(self, "subnet", id=f"${{{GIVEN_FOUND}[0]}}"), "subnet")
            subnet.add_override("count", f"${{length({GIVEN_FOUND})}}")
            vpcs, vpc_id = GIVEN_FOUND, f"{GIVEN_SUBNET}[0].vpc_id"
        else:
            wanted = (
                DataAwsVpcsFilter(name="vpc-id", values=[self._launch.vpc_id])
                if self._launch.vpc_id
                else DataAwsVpcsFilter(name="is-default", values=["true"])
            )
            named(DataAwsVpcs(self, "vpcs", filter=[wanted]), "vpcs")
            vpcs, vpc_id = VPCS_FOUND, f"{VPCS_FOUND}[0]"
        vpc = named(DataAwsVpc(self, "vpc", id=f"${{{vpc_id}}}"), "vpc")
        vpc.add_override("count", f"${{length({vpcs})}}")

    def _find_subnets(self, zones: str) -> None:
        subnets = DataAwsSubnets(
            self,
            "subnets",
            filter=[
                DataAwsSubnetsFilter(name="vpc-id", values=[f'${{try({VPC}[0].id, "none")}}']),
                DataAwsSubnetsFilter(name="availability-zone", values=["${each.value}"]),
            ],
        )
        named(subnets, "subnets").add_override("for_each", f"${{toset({zones})}}")

    def _given_found(self) -> Precondition:
        return Precondition(
            condition=f"${{length({GIVEN_FOUND}) == 1}}",
            error_message=f"subnet_id {self._launch.subnet_id} is not there: choose a subnet of {self._launch.region}.",
        )

    def _given_fits(self, zone: str | None) -> list[Precondition]:
        subnet, vpc = self._launch.subnet_id, self._launch.vpc_id
        its_zone, its_vpc = (
            f'try({GIVEN_SUBNET}[0].availability_zone, "")',
            f'try({GIVEN_SUBNET}[0].vpc_id, "")',
        )
        # What was not found is empty here; another condition reports that.
        conditions = []
        if zone:
            conditions.append(
                Precondition(
                    condition=f'${{contains(["", {its_zone}], {_bare(zone)})}}',
                    error_message=f"subnet_id {subnet} lies in zone ${{{its_zone}}}, not in the "
                    f"wanted {zone}: choose a subnet of that zone, or change availability_zone.",
                )
            )
        if vpc:
            conditions.append(
                Precondition(
                    condition=f'${{contains(["", "{vpc}"], {its_vpc})}}',
                    error_message=f"subnet_id {subnet} lies in ${{{its_vpc}}}, not in vpc_id {vpc}: "
                    "leave vpc_id out, or choose a subnet of that VPC.",
                )
            )
        return conditions

    def _type_offered(self, zone: str | None) -> Precondition:
        """Fails when the zone does not offer the type. zone: a Terraform expression; None: any zone of the region."""
        zones = f'${{join(", ", sort({self._offered}))}}'
        if zone is None:
            return Precondition(
                condition=f"${{length({self._offered}) > 0}}",
                error_message=f"{self._types} is not offered in {self._launch.region}: change region or instance_type.",
            )
        zone = f'try({zone}, "")'
        return Precondition(
            condition=f'${{contains(concat([""], {self._offered}), {zone})}}',
            error_message=f"{self._types} is not offered in zone ${{{zone}}}. "
            f"Zones of {self._launch.region} that offer it: {zones}. Change availability_zone, subnet_id, region or "
            "instance_type.",
        )

    def _vpc_found(self) -> Precondition:
        wanted = self._launch.vpc_id
        what = f"vpc_id {wanted} is not there" if wanted else f"{self._launch.region} has no default VPC"
        return Precondition(
            condition=f"${{length({VPCS_FOUND}) == 1}}",
            error_message=f"{what}: set vpc_id or subnet_id to one of {self._launch.region}.",
        )

    def _subnet_found(self, zone: str | None) -> Precondition:
        where = f"zone {zone}" if zone else f"a zone that offers {self._types}"
        return Precondition(
            condition=f"${{length({VPCS_FOUND}) == 0 || length({SUBNETS_FOUND}) > 0}}",
            error_message=f"{self.vpc_id} has no subnet in {where}: create one, or set vpc_id, subnet_id or "
            "availability_zone.",
        )

    def _present_fits(self, zone: str | None) -> Precondition:
        """Fails when the subnet that the pair keeps is not one that the settings allow."""
        where = f"in zone {zone}" if zone else f"in a zone that offers {self._types}"
        return Precondition(
            condition=f"${{contains({SUBNETS_FOUND}, {PRESENT_SUBNET})}}",
            error_message=f"The pair stands in ${{{PRESENT_SUBNET}}}, which is no subnet of {self.vpc_id} {where}. To "
            "keep it there set subnet_id and an instance_type of its zone. To move it, which replaces both nodes, set "
            f'subnet_id to one of ${{join(", ", {SUBNETS_FOUND})}}.',
        )


def _zone_of(subnet: str) -> str:
    """The zone of one of the subnets in SUBNETS, as a Terraform expression."""
    return f"[for zone, found in {SUBNETS} : zone if contains(found.ids, {subnet})][0]"


def _border_group(zone: str) -> str:
    """The network border group that advertises a Local Zone's addresses: the zone's name without its letter
    (EC2 user guide, elastic-ip-addresses; for us-east-1-atl-2a it is us-east-1-atl-2).

    Null in every other zone: AWS then uses the region's group, and an address that exists is not changed.
    """
    return f'${{try(regex("{LOCAL_ZONE}", {zone})[0], null)}}'


def _bare(value: str) -> str:
    """A value as a Terraform expression: a token without its braces, text in quotes."""
    return value[2:-1] if value.startswith("${") else f'"{value}"'
