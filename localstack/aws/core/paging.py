"""NextToken, which is the place of a page's first item here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .registry import AwsError

T = TypeVar("T")
_LONGEST = 18  # digits: no list is as long


def start(params: Mapping[str, Any], refusal: AwsError, key: str = "NextToken") -> int:
    """Where the page that is asked for begins.

    Raises `refusal` for a token that no answer had. `key`: what the service calls it.
    """
    token = str(params.get(key) or 0)
    if not (token.isascii() and token.isdigit()) or len(token) > _LONGEST:
        raise refusal
    return int(token)


def page(
    items: Sequence[T], params: dict[str, Any], size: int, refusal: AwsError
) -> tuple[Sequence[T], dict[str, str]]:
    """At most MaxResults items (default `size`), and the NextToken where more follow."""
    begin = start(params, refusal)
    end = begin + (params.get("MaxResults") or size)
    return items[begin:end], {"NextToken": str(end)} if end < len(items) else {}
