"""Steer a running stack from Python: `Stack(url)`."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from .core import keys
from .core.calls import StackCall
from .core.faults import Fault
from .core.keys import Keys
from .minutes import Minute, Minutes
from .run import variables


class _Now(msgspec.Struct):
    now: datetime


class Stack:
    """The control routes of a stack.

    ValueError with the stack's own words for what it does not accept.
    """

    def __init__(self, url: str, cloud: str = "aws") -> None:
        self.url = url.rstrip("/")
        self.cloud = cloud
        self._keys: Keys | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables with which every SDK of the cloud talks to this stack."""
        return variables(self.cloud, self.url)

    def health(self) -> dict[str, Any]:
        return msgspec.json.decode(self._ask("GET", "health"), type=dict[str, Any])

    def reset(self) -> None:
        """As if it had just been started."""
        self._ask("POST", "reset")

    def now(self) -> datetime:
        return msgspec.json.decode(self._ask("GET", "clock"), type=_Now).now

    def advance(self, seconds: float) -> datetime:
        """Move the clock; what came due has happened when this returns."""
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
        """Add a fault (see faults.Fault for the kinds). `times` None: until it is cleared."""
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
        return msgspec.json.decode(self._ask("GET", "faults"), type=tuple[Fault, ...])

    def clear_faults(self, number: int | None = None) -> None:
        self._ask("DELETE", "faults" if number is None else f"faults?id={number}")

    def calls(self) -> tuple[StackCall, ...]:
        return msgspec.json.decode(self._ask("GET", "calls"), type=tuple[StackCall, ...])

    def clear_calls(self) -> None:
        self._ask("DELETE", "calls")

    def add_minutes(self, endpoint: str, minutes: Iterable[Minute], *, region: str = "") -> None:
        """Put minutes of traffic that nobody sent into the endpoint's metrics, beside what was
        sent.
        """
        self._ask(
            "POST", "minutes", Minutes(endpoint=endpoint, minutes=tuple(minutes), region=region)
        )

    def enforce(self, after: int = 0) -> None:
        """Hold each caller to its IAM policies, once `after` more calls have passed; until the next
        reset. moto's own switch.
        """
        self._send("POST", "/moto-api/reset-auth", str(after).encode())

    def policy(self) -> dict[str, Any]:
        """The least rights for what was called since the last reset:

        AWS, an IAM policy; GCP, permissions, roles and a custom role.
        """
        return msgspec.json.decode(self._ask("GET", "policy"), type=dict[str, Any])

    def coverage(self) -> list[dict[str, Any]]:
        return msgspec.json.decode(self._ask("GET", "coverage"), type=list[dict[str, Any]])

    def _ask(self, method: str, route: str, body: object = None) -> bytes:
        return self._send(
            method, f"/_stack/{route}", msgspec.json.encode(body) if body is not None else b""
        )

    def _send(self, method: str, path: str, data: bytes) -> bytes:
        if self._keys is None:
            self._keys = keys.of(self.url)
        headers = (
            {"Authorization": f"Bearer {self._keys.control}"} if self._keys is not None else {}
        )
        body = data if method != "GET" else None
        request = urllib.request.Request(  # noqa: S310
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
