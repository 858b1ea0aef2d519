"""Run `sources/<event>.sql` in DuckDB, in the process of `ingest`.

Relative paths in it are the project's, wherever the command is given. DuckDB itself keeps it to
what the project names: other files, the network, other databases and extensions are refused by the
engine.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid
from ...project.reading.fence import ProjectPaths
from .retyping import retyped
from .sniffing import advice
from .syntax import (
    SyntaxNode,
    call,
    file_references,
    parsed,
    redirect,
    rendered,
    replace_by_file,
    traced,
)
from .text_tables import CSV_READERS, JSON_READERS, TextReader, TextTable, load

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot.tokenizer_core import Token

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|/)")
_REFUSED_FILE = re.compile(r'Cannot access (?:file|directory) "([^"]*)"')
_CLOUD = re.compile(r"(?i)(s3|s3a|s3n|gs|gcs|r2|az|azure|abfss)://")
_DATA = re.compile(r"(?i)[*?]|/$|\.(parquet|csv|tsv|jsonl?|ndjson|txt)(\.(gz|zst))?$")
_TEXT = re.compile(r"(?i)\.(csv|tsv|jsonl?|ndjson)(\.(gz|zst))?$")
_KIND_OF_ERROR = re.compile(r"[A-Z][A-Za-z ]+ Error: ")
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
_FILE_IN_ERROR = re.compile(r'(?:[Ff]ile|CSV file) "([^"]+)"')
_REMEDIES = {
    "Parquet": "nothing was changed; write the file again, or take it from where it came",
    "IO Error: No files found": "paths are told from the project's folder",
    "Conversion Error": "write TRY_CAST: a row without a required value goes to the quarantine",
    "Invalid Input Error": "write TRY_CAST or TRY_STRPTIME: a row without a required value goes to "
    "the quarantine",
}
_CANDIDATES = re.compile(r"(?:Candidate bindings|Did you mean)[^\"]*(\"[^\n]*)")
MEMORY, THREADS = (
    "1GiB",
    4,
)  # of whatever reads files of the user's own: their row groups and lines may be large
_READS = re.compile(r"(?i)read_\w+|parquet_scan|glob|sniff_csv")


@contextmanager
def bounded(
    spill: Path, *, reads: Sequence[Path] = (), memory: str = "128MiB", threads: int = 2
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory that holds at most `memory`; the rest is spilled to `spill`.

    It can read and write only files at or below the paths `reads`, and loads no extension, whatever
    SQL it is given.

    Raises:
        OSError: The system refuses, as a full disk does.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": threads,  # each needs some of the memory
        "temp_directory": str(spill),
        # nothing is fetched from the network while events come in
        "autoinstall_known_extensions": "false",
        "TimeZone": "UTC",
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET enable_progress_bar = false")
        fenced = f"[{', '.join(_literal(str(path.resolve())) for path in reads)}]"
        connection.execute(f"SET allowed_directories = {fenced}")
        connection.execute(f"SET allowed_paths = {fenced}")
        connection.execute(
            "SET autoload_known_extensions = false"
        )  # not at connect: TimeZone is icu's, which is built in
        connection.execute("SET enable_external_access = false")
        try:
            yield connection
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise (system_error(error) or error) from error


def system_error(error: Exception) -> OSError | None:
    """Return the operating system's error, such as a full disk, that made DuckDB fail; or None.

    None when it is an error of another kind.
    """
    refusals = {
        os.strerror(number): number
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
    }
    refusals["max_temp_directory_size"] = (
        errno.ENOSPC
    )  # DuckDB spills no more than the disk has room for
    number = next((number for words, number in refusals.items() if words in str(error)), None)
    return None if number is None else OSError(number, os.strerror(number))


class QueryRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a source's query as a Parquet file.

    `tables` are the text files that it read. Where `traced`, rows have the columns of
    `syntax.traced`, which say where in them each row comes from.
    """

    parquet: Path
    tables: tuple[TextTable, ...] = ()
    traced: bool = False


