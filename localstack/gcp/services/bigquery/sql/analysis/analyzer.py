"""Analyze a statement by GoogleSQL's own analyzer, over this stack's tables."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .....googlesql import compiled
from .....googlesql.analyzer import Constant, Function, Path, Table
from ...data.googlesql_values import field_of, proto_value, type_text
from ...data.types import SchemaField
from ...errors import BigQueryError, invalid, invalid_query
from ...state.instance import BigQueryState
from . import routines, sources
from .parameters import Parameter
from .resolved_tree import ResolvedNode, statement
from .sources import TableSource

_PLACE = re.compile(r" \[at (\d+:\d+)\]$")
_GROUP = re.compile(r"templated_sql_function:", re.IGNORECASE)  # before a user's function's name
_NAME = r"(?:`[^`]+`|[\w-]+)"
_SPACE = r"(?:\s|--[^\n]*|#[^\n]*|/\*.*?\*/)*"
_ALTER = re.compile(
    rf"{_SPACE}ALTER\s+TABLE\s+(?P<optional>IF\s+EXISTS\s+)?(?P<path>{_NAME}(?:\s*\.\s*{_NAME})*)",
    re.IGNORECASE | re.DOTALL,
)
_TWICE = (
    "Duplicate column names in the result are not supported when a destination table is present."
)
_PSEUDO = {"_PARTITIONTIME": "TIMESTAMP", "_PARTITIONDATE": "DATE"}


class AnalysisRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, and what its names mean."""

    sql: str
    project: str
    dataset: tuple[str, str] | None = None  # project and dataset of what is not qualified
    parameters: tuple[Parameter, ...] = ()
    location: str | None = None  # where the job was told to run
    temporary: str | None = None  # the hidden dataset of a script's temporary tables
    functions: Mapping[str, Function] = {}  # CREATE TEMP FUNCTION
    variables: tuple[Parameter, ...] = ()  # a script's: names in small letters
    system: tuple[Parameter, ...] = ()  # a script's: error.message for @@error.message
    target: str | None = None  # the type that a query's only column is to have
    renames: bool = (
        False  # whether a result's second column `a` is a_1: where it goes to no table of a user's
    )

    @property
    def named(self) -> Mapping[str, Parameter]:
        """The query parameters that have names, by name."""
        return {parameter.name: parameter for parameter in self.parameters if parameter.name}

    @property
    def system_types(self) -> dict[Path, str]:
        """The GoogleSQL types of the system variables (@@name), by path."""
        return {
            tuple(variable.name.split(".")): type_text(variable.field) for variable in self.system
        }


class AnalyzedStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as the analyzer understands it."""

    question: AnalysisRequest
    statement: ResolvedNode
    sources: tuple[TableSource, ...]  # by the serialization_id of the statement's tables
    catalog: bytes  # a SimpleCatalogProto
    functions: Mapping[Path, Function] = {}

    @property
    def columns(self) -> list[tuple[int, SchemaField]]:
        """The resolved column ids and the columns of a query's result."""
        return columns_of(self.statement.output_column_list, renames=self.question.renames)


def available() -> bool:
    """Return whether GoogleSQL's analyzer is installed.

    Without it queries are translated unchecked (sql/language/unchecked_queries.py).
    """
    return compiled.available()


def analyze(instance: BigQueryState, question: AnalysisRequest) -> AnalyzedStatement:
    """Analyze a SQL statement with GoogleSQL's analyzer; return the resolved statement.

    Table names are resolved in `instance`, the stack's BigQuery. Raises BigQueryError
    `invalidQuery` in Google's words, or `notFound` by the table's name.
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    from .....googlesql.analyzer import (
        SqlRejected,
        analyzer_options,
        catalog_of,
        inline_functions,
        named_tables,
    )
    from .....googlesql.service import service
    from .....googlesql.types import encoded

    try:
        functions = routines.called_functions(
            instance, question.sql, question.functions, question.project, question.dataset
        )
        inner = [path for function in functions.values() for path in function.tables]
        sources_by_path = {
            path: _source(instance, path, question)
            for path in (*named_tables(question.sql), *inner)
        } | _altered_table(instance, question)
        message = catalog_of(
            {path: table_of(source) for path, source in sources_by_path.items()},
            functions,
            _valueless_constants(question.variables),
        )
        _number_tables(
            message,
            (),
            {
                path: (number, str(source.ref))
                for number, (path, source) in enumerate(sources_by_path.items())
            },
        )
        catalog = message.SerializeToString(deterministic=True)
        request = messages.AnalyzeRequest(
            sql_statement=question.sql,
            options=analyzer_options(types_of(question.parameters), question.system_types),
        )
        request.options.prune_unused_columns = True
        inline_functions(request.options)
        if question.target is not None:
            request.options.target_column_types.append(encoded(question.target))
        for name, text in _PSEUDO.items():
            request.options.ddl_pseudo_columns.add(name=name, type=encoded(text))
        answer = service().call_with_catalog("Analyze", request, catalog)
    except SqlRejected as error:
        raise analyzer_error(error.message) from error
    return AnalyzedStatement(
        question=question,
        statement=statement(answer),
        sources=tuple(sources_by_path.values()),
        catalog=catalog,
        functions=functions,
    )


def table_of(source: TableSource) -> Table:
    """Return a table, view or wildcard in the form that the analyzer's catalog takes."""
    columns, pseudo = (
        {field.name: type_text(field) for field in fields}
        for fields in (source.fields, source.pseudo)
    )
    return Table(columns=columns, pseudo=pseudo)


