"""One end of a transfer with NIXL: every producer writes to every consumer, and each byte is checked where it arrives.

A node runs it with the Python that has NIXL and the standard library. Arguments: ROLE (producer or consumer) BACKEND
(LIBFABRIC, UCX) MEMORY (DRAM, or VRAM of the first GPU) SECONDS (how long an end waits for another) OWN_ADDRESS
PEER_ADDRESS... They are started seconds apart: a consumer listens, a producer tries until it is there. Each has one
transfer at a time: a producer takes its peers in order, a consumer who comes. They agree over TCP (NIXL's metadata,
what is written next, whether it arrived); the bytes go by NIXL alone. stdout is one JSON document:
  error   why this end did not start; empty when it did
  peers   address, error and step (connect: it was not there; handshake, transfer) of each; of a producer's also
          handshake_seconds, rows (as bench.Row), small (writes, size_bytes, seconds, error); NIXL's log is on stderr
"""

from __future__ import annotations

import base64
import ctypes
import glob
import importlib.util
import json
import mmap
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

KIB, MIB = 1 << 10, 1 << 20
START, HANDSHAKE, TRANSFER, CONNECT = "start", "handshake", "transfer", "connect"
# Below 32768, where Linux begins to give ports to whoever asks for any (net.ipv4.ip_local_port_range).
PORT = 18600
BUFFER_BYTES = 256 * MIB
# Where an end has several links it takes as many rounds: each has a size for the latency and one for the rate then.
SIZES, OF_SEVERAL = (64 * KIB, MIB, 16 * MIB, 256 * MIB), (64 * KIB, 16 * MIB)
# Requests at once and writes of each: fewer and more than those of which NIXL lost some (ai-dynamo/nixl#1862, #1921).
SMALL, SMALL_BYTES = ((1, 10), (16, 96)), 8 * KIB
# How long an end waits for what was written to be complete; how long a rate is measured.
COMPLETE_SECONDS, MEASURE_SECONDS = 20.0, 0.2
# From when on a producer passes over a consumer that is not there yet, and until when it comes back to it.
ABSENT_SECONDS, LATEST_SECONDS = 10.0, 60.0
# The pattern repeats after so many bytes, a prime: what was moved by a power of two differs.
_PERIOD = 1048573
Peer = dict[str, Any]


class TransferError(Exception):
    """Why this end ends, in one sentence, and at which step."""

    def __init__(self, text: str, step: str) -> None:
        super().__init__(text)
        self.step = step


class HostMemory:
    """Memory of the host (DRAM)."""

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def put(self, offset: int, data: bytes) -> None:
        self._map[offset : offset + len(data)] = data

    def get(self, offset: int, size: int) -> bytes:
        return self._map[offset : offset + size]


class GpuMemory:
    """Memory of the first NVIDIA GPU (VRAM), by CUDA's driver API alone: no version of the runtime is asked for."""

    def __init__(self, size: int) -> None:
        self._cuda = ctypes.CDLL("libcuda.so.1")
        device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        self.address = address.value
        # CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: a copy is whole when the call returns, as RDMA needs (CUDA, GPUDirect RDMA).
        self._call("cuPointerSetAttribute", ctypes.byref(ctypes.c_uint(1)), ctypes.c_int(6), address)

    def put(self, offset: int, data: bytes) -> None:
        to, size = ctypes.c_uint64(self.address + offset), ctypes.c_size_t(len(data))
        self._call("cuMemcpyHtoD_v2", to, data, size)
        self._call("cuCtxSynchronize")

    def get(self, offset: int, size: int) -> bytes:
        data = ctypes.create_string_buffer(size)
        self._call("cuMemcpyDtoH_v2", data, ctypes.c_uint64(self.address + offset), ctypes.c_size_t(size))
        return data.raw

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._cuda, name)(*arguments):
            raise TransferError(f"CUDA's {name} returned {code}", START)


