"""A client of the control API, for a local AWS in another process. Standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_aws.world import Cause


class Control:
    """Moves the clock, sets faults and knobs, and reads the call log of the local AWS at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.clock = RemoteClock(self)
        self.faults = RemoteFaults(self)
        self.calls = RemoteCalls(self)

    def settings(self, **values: Any) -> dict[str, Any]:
        """Set knobs (payment_minutes, price_factor, ...) and return all of them."""
        return self.request("POST" if values else "GET", "settings", values or None)

    def launches(self) -> list[dict[str, Any]]:
        """What every RunInstances asked for, its launch template merged in: region, dry_run, count, request."""
        found: list[dict[str, Any]] = self.request("GET", "launches")["launches"]
        return found

    def machines(self) -> dict[str, dict[str, Any]]:
        """The machines by instance id: "state" (starting, up, off), "pid", "console", "failure"."""
        found: dict[str, dict[str, Any]] = self.request("GET", "machines")["machines"]
        return found

    def inferred(self) -> list[str]:
        """The inferred rows of docs/facts.md that the answers since the start depended on."""
        found: list[str] = self.request("GET", "inferred")["inferred"]
        return found

    def allow_only(self, policy: dict[str, Any] | None) -> None:
        """Answer only what this IAM policy allows; None: everything. ValueError for a document that is not a policy."""
        self.request("DELETE" if policy is None else "POST", "policy", policy)

    def permissions(self) -> list[str]:
        """The actions that the requests needed, in order, since the policy was set."""
        found: list[str] = self.request("GET", "policy")["permissions"]
        return found

    def end(self, instance_id: str, cause: Cause) -> None:
        """End an instance without an API call of its user, before the next EC2 call is answered."""
        self.request("POST", "endings", {"instance_id": instance_id, "cause": cause})

    def command_output(
        self,
        instance_id: str = "*",
        *,
        stdout: str = "",
        stderr: str = "",
        response_code: int = 0,
        status: str = "",
    ) -> None:
        """What Run Command answers for an instance ("*": for every one without its own)."""
        given = {
            "instance_id": instance_id,
            "stdout": stdout,
            "stderr": stderr,
            "response_code": response_code,
        }
        self.request(
            "POST", "commands", {**given, "status": status or ("Success" if not response_code else "Failed")}
        )

    def reset(self) -> None:
        """Empty the local AWS: moto's state, the clock, faults and knobs."""
        self._send("POST", f"{self.endpoint}/moto-api/reset", b"")

    def request(self, method: str, resource: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request to the control API; ValueError with the server's message if it is refused."""
        data = None if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(
            self._send(method, f"{self.endpoint}/nixl-efa-api/{resource}", data)
        )
        return answer

    def _send(self, method: str, url: str, data: bytes | None) -> bytes:
        # The proxy variables of a user's shell must not send these requests anywhere but to 127.0.0.1.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(url, data=data, method=method), timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read())["error"]) from error


class RemoteClock:
    """The same methods as `Clock`, over HTTP."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def now(self) -> datetime:
        """The simulated time in UTC."""
        return datetime.fromisoformat(self._control.request("GET", "clock")["now"])

    def set(self, moment: datetime) -> None:
        """Stop the clock at `moment`."""
        self._control.request("POST", "clock", {"now": moment.isoformat()})

    def advance(self, delta: timedelta) -> None:
        """Move the clock by `delta`."""
        self._control.request("POST", "clock", {"advance_seconds": delta.total_seconds()})

    def run(self, speed: float = 1.0) -> None:
        """Let the clock run at `speed` simulated seconds a second."""
        self._control.request("POST", "clock", {"speed": speed})

    def reset(self) -> None:
        """Follow the machine's clock again."""
        self._control.request("DELETE", "clock")


class RemoteFaults:
    """The same methods as `Faults`, over HTTP."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def add(self, action: str = "*", **fault: Any) -> None:
        """Add a fault for the next `times` calls of `action`; `Fault` says what each member means."""
        self._control.request("POST", "faults", {"action": action, **fault})

    def clear(self) -> None:
        """Remove all faults."""
        self._control.request("DELETE", "faults")


class RemoteCalls:
    """The call log, over HTTP."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def all(self) -> list[dict[str, Any]]:
        """Every call: service, action, region, status, code."""
        calls: list[dict[str, Any]] = self._control.request("GET", "calls")["calls"]
        return calls

    def actions(self) -> tuple[str, ...]:
        """Only the names of the actions."""
        return tuple(call["action"] for call in self.all())

    def clear(self) -> None:
        """Forget the calls."""
        self._control.request("DELETE", "calls")
