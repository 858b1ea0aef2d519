"""The router in front of an endpoint's variants: splits by weight, honours an explicit variant, forwards bytes.

A request is never sent twice and never to another variant: both would bend the split. client.py speaks HTTP with whoever asks.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
import traceback
from collections.abc import Callable, Sequence
from random import Random
from time import monotonic

from ...endpoints.door import Refusal, door, refusal
from .balancer import Balancer
from .client import Client, Request
from .exchange import Exchange, answer

TARGET = b"x-amzn-sagemaker-target-variant"
CONTROL = b"/_isthmus/"
CONNECTIONS = 1000  # clients at once
TURNED_AWAY = 50  # who found no place and is still read, to hear it
BODIES = frozenset(
    {b"application/json", b"application/jsonlines", b"application/x-jsonlines", b"application/x-ndjson", b"text/csv"}
)  # what a model server reads; a page has to ask before it sends them to another site
SWEEP = 1.0  # seconds

Control = Callable[[str, str], tuple[int, bytes]]  # method, what follows /_isthmus/ -> status, JSON


class Router:
    """The split and the balancers. The supervisor sets both; a change holds from the next request on."""

    def __init__(
        self,
        *,
        instance: str,
        key: str,
        max_bytes: int,
        control: Control,
        log: Callable[[str, int, float], None],
        connections: int = CONNECTIONS,
        rng: Random | None = None,
    ) -> None:
        self.instance, self.key = instance.encode(), key.encode()
        self.max_bytes = max_bytes
        self.control = control
        self.log = log
        self.balancers: dict[str, Balancer] = {}
        self.clients: dict[Client, None] = {}  # in the order in which they came
        self.turned_away: set[Client] = set()
        self.buffered = 0
        self._connections = connections
        self._door = door(listen="127.0.0.1", bodies=BODIES)
        self._rng = rng or Random()  # noqa: S311  a traffic split is no secret
        self._bounds: list[tuple[int, str]] = []
        self._sweeping: asyncio.TimerHandle | None = None

    def split(self, steps: Sequence[tuple[str, int]]) -> None:
        """Weights in hundredths of a percent, summing to 10,000."""
        total, bounds = 0, []
        for name, weight in steps:
            total += weight
            bounds.append((total, name))
        self._bounds = bounds

    def choose(self) -> str:
        """A variant by weight. The draw is exact: 10,000 equally likely places."""
        place = int(self._rng.random() * 10_000)
        for bound, name in self._bounds:
            if place < bound:
                return name
        return self._bounds[-1][1]

    def protocol(self) -> Client:
        return Client(self)

    def admit(self, client: Client) -> bool:
        """Whether there is a place. Who has waited longest without asking anything gives up his: nobody is locked out by silence."""
        if len(self.clients) >= self._connections:
            idle = min((other for other in self.clients if other.idle), key=lambda other: other.since, default=None)
            if idle is None:
                if len(self.turned_away) < TURNED_AWAY:
                    self.turned_away.add(client)
                return False
            idle.close()
            self.leave(idle)
        self.clients[client] = None
        if self._sweeping is None:
            self._sweep()
        return True

    def leave(self, client: Client) -> None:
        self.clients.pop(client, None)
        self.turned_away.discard(client)

    def _sweep(self) -> None:
        now = monotonic()
        for client in (*self.clients, *self.turned_away):
            client.expire(now)
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP, self._sweep) if self.clients or self.turned_away else None

    def refusal(self, method: bytes, path: bytes, headers: dict[bytes, bytes]) -> Refusal | None:
        """Before the body is read. The control routes have no body, and a key of their own."""
        return refusal(self._door, b"GET" if path.startswith(CONTROL) else method, path, headers)

    def answer(self, request: Request, send: Callable[[bytes], None]) -> Exchange | None:
        """Calls `send` once, at once or later. What it gives can be dropped while it waits to be sent."""
        path, headers = request.path, request.headers
        if path.startswith(CONTROL):
            send(self._control(request))
        elif headers.get(b"x-isthmus-instance", self.instance) != self.instance:
            send(answer(421, "NotHere", "another endpoint listens here now", code="not-here"))
        elif path == b"/ping":
            send(answer(200, None, '{"status": "ready"}'))
        elif path != b"/invocations":
            send(answer(404, "NotFound", "there is /invocations (POST) and /ping"))
        elif request.method != b"POST":
            send(answer(405, "MethodNotAllowed", "POST to /invocations"))
        else:
            return self._forward(request, send)
        return None

    def _control(self, request: Request) -> bytes:
        if not hmac.compare_digest(request.headers.get(b"x-isthmus-key", b""), self.key):
            return answer(403, "Denied", "the control routes are the supervisor's")
        try:
            status, body = self.control(request.method.decode(), request.path[len(CONTROL) :].decode("latin-1"))
        except Exception as error:  # noqa: BLE001  whatever the row or the disk does, the requests go on; it is told here and in the log
            traceback.print_exc()
            sys.stderr.flush()
            return answer(500, type(error).__name__, str(error))
        return answer(status, None, body.decode())

    def _forward(self, request: Request, send: Callable[[bytes], None]) -> Exchange | None:
        explicit = request.headers.get(TARGET)
        name = self.choose() if explicit is None else explicit.decode("latin-1")
        balancer = self.balancers.get(name)
        if balancer is None:
            have = ", ".join(self.balancers)
            send(answer(400, "NoVariant", f"there is no variant {name[:200]}; there is {have}", code="no-variant"))
            return None

        def done(status: int, reply: bytes) -> None:
            self.log(name, status, monotonic() - exchange.begun)
            send(reply)

        exchange = Exchange(request.headers[b"content-type"], request.body, done)
        balancer.send(exchange)
        return exchange
