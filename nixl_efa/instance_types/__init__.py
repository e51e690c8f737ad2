"""Facts about EC2's instance types: EFA, network cards, accelerators; validation and volume defaults.

The facts are data that EC2 gave (`data_source` says when), held in this package; nothing here calls AWS, and
importing it reads no file.
"""

from nixl_efa.instance_types.data import (
    DataSource,
    all_types,
    capacity_block_types,
    data_source,
    find,
    source_of,
)
from nixl_efa.instance_types.model import Accelerator, InstanceType, NetworkCard
from nixl_efa.instance_types.names import is_well_formed, nearest
from nixl_efa.instance_types.validation import validate
from nixl_efa.instance_types.volumes import default_volume_gib, validate_volume

__all__ = [
    "Accelerator",
    "DataSource",
    "InstanceType",
    "NetworkCard",
    "all_types",
    "capacity_block_types",
    "data_source",
    "default_volume_gib",
    "find",
    "is_well_formed",
    "nearest",
    "source_of",
    "validate",
    "validate_volume",
]
