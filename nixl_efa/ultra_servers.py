"""UltraServers: several instances joined by an accelerator interconnect, sold as Capacity Blocks and as a whole. Pure.

They are searched and bought by `UltraserverType` and `UltraserverCount`, never by their instance type (botocore,
DescribeCapacityBlockOfferings; EC2 user guide, capacity-blocks-purchase and ec2-capacity-blocks, "UltraServer Capacity
Blocks"). That EC2 lists "capacity-block" among a type's usage classes does not mean that its instances are sold one by
one: asked for trn2u.48xlarge, it answers "not supported for Capacity Blocks".
"""

from dataclasses import dataclass

# The beginnings of the types that are parts of an UltraServer (EC2 user guide, ec2-ultraserver).
_PARTS = ("p6e-", "trn2u.")


@dataclass(frozen=True, slots=True)
class UltraServer:
    """A kind of UltraServer: how many instances of which type it is."""

    name: str
    instance_type: str
    instances: int

    @property
    def text(self) -> str:
        """What it is, in words."""
        return f"{self.name} ({self.instances} x {self.instance_type})"


# EKS user guide, ml-eks-nvidia-ultraserver (9 and 18 instances, also ParallelCluster's pull request 6928); Neuron
# documentation, trn2-arch (four trn2u.48xlarge).
ULTRA_SERVERS = {
    one.name: one
    for one in (
        UltraServer("u-p6e-gb200x36", "p6e-gb200.36xlarge", 9),
        UltraServer("u-p6e-gb200x72", "p6e-gb200.36xlarge", 18),
        UltraServer("u-trn2x64", "trn2u.48xlarge", 4),
    )
}


def is_ultra_server(instance_type: str) -> bool:
    """Whether a type's instances are parts of an UltraServer."""
    return instance_type.startswith(_PARTS)


def made_of(instance_type: str) -> tuple[UltraServer, ...]:
    """The UltraServers that are made of this type, the smallest first."""
    found = (one for one in ULTRA_SERVERS.values() if one.instance_type == instance_type)
    return tuple(sorted(found, key=lambda one: one.instances))
