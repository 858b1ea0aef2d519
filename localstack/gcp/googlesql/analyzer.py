"""What the analyzer is told (language, tables, parameters), and the tables that a statement names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec

from .service import SqlRejected, service
from .types import encoded

__all__ = ["Path", "SqlRejected", "Table", "analyzer_options", "catalog_of", "named_tables"]

Path: TypeAlias = tuple[str, ...]  # a table's name as the statement writes it: `a.b`.c is ("a.b", "c")

_PRODUCT_EXTERNAL = 1  # what is sold, not what Google runs for itself
_ONE_LINE = 1  # an error ends in [at LINE:COLUMN]
_POSITIONAL = 1


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Names and types' texts of its columns. `pseudo` is what `*` leaves out."""

    columns: Mapping[str, str]
    pseudo: Mapping[str, str] = {}


def named_tables(sql: str) -> tuple[Path, ...]:
    """The tables that a statement names, without knowing any. SqlRejected when it is not GoogleSQL's grammar."""
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    request = messages.ExtractTableNamesFromStatementRequest(sql_statement=sql, options=_language())
    answer = messages.ExtractTableNamesFromStatementResponse.FromString(service().call("ExtractTableNamesFromStatement", request))
    return tuple(tuple(name.table_name_segment) for name in answer.table_name)


def analyzer_options(parameters: Mapping[str, str] | Sequence[str]) -> Any:
    """The message of the analyzer's options: everything that was released to Google's customers."""
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import AnalyzerOptionsProto

    message: Any = AnalyzerOptionsProto
    options = message(language_options=_language(), error_message_mode=_ONE_LINE, default_timezone="UTC")
    if isinstance(parameters, Mapping):
        for name, text in parameters.items():
            options.query_parameters.add(name=name.lower(), type=encoded(text))
    else:
        options.parameter_mode = _POSITIONAL
        options.positional_query_parameters.extend(map(encoded, parameters))
    return options


def catalog_of(tables: Mapping[Path, Table]) -> Any:
    """A SimpleCatalogProto of the tables and of every function."""
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto

    root = SimpleCatalogProto(name="catalog")
    root.builtin_function_options.language_options.CopyFrom(_language())
    for path, table in tables.items():
        message = _below(root, path[:-1]).table.add(name=path[-1])
        for columns, pseudo in ((table.columns, False), (table.pseudo, True)):
            for name, text in columns.items():
                message.column.add(name=name, type=encoded(text), is_pseudo_column=pseudo)
    return root


def _below(catalog: Any, path: Path) -> Any:
    for name in path:
        inner = next((part for part in catalog.catalog if part.name.lower() == name.lower()), None)
        catalog = catalog.catalog.add(name=name) if inner is None else inner
    return catalog


@cache
def _language() -> Any:
    from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import LanguageOptionsRequest
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import LanguageOptionsProto

    options: Any = LanguageOptionsProto.FromString(service().call("GetLanguageOptions", LanguageOptionsRequest(maximum_features=True)))
    options.product_mode = _PRODUCT_EXTERNAL
    options.ClearField("supported_statement_kinds")  # none named: all
    if "QUALIFY" not in options.reserved_keywords:  # else QUALIFY wants a WHERE
        options.reserved_keywords.append("QUALIFY")
    return options
