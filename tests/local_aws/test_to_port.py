"""The bytes between a session and a port of a machine: an end that goes is no error."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import local_aws

PROGRAM = Path(local_aws.__file__).with_name("machines") / "to_port.py"
_RESET = struct.pack("ii", 1, 0)  # closing sends a reset


@contextmanager
def forwarded() -> Iterator[tuple[socket.socket, socket.socket, subprocess.Popen[bytes]]]:
    """The connection at the port, the session's end, and the program between them."""
    session, its_end = socket.socketpair()
    with session, its_end, socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM), port],
            stdin=its_end.fileno(),
            stdout=its_end.fileno(),
            stderr=subprocess.PIPE,
        ) as program:
            its_end.close()
            connection, _ = server.accept()
            with connection:
                yield connection, session, program


def test_bytes_go_both_ways_until_the_port_closes() -> None:
    with forwarded() as (port, session, program):
        session.sendall(b"ask")
        assert port.recv(9) == b"ask"
        port.sendall(b"answer")
        assert session.recv(9) == b"answer"
        port.close()
        assert program.communicate(timeout=20)[1] == b""


def test_a_port_that_resets_the_connection_is_no_traceback() -> None:
    with forwarded() as (port, _, program):
        port.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        port.close()
        assert program.communicate(timeout=20)[1] == b""


def test_a_session_that_is_gone_is_no_traceback() -> None:
    with forwarded() as (port, session, program):
        session.close()
        port.sendall(b"answer")
        assert program.communicate(timeout=20)[1] == b""
