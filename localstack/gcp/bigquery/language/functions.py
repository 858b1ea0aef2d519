"""Scalar functions: the list of those that DuckDB runs as BigQuery does. {0} is the first argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..errors import not_run
from ..resolved import Node
from ..types import duckdb_type
from ..values import field_of
from . import dates, json_functions, literals
from .context import Translator

_INT64, _BOOL, _FLOAT, _STRING, _BYTES, _ARRAY, _STRUCT, _NUMERIC, _BIGNUMERIC = 2, 5, 7, 8, 9, 16, 17, 23, 24
_SPACE = r"' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(133) || chr(160) || chr(8232) || chr(8233)"

# name -> SQL, whatever the types that the analyzer lets through.
_TEMPLATES: Mapping[str, str] = {
    "$not": "(NOT {0})",
    "$is_null": "({0} IS NULL)",
    "$is_true": "({0} IS TRUE)",
    "$is_false": "({0} IS FALSE)",
    "if": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "ifnull": "coalesce({0}, {1})",
    "nullif": "nullif({0}, {1})",
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
_TEXT = ("lower", "upper", "starts_with", "ends_with", "strpos", "split", "regexp_contains", "byte_length", "char_length")
_WHOLE = ("div", "mod", "$bitwise_and", "$bitwise_or", "$bitwise_xor", "$bitwise_not")
_ONLY: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_TEXT, (_STRING,)),
    **dict.fromkeys(_WHOLE, (_INT64,)),
    **dict.fromkeys(("reverse", "array_to_string"), (_STRING, _ARRAY)),
    "$unary_minus": (_INT64, _FLOAT, _NUMERIC),
    "nullif": (_INT64, _STRING, _BOOL, _NUMERIC, _BYTES, 10, 19, 20, 21),
}
_SAFE = ("exp", "ln", "log10", "pow", "sqrt")  # whose SAFE. is null where they fail, and there only
_ARITY = {"split": 2, "array_to_string": 2}


def call(t: Translator, node: Node) -> str:
    name = node.function.name.removeprefix("ZetaSQL:")
    if node.error_mode and name not in _SAFE:
        raise not_run(f"SAFE.{name.upper()}")
    if "generic_argument_list" in node:
        raise not_run(f"{name.upper()} with a lambda or named arguments")
    special = _SPECIAL.get(name) or dates.FUNCTIONS.get(name) or json_functions.FUNCTIONS.get(name)
    if special is not None:
        return special(t, node)
    kinds = _ONLY.get(name)
    if (
        name not in _TEMPLATES
        or (kinds and kind(node) not in kinds)
        or len(node.argument_list) != _ARITY.get(name, len(node.argument_list))
    ):
        raise not_run(_words(name))
    return _TEMPLATES[name].format(*arguments(t, node))


def _words(name: str) -> str:
    return f"the function {name.upper()}" if not name.startswith("$") else f"the operator {name.removeprefix('$').replace('_', ' ')}"


def arguments(t: Translator, node: Node) -> list[str]:
    return [t.expression(argument) for argument in node.argument_list]


def kind(node: Node, place: int = 0) -> int:
    """TypeKind of an argument."""
    if place >= len(node.argument_list):
        return 0
    answer: int = node.argument_list[place].type.type_kind
    return answer


def _joined(word: str) -> Callable[[Translator, Node], str]:
    return lambda t, node: f"({f' {word} '.join(arguments(t, node))})"


def compared(operator: str, left: str, right: str, type_kind: int) -> str:
    """NaN equals nothing in GoogleSQL, and is the greatest number in DuckDB."""
    if type_kind in (_STRUCT, _ARRAY):
        raise not_run("comparing STRUCT or ARRAY")
    if type_kind != _FLOAT:
        return f"({left} {operator} {right})"
    if operator == "<>":
        return f"({left} <> {right} OR (isnan({left}) AND {right} IS NOT NULL))"
    other = right if operator in ("<", "<=") else left
    return f"({left} {operator} {right} AND NOT isnan({other}))"


def _comparison(operator: str) -> Callable[[Translator, Node], str]:
    def write(t: Translator, node: Node) -> str:
        left, right = arguments(t, node)
        return compared(operator, left, right, kind(node))

    return write


def _between(t: Translator, node: Node) -> str:
    value, low, high = arguments(t, node)
    return f"({compared('>=', value, low, kind(node))} AND {compared('<=', value, high, kind(node))})"


def _in(t: Translator, node: Node) -> str:
    value, *others = arguments(t, node)
    if kind(node) in (_STRUCT, _ARRAY):
        raise not_run("IN of STRUCT or ARRAY")
    if kind(node) == _FLOAT:
        return f"({' OR '.join(compared('=', value, other, _FLOAT) for other in others)})"
    return f"({value} IN ({', '.join(others)}))"


def _in_array(t: Translator, node: Node) -> str:
    value, array = arguments(t, node)
    if kind(node) in (_FLOAT, _STRUCT, _ARRAY):
        raise not_run("IN UNNEST of FLOAT64 or STRUCT")
    unknown = f"{value} IS NULL OR list_has_any(list_transform({array}, lambda v: v IS NULL), [TRUE])"
    contains = f"list_contains({array}, {value})"
    return f"CASE WHEN len(coalesce({array}, [])) = 0 THEN FALSE WHEN {contains} THEN TRUE WHEN {unknown} THEN NULL ELSE FALSE END"


def _distinct(word: str) -> Callable[[Translator, Node], str]:
    def write(t: Translator, node: Node) -> str:
        left, right = arguments(t, node)
        return f"({left} {word} {right})"

    return write


def _like(t: Translator, node: Node) -> str:
    if kind(node) != _STRING:
        raise not_run("LIKE of BYTES")
    value, pattern = arguments(t, node)
    return f"({value} LIKE {pattern} ESCAPE '\\')"


def _case(t: Translator, node: Node) -> str:
    parts = arguments(t, node)
    whens = "".join(f" WHEN {condition} THEN {value}" for condition, value in zip(parts[0:-1:2], parts[1::2], strict=False))
    return f"CASE{whens} ELSE {parts[-1] if len(parts) % 2 else 'NULL'} END"


def _case_value(t: Translator, node: Node) -> str:
    value, *parts = arguments(t, node)
    pairs = zip(parts[0:-1:2], parts[1::2], strict=False)
    whens = "".join(f" WHEN {compared('=', value, other, kind(node))} THEN {result}" for other, result in pairs)
    return f"CASE{whens} ELSE {parts[-1] if len(parts) % 2 else 'NULL'} END"


def _coalesce(t: Translator, node: Node) -> str:
    return f"coalesce({', '.join(arguments(t, node))})"


def _arithmetic(operator: str) -> Callable[[Translator, Node], str]:
    def write(t: Translator, node: Node) -> str:
        first, second = kind(node), kind(node, 1)
        if first != second or first not in (_INT64, _FLOAT, _NUMERIC):
            return dates.arithmetic(t, node, operator)
        left, right = arguments(t, node)
        return f"CAST({left} {operator} {right} AS {duckdb_type(field_of(node.type))})"

    return write


def _divide(t: Translator, node: Node) -> str:
    left, right = arguments(t, node)
    _floats(node, "/")
    return f"CASE WHEN {right} = 0 THEN error('division by zero: ' || {left} || ' / ' || {right}) ELSE {left} / {right} END"


def _safe_divide(t: Translator, node: Node) -> str:
    left, right = arguments(t, node)
    _floats(node, "SAFE_DIVIDE")
    return f"CASE WHEN {right} = 0 THEN NULL ELSE {left} / {right} END"


def _ieee_divide(t: Translator, node: Node) -> str:
    left, right = arguments(t, node)
    return f"({left} / {right})"


def _floats(node: Node, name: str) -> None:
    if kind(node) != _FLOAT:
        raise not_run(f"{name} of NUMERIC")


def _domain(sql: str, condition: str, name: str) -> Callable[[Translator, Node], str]:
    """A function of FLOAT64 that fails outside of its domain. The reference implementation words it."""

    def write(t: Translator, node: Node) -> str:
        values = arguments(t, node)
        if kind(node) != _FLOAT or len(values) != 1 + sql.count("{1}"):
            raise not_run(f"{name} of this type")
        outside = "NULL" if node.error_mode else f"error('Floating point error in function: {name}')"
        return f"CASE WHEN {condition.format(*values)} THEN {outside} ELSE {sql.format(*values)} END"

    return write


def _rounded(name: str) -> Callable[[Translator, Node], str]:
    """Away from zero at halves; to digits as Google where the number has some to spare."""

    def write(t: Translator, node: Node) -> str:
        values = arguments(t, node)
        if name == "round" and len(values) == 2 and kind(node) == _FLOAT:
            value, digits = values
            fits = f"abs({value}) < 1e12 AND {digits} BETWEEN 0 AND 3 OR {value} IS NULL"
            return f"CASE WHEN {fits} THEN round({value}, CAST({digits} AS INTEGER)) ELSE error('NOT RUN: ROUND of large numbers') END"
        if len(values) != 1 or kind(node) != _FLOAT:
            raise not_run(f"{name.upper()} of NUMERIC, or to a number of digits")
        return f"{name}({values[0]})"

    return write


def _sign(t: Translator, node: Node) -> str:
    (value,) = arguments(t, node)
    if kind(node) == _FLOAT:
        return f"CASE WHEN isnan({value}) THEN {value} ELSE CAST(sign({value}) AS DOUBLE) END"
    if kind(node) != _INT64:
        raise not_run("SIGN of this type")
    return f"CAST(sign({value}) AS BIGINT)"


def _abs(t: Translator, node: Node) -> str:
    if kind(node) not in (_INT64, _FLOAT, _NUMERIC):
        raise not_run("ABS of this type")
    return f"abs({arguments(t, node)[0]})"


def _extreme(name: str) -> Callable[[Translator, Node], str]:
    """NULL where one argument is."""

    def write(t: Translator, node: Node) -> str:
        if kind(node) in (_FLOAT, _STRUCT, _ARRAY):
            raise not_run(f"{name.upper()} of FLOAT64")
        values = arguments(t, node)
        return f"CASE WHEN {' OR '.join(f'{value} IS NULL' for value in values)} THEN NULL ELSE {name}({', '.join(values)}) END"

    return write


def _concat(t: Translator, node: Node) -> str:
    return f"({' || '.join(arguments(t, node))})"


def _length(t: Translator, node: Node) -> str:
    function = "length" if kind(node) == _STRING else "octet_length"
    return f"CAST({function}({arguments(t, node)[0]}) AS BIGINT)"


def _substr(t: Translator, node: Node) -> str:
    if kind(node) != _STRING:
        raise not_run("SUBSTR of BYTES")
    value, start, *size = arguments(t, node)
    begin = f"CASE WHEN {start} = 0 OR {start} < - length({value}) THEN 1 ELSE {start} END"
    if not size:
        return f"substring({value}, {begin})"
    wrong = "error('Third argument in SUBSTR() cannot be negative')"
    return f"CASE WHEN {size[0]} < 0 THEN {wrong} ELSE substring({value}, {begin}, {size[0]}) END"


def _trim(name: str) -> Callable[[Translator, Node], str]:
    def write(t: Translator, node: Node) -> str:
        if kind(node) != _STRING:
            raise not_run(f"{name.upper()} of BYTES")
        value, *characters = arguments(t, node)
        return f"{name}({value}, {characters[0] if characters else _SPACE})"

    return write


def _replace(t: Translator, node: Node) -> str:
    value, pattern, new = arguments(t, node)
    if kind(node) != _STRING:
        raise not_run("REPLACE of BYTES")
    return f"CASE WHEN {pattern} = '' THEN {value} ELSE replace({value}, {pattern}, {new}) END"


def _pattern(node: Node, name: str) -> tuple[str, int]:
    """A pattern that is known beforehand, and its number of groups."""
    argument = node.argument_list[1]
    if argument.kind != "literal" or kind(node) != _STRING:
        raise not_run(f"{name} with a pattern that is not a literal")
    text = argument.value.value.string_value
    try:
        return literals.text(text), re.compile(text).groups
    except re.error as error:
        raise not_run(f"{name} with this pattern") from error


def _regexp_extract(t: Translator, node: Node) -> str:
    if len(node.argument_list) != 2:
        raise not_run("REGEXP_EXTRACT with a position")
    pattern, groups = _pattern(node, "REGEXP_EXTRACT")
    if groups > 1:
        raise not_run("REGEXP_EXTRACT with several groups")
    value = arguments(t, node)[0]
    return f"CASE WHEN regexp_matches({value}, {pattern}) THEN regexp_extract({value}, {pattern}, {groups}) END"


def _regexp_extract_all(t: Translator, node: Node) -> str:
    pattern, groups = _pattern(node, "REGEXP_EXTRACT_ALL")
    if groups > 1:
        raise not_run("REGEXP_EXTRACT_ALL with several groups")
    return f"regexp_extract_all({arguments(t, node)[0]}, {pattern}, {groups})"


def _regexp_replace(t: Translator, node: Node) -> str:
    pattern, _ = _pattern(node, "REGEXP_REPLACE")
    value, _, new = arguments(t, node)
    return f"regexp_replace({value}, {pattern}, {new}, 'g')"


def _array(t: Translator, node: Node) -> str:
    return f"CAST([{', '.join(arguments(t, node))}] AS {duckdb_type(field_of(node.type))})"


def _element(shift: int, *, safe: bool) -> Callable[[Translator, Node], str]:
    def write(t: Translator, node: Node) -> str:
        array, place = arguments(t, node)
        index = f"{place} + {shift}" if shift else place
        outside = "NULL" if safe else f"error('Array index ' || {place} || ' is out of bounds')"
        return f"CASE WHEN {place} < {1 - shift} OR {index} > len({array}) THEN {outside} ELSE {array}[{index}] END"

    return write


def _array_concat(t: Translator, node: Node) -> str:
    values = arguments(t, node)
    unknown = " OR ".join(f"{value} IS NULL" for value in values)
    joined = " || ".join(values)
    return f"CASE WHEN {unknown} THEN NULL ELSE {joined} END"


def _generate_array(t: Translator, node: Node) -> str:
    if kind(node) != _INT64:
        raise not_run("GENERATE_ARRAY of this type")
    values = arguments(t, node)
    return f"generate_series({', '.join(values)})"


_SPECIAL: Mapping[str, Callable[[Translator, Node], str]] = {
    "$and": _joined("AND"),
    "$or": _joined("OR"),
    "$equal": _comparison("="),
    "$not_equal": _comparison("<>"),
    "$less": _comparison("<"),
    "$less_or_equal": _comparison("<="),
    "$greater": _comparison(">"),
    "$greater_or_equal": _comparison(">="),
    "$between": _between,
    "$in": _in,
    "$in_array": _in_array,
    "$is_distinct_from": _distinct("IS DISTINCT FROM"),
    "$is_not_distinct_from": _distinct("IS NOT DISTINCT FROM"),
    "$like": _like,
    "$case_no_value": _case,
    "$case_with_value": _case_value,
    "coalesce": _coalesce,
    "$add": _arithmetic("+"),
    "$subtract": _arithmetic("-"),
    "$multiply": _arithmetic("*"),
    "$divide": _divide,
    "safe_divide": _safe_divide,
    "ieee_divide": _ieee_divide,
    "sign": _sign,
    "exp": _domain("exp({0})", "isfinite({0}) AND isinf(exp({0}))", "EXP"),
    "pow": _domain("pow({0}, {1})", "isfinite({0}) AND isfinite({1}) AND NOT isfinite(pow({0}, {1}))", "POW"),
    "ln": _domain("ln({0})", "{0} <= 0", "LN"),
    "log10": _domain("log10({0})", "{0} <= 0", "LOG10"),
    "sqrt": _domain("sqrt({0})", "{0} < 0", "SQRT"),
    "round": _rounded("round"),
    "ceil": _rounded("ceil"),
    "floor": _rounded("floor"),
    "trunc": _rounded("trunc"),
    "abs": _abs,
    "greatest": _extreme("greatest"),
    "least": _extreme("least"),
    "concat": _concat,
    "$concat_op": _concat,
    "length": _length,
    "substr": _substr,
    "trim": _trim("trim"),
    "ltrim": _trim("ltrim"),
    "rtrim": _trim("rtrim"),
    "replace": _replace,
    "regexp_extract": _regexp_extract,
    "regexp_extract_all": _regexp_extract_all,
    "regexp_replace": _regexp_replace,
    "$make_array": _array,
    "$array_at_offset": _element(1, safe=False),
    "$array_at_ordinal": _element(0, safe=False),
    "$safe_array_at_offset": _element(1, safe=True),
    "$safe_array_at_ordinal": _element(0, safe=True),
    "array_concat": _array_concat,
    "generate_array": _generate_array,
}
