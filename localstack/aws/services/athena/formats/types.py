"""Types by four names: Hive's in Glue, Arrow's in files, DuckDB's, and Athena's in results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import QueryFailed

if TYPE_CHECKING:
    import pyarrow as pa

_TOKENS = re.compile(r"[A-Za-z_$][\w$ ]*?(?=[<>(),:]|$)|\d+|[<>(),:]")
_ATHENA = {
    "VARCHAR": "varchar", "CHAR": "char", "BOOLEAN": "boolean", "TINYINT": "tinyint",
    "SMALLINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint", "HUGEINT": "bigint",
    "UBIGINT": "bigint", "UHUGEINT": "bigint", "UINTEGER": "bigint", "USMALLINT": "integer",
    "UTINYINT": "smallint", "FLOAT": "float", "DOUBLE": "double", "DATE": "date", "TIME": "time",
    "TIMESTAMP": "timestamp", "TIMESTAMP_MS": "timestamp", "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "BLOB": "varbinary", "JSON": "json", "UUID": "varchar", "INTERVAL": "interval day to second",
    "STRING_LITERAL": "varchar", "INTEGER_LITERAL": "integer",
}  # fmt: skip
_GLUE = {"varchar": "string", "integer": "int", "varbinary": "binary", "json": "string"}
_PRECISION = {
    "varchar": 2147483647, "boolean": 0, "tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19,
    "float": 17, "double": 17, "date": 0, "timestamp": 3, "timestamp with time zone": 3, "time": 3,
    "varbinary": 1073741824,
}  # fmt: skip


def athena(duck: str) -> str:
    """Translate the name of a DuckDB type into the one that GetQueryResults has."""
    if duck.endswith("]"):
        return "array"
    head = re.match(r"[A-Z_ ]+", duck)
    word = (head.group() if head else duck).strip()
    if word in ("DECIMAL", "MAP"):
        return word.lower()
    if word in ("STRUCT", "TUPLE", "ROW"):
        return "row"
    return _ATHENA.get(duck, _ATHENA.get(word, "unknown"))


def precision(duck: str) -> tuple[int, int]:
    """Return the precision and the scale of a DuckDB type, as GetQueryResults has them."""
    match = re.fullmatch(r"(?:DECIMAL|VARCHAR|CHAR|TIME)\((\d+)(?:,\s*(\d+))?\)", duck)
    return (
        (int(match.group(1)), int(match.group(2) or 0))
        if match
        else (_PRECISION.get(athena(duck), 0), 0)
    )


def glue(duck: str) -> str:
    """Translate a DuckDB type into the Glue type of a table made by CREATE TABLE AS.

    Raises:
        ValueError: A table cannot have such a type.
    """
    if duck.endswith("]"):
        return f"array<{glue(duck[: duck.rindex('[')])}>"
    if duck.startswith("MAP("):
        return f"map<{','.join(glue(part) for part in _parts(duck[4:-1]))}>"
    if duck.startswith(("STRUCT(", "TUPLE(")):
        fields = [part.partition(" ") for part in _parts(duck[7:-1])]
        return (
            "struct<"
            + ",".join(f"{name.strip(chr(34))}:{glue(kind.strip())}" for name, _, kind in fields)
            + ">"
        )
    if duck.startswith(("DECIMAL", "VARCHAR(", "CHAR(")):
        return duck.lower().replace(" ", "")
    name = athena(duck)
    if name in ("unknown", "time", "interval day to second", "timestamp with time zone"):
        raise ValueError(name)
    return _GLUE.get(name, name)


def duckdb(kind: str) -> str:
    """Translate the name of a Hive type into DuckDB's."""
    return _duck(arrow(kind))


def _duck(kind: pa.DataType) -> str:
    """Return the name of an Arrow type in DuckDB."""
    import pyarrow.types as t

    if t.is_list(kind):
        return _duck(kind.value_type) + "[]"
    if t.is_map(kind):
        return f"MAP({_duck(kind.key_type)}, {_duck(kind.item_type)})"
    if t.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {_duck(field.type)}' for field in kind) + ")"
    if t.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    names = {
        "string": "VARCHAR", "bool": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT",
        "int32": "INTEGER", "int64": "BIGINT", "float": "FLOAT", "double": "DOUBLE",
        "date32[day]": "DATE", "binary": "BLOB",
    }  # fmt: skip
    return names.get(str(kind), "TIMESTAMP")


def arrow(kind: str) -> pa.DataType:
    """Parse the name of a Hive type into an Arrow type.

    Raises:
        QueryFailed: It is none of Hive's (HIVE_INVALID_METADATA).
    """
    tokens = [token.strip() for token in _TOKENS.findall(kind.strip())]
    words = iter(tokens)
    try:
        parsed, rest = _read(words, next(words))
    except (StopIteration, KeyError, ValueError) as error:
        raise QueryFailed("HIVE_INVALID_METADATA", f"type '{kind}' is not one of Hive's") from error
    if rest is not None:
        raise QueryFailed("HIVE_INVALID_METADATA", f"type '{kind}' is not one of Hive's")
    return parsed


def _read(words: Iterator[str], name: str) -> tuple[pa.DataType, str | None]:
    """Parse one Hive type from its tokens; return its Arrow type and the token after it.

    `name` is the type's first token, and `words` yields those after it.
    """
    import pyarrow as pa

    name = name.lower()
    plain: dict[str, pa.DataType] = {
        "string": pa.string(), "varchar": pa.string(), "char": pa.string(), "boolean": pa.bool_(),
        "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "integer": pa.int32(),
        "bigint": pa.int64(), "float": pa.float32(), "real": pa.float32(), "double": pa.float64(),
        "date": pa.date32(), "timestamp": pa.timestamp("us"), "binary": pa.binary(),
        "varbinary": pa.binary(),
    }  # fmt: skip
    if name == "array":
        _expect(words, "<")
        inner, after = _read(words, next(words))
        _equal(after, ">")
        return pa.list_(inner), next(words, None)
    if name == "map":
        _expect(words, "<")
        key, after = _read(words, next(words))
        _equal(after, ",")
        value, after = _read(words, next(words))
        _equal(after, ">")
        return pa.map_(key, value), next(words, None)
    if name == "struct":
        _expect(words, "<")
        fields, after = [], ","
        while after == ",":
            field = next(words)
            _expect(words, ":")
            inner, token = _read(words, next(words))
            fields.append(pa.field(field, inner))
            after = token or ""
        _equal(after, ">")
        return pa.struct(fields), next(words, None)
    if name == "decimal":
        after_name = next(words, None)
        if after_name != "(":
            return pa.decimal128(10, 0), after_name
        digits = int(next(words))
        after_digits = next(words)
        scale = int(next(words)) if after_digits == "," else 0
        if after_digits == ",":
            _expect(words, ")")
        return pa.decimal128(digits, scale), next(words, None)
    after_name = next(words, None)
    if name in ("varchar", "char") and after_name == "(":
        next(words)
        _expect(words, ")")
        after_name = next(words, None)
    return plain[name], after_name


def _expect(words: Iterator[str], expected: str) -> None:
    """Take the next token of a type's name; raise ValueError if it is another one."""
    _equal(next(words), expected)


def _equal(token: str | None, expected: str) -> None:
    """Raise ValueError if a token of a type's name is not the expected one."""
    if token != expected:
        raise ValueError(token)


def _parts(text: str) -> list[str]:
    """Split the members of a DuckDB type at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += letter in "(<["
        depth -= letter in ")>]"
        if letter == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]
