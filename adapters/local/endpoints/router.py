"""The router in front of an endpoint's variants.

It splits by weight, honours an explicit variant, and forwards bytes. A request is never sent twice
and never to another variant: both would bend the split.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from random import Random
from time import monotonic

import msgspec

from ....endpoints.http.asgi_limits import Limits
from ....endpoints.http.door import Refusal, door, refusal
from ....endpoints.http.error_log import tell
from ....endpoints.http.requests import Application, JsonAnswer, Request
from .backend import ForwardedRequest, failed
from .balancer import Balancer

TARGET = b"x-amzn-sagemaker-target-variant"
INSTANCE = b"x-isthmus-instance"
KEY = b"x-isthmus-key"
CONTROL = b"/_isthmus/"
CONNECTIONS = 1000  # clients at once
# a client's pool should give an idle connection up before this server does, as a close that meets a
# request loses it
LIMITS = Limits(body_seconds=60, write_seconds=60, idle_seconds=3_600)
HEADERS = frozenset({b"content-type", b"host", b"origin", b"sec-fetch-site", TARGET, INSTANCE, KEY})
BODIES = frozenset(
    {
        b"application/json",
        b"application/jsonlines",
        b"application/x-jsonlines",
        b"application/x-ndjson",
        b"text/csv",
    }
)  # what a model server reads; a page has to ask before it sends them to another site

Control = Callable[[str, str], tuple[int, bytes]]  # method, what follows /_isthmus/ -> status, JSON


class Router:
    """The split and the balancers, which the supervisor sets.

    A change holds from the next request on.
    """

    def __init__(
        self,
        *,
        instance: str,
        key: str,
        max_bytes: int,
        control: Control,
        log: Callable[[str, int, float], None],
        connections: int = CONNECTIONS,
        users: frozenset[int] | None = frozenset(),
        rng: Random | None = None,
    ) -> None:
        self.instance, self.key = instance.encode(), key.encode()
        self.control = control
        self.log = log
        self.balancers: dict[str, Balancer] = {}
        self._most, self._most_body = connections, max_bytes
        self._door = door(listen="127.0.0.1", users=users, bodies=BODIES)
        self._rng = rng or Random()  # noqa: S311  a traffic split is no secret
        self._bounds: list[tuple[int, str]] = []

    def split(self, steps: Sequence[tuple[str, int]]) -> None:
        """Set the variants' traffic weights in hundredths of a percent, which sum to 10,000."""
        total, bounds = 0, []
        for name, weight in steps:
            total += weight
            bounds.append((total, name))
        self._bounds = bounds

    def choose(self) -> str:
        """Choose the variant that answers a request, at random by traffic weight.

        The draw is exact: 10,000 equally likely places.
        """
        place = int(self._rng.random() * 10_000)
        for bound, name in self._bounds:
            if place < bound:
                return name
        return self._bounds[-1][1]

    @cached_property
    def application(self) -> Application:
        """Return the router's ASGI application; call it in the event loop that will serve it."""
        return Application(
            self.answer,
            refusal=self.refusal,
            users=self._door.users,
            deciding=HEADERS,
            most_body=self._most_body,
            limits=msgspec.structs.replace(LIMITS, connections=self._most),
        )

    def refusal(
        self,
        method: bytes,
        path: bytes,
        headers: Mapping[bytes, bytes],
        stranger: Callable[[], Refusal | None],
    ) -> Refusal | None:
        """Return the error for a request that its method, path or headers rule out, or None.

        `stranger` returns the error for a caller without the endpoint's key.
        """
        return refusal(
            self._door, b"GET" if path.startswith(CONTROL) else method, path, headers, stranger
        )

    def answer(self, request: Request) -> None:
        """Answer an HTTP request: a control route at once, others later by a model server."""
        if request.path.startswith(CONTROL):
            request.reply(self._control(request))
        elif request.headers.get(INSTANCE, self.instance) != self.instance:
            words = "another endpoint listens here now"
            request.reply(failed(421, "NotHere", words, code="not-here"))
        elif request.path == b"/ping":
            request.reply(JsonAnswer(200, b'{"status": "ready"}'))
        elif request.path != b"/invocations":
            request.fail(404, "NotFound", "there is /invocations (POST) and /ping")
        elif request.method != b"POST":
            request.fail(405, "MethodNotAllowed", "POST to /invocations")
        else:
            self._forward(request)

    def _control(self, request: Request) -> JsonAnswer:
        """Answer a request to a control route of the supervisor, if it carries the right key."""
        if not hmac.compare_digest(request.headers.get(KEY, b""), self.key):
            return failed(403, "Denied", "the control routes are the supervisor's")
        try:
            status, body = self.control(
                request.method.decode(), request.path[len(CONTROL) :].decode("latin-1")
            )
        except Exception as error:  # noqa: BLE001  whatever the row or the disk does, the requests go on; it is told here and in the log
            tell("a control route failed", error)
            return failed(500, type(error).__name__, str(error))
        return JsonAnswer(status, body)

    def _forward(self, request: Request) -> None:
        """Send a prediction request to the variant that it names or the traffic split chooses."""
        explicit = request.headers.get(TARGET)
        name = self.choose() if explicit is None else explicit.decode("latin-1")
        balancer = self.balancers.get(name)
        if balancer is None:
            have = ", ".join(self.balancers)
            words = f"there is no variant {name[:200]}; there is {have}"
            request.reply(failed(400, "NoVariant", words, code="no-variant"))
            return
        balancer.send(ForwardedRequest(request, name, self._answered))

    def _answered(self, exchange: ForwardedRequest, answer: JsonAnswer) -> None:
        """Write an answered request to the request log, and reply to the caller.

        `exchange` is the request with its caller.
        """
        try:
            self.log(exchange.variant, answer.status, monotonic() - exchange.begun)
        except Exception as error:  # noqa: BLE001  whatever the log does, who waits is answered; it is told in the supervisor's log
            tell("the log of requests failed", error)
        exchange.request.reply(answer)
