"""NIXL's backend by what a type's EFA can do, and that table against AWS's own page."""

import pytest

from nixl_efa import instance_types
from nixl_efa.instance_types.rdma import Rdma, rdma_of
from nixl_efa.nixl_backend import NixlBackend, common, nixl_backend
from tests.records import answer

# EFA types of the data that AWS's page does not name: newer than the copy of it that was found.
NOT_ON_THE_PAGE = "c8ib c8in c9g c9gd g7 m8ib m8idb m8idn m8in m9g m9gd r8ib r8idb r8idn r8in r9g r9gd"


def backend_of(name: str) -> NixlBackend:
    known = instance_types.find(name)
    assert known is not None
    return nixl_backend(name, known.accelerator_kind, known.efa_interfaces)


@pytest.mark.parametrize(
    ("name", "read", "write"),
    [(name, *columns) for name, columns in answer("rdma/read-and-write-by-type").items()],
)
def test_rdma_is_what_the_user_guide_says_of_each_type(name: str, read: str, write: str) -> None:
    found = rdma_of(name)
    assert isinstance(found, Rdma)
    assert (found.read, found.write) == (read == "Yes", write == "Yes")
    assert "efa.html" in found.source


def test_every_type_with_efa_is_on_the_page_or_known_not_to_be() -> None:
    missing = {one.family for one in instance_types.all_types().values() if one.supports_efa} - {
        name.partition(".")[0] for name in answer("rdma/read-and-write-by-type")
    }
    assert missing == set(NOT_ON_THE_PAGE.split())
    assert [name for name in missing if rdma_of(f"{name}.48xlarge")] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p5.48xlarge", "LIBFABRIC over EFA"),
        ("p4d.24xlarge", "LIBFABRIC over EFA"),  # reads, and has GPUDirect
        ("p6-b300.48xlarge", "LIBFABRIC over EFA"),
        ("g7e.12xlarge", "LIBFABRIC over EFA"),
        ("trn2.48xlarge", "LIBFABRIC over EFA"),
        ("c6i.32xlarge", "LIBFABRIC over EFA"),  # no GPU whose memory matters
        ("g6e.12xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("g6.8xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("g5.48xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("g4dn.12xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("g7e.8xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("p5.4xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("c5n.18xlarge", "UCX over EFA (UCX_TLS=srd,self,sm)"),
        ("g7e.2xlarge", "UCX over TCP"),
        ("inf2.48xlarge", "UCX over TCP"),
    ],
)
def test_the_backend_is_one_that_works_on_the_types_efa(name: str, words: str) -> None:
    found = backend_of(name)
    assert str(found) == words
    assert found.is_sure
    assert found.host_memory is ("UCX over EFA" in words)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("g7e.8xlarge", "the EFA of g7e.8xlarge has no GPUDirect RDMA"),
        ("g5.48xlarge", "the EFA of g5.48xlarge has no RDMA read"),
        ("p5.48xlarge", "the EFA of p5.48xlarge has RDMA read and GPUDirect RDMA"),
        ("c6i.32xlarge", "the EFA of c6i.32xlarge has RDMA read"),
        ("g7e.2xlarge", "the nodes have no EFA interface"),
    ],
)
def test_the_reason_is_told(name: str, why: str) -> None:
    assert backend_of(name).why == why


def test_what_is_not_known_of_a_type_is_said() -> None:
    found = backend_of("trn2.3xlarge")
    assert (found.name, found.is_sure) == ("LIBFABRIC", False)
    assert "is not known here" in found.why


@pytest.mark.parametrize("name", ["g7.8xlarge", "m9g.48xlarge"])
def test_of_a_type_that_no_source_speaks_of_it_is_said_that_it_is_not_known(name: str) -> None:
    found = nixl_backend(name, "nvidia", 1)
    assert (found.name, found.is_sure) == ("LIBFABRIC", False)
    assert "is not known here" in found.why


@pytest.mark.parametrize(
    ("types", "backend"),
    [
        (("p5en.48xlarge", "p5.48xlarge"), "LIBFABRIC over EFA"),
        (("p5en.48xlarge", "g6e.12xlarge"), "UCX over EFA (UCX_TLS=srd,self,sm)"),
        (("g7e.12xlarge", "g6e.12xlarge", "p5.48xlarge"), "UCX over EFA (UCX_TLS=srd,self,sm)"),
        (("p5en.48xlarge", "g7e.2xlarge"), "UCX over TCP"),
    ],
)
def test_nodes_of_several_types_use_what_the_least_able_can(types: tuple[str, ...], backend: str) -> None:
    assert str(common(backend_of(name) for name in types)) == backend
    assert str(common(backend_of(name) for name in reversed(types))) == backend
