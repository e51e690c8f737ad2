"""What the NIXL/EFA node pair is decided by, bought with, checked by and rehearsed on."""

__version__ = "1.0.0"
