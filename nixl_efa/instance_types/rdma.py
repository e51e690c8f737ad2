"""What a type's EFA can do beyond sending: RDMA read, RDMA write, GPUDirect. EC2's API says none of it.

Every size of a family is alike, save those that have a row of their own.
"""

from dataclasses import dataclass

_PAGE = "EC2 user guide, efa.html, Supported instance types"
_PLUGIN = "aws-ofi-nccl, src/platform-aws.cpp: gdr_required"
_ISSUE = "aws/aws-ofi-nccl#547"


@dataclass(frozen=True, slots=True)
class Rdma:
    """What the EFA of a type can do.

    read, write: the device reads and writes the other node's memory by itself (SRD has both as options).
    gpudirect:   the device reaches the accelerators' memory; None where nothing was found that says so, and for types
                 without GPUs and Neuron devices.
    source:      where it is from.
    """

    read: bool
    write: bool
    gpudirect: bool | None
    source: str


# Families, or types by their full name: read, write, GPUDirect, source.
_ROWS: tuple[tuple[str, bool, bool, bool | None, str], ...] = (
    ("p4d p4de", True, False, True, f"{_PAGE}; {_PLUGIN}"),
    ("p5 p5e p5en p6-b200 p6-b300 p6e-gb200", True, True, True, f"{_PAGE}; {_PLUGIN}"),
    ("p5.4xlarge", True, True, False, f"{_PAGE}; {_PLUGIN}"),
    ("g7e", True, True, True, f"{_PAGE}; {_PLUGIN}"),
    ("g7e.8xlarge", True, True, False, f"{_PAGE}; aws/aws-ofi-nccl#1057"),
    ("g6 g6e gr6", True, True, False, f"{_PAGE}; {_ISSUE}"),
    ("g4dn g5 p3dn", False, False, False, f"{_PAGE}; {_ISSUE}"),
    ("trn1 trn1n trn2 trn2u", True, True, True, f"{_PAGE}; {_PLUGIN}"),
    # "host-level EFA only": whether it reaches the one Neuron device is disputed there.
    ("trn2.3xlarge", True, True, None, f"{_PAGE}; ai-dynamo/nixl#1994"),
    ("inf1", False, False, True, f"{_PAGE}; {_PLUGIN}"),
    ("dl1", True, False, None, _PAGE),
    ("dl2q vt1", False, False, None, _PAGE),
    (
        "c6a c6gn c6i c6id c6in c7g c8a c8gb c8gn c8i c8id f2 hpc6a hpc6id hpc8a i4g i4i im4gn m6a m6i m6id m6idn m6in "
        "m8a m8azn m8gb m8gn m8i m8id r6a r6i r6id r6idn r6in r8a r8gb r8gn r8i r8id u7i-12tb u7i-6tb u7i-8tb "
        "u7in-16tb u7in-24tb u7in-32tb u7inh-32tb x2idn x2iedn x8aedz x8i",
        True,
        True,
        None,
        _PAGE,
    ),
    ("c7a c7gd c7gn c7i c8g hpc7a hpc7g i7i i7ie i8ge m7a m7g m7gd m7i m8g", True, False, None, _PAGE),
    (
        "c5n c8gd i3en i8g m5dn m5n m5zn m8gd r5dn r5n r7a r7g r7gd r7i r7iz r8g r8gd x2iezn x8g",
        False,
        False,
        None,
        _PAGE,
    ),
)
_BY_NAME = {
    name: Rdma(read, write, gpudirect, source)
    for names, read, write, gpudirect, source in _ROWS
    for name in names.split()
}


def rdma_of(instance_type: str) -> Rdma | None:
    """What this type's EFA can do; None where that is not known, or the type has no EFA."""
    return _BY_NAME.get(instance_type) or _BY_NAME.get(instance_type.partition(".")[0])
