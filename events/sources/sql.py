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

from ...errors import Invalid
from ...project.reading.fence import Fence

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot.tokenizer_core import Token

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|/)")
_REFUSED_FILE = re.compile(r'Cannot access (?:file|directory) "([^"]*)"')
_CLOUD = re.compile(r"(?i)(s3|s3a|s3n|gs|gcs|r2|az|azure|abfss)://")
_DATA = re.compile(r"(?i)[*?]|/$|\.(parquet|csv|tsv|jsonl?|ndjson|txt)(\.(gz|zst))?$")
MEMORY, THREADS = (
    "1GiB",
    4,
)  # of whatever reads files of the user's own: their row groups and lines may be large
_READS = re.compile(r"(?i)read_\w+|parquet_scan|glob|sniff_csv")


@contextmanager
def bounded(
    spill: Path, *, reads: Sequence[Path] = (), memory: str = "128MiB", threads: int = 2
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory that holds at most `memory`; the rest waits in the folder `spill`.

    It reads and writes files at or below the paths `reads` alone, and loads no extension, whatever
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
    """Return DuckDB's error as the system's refusal that caused it, such as a full disk.

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


def query_to_parquet(sql: str, *, name: str, event: str, fence: Fence, to: Path) -> None:
    """Write a query's rows to a Parquet file, in the query's order.

    TIMESTAMPTZ stay instants; the session's zone is UTC.

    Raises:
        Invalid: DuckDB refuses the query. The error has its words and `name`.
    """
    with _bound(
        sql, name=name, event=event, fence=fence, spill=to.parent.parent / "spill", to=to.parent
    ) as rows:
        rows.write_parquet(str(to), compression="zstd")


def query_schema(sql: str, *, name: str, event: str, fence: Fence) -> pa.Schema:
    """Return the columns of a query, reading no more of the files than their types.

    Raises:
        Invalid: DuckDB refuses the query. The error has its words and `name`.
    """
    with _bound(sql, name=name, event=event, fence=fence, spill=fence.folder) as rows:
        columns: pa.Table = rows.limit(0).to_arrow_table()
        return columns.schema


@contextmanager
def _bound(
    sql: str, *, name: str, event: str, fence: Fence, spill: Path, to: Path | None = None
) -> Iterator[duckdb.DuckDBPyRelation]:
    """Open a database that may read only the project's folders, and run a query in it."""
    import duckdb

    text = rooted(sql, fence, name=name, event=event)
    reads = (fence.folder, *fence.declared, *([to] if to else []))
    with bounded(spill, reads=reads, memory=MEMORY, threads=THREADS) as connection:
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise Invalid(
                    f"{name} is not one SELECT",
                    remedy="a source is a single query; its columns are the event's attributes",
                )
            yield connection.sql(text)
        except duckdb.Error as error:
            if (
                isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException)
                and system_error(error) is not None
            ):
                raise
            raise Invalid(f"{name}: {str(error).strip()}", remedy=_remedy(error, fence)) from error


def _remedy(error: duckdb.Error, fence: Fence) -> str:
    """Return what to do about an error of a source's query.

    Most of all that is a file that the engine refused.
    """
    if refused := _REFUSED_FILE.search(str(error)):
        if _URI.match(refused[1]):
            return "SQL here reads files alone: download it into the project's folder"
        return fence.remedy(Path(refused[1]).resolve())
    if "extension" in str(error):
        return "no extension is loaded for a source: convert the file to CSV, JSON lines or Parquet"
    return "nothing was changed; try the query in the duckdb shell"


def rooted(sql: str, fence: Fence, *, name: str = "SQL", event: str = "<event>") -> str:
    """Return the SQL with absolute paths of data files, and folders as globs.

    A semicolon at its end is cut off. DuckDB's `file_search_path` is not used: it looks into the
    process's own directory first, so a command given elsewhere would read another project's file of
    the same name. Neither is chdir: it moves every thread of the caller's process.

    Raises:
        Invalid: it names a place in a cloud or of the network, what the project does not name, or
            what
            is no regular file. The error has the line.
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
    """Yield the files that a path or a glob in SQL names.

    A glob that Python does not understand is left to DuckDB.
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
    """Return a glob for all files of a folder, which are of one format."""
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
    """Yield the strings in SQL that name files.

    They stand after FROM and JOIN, and as positional arguments of read_csv and its like.
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
