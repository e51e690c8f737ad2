"""The path of every request: the control API, faults, the call log, and one lock around moto."""

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from time import sleep
from typing import Any

from botocore.model import OperationNotFoundError
from moto.core.base_backend import BackendDict, BaseBackend, backend_lock
from moto.core.model_instances import reset_model_data

from local_aws import inferred, requests
from local_aws.authorization.asked import asked
from local_aws.authorization.denial import USER, Caller, denied
from local_aws.control_api import PREFIX, handle
from local_aws.ec2.machines import follow
from local_aws.faults import Call
from local_aws.world import reset, world

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

# In a request's environ: the Caller behind a machine's key.
CALLER = "local_aws.caller"
_NAMES = ("127.0.0.1", "localhost")
_RESET = "/moto-api/reset"
_log = logging.getLogger(__name__)
_UNKNOWN = "The action {} is not valid for this web service."


class Gate:
    """The WSGI application in front of moto's.

    moto's models are not thread-safe, so one call is carried out at a time. The delay of a fault is waited for before
    the lock is taken, so that slow calls run in parallel.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.RLock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if refused := _why_not_for_us(environ, path):
            return _answer(start_response, 403, "text/plain", f"{refused}\n".encode())
        if environ["REQUEST_METHOD"] == "HEAD" and path == "/":
            return _answer(start_response, 200, "text/plain", b"")  # for its Date: no call of AWS
        body = _read_body(environ)
        if path.startswith(PREFIX):
            status, answer = handle(environ["REQUEST_METHOD"], path.removeprefix(PREFIX), body)
            return _answer(start_response, status, "application/json", answer.encode())
        if path == _RESET:
            with self._lock:
                empty()
                follow()
            return _answer(start_response, 200, "application/json", b'{"status": "ok"}')
        return self._call(environ, start_response, requests.parse(environ, body), body)

    def _call(
        self, environ: dict[str, Any], start_response: StartResponse, request: requests.Request, body: bytes
    ) -> Iterable[bytes]:
        emptied = world().emptied
        faults = world().faults.take(request.service, request.action)
        for fault in faults:
            _wait(fault.delay, fault.simulated)
        if world().emptied != emptied:
            # Reset in the meantime: the calls in progress belong to the old state.
            _hang_up(environ)
        for fault in faults:
            if fault.code or fault.throttle:
                code = fault.code or requests.throttling_code(request.service)
                status = fault.status or requests.error_status(code)
                return _refuse(start_response, request, code, fault.message or "Asked for by a test.", status)
        endless = any(fault.answer == "endless" for fault in faults)
        if endless:
            _give_body(environ, requests.without_token(request, body))
        if all(fault.effect for fault in faults):
            with self._lock:
                inferred.take()
                status, headers, answer = self._carry_out(environ, request, body)
                follow()
                if leaned_on := inferred.take():
                    headers = [*headers, (inferred.HEADER, ", ".join(leaned_on))]
                world().calls.add(_call_of(request, status, answer))
        else:
            status, headers, answer = 200, [], b""
            world().calls.add(Call(request.service, request.action, request.region, 0))
        for fault in faults:
            _wait(fault.late, fault.simulated)
        if any(fault.lose_answer for fault in faults):
            _hang_up(environ)
        if endless:
            return _answer(
                start_response, status, dict(headers)["Content-Type"], requests.with_token(request, answer)
            )
        for fault in faults:
            if fault.answer:
                kind, text = requests.replaced_answer(request, fault.answer)
                return _answer(start_response, 200, kind, text.encode())
        start_response(f"{status} local", headers)
        return [answer]

    def _carry_out(
        self, environ: dict[str, Any], request: requests.Request, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """moto's answer; for an action that moto lacks, a 400, which clients do not retry, not a 500."""
        caught: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            # moto lets every web page read its answers.
            kept = [
                (name, value) for name, value in headers if not name.lower().startswith("access-control-")
            ]
            caught.update(status=int(status.split()[0]), headers=kept)

        try:
            if refusal := _denied(environ, request, body):
                kind, text = requests.error_body(request, *refusal)
                return requests.error_status(refusal[0]), [("Content-Type", kind)], text.encode()
            answer = b"".join(self._application(environ, start))
        except (NotImplementedError, OperationNotFoundError) as error:
            _log.warning("%s %s is not supported: %s", request.service, request.action, error)
            kind, text = requests.error_body(request, *_lacking(request.action, str(error)))
            return 400, [("Content-Type", kind)], text.encode()
        except Exception as error:  # moto's bugs must not look like a broken network
            _log.exception("%s %s failed", request.service, request.action)
            kind, text = requests.error_body(request, "LocalAwsFailure", f"{type(error).__name__}: {error}")
            return 400, [("Content-Type", kind)], text.encode()
        # moto answers every refusal of EC2 with 400.
        status = caught["status"]
        if status == 400:
            status = requests.error_status(requests.error_code(answer))
        return status, caught["headers"], answer


