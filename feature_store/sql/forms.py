"""List the neutral subset: which sqlglot nodes and parts it has, and advice on common strangers.

A node or a part that is not listed is refused. A construct is listed when DuckDB, Athena (Trino)
and BigQuery all have it with one meaning, or when the adapters can render it so; rules that look
deeper are in rules.py.
"""

from __future__ import annotations

from sqlglot import exp

Node = type[exp.Expr]

_NOTHING: tuple[str, ...] = ()
_ONE = ("this",)
_TWO = ("this", "expression")

CLAUSES: dict[Node, tuple[str, ...]] = {
    exp.Select: (
        "expressions",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "windows",
        "order",
        "limit",
        "distinct",
        "with_",
    ),
    exp.Union: ("this", "expression", "distinct", "order", "limit", "with_"),
    exp.Subquery: ("this", "alias"),
    exp.With: ("expressions",),
    exp.CTE: ("this", "alias"),
    exp.From: _ONE,
    exp.Table: ("this", "alias"),
    exp.TableAlias: _ONE,
    exp.Join: ("this", "on", "kind", "side"),
    exp.Where: _ONE,
    exp.Group: ("expressions",),
    exp.Having: _ONE,
    exp.Order: ("expressions",),
    exp.Ordered: ("this", "desc", "nulls_first"),
    exp.Limit: ("expression",),
    exp.Distinct: ("expressions",),
    exp.Window: ("this", "partition_by", "order", "spec", "alias", "over"),
    exp.WindowSpec: ("kind", "start", "start_side", "end", "end_side"),
}

VALUES: dict[Node, tuple[str, ...]] = {
    exp.Alias: ("this", "alias"),
    exp.Column: ("this", "table"),
    exp.Identifier: ("this", "quoted"),
    exp.Star: _NOTHING,
    exp.Literal: ("this", "is_string"),
    exp.Boolean: _ONE,
    exp.Null: _NOTHING,
    exp.Placeholder: _ONE,
    exp.Paren: _ONE,
    exp.Var: _ONE,
    exp.Interval: ("this", "unit"),
    exp.DataType: ("this",),
    exp.Cast: ("this", "to"),
    exp.Case: ("this", "ifs", "default"),
    exp.If: ("this", "true", "false"),
}

OPERATORS: dict[Node, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            exp.And,
            exp.Or,
            exp.EQ,
            exp.NEQ,
            exp.GT,
            exp.GTE,
            exp.LT,
            exp.LTE,
            exp.NullSafeEQ,
            exp.NullSafeNEQ,
            exp.Is,
        ),
        _TWO,
    ),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Like), _TWO),
    exp.Div: (*_TWO, "typed", "safe"),
    exp.DPipe: (*_TWO, "safe"),
    exp.Not: _ONE,
    exp.Neg: _ONE,
    exp.Between: ("this", "low", "high"),
    exp.In: ("this", "expressions", "query"),
    exp.Exists: _ONE,
}

AGGREGATES: dict[Node, tuple[str, ...]] = {
    exp.Count: ("this", "big_int"),
    **dict.fromkeys(
        (exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Stddev, exp.StddevSamp, exp.Variance), _ONE
    ),
}

RANKING: dict[Node, tuple[str, ...]] = {  # of a window only, with an order and without a frame
    **dict.fromkeys((exp.RowNumber, exp.Rank, exp.DenseRank), _NOTHING),
    exp.Lag: ("this", "offset"),
    exp.Lead: ("this", "offset"),
}

NAVIGATION: dict[Node, tuple[str, ...]] = {
    exp.FirstValue: _ONE,
    exp.LastValue: _ONE,
}  # of a window only, with an order

FUNCTIONS: dict[Node, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            exp.Abs,
            exp.Sign,
            exp.Floor,
            exp.Ceil,
            exp.Ln,
            exp.Exp,
            exp.Sqrt,
            exp.Lower,
            exp.Upper,
            exp.Length,
        ),
        _ONE,
    ),
    exp.Pow: _TWO,
    exp.Round: ("this", "decimals"),
    exp.Coalesce: ("this", "expressions"),
    exp.Nullif: _TWO,
    exp.Substring: ("this", "start", "length"),
    exp.Replace: ("this", "expression", "replacement"),
    exp.StartsWith: _TWO,
    exp.TimestampTrunc: ("this", "unit"),
    exp.Extract: _TWO,
    exp.DateDiff: ("this", "expression", "unit", "date_part_boundary"),
}

FORMS: dict[Node, tuple[str, ...]] = {
    **CLAUSES,
    **VALUES,
    **OPERATORS,
    **AGGREGATES,
    **RANKING,
    **NAVIGATION,
    **FUNCTIONS,
}

_CLOCK = "its answer changes from run to run, so the same view would have different rows"
_NULLS = "DuckDB skips nulls here and the clouds answer null"
_NESTED = "columns are bool, int64, float64, string or timestamp on every target"

