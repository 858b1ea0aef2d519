"""The arithmetic of metric math: ids, numbers, + - * / ^ and brackets. Pure.

Functions are refused by name.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import datetime

Series = Mapping[datetime, float]


class Refused(Exception):
    """An expression that is not arithmetic, or names an id that does not exist."""


def evaluate(text: str, series: Mapping[str, Series]) -> dict[datetime, float]:
    """Evaluate a metric math expression; return its values by time.

    `series` has the metrics by Id. The values are at the timestamps that all parts of the
    expression have. A division by zero gives no datapoint.
    """
    try:
        tree = ast.parse(text.replace("^", "**").strip(), mode="eval")
    except SyntaxError as error:
        raise Refused(f"the expression '{text}' cannot be read: {error.msg}") from error
    result = _walk(tree.body, series, text)
    if not isinstance(result, dict):
        raise Refused(f"the expression '{text}' has no metric in it")
    return result


def _walk(node: ast.expr, series: Mapping[str, Series], text: str) -> dict[datetime, float] | float:
    """Evaluate a node of a metric math expression: a series by time, or a number.

    `series` has the metrics by Id; `text` is the whole expression, for errors.
    """
    match node:
        case ast.Name(id=name) if name in series:
            return dict(series[name])
        case ast.Name(id=name):
            raise Refused(
                f"the expression '{text}' refers to '{name}', which is the Id of no other query"
            )
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combine(ast.Mult(), -1.0, _walk(operand, series, text))
        case ast.BinOp(
            left=left,
            op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow() as op,
            right=right,
        ):
            return _combine(op, _walk(left, series, text), _walk(right, series, text))
    what = (
        node.func.id + "()"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        else ast.unparse(node)
    )
    raise Refused(
        f"the local stack computes + - * / ^ of metrics and numbers; '{what}' in '{text}' is "
        "not there"
    )


def _combine(
    op: ast.operator, left: dict[datetime, float] | float, right: dict[datetime, float] | float
) -> dict[datetime, float] | float:
    """Apply a metric math operator to two series, or to a series and a number."""
    if not isinstance(left, dict) and not isinstance(right, dict):
        single = _apply(op, left, right)
        if single is None:
            raise Refused("a division by zero")
        return single
    moments = [set(side) for side in (left, right) if isinstance(side, dict)]
    out: dict[datetime, float] = {}
    for moment in sorted(set.intersection(*moments)):
        value = _apply(
            op,
            left[moment] if isinstance(left, dict) else left,
            right[moment] if isinstance(right, dict) else right,
        )
        if value is not None:
            out[moment] = value
    return out


def _apply(op: ast.operator, left: float, right: float) -> float | None:
    """Apply a metric math operator to two numbers; None for a division by zero."""
    try:
        match op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
        power = left**right
    except (ZeroDivisionError, OverflowError):
        return None
    return power if isinstance(power, float) else None
