"""What can block traffic, as EC2 shows it: network ACLs, Block Public Access, DHCP options, a Local Zone.

Plain values."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

# The addresses of a rule that is for all addresses.
ANYWHERE = IPv4Network("0.0.0.0/0")
HTTP = range(80, 81)
HTTPS = range(443, 444)
# The ports to which answers are sent: net.ipv4.ip_local_port_range of Linux, 32768 to 60999 (kernel documentation,
# networking/ip-sysctl; VPC user guide, nacl-ephemeral-ports).
ANSWERS = range(32768, 61000)

Passage = Literal["open", "partly", "closed"]


@dataclass(frozen=True, slots=True)
class AclEntry:
    """A rule of a network ACL for IPv4. Protocol "-1" is every protocol; `ports` is None for all."""

    number: int
    egress: bool
    allow: bool
    protocol: str
    cidr: IPv4Network
    ports: range | None = None


@dataclass(frozen=True, slots=True)
class NetworkAcl:
    """The network ACL of a subnet."""

    id: str
    entries: tuple[AclEntry, ...]

    def tcp(self, *, egress: bool, remote: IPv4Network, ports: range) -> Passage:
        """Whether TCP to (egress) or from `remote` passes on these ports. The matching rule with the lowest number
        decides; traffic without a matching rule is denied (VPC user guide, nacl-rules).

        "partly": only some of the ports or addresses pass. ANYWHERE means the internet: a rule for private addresses
        does not match it, and a rule that denies only a part of it leaves it open.
        """
        open_ports: set[int] = set()
        undecided = set(ports)
        partly = False
        for entry in sorted(self.entries, key=lambda each: each.number):
            if entry.egress != egress or entry.protocol not in ("-1", "6"):
                continue
            here = undecided & set(entry.ports) if entry.ports is not None else set(undecided)
            if remote.subnet_of(entry.cidr):
                undecided -= here
                if entry.allow:
                    open_ports |= here
            elif (
                here
                and entry.allow
                and entry.cidr.overlaps(remote)
                and not _says_nothing_of(entry.cidr, remote)
            ):
                partly = True
        if open_ports == set(ports):
            return "open"
        return "partly" if open_ports or partly else "closed"

    def lets_some_pass(self, *, egress: bool, ports: range) -> bool:
        """Whether TCP to or from any address at all may pass on one of these ports."""
        return any(
            entry.allow
            and entry.egress == egress
            and entry.protocol in ("-1", "6")
            and (entry.ports is None or bool(set(entry.ports) & set(ports)))
            for entry in self.entries
        )


def _says_nothing_of(cidr: IPv4Network, remote: IPv4Network) -> bool:
    return remote == ANYWHERE and cidr.is_private


@dataclass(frozen=True, slots=True)
class PublicAccess:
    """The region's VPC Block Public Access: "off", "block-bidirectional" or "block-ingress"; `managed_by` is "account"
    or "declarative-policy"."""

    mode: str
    managed_by: str = "account"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A VPC or subnet that is excluded from Block Public Access, by id: "allow-bidirectional" or "allow-egress"."""

    id: str
    mode: str


@dataclass(frozen=True, slots=True)
class DhcpOptions:
    """A set of DHCP options: the name servers that it gives to instances, AMAZON_DNS or addresses."""

    id: str
    name_servers: tuple[str, ...]


AMAZON_DNS = "AmazonProvidedDNS"


@dataclass(frozen=True, slots=True)
class LocalZone:
    """The Local Zone in which the pair is to be. group: the zone group that the account must opt in to."""

    name: str
    group: str
    opted_in: bool