def _denied(environ: Mapping[str, Any], request: requests.Request, body: bytes) -> tuple[str, str] | None:
    """Code and message if the caller's permissions do not allow the request: those of a machine's role, else those of
    the policy that is set. None if they allow it, or if no policy is set."""
    policy = world().policy
    caller = environ.get(CALLER) or (None if policy is None else Caller(USER, [policy]))
    if caller is None:
        return None
    needed = asked(request, environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""), body)
    if policy is not None:
        world().permissions.extend(one.action for one in needed)
    return denied(caller, needed, request.service)


def _why_not_for_us(environ: Mapping[str, Any], path: str) -> str:
    """Why a request is not answered; empty for a request that a program on this machine meant for this server.

    A web page in a browser on this machine can send requests to 127.0.0.1, too: with its own Origin; for an image or a
    link, with Sec-Fetch-Site; and, if its own host name resolves to 127.0.0.1, with a Host that is not ours. No SDK
    sends the first two headers.
    """
    host = environ.get("HTTP_HOST", "").rpartition(":")
    if host[0] not in _NAMES or host[2] != environ.get("SERVER_PORT"):
        return "The local AWS answers for 127.0.0.1 and localhost alone, at its own port."
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
        return "The local AWS does not answer web pages."
    if path.startswith("/moto-api") and (path != _RESET or environ["REQUEST_METHOD"] != "POST"):
        return f"Of moto's own pages the local AWS has POST {_RESET} alone."
    return ""


def empty() -> None:
    """Forget moto's state and ours.

    moto's own reset creates every backend again before it discards it, which takes seconds with many regions. Here,
    backends are created when they are next needed. Backends that reset more than themselves still run their own reset.
    """
    with backend_lock:
        for backends in BackendDict._instances:
            for _, _, backend in list(backends.iter_backends()):
                if type(backend).reset is not BaseBackend.reset:
                    backend.reset()
            backends.clear()
        BackendDict._instances.clear()
    reset_model_data()
    reset()


def _lacking(action: str, reason: str) -> tuple[str, str]:
    """Code and message if moto lacks a filter of an action, or the whole action."""
    if "filter" in reason.lower():
        return (
            "InvalidParameterValue",
            f"The local AWS lacks a filter of {action}: {reason.partition(' Feel free')[0]}",
        )
    return "InvalidAction", _UNKNOWN.format(action)


def _call_of(request: requests.Request, status: int, answer: bytes) -> Call:
    code = requests.error_code(answer) if status >= 400 else ""
    return Call(request.service, request.action, request.region, status, code)


def _refuse(
    start_response: StartResponse, request: requests.Request, code: str, message: str, status: int
) -> Iterable[bytes]:
    world().calls.add(Call(request.service, request.action, request.region, status, code))
    kind, text = requests.error_body(request, code, message)
    return _answer(start_response, status, kind, text.encode())


def _answer(start_response: StartResponse, status: int, kind: str, body: bytes) -> Iterable[bytes]:
    start_response(f"{status} local", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _read_body(environ: dict[str, Any]) -> bytes:
    """Read the body and put it back for the application. A chunked one stays where it is."""
    length = environ.get("CONTENT_LENGTH")
    if not length:
        return b""
    body: bytes = environ["wsgi.input"].read(int(length))
    _give_body(environ, body)
    return body


def _give_body(environ: dict[str, Any], body: bytes) -> None:
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _wait(seconds: float, simulated: bool) -> None:
    if simulated:
        world().clock.advance(timedelta(seconds=seconds))
    elif seconds:
        sleep(seconds)


def _hang_up(environ: dict[str, Any]) -> None:
    """Close the connection without an answer; for werkzeug, a ConnectionError means that the client has
    disconnected."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the answer was lost on purpose")
