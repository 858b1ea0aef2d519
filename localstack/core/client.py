"""Steer a running stack from Python: `Stack(url)`."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from . import keys
from .calls import StackCall
from .faults import Fault
from .keys import Keys
from .launch import variables
from .minutes import Minute, Minutes


class _Now(msgspec.Struct):
    now: datetime


class Stack:
    """The control routes of a stack.

    They raise ValueError with the stack's own words for what it does not accept.
    """

    def __init__(self, url: str, cloud: str = "aws") -> None:
        self.url = url.rstrip("/")
        self.cloud = cloud
        self._keys: Keys | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which every SDK of the cloud calls this stack."""
        return variables(self.cloud, self.url)

    def health(self) -> dict[str, Any]:
        """Return the stack's status and settings: URL, pid, clock, images ..."""
        return msgspec.json.decode(self._ask("GET", "health"), type=dict[str, Any])

    def reset(self) -> None:
        """Reset the stack to the state of a new one: no resources, faults or log."""
        self._ask("POST", "reset")

    def now(self) -> datetime:
        """Return the time on the stack's simulated clock."""
        return msgspec.json.decode(self._ask("GET", "clock"), type=_Now).now

    def advance(self, seconds: float) -> datetime:
        """Move the stack's simulated clock forward by some seconds, and return its time.

        Timers that came due have run when this returns.
        """
        return msgspec.json.decode(self._ask("POST", "clock", {"advance": seconds}), type=_Now).now

    def fault(
        self,
        *,
        kind: str,
        service: str | None = None,
        operation: str | None = None,
        name: str | None = None,
        times: int | None = 1,
        seconds: float = 1.0,
        code: str | None = None,
        status: int | None = None,
    ) -> Fault:
        """Inject a fault: a rule that lets calls fail (see faults.Fault for the kinds).

        Args:
            kind: What goes wrong.
            service: The service; None: every one.
            operation: The operation; None: every one.
            name: A resource that the call names; None: whatever it names.
            times: How often; None: until it is cleared.
            seconds: How late, or for how long, where the kind has a time.
            code: The error code to answer.
            status: The HTTP status to answer.

        Raises:
            ValueError: There is no such kind, service or operation.
        """
        rule = {
            "kind": kind,
            "service": service,
            "operation": operation,
            "name": name,
            "times": times,
            "seconds": seconds,
            "code": code,
            "status": status,
        }
        return msgspec.json.decode(self._ask("POST", "faults", rule), type=Fault)

    def faults(self) -> tuple[Fault, ...]:
        """Return the injected faults that are still pending."""
        return msgspec.json.decode(self._ask("GET", "faults"), type=tuple[Fault, ...])

    def clear_faults(self, number: int | None = None) -> None:
        """Remove one injected fault, by its number, or all."""
        self._ask("DELETE", "faults" if number is None else f"faults?id={number}")

    def calls(self) -> tuple[StackCall, ...]:
        """Return the log of calls that the stack has answered."""
        return msgspec.json.decode(self._ask("GET", "calls"), type=tuple[StackCall, ...])

    def clear_calls(self) -> None:
        """Delete all calls from the stack's log."""
        self._ask("DELETE", "calls")

    def add_minutes(self, endpoint: str, minutes: Iterable[Minute], *, region: str = "") -> None:
        """Write simulated minutes of traffic into the metrics of an endpoint.

        They are added to the traffic that was sent. `region` is the endpoint's; "": the default
        one.
        """
        self._ask(
            "POST", "minutes", Minutes(endpoint=endpoint, minutes=tuple(minutes), region=region)
        )

    def enforce(self, after: int = 0) -> None:
        """Enforce IAM policies on each caller, after `after` more calls.

        This is moto's own switch; the next reset turns it off.
        """
        self._send("POST", "/moto-api/reset-auth", str(after).encode())

    def policy(self) -> dict[str, Any]:
        """Return the least-privilege policy for the calls since the last reset.

        For AWS it is an IAM policy; for GCP permissions, roles and a custom role.
        """
        return msgspec.json.decode(self._ask("GET", "policy"), type=dict[str, Any])

    def coverage(self) -> list[dict[str, Any]]:
        """Return each API operation that the stack has, with its level of support."""
        return msgspec.json.decode(self._ask("GET", "coverage"), type=list[dict[str, Any]])

    def _ask(self, method: str, route: str, body: object = None) -> bytes:
        """Send a request to a control route of the stack, and return the response's body.

        `body` is sent as JSON; None: there is none.
        """
        return self._send(
            method, f"/_stack/{route}", msgspec.json.encode(body) if body is not None else b""
        )

    def _send(self, method: str, path: str, data: bytes) -> bytes:
        """Send an HTTP request to the stack with the secret that its control routes need.

        Return the response's body.
        """
        if self._keys is None:
            self._keys = keys.keys_of(self.url)
        headers = (
            {"Authorization": f"Bearer {self._keys.control}"} if self._keys is not None else {}
        )
        body = data if method != "GET" else None
        request = urllib.request.Request(  # noqa: S310  a stack of this machine
            f"{self.url}{path}", data=body, method=method, headers=headers
        )
        try:
            with _direct.open(request, timeout=120) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise ValueError(msgspec.json.decode(error.read()).get("error", str(error))) from None


_direct = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # a proxy has no business between this machine and itself
