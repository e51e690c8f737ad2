"""The local AWS: moto's server on 127.0.0.1, and what moto lacks for node pairs, reservations and Capacity Blocks."""

from local_aws.control import Control
from local_aws.server import LocalAws, PortInUseError

__all__ = ["Control", "LocalAws", "PortInUseError"]