@dataclass(frozen=True)
class Step:
    """What is written next: requests of so many writes of a size each, each at its own place; seed: of the pattern, new
    in each run, since GPU memory may still hold what an earlier one has written there."""

    size: int
    requests: int
    writes: int
    stride: int
    seed: int = field(default_factory=time.time_ns)

    @property
    def places(self) -> list[int]:
        """The offset of each write, request after request."""
        return [one * self.stride for one in range(self.requests * self.writes)]

    def parts(self) -> Iterator[tuple[int, int, bytes]]:
        """Of each part of each write its number, the offset and the bytes, which differ by place and by step. A part is
        short: to copy and compare all at once would take longer than the way to the other end."""
        block = random.Random(self.seed).randbytes(_PERIOD) * 2
        for number, first in enumerate(self.places):
            for offset in range(first, first + self.size, _PERIOD):
                begin = offset % _PERIOD
                yield number, offset, block[begin : begin + min(_PERIOD, first + self.size - offset)]

    def tags(self) -> list[bytes]:
        """The notification that NIXL gives with each request."""
        return [f"{self.seed}:{request}".encode() for request in range(self.requests)]


def difference(step: Step, get: Callable[[int, int], bytes]) -> str:
    """What is not as it was written, in a sentence; empty when each byte is right. get: bytes from an offset on."""
    wrong: dict[int, tuple[int, bytes, bytes]] = {}
    for number, offset, sent in step.parts():
        if (found := get(offset, len(sent))) != sent:
            wrong.setdefault(number, (offset - step.places[number], found, sent))
    if not wrong:
        return ""
    number, (begin, found, sent) = next(iter(wrong.items()))
    byte = next(one for one in range(len(sent)) if found[one] != sent[one])
    return (
        f"{len(wrong)} of {len(step.places)} writes of {step.size // KIB} KiB are not as they were sent; the first is "
        f"write {number}, from its byte {begin + byte} on ({found[byte]:#04x} and not {sent[byte]:#04x})"
    )


class Line:
    """The TCP connection of two ends: JSON documents, one a line. OSError when the other end is gone."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        connection.settimeout(seconds)
        self._connection, self._file = connection, connection.makefile("rb")

    def say(self, **message: Any) -> None:
        """Sends a message."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        """The other end's next message. TransferError with its error, when it tells one."""
        if not (line := self._file.readline()):
            raise ConnectionError("it ended the connection")
        message: dict[str, Any] = json.loads(line)
        if message.get("error"):
            raise TransferError(message["error"], message["step"])
        return message


class Nixl:
    """NIXL's agent of this end with one backend and one registered buffer. links: how many other ends it has."""

    def __init__(self, name: str, backend: str, memory_type: str, links: int) -> None:
        self.links = links
        # The GPU's context has to be there before NIXL's backend.
        self.memory = GpuMemory(BUFFER_BYTES) if memory_type == "VRAM" else HostMemory(BUFFER_BYTES)
        api = _api()
        self._backends, self._type = [backend], memory_type
        self.agent = api.nixl_agent(name, api.nixl_agent_config(backends=[]))
        self.agent.create_backend(backend, {})
        self.agent.register_memory([(self.memory.address, BUFFER_BYTES, 0, "")], memory_type, self._backends)
        self.metadata = base64.b64encode(self.agent.get_agent_metadata()).decode()
        self.notifications: set[bytes] = set()
        self._other, self._address = "", 0

    def meet(self, metadata: str, address: int) -> None:
        """Says hello to another end; from now on its buffer is written to."""
        try:
            name = self.agent.add_remote_agent(base64.b64decode(metadata))
            self._other, self._address = name.decode() if isinstance(name, bytes) else name, address
            self.agent.make_connection(self._other)
            self.agent.send_notif(self._other, b"hello")
        except Exception as error:
            raise TransferError(str(error), HANDSHAKE) from error

    def await_notifications(self, *wanted: bytes) -> set[bytes]:
        """Those of the wanted notifications that are not there in time."""
        end = time.monotonic() + COMPLETE_SECONDS
        while (missing := set(wanted) - self.notifications) and time.monotonic() < end:
            for several in self.agent.get_new_notifs().values():
                self.notifications.update(several)
            time.sleep(0.0005)
        return missing

    def requests(self, step: Step) -> list[Any]:
        """NIXL's requests for a step."""
        found = []
        for first in range(0, step.requests * step.writes, step.writes):
            offsets = step.places[first : first + step.writes]
            ours, theirs = (
                self.agent.get_xfer_descs([(begin + one, step.size, 0) for one in offsets], self._type)
                for begin in (self.memory.address, self._address)
            )
            found.append(self.agent.initialize_xfer("WRITE", ours, theirs, self._other, b"", self._backends))
        return found

    def post(self, requests: list[Any], tags: list[bytes], at_once: bool) -> int:
        """Posts requests, all at once or one after the other; how many are not complete in the time."""
        under_way: list[Any] = []
        for request, tag in zip(requests, tags, strict=True):
            state = self.agent.transfer(request, tag)
            under_way.append(request)
            end = time.monotonic() + COMPLETE_SECONDS
            while under_way and not (at_once and request is not requests[-1]):
                if state == "ERR":
                    raise TransferError("NIXL reports a failed write", TRANSFER)
                if time.monotonic() > end:
                    return len(under_way)
                time.sleep(0)  # NIXL's own threads need a core, too
                state = self.agent.check_xfer_state(under_way[-1])
                if state == "DONE":
                    under_way.pop()
        return 0


