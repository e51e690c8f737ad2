"""What can block outgoing traffic although there is a route: the subnet's network ACL, and VPC Block Public Access."""

from datetime import datetime
from ipaddress import IPv4Network

from nixl_efa.checks.facts import Facts, NoAnswer, Subnet
from nixl_efa.checks.network_facts import ANSWERS, ANYWHERE, HTTP, HTTPS, NetworkAcl, Passage, PublicAccess
from nixl_efa.checks.rules.common import aws, no_answer, shared_by
from nixl_efa.checks.rules.way_out import Way, way_of
from nixl_efa.findings import Finding, failed, passed, skipped, warned
from nixl_efa.launch import Launch

_ACL, _PUBLIC = "network ACL", "public access"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The network ACL; and Block Public Access when traffic leaves through an internet gateway or NAT gateway."""
    if facts.subnet is None:
        return []
    way = way_of(launch, facts, facts.subnet)
    return [
        *_network_acl(launch, facts, facts.subnet, way),
        *_public_access(launch, facts, facts.subnet, way),
    ]


def _network_acl(launch: Launch, facts: Facts, subnet: Subnet, way: Way | None) -> list[Finding]:
    """Findings on the network ACL. It does not filter traffic within the subnet, nor to Amazon's resolver, time and
    metadata services (VPC user guide, vpc-network-acls), so it does not affect EFA between the nodes."""
    filters = f"Name=association.subnet-id,Values={subnet.id}"
    by_hand = aws(launch, "ec2", "describe-network-acls", "--filters", filters)
    acl = facts.network_acl
    if isinstance(acl, NoAnswer):
        return [no_answer(_ACL, acl, by_hand)]
    if acl is None:
        return []
    remotes = _remotes(facts, subnet, way)
    if remotes is None:
        message = "Not checked: the endpoints are in other subnets, and the VPC's blocks could not be seen."
        return [skipped(_ACL, message, "", by_hand)]
    if not remotes:
        return [passed(_ACL, f"{acl.id}: the endpoints are in {subnet.id} itself.", by_hand)]
    where = "the internet" if remotes == (ANYWHERE,) else "the endpoints"
    out = _best(acl, remotes, egress=True, ports=HTTPS)
    answers = _best(acl, remotes, egress=False, ports=ANSWERS)
    if way == "other":
        # Behind a transit gateway or a similar one, endpoints may have private addresses.
        out, answers = (
            "partly" if seen == "closed" and acl.lets_some_pass(egress=egress, ports=ports) else seen
            for seen, egress, ports in ((out, True, HTTPS), (answers, False, ANSWERS))
        )
    change = "Allow it in the network ACL, by a rule with a lower number; or set subnet_id to another subnet."
    if out == "closed":
        message = f"{acl.id} blocks {subnet.id} from port 443 of {where}: the nodes could not be reached."
        return [failed(_ACL, message, change, by_hand)]
    if answers == "closed":
        message = (
            f"{acl.id} blocks the answers of {where} to {subnet.id} (TCP {_text(ANSWERS)}, Linux's ephemeral ports): "
            "the nodes could not be reached."
        )
        return [failed(_ACL, message, change, by_hand)]
    if out == "partly":
        message = f"{acl.id} lets {subnet.id} reach port 443 of some addresses only; whether Systems Manager's are among them can't be checked."  # noqa: E501
        return [warned(_ACL, message, change, by_hand)]
    if answers == "partly":
        message = f"{acl.id} lets only some answers from {where} into {subnet.id}, not all of TCP {_text(ANSWERS)} (Linux's ephemeral ports): connections would sometimes fail."  # noqa: E501
        return [warned(_ACL, message, change, by_hand)]
    if (
        launch.nixl_version
        and remotes == (ANYWHERE,)
        and _best(acl, remotes, egress=True, ports=HTTP) != "open"
    ):
        message = f"{acl.id} does not let {subnet.id} out to port 80, which Ubuntu's package archive uses: NIXL would not be installed (install_nixl)."  # noqa: E501
        return [warned(_ACL, message, change, by_hand)]
    return [passed(_ACL, f"{acl.id} lets {subnet.id} out to port 443, and the answers in.", by_hand)]


def _remotes(facts: Facts, subnet: Subnet, way: Way | None) -> tuple[IPv4Network, ...] | None:
    """The destination of the traffic: the internet, or the VPC's blocks for endpoints in other subnets; None when those
    were not seen."""
    if way != "endpoints" or isinstance(facts.endpoints, NoAnswer):
        return (ANYWHERE,)
    served = [each for each in facts.endpoints if each.vpc_id == subnet.vpc_id and each.kind == "Interface"]
    if all(each.subnet_ids == (subnet.id,) for each in served):
        return ()
    return tuple(IPv4Network(cidr) for cidr in facts.own_vpc.cidrs) if facts.own_vpc is not None else None


def _best(acl: NetworkAcl, remotes: tuple[IPv4Network, ...], *, egress: bool, ports: range) -> Passage:
    found = {acl.tcp(egress=egress, remote=remote, ports=ports) for remote in remotes}
    if found == {"open"} or found == {"closed"}:
        return found.pop()
    return "partly"


def _text(ports: range) -> str:
    return f"{ports[0]} to {ports[-1]}"


def _public_access(launch: Launch, facts: Facts, subnet: Subnet, way: Way | None) -> list[Finding]:
    """Findings on Block Public Access (VPC user guide, security-vpc-bpa): "block-ingress" does not block NAT gateways;
    "block-bidirectional" blocks everything that is not excluded; "allow-egress" has an effect only with the latter."""
    if way not in ("internet gateway", "NAT gateway"):
        return []
    by_hand = aws(launch, "ec2", "describe-vpc-block-public-access-options")
    if owner := shared_by(facts):
        message = f"Not checked: {subnet.vpc_id} is of account {owner}, whose VPC Block Public Access counts."
        return [skipped(_PUBLIC, message)]
    access = facts.public_access
    if isinstance(access, NoAnswer):
        return [no_answer(_PUBLIC, access, by_hand)]
    if access is None or access.mode == "off":
        return [passed(_PUBLIC, f"VPC Block Public Access is off in {launch.region}.", by_hand)]
    if way == "NAT gateway" and access.mode == "block-ingress":
        return [passed(_PUBLIC, "VPC Block Public Access (block-ingress) lets NAT gateways out.", by_hand)]
    listed_by = aws(launch, "ec2", "describe-vpc-block-public-access-exclusions")
    if isinstance(facts.exclusions, NoAnswer):
        return [no_answer(_PUBLIC, facts.exclusions, listed_by)]
    modes = {each.id: each.mode for each in facts.exclusions}
    enough = ("allow-bidirectional", "allow-egress")[: 2 if access.mode == "block-bidirectional" else 1]
    if modes.get(subnet.vpc_id) in enough or (way == "internet gateway" and modes.get(subnet.id) in enough):
        return [
            passed(_PUBLIC, f"VPC Block Public Access ({access.mode}) leaves {subnet.vpc_id} out.", listed_by)
        ]
    if way == "NAT gateway" and any(each.startswith("subnet-") for each in modes):
        message = f"VPC Block Public Access ({access.mode}) excludes some subnets; whether that of the NAT gateway is among them can't be checked."  # noqa: E501
        remedy = "Compare the exclusions with the NAT gateway's subnet."
        return [warned(_PUBLIC, message, remedy, listed_by)]
    return [_blocked(launch, subnet, way, access, listed_by)]


def _blocked(launch: Launch, subnet: Subnet, way: Way, access: PublicAccess, by_hand: str) -> Finding:
    through = "with Elastic IPs" if way == "internet gateway" else "through the NAT gateway"
    exclude = aws(
        launch,
        "ec2",
        "create-vpc-block-public-access-exclusion",
        "--vpc-id",
        subnet.vpc_id,
        "--internet-gateway-exclusion-mode",
        "allow-bidirectional",
    )
    by_whom = " (a declarative policy of the organization sets it)" if access.managed_by != "account" else ""
    return failed(
        _PUBLIC,
        f"VPC Block Public Access is {access.mode} in {launch.region}{by_whom}, and neither {subnet.vpc_id} nor "
        f"{subnet.id} is excluded: nothing can get out {through}, and the nodes could not be reached.",
        f"Exclude the VPC (`{exclude}`), or set elastic_ip = false with interface endpoints or a transit gateway as "
        "the way out.",
        by_hand,
    )
