"""Pages of lists: a NextToken is the position of the page's first item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .registry import AwsError

T = TypeVar("T")
_LONGEST = 18  # digits: no list is as long


def start(params: Mapping[str, Any], refusal: AwsError, key: str = "NextToken") -> int:
    """Return the position at which the requested page begins.

    Args:
        params: The request's parameters.
        refusal: The error to raise for a token that no page can have had.
        key: What the service calls the token.
    """
    token = str(params.get(key) or 0)
    if not (token.isascii() and token.isdigit()) or len(token) > _LONGEST:
        raise refusal
    return int(token)


def page(
    items: Sequence[T], params: dict[str, Any], size: int, refusal: AwsError
) -> tuple[Sequence[T], dict[str, str]]:
    """Return one page of a list, as MaxResults and NextToken in `params` ask for it.

    Without MaxResults a page has `size` items. The second value is the response's NextToken, {} on
    the last page. `refusal` is the error to raise for a token that no page can have had.
    """
    begin = start(params, refusal)
    end = begin + (params.get("MaxResults") or size)
    return items[begin:end], {"NextToken": str(end)} if end < len(items) else {}
