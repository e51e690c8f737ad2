"""Whether a node reaches an AWS service: one packet to its port 443, and the answer, followed through the VPC.

Sources: VPC user guide, nacl-rules, vpc-network-acls, security-vpc-bpa, VPC_Internet_Gateway, DHCPOptionSetConcepts;
AWS PrivateLink guide, manage-dns-names and vpc-endpoints-access. What lies behind a transit gateway, a peering or a
name server of one's own is not known here, and counts as leading on.
"""

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from local_aws.permissions import decide

# Some address of AWS's services, and a port from which Linux asks.
_SERVICE = "52.94.8.1"
_ANSWERED_AT = 45000
_HTTPS = 443
# By the service, a call that is useless to a node when its endpoint does not let it through.
_CALLS = {"ssm": "ssm:UpdateInstanceInformation", "ssmmessages": "ssmmessages:CreateControlChannel"}


@dataclass(frozen=True, slots=True)
class _Packet:
    """TCP to or from a subnet. port: of the packet's own destination."""

    subnet: Any
    remote: str
    port: int
    out: bool


def is_managed(backend: Any, instance: Any) -> bool:
    """Whether the node's agent reaches Systems Manager."""
    return all(reaches(backend, instance, service) for service in _CALLS)


def reaches(backend: Any, instance: Any, service: str) -> bool:
    """Whether a node reaches a service, through its endpoint if that has taken the name over."""
    interface = instance.nics.get(0)
    if interface is None:
        return False
    subnet, vpc = interface.subnet, backend.vpcs[interface.subnet.vpc_id]
    if str(vpc.enable_dns_support).lower() != "true":
        return False
    servers = _name_servers(vpc)
    if not servers:
        return False
    endpoint = _endpoint(backend, vpc, service) if "AmazonProvidedDNS" in servers else None
    if endpoint is not None:
        return _through(backend, interface, endpoint, service)
    return (
        _lets_out(backend, interface, _SERVICE)
        and _passes_acl(backend, _Packet(subnet, _SERVICE, _HTTPS, out=True))
        and _passes_acl(backend, _Packet(subnet, _SERVICE, _ANSWERED_AT, out=False))
        and _is_routed(backend, interface, subnet)
    )


def _name_servers(vpc: Any) -> list[str]:
    """Without a set of DHCP options Nitro instances ask Amazon's resolver."""
    if vpc.dhcp_options is None:
        return ["AmazonProvidedDNS"]
    return list(vpc.dhcp_options._options["domain-name-servers"] or [])


def _endpoint(backend: Any, vpc: Any, service: str) -> Any:
    for one in backend.vpc_end_points.values():
        if (
            one.vpc_id == vpc.id
            and one.service_name.rpartition(".")[2] == service
            and str(one.vpc_endpoint_type).lower() == "interface"
            and one.private_dns_enabled
            and one.state == "available"
        ):
            return one
    return None


def _through(backend: Any, interface: Any, endpoint: Any, service: str) -> bool:
    address = str(interface.private_ip_address)
    theirs = [backend.get_network_interface(each) for each in endpoint.network_interface_ids]
    groups = [backend.get_security_group_from_id(each) for each in endpoint.security_group_ids]
    own = {group.id for group in interface.group_set}
    if not theirs or not any(
        _allows(rule, address, own) for group in groups if group for rule in group.ingress_rules
    ):
        return False
    decision, _ = decide([json.loads(endpoint.policy_document)], _CALLS[service], "*", {})
    if decision != "allowed":
        return False
    if not _lets_out(backend, interface, str(theirs[0].private_ip_address)):
        return False
    if interface.subnet.id in endpoint.subnet_ids:
        return True
    there = theirs[0].subnet
    remote = str(theirs[0].private_ip_address)
    return all(
        _passes_acl(backend, packet)
        for packet in (
            _Packet(interface.subnet, remote, _HTTPS, out=True),
            _Packet(there, address, _HTTPS, out=False),
            _Packet(there, address, _ANSWERED_AT, out=True),
            _Packet(interface.subnet, remote, _ANSWERED_AT, out=False),
        )
    )


def _passes_acl(backend: Any, packet: _Packet) -> bool:
    """The rule with the lowest number that fits decides."""
    for acl in backend.network_acls.values():
        if packet.subnet.id not in (one.subnet_id for one in acl.associations):
            continue
        for entry in sorted(acl.entries, key=lambda one: int(one.rule_number)):
            if _fits(entry, packet):
                return bool(entry.rule_action == "allow")
        return False
    return True


def _fits(entry: Any, packet: _Packet) -> bool:
    if str(entry.egress).lower() != str(packet.out).lower() or str(entry.protocol) not in ("-1", "6"):
        return False
    if not entry.cidr_block or ip_address(packet.remote) not in ip_network(entry.cidr_block):
        return False
    low, high = entry.port_range_from, entry.port_range_to
    return low is None or int(low) <= packet.port <= int(high)


def _lets_out(backend: Any, interface: Any, remote: str) -> bool:
    groups = [backend.get_security_group_from_id(group.id) for group in interface.group_set]
    return any(_allows(rule, remote, set()) for group in groups if group for rule in group.egress_rules)


def _allows(rule: Any, remote: str, group_ids: set[str]) -> bool:
    if str(rule.ip_protocol) not in ("-1", "tcp", "6"):
        return False
    if str(rule.ip_protocol) != "-1" and not int(rule.from_port) <= _HTTPS <= int(rule.to_port):
        return False
    cidr = rule.ip_range.get("CidrIp")
    if cidr and ip_address(remote) in ip_network(cidr):
        return True
    return rule.source_group.get("GroupId") in group_ids


def _is_routed(backend: Any, interface: Any, subnet: Any) -> bool:
    """Through an internet gateway with a public address, a NAT gateway, or whatever else the longest route names."""
    route = _route(backend, subnet)
    if route is None:
        return False
    settings = backend.settings
    if route.nat_gateway is not None:
        there = backend.get_subnet(route.nat_gateway.subnet_id)
        blocked = settings.block_mode == "block-bidirectional" and not settings.excluded(
            subnet.vpc_id, there.id
        )
        return not blocked and _attached(backend, subnet.vpc_id)
    if route.gateway_id is None or not str(route.gateway_id).startswith("igw-"):
        return True
    mode = settings.excluded(subnet.vpc_id, subnet.id)
    if settings.block_mode == "block-ingress" and mode != "allow-bidirectional":
        return False
    if settings.block_mode == "block-bidirectional" and not mode:
        return False
    return bool(interface.public_ip) and _attached(backend, subnet.vpc_id)


def _attached(backend: Any, vpc_id: str) -> bool:
    return any(
        gateway.vpc is not None and gateway.vpc.id == vpc_id for gateway in backend.internet_gateways.values()
    )


def _route(backend: Any, subnet: Any) -> Any:
    tables = [one for one in backend.route_tables.values() if one.vpc_id == subnet.vpc_id]
    own = [one for one in tables if subnet.id in one._associations.values()]
    main = [one for one in tables if one.main_association_id is not None]
    fitting = [
        route
        for table in (own or main)[:1]
        for route in table.routes
        if route.destination_cidr_block and ip_address(_SERVICE) in ip_network(route.destination_cidr_block)
    ]
    return max(fitting, key=lambda route: ip_network(route.destination_cidr_block).prefixlen, default=None)
