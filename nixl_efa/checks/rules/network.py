"""The network: VPC and subnet exist, agree with each other and the zone, and have room for the nodes."""

import re
from datetime import datetime

from nixl_efa.checks.facts import Facts, NoAnswer, Subnet
from nixl_efa.checks.network_facts import AMAZON_DNS
from nixl_efa.checks.rules.common import aws, no_answer, parameter_call, takes, tenancy
from nixl_efa.findings import Finding, counted, failed, listed, passed, skipped, warned
from nixl_efa.launch import Launch
from nixl_efa.settings.values import ZONE_NAME


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """VPC, its DNS, zone, subnet and free addresses."""
    findings = [_vpc(launch, facts)]
    if isinstance(facts.zone, NoAnswer):
        findings.append(
            no_answer("zone", facts.zone, parameter_call(launch, launch.reservation.zone_parameter))
        )
    elif facts.zone is None and launch.reservation.reads_zone:
        findings.append(_no_zone_parameter(launch))
    elif facts.zone and launch.reservation.reads_zone and not re.fullmatch(ZONE_NAME, facts.zone):
        findings.append(_no_zone_name(launch, facts.zone))
    findings += _local_zone(launch, facts)
    findings.append(_subnet(launch, facts))
    if facts.subnet is not None:
        findings.append(_addresses(launch, facts, facts.subnet))
    findings += _dns(launch, facts)
    if facts.subnet is not None and tenancy(facts) != "default":
        findings.append(_dedicated(launch, facts.subnet.vpc_id))
    return findings


def subnet_command(launch: Launch) -> str:
    """The AWS CLI call that shows the subnet, or those that the stack chooses from."""
    if launch.subnet_id:
        return aws(launch, "ec2", "describe-subnets", "--subnet-ids", launch.subnet_id)
    chosen = f"Name=vpc-id,Values={launch.vpc_id}" if launch.vpc_id else "Name=default-for-az,Values=true"
    return aws(launch, "ec2", "describe-subnets", "--filters", chosen)


def addresses_needed(launch: Launch) -> int:
    """How many addresses of the subnet the environment needs: efa-only interfaces have none (EC2 user guide, efa)."""
    return sum(
        one.count * sum(each.interface_type != "efa-only" for each in one.interfaces) for one in launch.beside
    )


def _vpc(launch: Launch, facts: Facts) -> Finding:
    choice = ("--vpc-ids", launch.vpc_id) if launch.vpc_id else ("--filters", "Name=is-default,Values=true")
    by_hand = aws(launch, "ec2", "describe-vpcs", *choice)
    if isinstance(facts.vpc, NoAnswer):
        return no_answer("vpc", facts.vpc, by_hand)
    if facts.vpc is not None:
        kind = "default VPC " if facts.vpc.is_default else "VPC "
        return passed("vpc", f"The {kind}{facts.vpc.id} is there.", by_hand)
    if launch.vpc_id:
        return failed(
            "vpc",
            f"The VPC {launch.vpc_id} (vpc_id) is not in {launch.region}.",
            "Set vpc_id to one of this region, or check that the account is the right one.",
            by_hand,
        )
    if launch.subnet_id:
        return passed("vpc", f"No default VPC in {launch.region}; subnet_id says which one is used.", by_hand)
    return failed(
        "vpc",
        f"{launch.region} has no default VPC, and vpc_id is not set.",
        f"Set vpc_id and subnet_id, or make a default VPC (`{aws(launch, 'ec2', 'create-default-vpc')}`).",
        by_hand,
    )


def _no_zone_parameter(launch: Launch) -> Finding:
    name = launch.reservation.zone_parameter
    return failed(
        "zone",
        f"The parameter {name} (availability_zone_parameter) does not exist in {launch.region}.",
        f"`nixl-efa capacity save ID --env {launch.reservation.target}` writes a reservation's zone; or set "
        "availability_zone.",
        parameter_call(launch, name),
    )


def _no_zone_name(launch: Launch, zone: str) -> Finding:
    name = launch.reservation.zone_parameter
    return failed(
        "zone",
        f"The parameter {name} (availability_zone_parameter) holds {zone!r}, which is no zone's name.",
        f"`nixl-efa capacity save ID --env {launch.reservation.target}` writes a reservation's zone. A zone's id, "
        "such as use2-az1, is not its name.",
        parameter_call(launch, name),
    )


