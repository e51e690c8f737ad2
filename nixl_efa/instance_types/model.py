"""What EC2 says about an instance type, as plain values.

Every value comes from EC2's DescribeInstanceTypes; nothing is derived from a type's name.
"""

from dataclasses import dataclass

CAPACITY_BLOCK = "capacity-block"
"""The usage class of a type that is sold as a Capacity Block for ML."""

_KINDS = {"aws": "neuron"}  # Every other manufacturer gives its own name to its kind.


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Equal accelerators of a type: GPUs, Neuron devices, other inference chips, FPGAs or media chips.

    count is what the instance sees: a type with a part of a GPU has one. memory_gib is in GiB, for each.
    """

    name: str
    manufacturer: str
    count: int
    memory_gib: float


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """One network card: the most interfaces that go on it, their types, and its own bandwidth in Gbps.

    interface_types are EC2's: "interface" (ENA), "efa" (EFA and ENA), "efa-only" (EFA without an address).
    The cards' bandwidths don't add up to the type's on every type; see `InstanceType.network_gbps`.
    """

    index: int
    max_interfaces: int
    interface_types: tuple[str, ...]
    baseline_gbps: float
    peak_gbps: float

    @property
    def supports_efa(self) -> bool:
        """Whether an EFA interface of either type can be put on this card."""
        return "efa" in self.interface_types or "efa-only" in self.interface_types


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One instance type.

    memory_gib:           host memory in GiB.
    efa_interfaces:       the most EFA interfaces (EfaInfo.MaximumEfaInterfaces); 0 without EFA.
    network_cards:        in the order of their index.
    network_gbps:         the whole instance's bandwidth in Gbps as EC2 states it (NetworkPerformance; the
                          burst where it says "Up to"). The sum of the cards is no measure of it: two cards of
                          hpc6id.32xlarge have 200 each and share 200; p6-b300.48xlarge's sum counts the ENA
                          card beside its 6400 of EFA; p6-b200.48xlarge's cards state half of what it has.
    usage_classes:        of "on-demand", "spot", "capacity-block".
    placement_strategies: of "cluster", "partition", "spread".
    architectures:        of "x86_64", "arm64".
    instance_storage_gb:  local disks altogether in GB; 0 without.
    max_interfaces:       the most network interfaces of all cards together.
    """

    name: str
    vcpu: int
    memory_gib: float
    accelerators: tuple[Accelerator, ...]
    efa_interfaces: int
    network_cards: tuple[NetworkCard, ...]
    network_gbps: float
    usage_classes: tuple[str, ...]
    placement_strategies: tuple[str, ...]
    architectures: tuple[str, ...]
    instance_storage_gb: int
    max_interfaces: int

    @property
    def family(self) -> str:
        """What stands before the dot: "p5" of "p5.48xlarge"."""
        return self.name.partition(".")[0]

    @property
    def size(self) -> str:
        """What stands after the dot: "48xlarge" of "p5.48xlarge"."""
        return self.name.partition(".")[2]

    @property
    def supports_efa(self) -> bool:
        """Whether the type has EFA at all."""
        return self.efa_interfaces > 0

    @property
    def supports_capacity_block(self) -> bool:
        """Whether the type is sold as a Capacity Block for ML (somewhere: regions differ)."""
        return CAPACITY_BLOCK in self.usage_classes

    @property
    def accelerator_count(self) -> int:
        """How many accelerators the instance sees, of all kinds."""
        return sum(accelerator.count for accelerator in self.accelerators)

    @property
    def accelerator_kind(self) -> str:
        """ "neuron" for AWS's own chips, else the manufacturer in lower case ("nvidia", "amd", "habana",
        "qualcomm", "xilinx"); "none" without an accelerator."""
        if not self.accelerators:
            return "none"
        manufacturer = self.accelerators[0].manufacturer.lower()
        return _KINDS.get(manufacturer, manufacturer)
