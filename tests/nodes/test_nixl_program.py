"""The program that moves bytes with NIXL, without NIXL: what is written, what is compared, a GPU's memory.

Its transfers are tested with the real NIXL: tests/nixl/test_transfer.py.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from nixl_efa.nodes import nixl_transfer
from nixl_efa.nodes.nixl_transfer import PORT, SIZES, Step, difference

MIB = 1 << 20
STEP = Step(size=4096, requests=3, writes=5, stride=8192, seed=7)
# CUDA's driver API (cuda.h) with memory of the host: what is called is told, and each call looks at what it is given.
CUDA = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#define CALL(name, ...) int name(__VA_ARGS__) { fprintf(stderr, #name "\n");
static char *memory; static int current;
CALL(cuInit, unsigned flags) return flags || getenv("NO_GPU") ? 100 : 0; }
CALL(cuDeviceGet, int *device, int ordinal) *device = 5; return ordinal; }
CALL(cuDevicePrimaryCtxRetain, void **context, int device) *context = &current; return device == 5 ? 0 : 101; }
CALL(cuCtxSetCurrent, void *context) return context == &current ? 0 : 201; }
CALL(cuMemAlloc_v2, uint64_t *address, size_t size) memory = malloc(size); *address = (uint64_t)memory; return 0; }
CALL(cuPointerSetAttribute, const unsigned *value, int attribute, uint64_t address)
  return *value == 1 && attribute == 6 && address == (uint64_t)memory ? 0 : 1; }
CALL(cuMemcpyHtoD_v2, uint64_t to, const void *from, size_t size) memcpy((void *)to, from, size); return 0; }
CALL(cuMemcpyDtoH_v2, void *to, uint64_t from, size_t size) memcpy(to, (void *)from, size); return 0; }
CALL(cuCtxSynchronize, void) return 0; }
"""
USE = """
from nixl_efa.nodes.nixl_transfer import GpuMemory
memory = GpuMemory(1 << 20)
data = bytes(range(256)) * 16
memory.put(8192, data)
print(memory.address > 1 << 32, memory.get(8192, len(data)) == data)
"""


def written(step: Step) -> bytearray:
    """What a buffer holds after a step, without what is between its writes."""
    found = bytearray(step.places[-1] + step.size)
    for _, offset, data in step.parts():
        found[offset : offset + len(data)] = data
    return found


def test_a_pattern_is_the_same_at_both_ends_and_new_in_each_step() -> None:
    assert written(STEP) == written(replace(STEP)) != written(replace(STEP, seed=8))
    assert Step(4096, 1, 1, 4096).seed != Step(4096, 1, 1, 4096).seed


def test_each_byte_of_each_write_is_in_one_part() -> None:
    step = Step(size=3 * MIB, requests=2, writes=1, stride=4 * MIB, seed=1)
    for number, begin in enumerate(step.places):
        ends = [(offset, offset + len(data)) for of, offset, data in step.parts() if of == number]
        assert (ends[0][0], ends[-1][1]) == (begin, begin + step.size)
        assert [one for one, _ in ends[1:]] == [one for _, one in ends[:-1]]


def test_a_pattern_differs_where_it_was_moved_by_a_round_size() -> None:
    pattern = written(Step(size=4 * MIB, requests=1, writes=1, stride=4 * MIB, seed=1))
    assert len(pattern) == 4 * MIB
    for moved in (64, 4096, 65536, MIB, 2 * MIB):
        assert pattern[moved : moved + 4096] != pattern[:4096]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        # Between the writes: no write's byte.
        ({4096: 1, 8191: 1}, ""),
        (
            {0: 1},
            "1 of 15 writes of 4 KiB are not as they were sent; the first is write 0, from its byte 0 on",
        ),
        (
            {3 * 8192 + 17: 0x80, 14 * 8192 + 4095: 1},
            "2 of 15 writes of 4 KiB are not as they were sent; the first is write 3, from its byte 17 on",
        ),
    ],
)
def test_each_byte_of_each_write_is_looked_at(changed: dict[int, int], told: str) -> None:
    found = bytearray(STEP.places[-1] + STEP.stride)
    found[: STEP.places[-1] + STEP.size] = written(STEP)
    for offset, bits in changed.items():
        found[offset] ^= bits
    said = difference(STEP, lambda offset, size: bytes(found[offset : offset + size]))
    assert said.startswith(told)
    assert bool(said) == bool(told)