def _local_zone(launch: Launch, facts: Facts) -> list[Finding]:
    """Nothing can be launched in a Local Zone before the account has opted in to its group (EC2 user guide,
    using-regions-availability-zones; for blocks, capacity-blocks-launch)."""
    zone = facts.local_zone
    if zone is None:
        return []
    if isinstance(zone, NoAnswer):
        return [
            no_answer(
                "local zone",
                zone,
                aws(launch, "ec2", "describe-availability-zones", "--all-availability-zones"),
            )
        ]
    by_hand = aws(
        launch, "ec2", "describe-availability-zones", "--all-availability-zones", "--zone-names", zone.name
    )
    if zone.opted_in:
        return [
            passed("local zone", f"{zone.name} is a Local Zone; the account has opted in to it.", by_hand)
        ]
    opt_in = aws(
        launch,
        "ec2",
        "modify-availability-zone-group",
        "--group-name",
        zone.group,
        "--opt-in-status",
        "opted-in",
    )
    return [
        failed(
            "local zone",
            f"{zone.name} is a Local Zone, and the account has not opted in to it: nothing can be launched there.",
            f"Opt in (`{opt_in}`), then make a subnet there.",
            by_hand,
        )
    ]


def _subnet(launch: Launch, facts: Facts) -> Finding:
    by_hand = subnet_command(launch)
    if isinstance(facts.subnets, NoAnswer):
        return no_answer("subnet", facts.subnets, by_hand)
    zone = None if isinstance(facts.zone, NoAnswer) else facts.zone
    if facts.subnet is None:
        return _no_subnet(launch, facts.subnets, zone, by_hand)
    subnet = facts.subnet
    if launch.vpc_id and subnet.vpc_id != launch.vpc_id:
        return warned(
            "subnet",
            f"The subnet {subnet.id} belongs to {subnet.vpc_id}, but vpc_id is {launch.vpc_id}; the "
            "subnet decides.",
            f"Set vpc_id = {subnet.vpc_id!r}, or another subnet_id.",
            by_hand,
        )
    if subnet.state != "available":
        return failed(
            "subnet",
            f"The subnet {subnet.id} is {subnet.state}: EC2 makes no interfaces in it.",
            "Set subnet_id to a subnet that is available.",
            by_hand,
        )
    if subnet.ipv6_only:
        return failed(
            "subnet",
            f"The subnet {subnet.id} has only IPv6; the nodes use IPv4 addresses.",
            "Set subnet_id to a subnet with IPv4.",
            by_hand,
        )
    if zone and subnet.zone != zone:
        return failed(
            "subnet",
            f"The subnet {subnet.id} is in {subnet.zone}, but the wanted zone is {zone}.",
            f"Set subnet_id to a subnet of {zone}, or availability_zone = {subnet.zone!r}.",
            by_hand,
        )
    return passed("subnet", f"The subnet {subnet.id} is in {subnet.zone}.", by_hand)


def _no_subnet(launch: Launch, seen: tuple[Subnet, ...], zone: str | None, by_hand: str) -> Finding:
    if launch.subnet_id:
        return failed(
            "subnet",
            f"The subnet {launch.subnet_id} (subnet_id) is not in {launch.region}.",
            "Set subnet_id to one of this region and account.",
            by_hand,
        )
    where = launch.vpc_id or "the default VPC"
    if not seen:
        return failed("subnet", f"{where} has no subnet.", "Make one, or set vpc_id and subnet_id.", by_hand)
    zones = listed(sorted({each.zone for each in seen}))
    wanted = f"in {zone}" if zone else f"in a zone that offers {launch.instance_type}"
    return failed(
        "subnet",
        f"{where} has no subnet {wanted}; it has subnets in {zones}.",
        # A Local Zone has no default subnet (EC2 user guide, using-regions-availability-zones).
        "Make a subnet there, or set another availability_zone.",
        by_hand,
    )


