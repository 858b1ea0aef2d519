"""Functions in SQL: of one request (CREATE TEMP FUNCTION), and those that datasets keep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .....googlesql.analyzer import Function, Path, named_tables
from ...errors import BigQueryError, invalid_query, not_run
from ...state.catalog import TableRef
from ...state.instance import BigQueryState
from .resolved_tree import ResolvedNode


def function_of(sql: str, node: ResolvedNode) -> Function:
    """Return the function that a create_function_stmt defines.

    Raises:
        BigQueryError: `notImplemented` for what is not a scalar function in SQL.
    """
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
    instance: BigQueryState,
    sql: str,
    temporary: Mapping[str, Function],
    project: str,
    dataset: tuple[str, str] | None,
) -> dict[Path, Function]:
    """Return the user-defined functions that a statement may call, directly or not.

    They are by each path (a tuple of names) by which the statement may call them. `temporary` are
    functions of the script; `dataset` is the default dataset's project and id.
    """
    callable_functions: dict[Path, Function] = {}
    with instance.catalog.lock:
        stored = dict(instance.catalog.routines)
    for ref, function in stored.items():
        callable_functions |= dict.fromkeys(_paths(ref, project, dataset), function)
    callable_functions |= {(name,): function for name, function in temporary.items()}
    chosen: dict[Path, Function] = {}
    texts = [sql]
    while texts:
        text = texts.pop()
        new = {
            path: function
            for path, function in callable_functions.items()
            if path not in chosen and _occurs(path[-1], text)
        }
        chosen |= new
        texts += [function.body for function in new.values()]
    return chosen


def _occurs(name: str, text: str) -> bool:
    """Return whether SQL text contains a function's name as a whole word, case-sensitively."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _paths(ref: TableRef, project: str, dataset: tuple[str, str] | None) -> Iterator[Path]:
    """Yield the paths by which SQL of a project may call the stored function `ref`.

    `dataset` is the default dataset's project and id.
    """
    yield from ((ref.project, ref.dataset, ref.table), (f"{ref.project}.{ref.dataset}", ref.table))
    yield (f"{ref.project}.{ref.dataset}.{ref.table}",)
    if ref.project == project:
        yield from ((ref.dataset, ref.table), (f"{ref.dataset}.{ref.table}",))
    if dataset == (ref.project, ref.dataset):
        yield (ref.table,)


def store(instance: BigQueryState, ref: TableRef, function: Function, mode: int) -> str:
    """Store a user-defined function; return the operation performed: CREATE, REPLACE or SKIP.

    `mode` is the create mode of the statement. Raises BigQueryError `notFound`, `duplicate` or
    `invalidQuery`.
    """
    replace, if_not_exists = 1, 2
    short = [".".join(path) for path in function.tables if len(".".join(path).split(".")) < 2]
    if short:
        raise invalid_query(
            f'Table "{short[0]}" must be qualified with a dataset (e.g. dataset.table).'
        )
    with instance.catalog.lock:
        instance.catalog.dataset(ref.project, ref.dataset)
        exists = ref in instance.catalog.routines
        if exists and mode == if_not_exists:
            return "SKIP"
        if exists and mode != replace:
            raise BigQueryError("duplicate", f"Already Exists: Routine {ref}")
        instance.catalog.routines[ref] = function
    return "REPLACE" if exists else "CREATE"


def drop(instance: BigQueryState, ref: TableRef, *, if_exists: bool) -> str:
    """Delete a user-defined function; return DROP, or SKIP if it is absent and `if_exists`.

    Raises BigQueryError `notFound` otherwise.
    """
    with instance.catalog.lock:
        instance.catalog.dataset(ref.project, ref.dataset)
        if instance.catalog.routines.pop(ref, None) is not None:
            return "DROP"
    if if_exists:
        return "SKIP"
    raise BigQueryError("notFound", f"Not found: Routine {ref}")


def within(instance: BigQueryState, project: str, dataset: str) -> list[TableRef]:
    """Return the references of the user-defined functions in a dataset."""
    with instance.catalog.lock:
        return [
            ref
            for ref in instance.catalog.routines
            if (ref.project, ref.dataset) == (project, dataset)
        ]
