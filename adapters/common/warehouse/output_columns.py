"""Names for all columns that a query of the neutral subset returns. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

_COLUMN = "isthmus_column_"


def named_outputs(tree: exp.Query, names: Sequence[str]) -> list[str]:
    """Return the names by which a query's output columns can be selected, in order.

    An output without a name gets an alias in the tree, as engines would name it differently
    (`_col0`, `f0_`). `names` are those that DuckDB gives the columns.
    """
    select_ = tree
    while isinstance(select_, exp.SetOperation):  # the first SELECT names a UNION's columns
        select_ = select_.left
    output_names = list(names)
    if not isinstance(select_, exp.Select):
        return output_names
    outputs = select_.expressions
    stars = [place for place, output in enumerate(outputs) if output.is_star]
    for place, output in enumerate(outputs):
        if output.is_star or _is_named(output) or (len(stars) > 1 and stars[0] < place < stars[-1]):
            continue
        index = place if not stars or place < stars[0] else len(names) - len(outputs) + place
        output_names[index] = f"{_COLUMN}{index}"
        output.replace(exp.alias_(output.copy(), output_names[index]))
    return output_names


def _is_named(output: exp.Expr) -> bool:
    """Return whether the query itself names an output column: by an alias, or as a column.

    sqlglot's output_name does not tell: it names `1` and `CAST(a AS DOUBLE)`, too, which no engine
    does.
    """
    return bool(output.alias) or isinstance(output, exp.Column | exp.Dot)
