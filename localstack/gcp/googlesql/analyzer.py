"""What a statement means: its columns and their types, its tables, or why it is refused, in Google's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec

from .service import SqlRejected, service
from .statement import statement_of
from .types import encoded

__all__ = ["Analysis", "Analyzer", "Path", "SqlRejected", "Table", "analyzer_options", "catalog_of", "named_tables"]

Path: TypeAlias = tuple[str, ...]  # a table's name as the statement writes it: `a.b`.c is ("a.b", "c")

_PRODUCT_EXTERNAL = 1  # what is sold, not what Google runs for itself
_ONE_LINE = 1  # an error ends in [at LINE:COLUMN]
_POSITIONAL = 1


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Names and types' texts of its columns. `pseudo` is what `*` leaves out."""

    columns: Mapping[str, str]
    pseudo: Mapping[str, str] = {}


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    kind: str  # "query", "insert", "merge", "create_table_as_select", ...
    columns: tuple[
        tuple[str, str], ...
    ]  # name and type of what comes out or is made; a column without a name is "$col3" by its place in the list
    tables: tuple[Path, ...]  # that the statement names: those it reads, and the one it writes


def named_tables(sql: str) -> tuple[Path, ...]:
    """The tables that a statement names, without knowing any. SqlRejected when it is not GoogleSQL's grammar."""
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    request = messages.ExtractTableNamesFromStatementRequest(sql_statement=sql, options=_language())
    answer = messages.ExtractTableNamesFromStatementResponse.FromString(service().call("ExtractTableNamesFromStatement", request))
    return tuple(tuple(name.table_name_segment) for name in answer.table_name)


class Analyzer:
    """Over tables under the names that statements give them (`named_tables`). Threads may share it."""

    def __init__(self, tables: Mapping[Path, Table]) -> None:
        self._catalog = catalog_of(tables).SerializeToString(deterministic=True)

    def analyze(self, sql: str, parameters: Mapping[str, str] | Sequence[str] = {}, *, pseudo: Mapping[str, str] = {}) -> Analysis:
        """One statement: query, DML or DDL. `parameters`: types' texts by name, or in the order of the question marks.

        `pseudo`: columns that the PARTITION BY of a new table may name although they are not declared.
        SqlRejected with GoogleSQL's message.
        """
        from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

        tables = named_tables(sql)
        request = messages.AnalyzeRequest(sql_statement=sql, options=analyzer_options(parameters))
        for name, text in pseudo.items():
            request.options.ddl_pseudo_columns.add(name=name, type=encoded(text))
        kind, columns = statement_of(service().call_with_catalog("Analyze", request, self._catalog))
        return Analysis(kind=kind, columns=columns, tables=tables)


def analyzer_options(parameters: Mapping[str, str] | Sequence[str]) -> Any:
    """The message of the analyzer's options: everything that was released to Google's customers."""
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import AnalyzerOptionsProto

    options = AnalyzerOptionsProto(language_options=_language(), error_message_mode=_ONE_LINE, default_timezone="UTC")
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

    options = LanguageOptionsProto.FromString(service().call("GetLanguageOptions", LanguageOptionsRequest(maximum_features=True)))
    options.product_mode = _PRODUCT_EXTERNAL
    options.ClearField("supported_statement_kinds")  # none named: all
    if "QUALIFY" not in options.reserved_keywords:  # else QUALIFY wants a WHERE
        options.reserved_keywords.append("QUALIFY")
    return options
