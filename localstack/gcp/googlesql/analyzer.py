"""Ask the analyzer, with language, tables and parameters, and list the tables of a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec

from .service import SqlRejected, service
from .types import encoded

__all__ = [
    "Constant",
    "Function",
    "Path",
    "SqlRejected",
    "Table",
    "analyzer_options",
    "catalog_of",
    "named_tables",
    "parsed",
]

Path: TypeAlias = tuple[
    str, ...
]  # a table's name as the statement writes it: `a.b`.c is ("a.b", "c")

_PRODUCT_EXTERNAL = 1  # what is sold, not what Google runs for itself
_ONE_LINE = 1  # an error ends in [at LINE:COLUMN]
_POSITIONAL = 1
_SCALAR = 1  # FunctionEnums.Mode
_TEMPLATE = "Templated_SQL_Function"  # the group of a function whose body is resolved at each call
_SET_DATA_TYPE = "FEATURE_ALTER_COLUMN_SET_DATA_TYPE"  # BigQuery has it, and it is not among "all"
_INLINE = "REWRITE_INLINE_SQL_FUNCTIONS"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a table: their names, and their types as text.

    `pseudo` is what `*` leaves out.
    """

    columns: Mapping[str, str]
    pseudo: Mapping[str, str] = {}


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function in SQL.

    `signature` is a serialized FunctionSignatureProto; `tables` are those that its body names.
    """

    arguments: tuple[str, ...]
    signature: bytes
    body: str
    tables: tuple[Path, ...] = ()


class Constant(msgspec.Struct, frozen=True, kw_only=True):
    """A name that stands for a value, which is a serialized ValueProto."""

    type: str
    value: bytes


def parsed(sql: str) -> bytes:
    """Parse a GoogleSQL script, and return a serialized ParseResponse.

    Raises:
        SqlRejected: The text does not parse as GoogleSQL.
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    return service().call(
        "Parse", messages.ParseRequest(sql_statement=sql, options=_language(), allow_script=True)
    )


def named_tables(sql: str) -> tuple[Path, ...]:
    """Return the paths of the tables that a statement names; no catalog is needed.

    Raises:
        SqlRejected: The text does not parse as GoogleSQL.
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    request = messages.ExtractTableNamesFromStatementRequest(sql_statement=sql, options=_language())
    answer = messages.ExtractTableNamesFromStatementResponse.FromString(
        service().call("ExtractTableNamesFromStatement", request)
    )
    return tuple(tuple(name.table_name_segment) for name in answer.table_name)


def analyzer_options(
    parameters: Mapping[str, str] | Sequence[str], system: Mapping[Path, str] | None = None
) -> Any:
    """Return the analyzer's options, with all language features that Google's customers have.

    Args:
        parameters: The types of query parameters, by name or by place.
        system: The types of @@variables.
    """
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import AnalyzerOptionsProto

    message: Any = AnalyzerOptionsProto
    options = message(
        language_options=_language(), error_message_mode=_ONE_LINE, default_timezone="UTC"
    )
    if isinstance(parameters, Mapping):
        for name, text in parameters.items():
            options.query_parameters.add(name=name.lower(), type=encoded(text))
    else:
        options.parameter_mode = _POSITIONAL
        options.positional_query_parameters.extend(map(encoded, parameters))
    for path, text in (system or {}).items():
        options.system_variables.add(name_path=path, type=encoded(text))
    return options


def inline_functions(options: Any) -> None:
    """Set the analyzer's options so that it replaces calls of SQL functions by their bodies."""
    from zetasql.wasi._pb2.zetasql.public.options_pb2 import ResolvedASTRewrite

    options.enabled_rewrites.append(ResolvedASTRewrite.Value(_INLINE))


def catalog_of(
    tables: Mapping[Path, Table],
    functions: Mapping[Path, Function] | None = None,
    constants: Mapping[str, Constant] | None = None,
) -> Any:
    """Return a SimpleCatalogProto of these tables, functions and constants.

    Every function of GoogleSQL is in it, too. Columns go before constants of the same name.
    """
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto

    root = SimpleCatalogProto(name="catalog")
    root.builtin_function_options.language_options.CopyFrom(_language())
    for path, table in tables.items():
        message = _catalog_below(root, path[:-1]).table.add(name=path[-1])
        for columns, pseudo in ((table.columns, False), (table.pseudo, True)):
            for name, text in columns.items():
                message.column.add(name=name, type=encoded(text), is_pseudo_column=pseudo)
    for path, function in (functions or {}).items():
        _write_function(_catalog_below(root, path[:-1]).custom_function.add(), path[-1], function)
    for name, constant in (constants or {}).items():
        added = root.constant.add(name_path=[name], type=encoded(constant.type))
        added.value.ParseFromString(constant.value)
    return root


def _write_function(message: Any, name: str, function: Function) -> None:
    """Add a SQL function to the analyzer's catalog message under `name`."""
    message.name_path.append(name)
    message.group, message.mode = _TEMPLATE, _SCALAR
    message.signature.add().ParseFromString(function.signature)
    message.parse_resume_location.input = function.body
    message.parse_resume_location.byte_position = 0
    message.templated_sql_function_argument_name.extend(function.arguments)


def _catalog_below(catalog: Any, path: Path) -> Any:
    """Return the catalog nested in `catalog` at a path, creating it if it does not exist."""
    for name in path:
        inner = next((part for part in catalog.catalog if part.name.lower() == name.lower()), None)
        catalog = catalog.catalog.add(name=name) if inner is None else inner
    return catalog


@cache
def _language() -> Any:
    """Return the language options of the analyzer: all features, as BigQuery has them."""
    from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import LanguageOptionsRequest
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import LanguageOptionsProto
    from zetasql.wasi._pb2.zetasql.public.options_pb2 import LanguageFeature

    options: Any = LanguageOptionsProto.FromString(
        service().call("GetLanguageOptions", LanguageOptionsRequest(maximum_features=True))
    )
    options.product_mode = _PRODUCT_EXTERNAL
    options.enabled_language_features.append(LanguageFeature.Value(_SET_DATA_TYPE))
    options.ClearField("supported_statement_kinds")  # none named: all
    if "QUALIFY" not in options.reserved_keywords:  # else QUALIFY wants a WHERE
        options.reserved_keywords.append("QUALIFY")
    return options
