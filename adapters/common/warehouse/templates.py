"""Functions of neutral SQL written for a cloud by templates, with one meaning on every target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import sqlglot
from sqlglot import exp

from .duckdb_functions import LARGEST_EXPONENT
from .letters import both_sides

# What is no finite number is NULL.
DOMAINS: dict[type[exp.Expr], str] = {
    exp.Ln: "LN(CASE WHEN x > 0 THEN x END)",
    exp.Exp: f"EXP(CASE WHEN x <= {LARGEST_EXPONENT}E0 THEN x END)",
    exp.Sqrt: "SQRT(CASE WHEN x >= 0 THEN x END)",
}


def within_domain(node: exp.Expr) -> exp.Expr:
    """Return a function such as LN that gives NULL where its argument is outside of its domain."""
    return filled(DOMAINS[type(node)], {"x": node.this})


def in_case(node: exp.Expr, letters: dict[str, str]) -> exp.Expr:
    """Return LOWER or UPPER as TRANSLATE of those letters that map to exactly one letter."""
    return exp.Anonymous(
        this="TRANSLATE",
        expressions=[_bare(node.this), *map(exp.Literal.string, both_sides(letters))],
    )


def ratio(node: exp.Expr) -> exp.Expr:
    """Return an SQL division that is NULL where its divisor is 0."""
    divisor = node.args["expression"]
    if not (isinstance(divisor, exp.Literal) and float(divisor.name)):
        zero = exp.Literal.number(0)
        node.set("expression", exp.Nullif(this=_bare(divisor), expression=zero))
    return node


def filled(template: str, parts: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return a template in BigQuery's SQL as a syntax tree, with its names replaced by `parts`.

    Trees have no dialect: another one can be written of them.
    """
    tree = _parsed(template).copy()
    for column in list(tree.find_all(exp.Column)):
        value = _bare(parts[column.name]).copy()
        enclosed = isinstance(value, exp.Column | exp.Literal | exp.Func | exp.Subquery)
        column.replace(value if enclosed else exp.Paren(this=value))
    return tree


def _bare(node: exp.Expr) -> exp.Expr:
    """Return an SQL expression without the parentheses around it."""
    return node.this if isinstance(node, exp.Paren) else node


@cache
def _parsed(template: str) -> exp.Expr:
    """Parse a template in BigQuery's SQL to a syntax tree."""
    return sqlglot.parse_one(template, read="bigquery")
