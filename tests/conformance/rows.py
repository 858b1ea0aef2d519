"""Which test asserts which row of the parity table: read from the marks in the suite's own source, so that no run is needed."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

from isthmus.target import Capability

ADAPTERS = ("local", "sagemaker", "vertex")  # ours, in the order of the table


def asserting() -> dict[str, tuple[str, ...]]:
    """Row -> `file::test` of every conformance test under `@pytest.mark.needs(row)`, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for row in map(_row, node.decorator_list):
                    if row:
                        found.setdefault(row, []).append(f"{path.name}::{node.name}")
    return {row: tuple(tests) for row, tests in found.items()}


def _row(decorator: ast.expr) -> str | None:
    if (
        isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func).endswith("mark.needs")
        and isinstance(decorator.args[0], ast.Constant)
    ):
        return str(decorator.args[0].value)
    return None


def columns() -> dict[str, dict[str, Capability]]:
    """Adapter -> its rows, for our adapters that have a table by now. Needs no cloud SDK."""
    found = {}
    for adapter in ADAPTERS:
        module = f"isthmus.adapters.{adapter}.capabilities"
        try:
            found[adapter] = import_module(module).CAPABILITIES
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    return found
