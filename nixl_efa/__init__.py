"""The parts of the NIXL/EFA node pair that decide, buy, check and rehearse."""

__version__ = "1.0.0"
