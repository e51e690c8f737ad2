"""Listens in the network namespace of a run: `python listener.py FD ADDRESS PORT`, started by run.py.

A socket stays in the network namespace in which it was created, whichever process holds it: it is sent through the
socket FD.
"""

import socket
import sys


def main(channel_fd: str, address: str, port: str) -> None:
    """Listen and hand the socket over."""
    with (
        socket.socket(fileno=int(channel_fd)) as channel,
        socket.create_server((address, int(port)), backlog=128) as server,
    ):
        socket.send_fds(channel, [b"."], [server.fileno()])


if __name__ == "__main__":
    main(*sys.argv[1:])
