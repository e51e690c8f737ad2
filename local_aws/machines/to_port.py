"""Sends its input to a port on 127.0.0.1 of this network namespace, and what the port answers to its output.

Usage: python to_port.py PORT. The agent of Systems Manager connects on a node in the same way. Started by session.py.
"""

import os
import socket
import sys
import threading
from contextlib import suppress

_AT_ONCE = 1 << 16


def main(port: str) -> None:
    """Forward until either end closes the connection, in whatever way."""
    try:
        connection = socket.create_connection(("127.0.0.1", int(port)))
    except OSError as error:
        raise SystemExit(f"Connection to destination port failed, check SSM Agent logs: {error}") from error
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    with suppress(ConnectionError):
        while data := connection.recv(_AT_ONCE):
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]


def _send(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while data := os.read(sys.stdin.fileno(), _AT_ONCE):
            connection.sendall(data)
    with suppress(OSError):  # the port has closed it
        connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(*sys.argv[1:])
