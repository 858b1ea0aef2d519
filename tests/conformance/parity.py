"""The page docs/parity.md: the rows of every adapter's capabilities, and the conformance tests that
assert them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from isthmus.core.plugins import installed
from isthmus.target import Capability
from isthmus.tests.conformance.data.sql_meanings import meanings
from isthmus.tests.conformance.provider_marks import compared
from isthmus.tests.conformance.rows import asserting, columns

KNOWN = {
    "run": "seen running, offline",
    "sdk": "the SDK's own model or docstring",
    "docs": "the provider's pages",
    "guess": "nobody has seen it: probe it on the first account",
    "account": "seen on a real account",
}


def parity() -> str:
    """The page, made again by `make docs`; tests/docs/test_docs.py compares it with what is committed."""
    return "\n".join(_parity()) + "\n"


def _parity() -> Iterator[str]:
    adapters, tests = columns(), asserting()
    names = list(dict.fromkeys(name for adapter in adapters for name in adapter.capabilities))
    yield "# What differs between targets"
    yield ""
    yield "Made by `make docs` from `adapters/*/capabilities.py`. One conformance suite runs over every target, against the ports only."
    yield "*native*: the target does it. *emulated*: Isthmus does it on top, and the same test passes. *refused*: the same test asserts the"
    yield "refusal, by this row's name and before any call."
    if absent := [
        adapter.title for adapter in installed.adapters(lambda adapter: not adapter.capabilities)
    ]:
        yield ""
        yield f"Not here yet: {', '.join(absent)}; its column comes with its adapter."
    yield ""
    yield "| capability | " + " | ".join(adapter.title for adapter in adapters) + " |"
    yield "|---|" + "---|" * len(adapters)
    for name in names:
        yield (
            f"| {name} | "
            + " | ".join(_cell(adapter.capabilities.get(name)) for adapter in adapters)
            + " |"
        )
    yield ""
    yield "## Why, and how it is known"
    yield ""
    yield "; ".join(f"*{word}*: {meaning}" for word, meaning in KNOWN.items()) + "."
    for name in names:
        yield ""
        yield f"### {name}"
        yield ""
        for adapter in adapters:
            if row := adapter.capabilities.get(name):
                yield f"- {adapter.title}: {_cell(row)}{f': {row.why}' if row.why else ''} ({row.known})"
        for test in tests.get(name, ()):
            file, _, function = test.partition("::")
            yield f"- asserted by [{function.removeprefix('test_').replace('_', ' ')}](../tests/conformance/{file})"
    yield ""
    yield from meanings()
    yield ""
    yield from compared()


def _cell(row: Capability | None) -> str:
    if row is None:
        return ""
    return row.level if row.value is None else f"{row.level}, {_value(row.value)}"


def _value(value: Decimal | timedelta | int) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        if seconds and seconds % 3600 == 0:
            return f"{seconds / 3600:g} h"
        return f"{seconds / 60:g} min" if seconds and seconds % 60 == 0 else f"{seconds:g} s"
    return f"{value:,}" if isinstance(value, int) else str(value)