def _addresses(launch: Launch, facts: Facts, subnet: Subnet) -> Finding:
    check, needed, by_hand = "subnet addresses", addresses_needed(launch), subnet_command(launch)
    running = () if isinstance(facts.running, NoAnswer) else facts.running
    own, count = (
        sum(each.own and each.subnet_id in ("", subnet.id) for each in running),
        len(launch.every_node),
    )
    seen = f"{subnet.id} has {counted(subnet.free_addresses, 'free address')}; {takes(launch)} {needed}"
    if own:
        seen += f", and {own} of its {count} nodes already have one"
    # A running node's address becomes free for the node that replaces it.
    if subnet.free_addresses < needed * (count - min(own, count)) / count:
        remedy = "Free some, or set subnet_id to a larger subnet of the zone."
        return failed(check, f"{seen}.", remedy, by_hand)
    return passed(check, f"{seen}.", by_hand)


def _dedicated(launch: Launch, vpc_id: str) -> Finding:
    # EC2 user guide, dedicated-instance ("Pricing", "Limitations") and change-tenancy-vpc; its price list,
    # ec2/pricing/dedicated-instances.
    return warned(
        "vpc tenancy",
        f"Everything that is launched into {vpc_id} runs on dedicated hardware: at the price of "
        "Dedicated Instances, with a"
        " fee for the region an hour, and not for every instance type.",
        "Take a VPC with default tenancy, or change this one's, which applies to later launches: "
        f"`{aws(launch, 'ec2', 'modify-vpc-tenancy', '--vpc-id', vpc_id, '--instance-tenancy', 'default')}`.",
        aws(launch, "ec2", "describe-vpcs", "--vpc-ids", vpc_id),
    )


def _dns(launch: Launch, facts: Facts) -> list[Finding]:
    if facts.subnet is None:
        return []
    vpc = facts.subnet.vpc_id
    resolves, names = facts.resolves_names, facts.gives_names
    by_hand = aws(launch, "ec2", "describe-vpc-attribute", "--vpc-id", vpc, "--attribute", "enableDnsSupport")
    switch_on = f"Switch it on: `{aws(launch, 'ec2', 'modify-vpc-attribute', '--vpc-id', vpc)}"
    for seen in (resolves, names):
        if isinstance(seen, NoAnswer):
            return [no_answer("vpc DNS", seen, by_hand)]
    if not resolves:
        return [
            failed(
                "vpc DNS",
                f"{vpc} does not resolve names (enableDnsSupport is off): nodes could not find AWS's services.",
                f"{switch_on} --enable-dns-support`.",
                by_hand,
            )
        ]
    if not names:
        return [
            warned(
                "vpc DNS",
                f"{vpc} assigns no names (enableDnsHostnames is off), which interface endpoints need.",
                f"{switch_on} --enable-dns-hostnames`.",
                by_hand,
            )
        ]
    return [_name_servers(launch, facts, vpc, by_hand)]


def _name_servers(launch: Launch, facts: Facts, vpc: str, by_hand: str) -> Finding:
    """The name servers in the VPC's DHCP options; without options, Nitro instances use Amazon's resolver (VPC user
    guide, DHCPOptionSetConcepts)."""
    chosen = facts.own_vpc.dhcp_options_id if facts.own_vpc is not None else ""
    shown = aws(launch, "ec2", "describe-dhcp-options", *(["--dhcp-options-ids", chosen] if chosen else []))
    if isinstance(facts.dhcp_options, NoAnswer):
        return no_answer("vpc DNS", facts.dhcp_options, shown)
    if facts.own_vpc is None or (
        chosen not in ("", "default") and all(each.id != chosen for each in facts.dhcp_options)
    ):
        message = (
            f"{vpc} resolves names. The name servers in its DHCP options can't be seen from this account."
        )
        return skipped("vpc DNS", message, "", shown)
    servers = next((each.name_servers for each in facts.dhcp_options if each.id == chosen), (AMAZON_DNS,))
    if AMAZON_DNS in servers:
        return passed("vpc DNS", f"{vpc} has DNS resolution and DNS hostnames enabled.", by_hand)
    if not servers:
        return failed(
            "vpc DNS",
            f"The DHCP options of {vpc} ({chosen}) name no name server: nodes could not find AWS's services.",
            "Associate DHCP options whose domain-name-servers is AmazonProvidedDNS.",
            shown,
        )
    return warned(
        "vpc DNS",
        f"The DHCP options of {vpc} ({chosen}) name {listed(servers)} instead of Amazon's resolver. "
        "Whether they resolve "
        "the names of Systems Manager and of interface endpoints, which only Amazon's resolver knows, "
        "can't be checked.",
        "Make sure that they forward AWS's names to the VPC's resolver (its second address, or 169.254.169.253).",
        shown,
    )
