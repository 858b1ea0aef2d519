"""Write scalar functions: those that DuckDB runs as BigQuery does.

In templates {0} is the first argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import arrays, conditions, dates, json_functions, numbers, strings
from .translator import SqlTranslator, arguments
from .type_kinds import (
    ARRAY,
    FLOAT,
    INT64,
    NUMERIC,
    STRING,
    type_kind,
)

# name -> SQL, whatever the types that the analyzer lets through.
_TEMPLATES: Mapping[str, str] = {
    "$not": "(NOT {0})",
    "$is_null": "({0} IS NULL)",
    "$is_true": "({0} IS TRUE)",
    "$is_false": "({0} IS FALSE)",
    "if": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "ifnull": "coalesce({0}, {1})",
    "$unary_minus": "(- {0})",
    "is_nan": "isnan({0})",
    "is_inf": "isinf({0})",
    "lower": "lower({0})",
    "upper": "upper({0})",
    "reverse": "reverse({0})",
    "starts_with": "starts_with({0}, {1})",
    "ends_with": "ends_with({0}, {1})",
    "strpos": "CAST(strpos({0}, {1}) AS BIGINT)",
    "to_hex": "lower(hex({0}))",
    "from_hex": "unhex({0})",
    "to_base64": "to_base64({0})",
    "from_base64": "from_base64({0})",
    "md5": "unhex(md5({0}))",
    "sha256": "unhex(sha256({0}))",
    "sha1": "unhex(sha1({0}))",
    "generate_uuid": "CAST(uuid() AS VARCHAR)",
    "rand": "random()",
    "error": "error({0})",
    "array_length": "CAST(len({0}) AS BIGINT)",
    "array_reverse": "list_reverse({0})",
    "regexp_contains": "regexp_matches({0}, {1})",
    "byte_length": "CAST(octet_length(encode({0})) AS BIGINT)",
    "char_length": "CAST(length({0}) AS BIGINT)",
    "code_points_to_string": "array_to_string(list_transform({0}, lambda v: chr(v::INTEGER)), '')",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "tan": "tan({0})",
    "atan": "atan({0})",
    "atan2": "atan2({0}, {1})",
    "div": "CASE WHEN {1} = 0 THEN error('division by zero: DIV') ELSE {0} // {1} END",
    "mod": "CASE WHEN {1} = 0 THEN error('division by zero: MOD') ELSE {0} % {1} END",
    "$bitwise_and": "({0} & {1})",
    "$bitwise_or": "({0} | {1})",
    "$bitwise_xor": "xor({0}, {1})",
    "$bitwise_not": "(~ {0})",
    "split": "string_split({0}, {1})",
    "array_to_string": "array_to_string({0}, {1})",
    "session_user": "'isthmus@example.iam.gserviceaccount.com'",
}
# Those of the list above that are so for these types of the first argument only.
_TEXT = (
    "lower",
    "upper",
    "starts_with",
    "ends_with",
    "strpos",
    "split",
    "regexp_contains",
    "byte_length",
    "char_length",
)
_WHOLE = ("div", "mod", "$bitwise_and", "$bitwise_or", "$bitwise_xor", "$bitwise_not")
_ONLY: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_TEXT, (STRING,)),
    **dict.fromkeys(_WHOLE, (INT64,)),
    **dict.fromkeys(("reverse", "array_to_string"), (STRING, ARRAY)),
    "$unary_minus": (INT64, FLOAT, NUMERIC),
}
_SAFE = ("exp", "ln", "log10", "pow", "sqrt")  # whose SAFE. is null where they fail, and there only
_ARITY = {"split": 2, "array_to_string": 2}

# name -> what writes it, where a template does not do.
_WRITTEN: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    **conditions.FUNCTIONS,
    **numbers.FUNCTIONS,
    **strings.FUNCTIONS,
    **arrays.FUNCTIONS,
    **dates.FUNCTIONS,
    **json_functions.FUNCTIONS,
}


def call(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a call of a scalar function or an operator in a GoogleSQL query."""
    name = node.function.name.removeprefix("ZetaSQL:")
    if node.error_mode and name not in _SAFE:
        raise not_run(f"SAFE.{name.upper()}")
    if "generic_argument_list" in node:
        raise not_run(f"{name.upper()} with a lambda or named arguments")
    if name in _WRITTEN:
        return _WRITTEN[name](t, node)
    kinds = _ONLY.get(name)
    if (
        name not in _TEMPLATES
        or (kinds and type_kind(node) not in kinds)
        or len(node.argument_list) != _ARITY.get(name, len(node.argument_list))
    ):
        raise not_run(_function_text(name))
    return _TEMPLATES[name].format(*arguments(t, node))


def _function_text(name: str) -> str:
    """Return the words by which an error message names a function or an operator."""
    return (
        f"the function {name.upper()}"
        if not name.startswith("$")
        else f"the operator {name.removeprefix('$').replace('_', ' ')}"
    )
