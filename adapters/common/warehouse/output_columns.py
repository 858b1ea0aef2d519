"""The columns that come out of a query of the neutral subset. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

_COLUMN = "isthmus_column_"


def named_outputs(tree: exp.Query, names: Sequence[str]) -> list[str]:
    """The names by which the query's outputs are known around it.

    One without a name of its own gets one, as engines call it differently: `_col0`, `f0_`.
    """
    select_ = tree
    while isinstance(select_, exp.SetOperation):  # the first SELECT names a UNION's columns
        select_ = select_.left
    known = list(names)
    if not isinstance(select_, exp.Select):
        return known
    outputs = select_.expressions
    stars = [place for place, output in enumerate(outputs) if output.is_star]
    for place, output in enumerate(outputs):
        if output.is_star or _is_named(output) or (len(stars) > 1 and stars[0] < place < stars[-1]):
            continue
        index = place if not stars or place < stars[0] else len(names) - len(outputs) + place
        known[index] = f"{_COLUMN}{index}"
        output.replace(exp.alias_(output.copy(), known[index]))
    return known


def _is_named(output: exp.Expr) -> bool:
    """By the query itself. sqlglot's output_name calls `1` and `CAST(a AS DOUBLE)` 1 and a; no
    engine does.
    """
    return bool(output.alias) or isinstance(output, exp.Column | exp.Dot)
