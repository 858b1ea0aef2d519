"""Write functions of STRING, and regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import literals
from .translator import SqlTranslator, arguments
from .type_kinds import STRING, type_kind

_SPACE = (
    r"' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(133) || chr(160) || "
    r"chr(8232) || chr(8233)"
)


def _concat(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for CONCAT in a GoogleSQL query."""
    return f"({' || '.join(arguments(t, node))})"


def _length(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for LENGTH of GoogleSQL: characters of a text, bytes of BYTES."""
    function = "length" if type_kind(node) == STRING else "octet_length"
    return f"CAST({function}({arguments(t, node)[0]}) AS BIGINT)"


def _substr(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for SUBSTR in a GoogleSQL query."""
    if type_kind(node) != STRING:
        raise not_run("SUBSTR of BYTES")
    value, start, *size = arguments(t, node)
    begin = f"CASE WHEN {start} = 0 OR {start} < - length({value}) THEN 1 ELSE {start} END"
    if not size:
        return f"substring({value}, {begin})"
    wrong = "error('Third argument in SUBSTR() cannot be negative')"
    return f"CASE WHEN {size[0]} < 0 THEN {wrong} ELSE substring({value}, {begin}, {size[0]}) END"


def _trim(name: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates TRIM, LTRIM or RTRIM into DuckDB SQL."""

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        if type_kind(node) != STRING:
            raise not_run(f"{name.upper()} of BYTES")
        value, *characters = arguments(t, node)
        return f"{name}({value}, {characters[0] if characters else _SPACE})"

    return write


def _replace(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for REPLACE in a GoogleSQL query."""
    value, pattern, new = arguments(t, node)
    if type_kind(node) != STRING:
        raise not_run("REPLACE of BYTES")
    return f"CASE WHEN {pattern} = '' THEN {value} ELSE replace({value}, {pattern}, {new}) END"


def _translate(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for TRANSLATE of a STRING in a GoogleSQL query."""
    _, *letters = node.argument_list
    if type_kind(node) != STRING or any(text.kind != "literal" for text in letters):
        raise not_run("TRANSLATE of BYTES, or with letters that are not literals")
    old = letters[0].value.value.string_value
    if len(set(old)) != len(old):
        raise not_run("TRANSLATE of a letter that is named twice")  # an error there
    return f"translate({', '.join(arguments(t, node))})"


def _pattern(node: ResolvedNode, name: str) -> tuple[str, int]:
    """Return the literal regular expression of a call as SQL text, and its number of groups.

    `name` is the called function, for errors.
    """
    argument = node.argument_list[1]
    if argument.kind != "literal" or type_kind(node) != STRING:
        raise not_run(f"{name} with a pattern that is not a literal")
    text = argument.value.value.string_value
    try:
        return literals.text(text), re.compile(text).groups
    except re.error as error:
        raise not_run(f"{name} with this pattern") from error


def _regexp_extract(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for REGEXP_EXTRACT in a GoogleSQL query."""
    if len(node.argument_list) != 2:
        raise not_run("REGEXP_EXTRACT with a position")
    pattern, groups = _pattern(node, "REGEXP_EXTRACT")
    if groups > 1:
        raise not_run("REGEXP_EXTRACT with several groups")
    value = arguments(t, node)[0]
    return (
        f"CASE WHEN regexp_matches({value}, {pattern}) THEN regexp_extract({value}, {pattern}, "
        f"{groups}) END"
    )


def _regexp_extract_all(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for REGEXP_EXTRACT_ALL in a GoogleSQL query."""
    pattern, groups = _pattern(node, "REGEXP_EXTRACT_ALL")
    if groups > 1:
        raise not_run("REGEXP_EXTRACT_ALL with several groups")
    return f"regexp_extract_all({arguments(t, node)[0]}, {pattern}, {groups})"


def _regexp_replace(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for REGEXP_REPLACE in a GoogleSQL query."""
    pattern, _ = _pattern(node, "REGEXP_REPLACE")
    value, _, new = arguments(t, node)
    return f"regexp_replace({value}, {pattern}, {new}, 'g')"


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    "concat": _concat,
    "$concat_op": _concat,
    "length": _length,
    "substr": _substr,
    "trim": _trim("trim"),
    "ltrim": _trim("ltrim"),
    "rtrim": _trim("rtrim"),
    "replace": _replace,
    "translate": _translate,
    "regexp_extract": _regexp_extract,
    "regexp_extract_all": _regexp_extract_all,
    "regexp_replace": _regexp_replace,
}
