"""The ports of a target, and which test asserts which row of the parity table.

The rows are read from the marks in the suite's own source, so that no run is needed.
"""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path

from isthmus.core.plugins import installed
from isthmus.target import Adapter, Target

PORTS = tuple(name for name, value in vars(Target).items() if isinstance(value, cached_property))
EXTRAS = (
    "traffic_script",
    "endpoint_service",
)  # optional ports that are no row: what stands for a cloud has them, a cloud has not


def asserting() -> dict[str, tuple[str, ...]]:
    """Row -> `file::test` of every conformance test under `@pytest.mark.needs(row)`, in the order
    of the files.
    """
    asserted: dict[str, list[str]] = {}
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("test_*.py"), key=lambda path: path.name):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for row in map(_row, node.decorator_list):
                    if row:
                        asserted.setdefault(row, []).append(
                            f"{path.relative_to(folder)}::{node.name}"
                        )
    return {row: tuple(tests) for row, tests in asserted.items()}


def _row(decorator: ast.expr) -> str | None:
    if (
        isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func).endswith("mark.needs")
        and isinstance(decorator.args[0], ast.Constant)
    ):
        return str(decorator.args[0].value)
    return None


def columns() -> tuple[Adapter, ...]:
    """The adapters that have rows by now. Needs no cloud SDK."""
    return tuple(installed.adapters(lambda adapter: adapter.capabilities))