# what a node that is not in the subset is called, and why it is not: what to write instead
STRANGERS: dict[Node, tuple[str, str]] = {
    exp.TimeToUnix: (
        "epoch()",
        "BigQuery has none; date_diff('millisecond', a, b) measures a time span",
    ),
    exp.UnixToTime: (
        "epoch_ms()",
        "it means the opposite on Athena; date_diff('millisecond', a, b) measures a time span",
    ),
    exp.PercentileCont: ("percentile_cont()", "Athena has none; use avg, min or max"),
    exp.Quantile: ("quantile()", "the clouds only estimate it; use avg, min or max"),
    exp.Median: ("median()", "the clouds only estimate it; use avg, min or max"),
    exp.Rand: ("random()", _CLOCK),
    exp.Uuid: ("uuid()", _CLOCK),
    exp.CurrentTimestamp: ("the current time", f"{_CLOCK}; use a column's time"),
    exp.CurrentDate: ("the current date", f"{_CLOCK}; use a column's time"),
    exp.CurrentTime: ("the current time", f"{_CLOCK}; use a column's time"),
    exp.Localtimestamp: ("the current time", f"{_CLOCK}; use a column's time"),
    exp.Greatest: ("greatest()", f"{_NULLS}; write CASE WHEN"),
    exp.Least: ("least()", f"{_NULLS}; write CASE WHEN"),
    exp.Concat: ("concat()", f"{_NULLS}; write a || b, with coalesce where a null may come"),
    exp.ConcatWs: (
        "concat_ws()",
        f"{_NULLS}; write a || '|' || b, with coalesce where a null may come",
    ),
    exp.Log: ("log()", "its base is 10 in DuckDB and e in BigQuery; use ln(x), or ln(x) / ln(10)"),
    exp.Trim: (
        "trim()",
        "DuckDB removes spaces, the clouds all white space; use replace(), or trim in sources/",
    ),
    exp.MD5: (
        "md5()",
        (
            "it takes text in DuckDB and bytes in Athena; hash in sources/, where DuckDB runs "
            "everywhere"
        ),
    ),
    exp.IntDiv: ("the operator //", "it rounds differently on the clouds; write floor(a / b)"),
    exp.ILike: ("ILIKE", "the clouds have none; write lower(a) LIKE 'b%'"),
    exp.TryCast: (
        "TRY_CAST",
        "what fails to convert differs between engines; clean the value in sources/",
    ),
    exp.Filter: ("FILTER (WHERE ...)", "BigQuery has none; write sum(CASE WHEN ... THEN x END)"),
    exp.IgnoreNulls: (
        "IGNORE NULLS",
        "it is written in different places and any_value() picks any row; use min, max or a CASE",
    ),
    exp.Array: ("a list", _NESTED),
    exp.List: ("a list", _NESTED),
    exp.ArrayAgg: ("a list", _NESTED),
    exp.Struct: ("a struct", _NESTED),
    exp.Map: ("a map", _NESTED),
    exp.Bracket: ("[...]", _NESTED),
    exp.Tuple: (
        "a row of values (a, b)",
        "the clouds have other rules for it; compare column by column",
    ),
    exp.AtTimeZone: ("AT TIME ZONE", "timestamps are plain UTC here"),
    exp.Rollup: ("ROLLUP", "write one SELECT per level and UNION ALL"),
    exp.Cube: ("CUBE", "write one SELECT per level and UNION ALL"),
    exp.Lateral: (
        "LATERAL",
        "the clouds have no such join; use a window or a subquery with GROUP BY",
    ),
    exp.Intersect: ("INTERSECT", "write EXISTS"),
    exp.Except: ("EXCEPT", "write NOT EXISTS"),
    exp.Values: ("VALUES", "put the rows into a file under `tables` of project.yaml"),
    exp.Columns: ("COLUMNS(...)", "name the columns"),
    exp.ByteString: ("E'...'", "write the text as it is, in plain quotes"),
}

# the same for a part of a node that is in the subset
PARTS: dict[tuple[Node, str], tuple[str, str]] = {
    (exp.Select, "qualify"): (
        "QUALIFY",
        "Athena has none; filter the window's column in an outer SELECT",
    ),
    (exp.Select, "offset"): ("OFFSET", "rows have no order of their own; filter instead"),
    (exp.Select, "sample"): ("SAMPLE", _CLOCK),
    (exp.Table, "sample"): ("TABLESAMPLE", _CLOCK),
    (exp.Table, "db"): (
        "a name with a schema",
        "write the relation's name alone: each target knows where it keeps it",
    ),
    (exp.Table, "joins"): ("a join in parentheses", "write the joins one after the other"),
    (exp.TableAlias, "columns"): (
        "an alias with a column list",
        "BigQuery has none; name the columns in the SELECT, with AS",
    ),
    (exp.Order, "this"): ("ORDER BY inside an aggregate", "not on every target; use a window"),
    (exp.Max, "count"): ("max() of several", "use a window with row_number()"),
    (exp.Min, "count"): ("min() of several", "use a window with row_number()"),
    (exp.Group, "all"): ("GROUP BY ALL", "the clouds' references have none; name the columns"),
    (exp.Union, "by_name"): (
        "UNION ALL BY NAME",
        "Athena has none; name the columns in one order on both sides",
    ),
    (exp.With, "recursive"): ("WITH RECURSIVE", "not on every target"),
    (exp.CTE, "materialized"): ("AS MATERIALIZED", "not on every target; leave it out"),
    (exp.Distinct, "on"): ("DISTINCT ON", "the clouds have none; use row_number() in a subquery"),
    (exp.Star, "except_"): ("* EXCLUDE", "Athena has none; name the columns"),
    (exp.Star, "replace"): ("* REPLACE", "Athena has none; name the columns"),
    (exp.Star, "rename"): ("* RENAME", "the clouds have none; name the columns"),
    (exp.Join, "using"): (
        "JOIN USING",
        "Athena then refuses the column's qualified name; write ON a.x = b.x",
    ),
    (exp.WindowSpec, "exclude"): ("EXCLUDE in a window", "the clouds have none"),
    (exp.Limit, "limit_options"): ("LIMIT %", "the clouds have none"),
    (exp.Column, "db"): (
        "a column's name with a schema",
        "qualify it with the relation's name or alias alone",
    ),
    (exp.Count, "expressions"): ("count of several columns", "count one"),
    (exp.Lag, "default"): ("a default in lag()", "write coalesce(lag(x) OVER ..., default)"),
    (exp.Lead, "default"): ("a default in lead()", "write coalesce(lead(x) OVER ..., default)"),
}
