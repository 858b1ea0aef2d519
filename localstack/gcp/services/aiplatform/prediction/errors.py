"""Errors of online prediction."""

from __future__ import annotations

from .....serving.connections import Answer
from ....core.errors import GcpError
from .forwarding import _STATUS


def model_error(answer: Answer) -> GcpError:
    """Return the error for a model server's failed answer, with the answer's status and body."""
    usual = "FAILED_PRECONDITION" if 400 <= answer.status < 500 else "INTERNAL"
    http = (
        answer.status if answer.status >= 400 else None
    )  # no client takes 204 or 302 for an error
    return GcpError(
        _STATUS.get(answer.status, usual), answer.body.decode("utf-8", "replace"), http=http
    )
