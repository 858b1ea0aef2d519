"""A request to a balancer of a client that waits for its answer, without a socket."""

from isthmus.adapters.local.endpoints.backend import ForwardedRequest
from isthmus.endpoints.http.asgi_limits import Caller
from isthmus.endpoints.http.requests import Request


def ask(balancer, body=b"x"):
    """The list that gets the answer, and the request."""
    request = Request(Caller(), headers={b"content-type": b"application/json"})
    request.body = body
    answers = []
    balancer.send(
        ForwardedRequest(request, balancer.variant, lambda _, answer: answers.append(answer))
    )
    return answers, request
