"""`sources/<event>.sql`, executed by DuckDB where `ingest` runs. Relative paths in it are the project's, wherever the command is given."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import Invalid

_DATA = re.compile(r"(?i)\.(parquet|csv|tsv|jsonl?|ndjson|txt|arrow)(\.(gz|zst))?$")


def query_to_parquet(sql: str, *, name: str, folder: Path, to: Path) -> None:
    """Write a query's rows, in its order. TIMESTAMPTZ stay instants; the session's zone is UTC. Invalid with DuckDB's words and `name`."""
    import duckdb

    text = rooted(sql, folder)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET autoinstall_known_extensions = false")  # nothing is fetched from the network while events come in
        connection.execute(f"SET temp_directory = '{_quoted(str(to.parent.parent / 'spill'))}'")
        connection.execute("SET enable_progress_bar = false")
        try:
            statements = connection.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise Invalid(f"{name} is not one SELECT", remedy="a source is a single query; its columns are the event's attributes")
            connection.sql(text).write_parquet(str(to), compression="zstd")
        except duckdb.Error as error:
            raise Invalid(f"{name}: {str(error).strip()}", remedy="nothing was changed; try the query in the duckdb shell") from error


def rooted(sql: str, folder: Path) -> str:
    """The SQL with the relative paths of data files made absolute, and without a semicolon at its end. It is otherwise untouched.

    Not DuckDB's `file_search_path`: it looks into the process's own directory first, so a command given elsewhere would read another
    project's file of the same name. Not chdir: it moves every thread of the caller's process.
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
    before = None
    for token in tokens:
        opens = before in {TokenType.FROM, TokenType.JOIN}
        inside = before in {TokenType.L_PAREN, TokenType.COMMA, TokenType.L_BRACKET} and _DATA.search(token.text)
        before = token.token_type
        if token.token_type is not TokenType.STRING or not (opens or inside) or "://" in token.text or Path(token.text).is_absolute():
            continue
        pieces += [sql[done : token.start], f"'{_quoted(str(folder.resolve() / token.text))}'"]
        done = token.end + 1
    return "".join([*pieces, sql[done:]])


def _quoted(text: str) -> str:
    return text.replace("'", "''")
