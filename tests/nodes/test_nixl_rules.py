"""What to do about a NIXL that makes no backend, by the words of the loader, of NIXL or of install-nixl."""

from dataclasses import replace

import pytest

from nixl_efa.findings import Level
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.nixl_rules import nixl
from nixl_efa.nodes.parse import Nixl

MISSING = "cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("said", "libfabric", "remedy"),
    [
        (
            "NIXL 1.5.1 needs libfabric 2.7, EFA installer 1.51; this node has 2.6.0",
            "2.6.0",
            "Remove nixl_version, or take an image with EFA installer 1.51.",
        ),
        (
            "/opt/amazon/efa/lib/libfabric.so.1: version `FABRIC_1.10' not found",
            "2.6.0amzn1.0",
            "NIXL 1.5.1 needs libfabric 2.7, EFA installer 1.51; this node has 2.6.0amzn1.0. "
            "Run /opt/nixl-efa/bin/install-nixl 1.5.0 on the node",
        ),
        (
            "/lib/libfabric.so.1: version `FABRIC_1.7' not found",
            "1.17.0",
            "this node has 1.17.0. Take a newer image",
        ),
        # Ubuntu's own libfabric stands before EFA's.
        (
            "/lib/x86_64-linux-gnu/libfabric.so.1: version `FABRIC_1.7' not found",
            "2.7.0amzn2.0",
            "the loader finds another one first",
        ),
        (f"libfabric.so.1: {MISSING}", "", "Install the EFA software"),
        (f"libhwloc.so.15: {MISSING}", "2.6.0", "apt-get install libhwloc15"),
        (f"libcudart.so.13: {MISSING}", "2.6.0", "it brings nvidia-cuda-runtime"),
        (f"libcuda.so.1: {MISSING}", "2.6.0", "take the deep-learning image"),
        ("No module named 'nixl'", "2.6.0", "install-nixl on the node and read what it prints"),
        ("No module named 'torch'", "2.6.0", "pip install torch"),
        ("fi_getinfo failed No data available", "2.6.0", "see the rows EFA devices and fi_info"),
        ("something new", "2.6.0", "NIXL_LOG_LEVEL=DEBUG"),
    ],
)
def test_the_remedy_fits_the_words(
    said: str, libfabric: str, remedy: str, p5_facts: NodeFacts, p5_plan: Planned
) -> None:
    facts = replace(p5_facts, libfabric=libfabric, nixl=Nixl("1.5.1", "LIBFABRIC", "", said))
    found = nixl(facts, p5_plan)
    assert (found.level, said.split(":")[0] in found.message) == (Level.FAIL, True)
    assert remedy in found.remedy
    # NIXL is installed again only where that helps.
    assert ("install-nixl" in found.remedy) is (
        "No module named 'nixl'" in said
        or "FABRIC_1.10" in said
        or "libcudart" in said
        or "libfabric.so.1: c" in said
    )


def test_without_nvidia_gpus_the_missing_driver_is_a_missing_stub(
    p5_facts: NodeFacts, p5_plan: Planned
) -> None:
    facts = replace(p5_facts, nixl=Nixl("1.5.0", "LIBFABRIC", "", f"libcuda.so.1: {MISSING}"))
    assert "it creates a stub" in nixl(facts, replace(p5_plan, accelerator_kind="neuron")).remedy