def query_to_parquet(
    sql: str, *, name: str, event: str, fence: ProjectPaths, to: Path
) -> QueryRows:
    """Write the rows of a query to the Parquet file `to`, in the query's order.

    Times with a zone stay instants; the session's zone is UTC. The result lists the rows of text
    files that cannot be read, or whose values cannot be cast; the others are written. `name` is
    what errors call the query. Raises Invalid, with DuckDB's message, if DuckDB refuses the query.
    """
    query = _Query(sql, name, event, fence)
    spill = to.parent.parent / "spill"
    with _bound(query, spill=spill, to=to.parent.parent) as (connection, text):
        tables, tree = _loaded(connection, query, text, to.parent.parent / "text")
        if tree is None:
            connection.sql(text).write_parquet(str(to), compression="zstd")
            return QueryRows(parquet=to)
        plain = rendered(connection, tree)
        traced_sql = _traced(connection, tree, tables, tolerant=False)
        try:
            _copy(connection, traced_sql or plain, to)
        except _value_errors():
            traced_sql = _traced(connection, tree, tables, tolerant=True)
            if traced_sql is None:
                raise
            _copy(connection, traced_sql, to)
        return QueryRows(parquet=to, tables=tables, traced=traced_sql is not None)


def query_schema(
    sql: str, *, name: str, event: str, fence: ProjectPaths, folder: Path
) -> tuple[pa.Schema, bool]:
    """Return the Arrow schema of a query's result, and whether the query reads text files.

    Only the start of each file is read, and `folder` is for copies of it. `name` is what errors
    call the query. Raises Invalid, with DuckDB's message, if DuckDB refuses the query.
    """
    query = _Query(sql, name, event, fence)
    with _bound(query, spill=folder / "spill", to=folder) as (connection, text):
        tables, tree = _loaded(connection, query, text, folder / "text", head=True)
        rows = connection.sql(text if tree is None else rendered(connection, tree))
        columns: pa.Table = rows.limit(0).to_arrow_table()
        return columns.schema, bool(tables)


class _Query(msgspec.Struct, frozen=True):
    """A source's query: its text, its name and its event's, what it may read."""

    sql: str
    name: str
    event: str
    fence: ProjectPaths


def _value_errors() -> tuple[type[Exception], ...]:
    """Return the DuckDB exceptions that a single bad value causes, not the query itself."""
    import duckdb

    return duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException


def _copy(connection: duckdb.DuckDBPyConnection, sql: str, to: Path) -> None:
    """Write a query's rows to a Parquet file."""
    connection.execute(f"COPY ({sql}) TO {_literal(str(to))} (FORMAT parquet, COMPRESSION zstd)")


def _loaded(
    connection: duckdb.DuckDBPyConnection,
    query: _Query,
    text: str,
    folder: Path,
    *,
    head: bool = False,
) -> tuple[tuple[TextTable, ...], SyntaxNode | None]:
    """Load the text files of a query into Parquet; return them and the query's syntax tree.

    The tree is None where the query reads no text files, or has no tree. With `head` only the first
    rows are loaded.

    `query` is the query as written, `text` it with absolute paths.
    """
    tree = parsed(connection, text)
    references = [] if tree is None else list(file_references(tree["statements"]))
    tables: dict[str, TextTable] = {}
    for node in references:
        reading = _reading(connection, query, node)
        if reading is None:
            continue
        key = str(reading)
        if key not in tables:
            tables[key] = load(connection, reading, folder / str(len(tables)), head=head)
        replace_by_file(node, str(tables[key].parquet))
    if tree is None or not tables:
        return (), None
    return _bindable(connection, tuple(tables.values()), tree), tree


def _bindable(
    connection: duckdb.DuckDBPyConnection, tables: tuple[TextTable, ...], tree: SyntaxNode
) -> tuple[TextTable, ...]:
    """Return a query's tables, with text columns converted where DuckDB cannot run it otherwise.

    The syntax tree is changed in place, to read these tables.
    """
    import duckdb

    for numbers in (False, True):
        try:
            connection.execute(f"EXPLAIN {rendered(connection, tree)}")
        except duckdb.BinderException:
            changed = [retyped(connection, table, numbers=numbers) or table for table in tables]
            for old, new in zip(tables, changed, strict=True):
                redirect(tree, str(old.parquet), str(new.parquet))
            tables = tuple(changed)
    return tables


def _reading(
    connection: duckdb.DuckDBPyConnection, query: _Query, node: SyntaxNode
) -> TextReader | None:
    """Return how a node of a syntax tree reads text files; None if it reads none.

    `query` is the query as written.
    """
    options: dict[str, str] = {}
    if node["type"] == "BASE_TABLE":
        paths, kind = [node["table_name"]], _TEXT.search(node["table_name"])
        if kind is None or node["schema_name"]:
            return None
        reader = "read_csv" if kind[1].lower() in {"csv", "tsv"} else "read_json"
    else:
        reader, paths, options = call(connection, node)
        if reader not in (*CSV_READERS, *JSON_READERS) or not paths:
            return None
    files = [
        Path(row[0])
        for path in paths
        for row in connection.execute("SELECT file FROM glob(?)", [path]).fetchall()
    ]
    if not files:
        return None  # DuckDB says what is not there
    names = tuple(_name(file, query.fence) for file in files)
    return TextReader(reader=reader, files=tuple(files), names=names, options=options)


