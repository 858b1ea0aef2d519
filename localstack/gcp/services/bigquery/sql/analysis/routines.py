"""Functions in SQL: of one request (CREATE TEMP FUNCTION), and those that datasets keep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .....googlesql.analyzer import Function, Path, named_tables
from ...errors import BigQueryError, invalid_query, not_run
from ...state.catalog import TableRef
from ...state.instance import Place
from .resolved_tree import Node


def function_of(sql: str, node: Node) -> Function:
    """What a create_function_stmt defines. notImplemented for what is not a scalar function in SQL."""
    if node.language.upper() != "SQL" or node.is_remote:
        raise not_run(
            f"functions in {node.language or 'another language'} (CREATE FUNCTION "
            f"{'.'.join(node.name_path)})"
        )
    if node.is_aggregate:
        raise not_run(f"CREATE AGGREGATE FUNCTION {'.'.join(node.name_path)}")
    signature = node.signature.SerializeToString(deterministic=True)
    return Function(
        arguments=tuple(node.argument_name_list),
        signature=signature,
        body=node.code,
        tables=named_tables(sql),
    )


def called_functions(
    here: Place,
    sql: str,
    temporary: Mapping[str, Function],
    project: str,
    dataset: tuple[str, str] | None,
) -> dict[Path, Function]:
    """The functions that a statement may call, by the paths that it may call them by; and those
    that these call.
    """
    known: dict[Path, Function] = {}
    with here.catalog.lock:
        stored = dict(here.catalog.routines)
    for ref, function in stored.items():
        known |= dict.fromkeys(_paths(ref, project, dataset), function)
    known |= {(name,): function for name, function in temporary.items()}
    chosen: dict[Path, Function] = {}
    texts = [sql]
    while texts:
        text = texts.pop()
        new = {
            path: function
            for path, function in known.items()
            if path not in chosen and _stands(path[-1], text)
        }
        chosen |= new
        texts += [function.body for function in new.values()]
    return chosen


def _stands(name: str, text: str) -> bool:
    """Whether a name is in a text: in its own letters, as functions of users are told apart by
    capitals.
    """
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _paths(ref: TableRef, project: str, dataset: tuple[str, str] | None) -> Iterator[Path]:
    yield from ((ref.project, ref.dataset, ref.table), (f"{ref.project}.{ref.dataset}", ref.table))
    yield (f"{ref.project}.{ref.dataset}.{ref.table}",)
    if ref.project == project:
        yield from ((ref.dataset, ref.table), (f"{ref.dataset}.{ref.table}",))
    if dataset == (ref.project, ref.dataset):
        yield (ref.table,)


def keep(here: Place, ref: TableRef, function: Function, mode: int) -> str:
    """What was done: CREATE, REPLACE or SKIP. notFound, duplicate, invalidQuery."""
    replace, if_not_exists = 1, 2
    short = [".".join(path) for path in function.tables if len(".".join(path).split(".")) < 2]
    if short:
        raise invalid_query(
            f'Table "{short[0]}" must be qualified with a dataset (e.g. dataset.table).'
        )
    with here.catalog.lock:
        here.catalog.dataset(ref.project, ref.dataset)
        there = ref in here.catalog.routines
        if there and mode == if_not_exists:
            return "SKIP"
        if there and mode != replace:
            raise BigQueryError("duplicate", f"Already Exists: Routine {ref}")
        here.catalog.routines[ref] = function
    return "REPLACE" if there else "CREATE"


def drop(here: Place, ref: TableRef, *, if_exists: bool) -> str:
    """DROP or SKIP. notFound."""
    with here.catalog.lock:
        here.catalog.dataset(ref.project, ref.dataset)
        if here.catalog.routines.pop(ref, None) is not None:
            return "DROP"
    if if_exists:
        return "SKIP"
    raise BigQueryError("notFound", f"Not found: Routine {ref}")


def within(here: Place, project: str, dataset: str) -> list[TableRef]:
    with here.catalog.lock:
        return [
            ref for ref in here.catalog.routines if (ref.project, ref.dataset) == (project, dataset)
        ]