def _valueless_constants(variables: Sequence[Parameter]) -> dict[str, Constant]:
    """Return a script's variables as the analyzer's constants, all NULL.

    The analyzer needs no values, so its catalog can be reused while a loop changes them.
    """
    return constants([msgspec.structs.replace(variable, value=None) for variable in variables])


def constants(variables: Sequence[Parameter]) -> dict[str, Constant]:
    """Return a script's variables as the analyzer's constants, with their values."""
    return {
        variable.name: Constant(type=type_text(variable.field), value=_serialized_value(variable))
        for variable in variables
    }


def _serialized_value(variable: Parameter) -> bytes:
    """Return a variable's value as a serialized ValueProto.

    It is empty for a NULL, also for an array's, of which proto_value makes an empty array.
    """
    return (
        b""
        if variable.value is None
        else bytes(
            proto_value(variable.value, variable.field).SerializeToString(deterministic=True)
        )
    )


def _source(instance: BigQueryState, path: Path, question: AnalysisRequest) -> TableSource:
    """Return the table, view or wildcard that a path of names in a statement means."""
    return sources.source_of(
        instance,
        path,
        question.project,
        dataset=question.dataset,
        location=question.location,
        temporary=question.temporary,
    )


def _altered_table(instance: BigQueryState, question: AnalysisRequest) -> dict[Path, TableSource]:
    """Return the table that an ALTER TABLE statement names, by its path, for the analyzer.

    It returns nothing for other statements, and for ALTER TABLE IF EXISTS without such a table.
    """
    match = _ALTER.match(question.sql)
    if match is None:
        return {}
    path = tuple(segment.strip("` ") for segment in re.findall(r"`[^`]+`|[^.`]+", match["path"]))
    try:
        return {path: _source(instance, path, question)}
    except BigQueryError as error:
        if error.reason == "notFound" and match["optional"]:
            return {}
        raise


def analyzer_error(message: str) -> BigQueryError:
    """Return an analyzer's error message as an `invalidQuery` error in BigQuery's words."""
    return invalid_query(_PLACE.sub(r" at [\1]", _GROUP.sub("", message)))


def types_of(parameters: Sequence[Parameter]) -> dict[str, str] | list[str]:
    """Return the parameters' types: by name where they have names, else in their order."""
    if not parameters or any(parameter.name for parameter in parameters):
        return {
            parameter.name: type_text(parameter.field) for parameter in parameters if parameter.name
        }
    return [type_text(parameter.field) for parameter in parameters]


def _number_tables(
    catalog: Any, path: tuple[str, ...], numbers: Mapping[tuple[str, ...], tuple[int, str]]
) -> None:
    """Set the number and the name of each table in an analyzer's catalog, in place.

    `numbers` has both by the table's path; `path` is the catalog's own.
    """
    for table in catalog.table:
        number, name = numbers[(*path, table.name)]
        table.name_in_catalog, table.serialization_id, table.name = table.name, number, name
    for inner in catalog.catalog:
        _number_tables(inner, (*path, inner.name), numbers)


def describe(instance: BigQueryState, project: str, sql: str) -> tuple[SchemaField, ...]:
    """Return the columns of the result of a view's query in a project."""
    question = AnalysisRequest(sql=sql, project=project)
    meaning = analyze(instance, question)
    if meaning.statement.kind != "query_stmt":
        raise invalid("A view needs a query")
    return tuple(field for _, field in meaning.columns)


def columns_of(outputs: Sequence[ResolvedNode], *, renames: bool) -> list[tuple[int, SchemaField]]:
    """Return the column ids and the columns of a query's result; unnamed ones are f0_, f1_ ...

    Raises BigQueryError `invalidQuery` if two have one name; with `renames` they are renamed
    instead.
    """
    columns, anonymous = [], 0
    for output in outputs:
        name = output.name
        if name.startswith("$"):
            name, anonymous = f"f{anonymous}_", anonymous + 1
        columns.append((output.column.column_id, field_of(output.column.type, name)))
    used_names: set[str] = set()
    for place, (number, field) in enumerate(columns):
        if field.name.lower() in used_names:
            if not renames:
                raise invalid_query(f"{_TWICE} Found duplicate(s): {field.name}")
            columns[place] = (
                number,
                msgspec.structs.replace(field, name=_unused_name(field.name, used_names)),
            )
        used_names.add(columns[place][1].name.lower())
    return columns


def _unused_name(name: str, used_names: set[str]) -> str:
    """Return `name_1`, `name_2` and so on: the first that is not in `used_names`."""
    return next(
        new
        for number in itertools.count(1)
        if (new := f"{name}_{number}").lower() not in used_names
    )