def _traced(
    connection: duckdb.DuckDBPyConnection,
    tree: SyntaxNode,
    tables: Sequence[TextTable],
    *,
    tolerant: bool,
) -> str | None:
    """Return a query's SQL with columns added that tell which row of which file each row is from.

    None if that is impossible. With `tolerant` a failing cast gives no value instead of an error.
    """
    import duckdb

    numbers = {str(table.parquet): number for number, table in enumerate(tables)}
    changed = traced(connection, tree, numbers, tolerant=tolerant)
    if changed is None:
        return None
    sql = rendered(connection, changed)
    own = connection.sql(rendered(connection, tree)).columns
    try:
        columns = connection.sql(sql).columns
    except duckdb.Error:  # an aggregate without GROUP BY
        return None
    return sql if [name for name in columns if not name.startswith("isthmus_")] == own else None


@contextmanager
def _bound(
    query: _Query, *, spill: Path, to: Path
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Open a DuckDB that can read only a query's files; yield it and the SQL with absolute paths.

    It spills to the folder `spill`, and may write the file `to`.
    """
    import duckdb

    text = rooted(query.sql, query.fence, name=query.name, event=query.event)
    reads = (query.fence.folder, *query.fence.declared, to)
    with bounded(spill, reads=reads, memory=MEMORY, threads=THREADS) as connection:
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise Invalid(
                    f"{query.name} is not one SELECT",
                    remedy="a source is a single query; its columns are the event's attributes",
                )
            yield connection, text
        except duckdb.Error as error:
            if (
                isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException)
                and system_error(error) is not None
            ):
                raise
            raise _as_invalid(connection, query, text, error) from error


def _as_invalid(
    connection: duckdb.DuckDBPyConnection, query: _Query, text: str, error: duckdb.Error
) -> Invalid:
    """Convert DuckDB's error to Invalid, with the line of the query and a remedy.

    `query` is the query as written, `text` it with absolute paths.
    """
    import duckdb

    words = str(error).strip()
    first, _, rest = words.partition("\n")
    try:
        connection.execute(f"EXPLAIN {text}")  # as it was written: its lines are the user's
    except duckdb.Error as own:
        rest = str(own).strip().partition("\n")[2] if str(own).startswith(first) else ""
    first = first.partition(": ")[2] if _KIND_OF_ERROR.match(first) else first
    first = first.replace(f"{query.fence.folder}/", "")
    line = _LINE.search(rest)
    place = f"{query.name}, line {line[1]}" if line else query.name
    return Invalid(f"{place}: {first.rstrip('!.')}", remedy=_remedy(words, query.fence))


def _remedy(words: str, fence: ProjectPaths) -> str:
    """Return a hint, as text, on what to do about the message of a DuckDB error.

    Mostly that is a file that DuckDB was not allowed to read.
    """
    if refused := _REFUSED_FILE.search(words):
        if _URI.match(refused[1]):
            return "SQL here reads files alone: download it into the project's folder"
        return fence.remedy(Path(refused[1]).resolve())
    if "extension" in words:
        return "no extension is loaded for a source: convert the file to CSV, JSON lines or Parquet"
    match = _FILE_IN_ERROR.search(words)
    if match and (path := Path(match[1])).is_file():
        return advice(path, _name(path, fence))
    if candidates := _CANDIDATES.search(words):
        return f"did you mean one of {candidates[1].rstrip('?')}?"
    if "magic bytes" in words or "Parquet file" in words:
        words = "Parquet"
    return next(
        (remedy for beginning, remedy in _REMEDIES.items() if words.startswith(beginning)),
        "nothing was changed; mend the query",
    )


def _name(path: Path, fence: ProjectPaths) -> str:
    """Return a file's path relative to the project's folder, if the file is within that."""
    within = path.is_relative_to(fence.folder)
    return str(path.relative_to(fence.folder)) if within else str(path)


def rooted(sql: str, fence: ProjectPaths, *, name: str = "SQL", event: str = "<event>") -> str:
    """Return a query with absolute paths of its data files, and with globs for folders.

    A semicolon at its end is cut off. DuckDB's `file_search_path` would look into the process's own
    directory first, and could read another project's file of the same name; chdir would move every
    thread of the caller's process.

    Raises:
        Invalid: it names a place in a cloud or of the network, what the project does not name, or
            what is no regular file. The error has the line.
    """
    from sqlglot import TokenType
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.errors import TokenError

    try:
        tokens = DuckDB().tokenize(sql)
    except TokenError:
        return sql  # DuckDB will say what is wrong with it
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        sql = sql[: tokens.pop().start]
    pieces: list[str] = []
    done = 0
    for token in _path_tokens(tokens):
        if _CLOUD.match(token.text):
            raise Invalid(
                f"{name}, line {token.line}: '{token.text}' cannot be read by SQL here",
                remedy=f"write `source: {token.text}` at events.{event} of project.yaml, in place "
                "of this file",
            )
        if _URI.match(token.text):
            remedy = "SQL here reads files alone: download it into the project's folder"
            raise Invalid(
                f"{name}, line {token.line}: '{token.text}' cannot be read by SQL here",
                remedy=remedy,
            )
        path = fence.folder / token.text
        for problem in filter(
            None,
            (fence.problem(file, file_name) for file, file_name in _named_files(path, token.text)),
        ):
            raise Invalid(f"{name}, line {token.line}: {problem[0]}", remedy=problem[1])
        if not Path(token.text).is_absolute() or path.is_dir():
            pieces += [
                sql[done : token.start],
                f"'{_quoted(_folder_glob(path, name) if path.is_dir() else str(path))}'",
            ]
            done = token.end + 1
    return "".join([*pieces, sql[done:]])


def _named_files(path: Path, shown: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that a path or a glob in SQL names, each with its text for the SQL.

    `shown` is the path as it was written. A glob that Python does not understand is left to DuckDB.
    """
    if not any(letter in shown for letter in "*?["):
        yield path, shown
        return
    root = (
        Path(*path.parts[: len(path.parts) - len(Path(shown).parts)])
        if not Path(shown).is_absolute()
        else Path(path.anchor)
    )
    fixed = list(
        takewhile(lambda part: not any(letter in part for letter in "*?["), Path(shown).parts)
    )
    start = root.joinpath(*fixed)
    yield start, str(Path(*fixed)) if fixed else "."
    pattern = "/".join(Path(shown).parts[len(fixed) :])
    for match in start.glob(pattern):
        yield (
            match,
            match.relative_to(root).as_posix() if not Path(shown).is_absolute() else str(match),
        )


def _folder_glob(folder: Path, name: str) -> str:
    """Return a glob pattern for a folder's files; raise Invalid if their formats differ."""
    suffixes = {
        "".join(path.suffixes)
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith((".", "_"))
    }
    if len(suffixes) != 1:
        suffix_list = ", ".join(sorted(suffixes)) or "no files"
        raise Invalid(
            f"{name}: the folder {folder.name} holds {suffix_list}",
            remedy="write a glob in the query: 'folder/*.parquet'",
        )
    return f"{folder}/*{suffixes.pop()}"


def _path_tokens(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield those tokens of a SQL text that name data files, among all of its tokens.

    They are strings after FROM and JOIN, and the positional arguments of read_csv and the like.
    """
    from sqlglot import TokenType as T

    opening, closing = {T.L_PAREN, T.L_BRACKET, T.L_BRACE}, {T.R_PAREN, T.R_BRACKET, T.R_BRACE}
    reading = [False]  # for each open bracket: do its strings name files?
    previous: Token | None = None
    for token in tokens:
        kind, last = token.token_type, previous and previous.token_type
        if kind is T.L_PAREN:
            reading.append(previous is not None and _READS.fullmatch(previous.text) is not None)
        elif kind in opening:  # a list of files, but not of names=[...], nor columns={...}
            reading.append(kind is T.L_BRACKET and reading[-1] and last in {T.L_PAREN, T.COMMA})
        elif kind in closing and len(reading) > 1:
            reading.pop()
        elif kind is T.STRING:
            named = last in {T.FROM, T.JOIN} and (
                _DATA.search(token.text) or _CLOUD.match(token.text)
            )  # not extract(year FROM '2019-11-30')
            if named or (reading[-1] and last in {T.L_PAREN, T.L_BRACKET, T.COMMA}):
                yield token
        previous = token


def _literal(text: str) -> str:
    """Return text as a string literal of SQL."""
    return f"'{_quoted(text)}'"


def _quoted(text: str) -> str:
    """Double the quotes in text, for a string literal of SQL."""
    return text.replace("'", "''")
