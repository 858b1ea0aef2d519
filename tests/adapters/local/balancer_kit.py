"""A request to a balancer of a client that waits for its answer, without a socket."""

from isthmus.adapters.local.endpoints.backend import Exchange
from isthmus.endpoints.serving.connections import Request


class Line:
    """In the place of a client's connection."""

    def __init__(self):
        self.transport = object()

    def leave(self):
        self.transport = None


def ask(balancer, body=b"x"):
    """The list that gets the answer, and the request."""
    request = Request(Line())
    request.headers[b"content-type"] = b"application/json"
    request.body = body
    answers = []
    balancer.send(Exchange(request, balancer.variant, lambda _, answer: answers.append(answer)))
    return answers, request
