"""Filters of ML Metadata: AIP-160 with in_context("..."), and with parent contexts."""

from __future__ import annotations

import re
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import canonical
from ....core.resources import filters
from ....core.resources.store import page
from .records import Lineage

_IN_CONTEXT = re.compile(r"""in_context\(\s*["']([^"']*)["']\s*\)""")
_CONTEXTS = re.compile(r"""\b(parent_contexts|child_contexts):((?:\s*["'][^"']*["']\s*,?)+)""")
_QUOTED = re.compile(r"""["']([^"']*)["']""")


def select(call: Call, nodes: list[Any], request: Any) -> tuple[list[Any], str]:
    """Return the page of metadata nodes that a list request asks for, and the next page's token.

    The request has filter, order_by, page_size and page_token.
    """
    fitting = matching(call, nodes, request.filter)
    if "order_by" in request.DESCRIPTOR.fields_by_name and request.order_by:
        try:
            fitting = filters.ordered(fitting, request.order_by)
        except filters.FilterError as error:
            raise GcpError("INVALID_ARGUMENT", str(error)) from error
    return page(fitting, request)


def matching(call: Call, nodes: list[Any], text: str) -> list[Any]:
    """Return the metadata nodes that match a filter; all of them for an empty filter.

    Raises GcpError INVALID_ARGUMENT for a filter that cannot be read.
    """
    if not text:
        return nodes
    prepared = _prepared(call, text)
    lineage = call.store(Lineage)
    try:
        return [node for node in nodes if filters.matches(prepared, _lookup(lineage, node))]
    except filters.FilterError as error:
        raise GcpError("INVALID_ARGUMENT", str(error)) from error


def _prepared(call: Call, text: str) -> str:
    """Rewrite a metadata filter for the general filter parser, and return it.

    in_context(...) becomes a comparison, and contexts are named as they are stored.
    """
    text = _IN_CONTEXT.sub(lambda match: f'in_context:"{canonical(call, match[1])}"', text)
    return _CONTEXTS.sub(
        lambda match: (
            "("
            + " AND ".join(
                f'{match[1]}:"{canonical(call, name)}"' for name in _QUOTED.findall(match[2])
            )
            + ") "
        ),
        text,
    )


def _lookup(lineage: Lineage, node: Any) -> filters.FieldLookup:
    """Return a function that reads a metadata node's field by its path, for filters."""
    fields = filters.of_message(node)
    return lambda path: lineage.contexts_of(node.name) if path == "in_context" else fields(path)