def test_the_sizes_go_from_a_block_of_a_cache_to_one_of_256_mib_and_fit() -> None:
    assert (min(SIZES), max(SIZES)) == (64 << 10, 256 * MIB)
    assert max(SIZES) <= nixl_transfer.BUFFER_BYTES
    small = (
        Step(nixl_transfer.SMALL_BYTES, *shape, 2 * nixl_transfer.SMALL_BYTES)
        for shape in nixl_transfer.SMALL
    )
    assert all(step.places[-1] + step.stride <= nixl_transfer.BUFFER_BYTES for step in small)


@pytest.mark.parametrize(
    ("own", "other", "sizes"),
    [(1, 1, SIZES), (4, 1, (64 << 10, 16 * MIB)), (1, 4, (64 << 10, 16 * MIB)), (4, 2, (64 << 10, 16 * MIB))],
)
def test_where_an_end_has_several_links_two_sizes_are_written(
    own: int, other: int, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nixl_transfer, "_row", lambda _nixl, _line, size, _most: {"size_bytes": size})
    monkeypatch.setattr(nixl_transfer, "_small", lambda _nixl, _line: {})
    line = Mock(**{"hear.return_value": {"metadata": "", "address": 0, "links": other}})
    found = nixl_transfer.produce(Mock(links=own), line)
    assert tuple(row["size_bytes"] for row in found["rows"]) == sizes


class Waits:
    """A clock in the place of time and socket: whom a producer comes to, and how long the others take."""

    def __init__(self, there_at: dict[str, float]) -> None:
        self.there_at, self.now, self.tries = there_at, 0.0, 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def create_connection(self, address: tuple[str, int], timeout: float, **_: object) -> str:
        self.tries += 1
        if self.now < self.there_at[address[0]]:
            self.now += timeout  # nothing answers, not even a refusal
            raise TimeoutError("timed out")
        return address[0]


@pytest.mark.parametrize(
    ("there_at", "order", "absent"),
    [
        ({"a": 0, "b": 0, "c": 0}, "abc", ""),
        # It is only started a little later: the order is kept, in which no two producers meet at a consumer.
        ({"a": 4, "b": 0, "c": 0}, "abc", ""),
        ({"a": 30, "b": 0, "c": 0}, "bca", ""),
        ({"a": 999, "b": 0, "c": 0, "d": 999, "e": 0}, "bce", "ad"),
    ],
)
def test_consumers_that_are_not_there_cost_one_wait_together_after_all_others(
    there_at: dict[str, float], order: str, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Waits(there_at)
    monkeypatch.setattr(nixl_transfer, "time", waits)
    monkeypatch.setattr(nixl_transfer, "socket", waits)
    monkeypatch.setattr(nixl_transfer, "link", lambda _nixl, _way, connection, _wait: {"address": connection})
    peers = list(nixl_transfer.as_producer(Mock(), 120.0, "own", list(there_at)))
    assert "".join(one["address"] for one in peers if "error" not in one) == order
    assert "".join(one["address"] for one in peers if "error" in one) == absent
    once = nixl_transfer.LATEST_SECONDS + (len(absent) + 1) * 5.5
    assert waits.now <= (once if absent else max(there_at.values()) + 12)


def test_the_port_is_none_that_linux_gives_away() -> None:
    assert 1024 < PORT < 32768


@pytest.fixture(scope="module")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libcuda.so.1 that has a GPU."""
    if not shutil.which("gcc"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("gcc not found")
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "cuda.c").write_text(CUDA, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1", "cuda.c"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def use(libraries: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_gpus_memory_is_reached_by_the_driver_alone(cuda: Path) -> None:
    ran = use(cuda)
    assert ran.stdout == "True True\n", ran.stderr
    assert ran.stderr.split() == [
        "cuInit",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuMemAlloc_v2",
        "cuPointerSetAttribute",
        "cuMemcpyHtoD_v2",
        "cuCtxSynchronize",
        "cuMemcpyDtoH_v2",
    ]


def test_a_driver_without_a_gpu_is_told_with_cudas_number(cuda: Path) -> None:
    assert use(cuda, NO_GPU="1").stderr.splitlines()[-1].endswith("TransferError: CUDA's cuInit returned 100")
