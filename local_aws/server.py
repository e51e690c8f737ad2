"""The local AWS as a server on 127.0.0.1, in a thread of this process."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from local_aws.authorization.policy import read as read_policy
from local_aws.clock import Clock
from local_aws.faults import CallLog, Faults
from local_aws.machines.fleet import Fleet
from local_aws.machines.run import Run
from local_aws.world import Cause, CommandOutput, World, world

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"
DEFAULT_REGION = "us-east-1"


class PortInUseError(OSError):
    """The requested port is already in use."""


class LocalAws:
    """A local AWS for the time of the `with` block. A process can have only one at a time: moto's state is global."""

    _running = threading.Lock()

    def __init__(self, port: int = 0, run: Run | None = None) -> None:
        """`port` 0 chooses a free one. `run`: the instances run on machines in it; it ends together with the server."""
        self._run = run
        self._port = port
        self._servers: list[tuple[BaseWSGIServer, threading.Thread]] = []

    def __enter__(self) -> LocalAws:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, with nothing in the account. PortInUseError when the port is taken, OSError when not allowed."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("this process already runs a local AWS")
        try:
            self._begin(_serve(self._port))
            if self._run is not None:
                with self._run.listen() as listener:
                    self._begin(_serve_machines(listener, self.port))
        except BaseException:
            self._close_ports()
            if self._run is not None:
                self._run.close()
            raise
        if self._run is not None:
            world().machines = Fleet(self._run, lambda instance_id: self.end(instance_id, "shutdown"))

    def _begin(self, server: BaseWSGIServer) -> None:
        thread = threading.Thread(target=server.serve_forever, name="local-aws", daemon=True)
        self._servers.append((server, thread))
        thread.start()

    def stop(self) -> None:
        """Close the port, and end the machines."""
        if self._servers:
            self._close_ports()
        fleet, world().machines = world().machines, None
        if fleet is not None:
            fleet.close()

    def _close_ports(self) -> None:
        for server, thread in self._servers:
            server.shutdown()
            server.server_close()
            thread.join()
        self._servers = []
        self._running.release()

    def reset(self) -> None:
        """Reset moto's state, the clock, faults and knobs."""
        from local_aws.gate import empty

        empty()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if not self._servers:
            raise RuntimeError("the local AWS is not running")
        return int(self._servers[0][0].port)

    @property
    def endpoint(self) -> str:
        """The address for AWS_ENDPOINT_URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def clock(self) -> Clock:
        """The simulated clock."""
        return world().clock

    @property
    def faults(self) -> Faults:
        """The faults of the next calls."""
        return world().faults

    @property
    def calls(self) -> CallLog:
        """What was called."""
        return world().calls

    @property
    def world(self) -> World:
        """The knobs: payment time, slot return, prices, and so on."""
        return world()

    def command_output(
        self, instance_id: str = "*", *, stdout: str = "", stderr: str = "", code: int = 0
    ) -> None:
        """What Run Command answers for an instance ("*": for every one without its own)."""
        status = "Failed" if code else "Success"
        world().command_outputs[instance_id] = CommandOutput(stdout, stderr, code, status)

    def allow_only(self, policy: Mapping[str, Any] | None) -> None:
        """Answer only what this IAM policy allows; None: everything. ValueError for a document that is not a policy."""
        world().policy = None if policy is None else read_policy(policy)
        world().permissions.clear()

    def end(self, instance_id: str, cause: Cause) -> None:
        """End an instance without an API call of its user, before the next EC2 call is answered."""
        world().endings[instance_id] = cause

    def warn(self, instance_id: str, seconds: float | None = 120) -> None:
        """Tell an instance, in its metadata, that EC2 takes it back in so many seconds; None: not any more. It does not
        end by that."""
        world().notices.pop(instance_id, None)
        if seconds is not None:
            world().notices[instance_id] = world().clock.now() + timedelta(seconds=seconds)

    def advance(self, delta: timedelta) -> None:
        """Move the clock by `delta`."""
        self.clock.advance(delta)

    def environ(self, region: str = DEFAULT_REGION) -> dict[str, str]:
        """This process's environment, with the variables with which a child process reaches only this AWS."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**kept, **client_environ(self.endpoint, region)}


def client_environ(endpoint: str, region: str = DEFAULT_REGION) -> dict[str, str]:
    """The variables that send the AWS CLI, boto3 and Terraform to `endpoint`, with keys that are valid nowhere else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }


def _serve(port: int) -> BaseWSGIServer:
    with _listen(port) as listener:
        from local_aws.gate import empty
        from local_aws.install import application

        empty()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        return _server(listener, application())


def _serve_machines(listener: socket.socket, port: int) -> BaseWSGIServer:
    from local_aws.install import application
    from local_aws.metadata import Metadata

    return _server(listener, Metadata(application(), port))


def _server(listener: socket.socket, application: Any) -> BaseWSGIServer:
    from werkzeug.serving import make_server

    from local_aws.install import RequestHandler

    options: dict[str, Any] = {"threaded": True, "request_handler": RequestHandler, "fd": listener.fileno()}
    return make_server(HOST, listener.getsockname()[1], application, **options)


def _listen(port: int) -> socket.socket:
    """A listening socket. werkzeug's own code would end the process if the port is in use."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUseError(f"port {port} on {HOST} is taken: {error.strerror}") from error
    listener.listen(128)
    return listener
