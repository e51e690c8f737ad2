"""What one question asks EC2 for: instances of a type, or UltraServers. Pure."""

from dataclasses import dataclass
from typing import Any

from nixl_efa.failure import BadInput
from nixl_efa.ultra_servers import ULTRA_SERVERS, is_ultra_server, made_of

# The most instances in all blocks of an account together (EC2 user guide, capacity-blocks-purchase).
MOST_INSTANCES = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """What one question asks EC2 for: `count` instances of a type, or `count` UltraServers of a kind."""

    count: int
    instance_type: str = ""
    ultra_server: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The members of DescribeCapacityBlockOfferings (EC2 user guide, capacity-blocks-purchase)."""
        if self.ultra_server:
            return {"UltraserverType": self.ultra_server, "UltraserverCount": self.count}
        return {"InstanceType": self.instance_type, "InstanceCount": self.count}


def wishes(name: str, count: int) -> tuple[Wish, ...]:
    """The questions to EC2. name: an instance type, or an UltraServer; `count` is the number of these.

    A type that is sold only in UltraServers gives a question for every kind of UltraServer that has it, with enough of
    them to hold the instances.
    """
    if name in ULTRA_SERVERS:
        return (Wish(ultra_server=name, count=count),)
    if is_ultra_server(name):
        return tuple(Wish(ultra_server=one.name, count=-(-count // one.instances)) for one in made_of(name))
    return (Wish(instance_type=name, count=count),)


def check_ultra_servers(name: str, count: int) -> None:
    """BadInput for an unknown UltraServer, and for more UltraServers than an account may have."""
    known = ULTRA_SERVERS.get(name)
    if known is None:
        kinds = ", ".join(one.text for one in ULTRA_SERVERS.values())
        raise BadInput(f"TYPE {name}: no such UltraServer is known here. Known are: {kinds}")
    most = MOST_INSTANCES // known.instances
    if not 1 <= count <= most:
        raise BadInput(
            f"COUNT {count}: of {name}, which is {known.instances} instances, 1 to {most} are possible; "
            f"all blocks of an account together have at most {MOST_INSTANCES} instances"
        )