def _api() -> Any:
    """NIXL's Python API, of whichever of its packages is there."""
    # What NIXL's plugins link against, where pip has put it: the loader does not look there.
    for library in glob.glob(f"{sys.prefix}/lib/python*/site-packages/nvidia/*/lib/libcudart.so.*"):
        ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
    there = (name for name in ("nixl", "nixl_cu13", "nixl_cu12") if importlib.util.find_spec(name))
    return importlib.import_module(f"{next(there, 'nixl')}._api")


def produce(nixl: Nixl, line: Line) -> Peer:
    """Writes to one consumer; what came of it."""
    line.say(metadata=nixl.metadata)
    answer = line.hear()
    begin = time.monotonic()
    nixl.meet(answer["metadata"], answer["address"])
    line.say(hello=True)
    line.hear()
    found: Peer = {"handshake_seconds": time.monotonic() - begin}
    sizes, most = (OF_SEVERAL, 16 * MIB) if max(nixl.links, answer["links"]) > 1 else (SIZES, 64 * MIB)
    return found | {"rows": [_row(nixl, line, size, most) for size in sizes], "small": _small(nixl, line)}


def _row(nixl: Nixl, line: Line, size: int, most: int) -> dict[str, Any]:
    """One size: a pass of `most` bytes that the consumer checks, then passes that are timed, one write at a time."""
    step = Step(size, min(64, max(1, most // size)), 1, size)
    _checked(nixl, line, step, at_once=False)
    requests, untold = nixl.requests(step), [b""] * step.requests
    begin, passes = time.monotonic(), 0
    while not passes or time.monotonic() - begin < MEASURE_SECONDS:
        if nixl.post(requests, untold, at_once=False):
            raise TransferError(f"a write of {size // KIB} KiB took over {COMPLETE_SECONDS:g} s", TRANSFER)
        passes += 1
    seconds = time.monotonic() - begin
    return {
        "size_bytes": size,
        "gbps": 8e-9 * passes * step.requests * size / seconds,
        "latency_us": 1e6 * seconds / (passes * step.requests),
        "moved_bytes": (passes + 1) * step.requests * size,
    }


def _small(nixl: Nixl, line: Line) -> dict[str, Any]:
    """Many small writes at once, and the end. A gap after each keeps NIXL from making one write of several."""
    steps = [Step(SMALL_BYTES, requests, each, 2 * SMALL_BYTES) for requests, each in SMALL]
    found = {"writes": sum(step.requests * step.writes for step in steps), "size_bytes": SMALL_BYTES}
    try:
        seconds = sum(_checked(nixl, line, step, at_once=True) for step in steps)
        line.say(end=True)
    except TransferError as error:
        return {**found, "seconds": 0.0, "error": str(error)}
    return {**found, "seconds": seconds, "error": ""}


def _checked(nixl: Nixl, line: Line, step: Step, at_once: bool) -> float:
    """Writes a step and lets the consumer check each byte; the seconds until all writes were complete."""
    for _, offset, data in step.parts():
        nixl.memory.put(offset, data)
    line.say(step=asdict(step))
    line.hear()
    begin = time.monotonic()
    requests = nixl.requests(step)
    open_requests = nixl.post(requests, step.tags(), at_once)
    seconds = time.monotonic() - begin
    # The consumer says what it lacks also where NIXL calls a request incomplete.
    line.say(sent=True)
    line.hear()
    if open_requests:
        text = f"all bytes arrived, but NIXL calls {open_requests} of {step.requests} requests incomplete"
        raise TransferError(text, TRANSFER)
    return seconds


def consume(nixl: Nixl, line: Line) -> Peer:
    """Is written to by one producer, and looks at each byte."""
    nixl.notifications.clear()  # an earlier producer's
    try:
        nixl.agent.add_remote_agent(base64.b64decode(line.hear()["metadata"]))
        line.say(metadata=nixl.metadata, address=nixl.memory.address, links=nixl.links)
        line.hear()
        if nixl.await_notifications(b"hello"):
            raise TransferError("NIXL's first notification did not arrive", HANDSHAKE)
        line.say(hello=True)
        while "step" in (message := line.hear()):
            step = Step(**message["step"])
            line.say(ready=True)
            line.hear()
            missing = nixl.await_notifications(*step.tags())
            wrong = difference(step, nixl.memory.get)
            if missing:
                text = f"{len(missing)} of {step.requests} notifications did not arrive within {COMPLETE_SECONDS:g} s"
                raise TransferError(f"{text}; {wrong or 'each byte did'}", TRANSFER)
            if wrong:
                raise TransferError(wrong, TRANSFER)
            line.say(arrived=True)
    except Exception as error:
        if not isinstance(error, OSError):
            line.say(error=str(error), step=getattr(error, "step", TRANSFER))
        raise
    return {}


def as_producer(nixl: Nixl, seconds: float, own: str, others: list[str]) -> Iterator[Peer]:
    """What came of the transfer with each consumer. All that are not there cost one wait together, at the end."""
    began, latest = time.monotonic(), min(seconds, LATEST_SECONDS)
    while others:
        other, *others = others
        try:
            connection = socket.create_connection((other, PORT), timeout=5, source_address=(own, 0))
        except OSError as error:
            if (waited := time.monotonic() - began) > latest:
                text = f"no consumer at {other} port {PORT} within {latest:g} s ({error})"
                yield {"address": other, "step": CONNECT, "error": text}
            else:
                others = [*others, other] if waited > ABSENT_SECONDS else [other, *others]
            time.sleep(0.5)
        else:
            yield link(nixl, produce, connection, seconds)


def as_consumer(nixl: Nixl, seconds: float, listener: socket.socket, others: list[str]) -> Iterator[Peer]:
    """What came of the transfer with each producer, in the order in which they come."""
    listener.settimeout(seconds)
    for _ in others:
        try:
            connection = listener.accept()[0]
        except TimeoutError:
            text = f"no producer came to port {PORT} within {seconds:g} s"
            yield {"address": "", "step": CONNECT, "error": text}
            return  # no other one will come, either
        yield link(nixl, consume, connection, seconds)


def link(nixl: Nixl, way: Callable[[Nixl, Line], Peer], connection: socket.socket, seconds: float) -> Peer:
    """What came of the transfer over a connection."""
    peer: Peer = {"address": connection.getpeername()[0], "step": TRANSFER, "error": ""}
    try:
        peer |= way(nixl, Line(connection, seconds))
    except OSError as error:
        peer |= {"step": CONNECT, "error": f"the other end is gone: {error}"}
    except Exception as error:
        peer |= {"step": getattr(error, "step", TRANSFER), "error": str(error)}
    return peer


def main(arguments: list[str]) -> int:
    """The exit code; the document is on stdout, where NIXL's Python part would write its log."""
    role, backend, memory, seconds, own, *others = arguments
    stdout = os.dup(1)
    os.dup2(2, 1)
    document: dict[str, Any] = {"error": "", "peers": []}
    try:
        # Before NIXL starts, so that a producer that is ready first needs no second try.
        listener = socket.create_server((own, PORT)) if role == "consumer" else None
        nixl = Nixl(f"{role}-{own}", backend, memory, len(others))
        wait = float(seconds)
        document["peers"] += (
            as_consumer(nixl, wait, listener, others) if listener else as_producer(nixl, wait, own, others)
        )
    except Exception as error:
        document["error"] = str(error)
    os.write(stdout, json.dumps(document).encode() + b"\n")
    return int(bool(document["error"]) or any(one["error"] for one in document["peers"]))


if __name__ == "__main__":
    # No clearing up: NIXL would wait for writes that never end.
    os._exit(main(sys.argv[1:]))
