"""SHOW and DESCRIBE."""

from __future__ import annotations

import re

from sqlglot.tokenizer_core import TokenType

from ..errors import QueryFailed
from ..sql.words import TokenCursor
from .session import StatementOutput, StatementSession, named_table


def show_tables(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW TABLES: return the names of a database's tables."""
    return _tables(session, tokens, views=False)


def show_views(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW VIEWS: return the names of a database's views."""
    return _tables(session, tokens, views=True)


def _tables(session: StatementSession, tokens: TokenCursor, *, views: bool) -> StatementOutput:
    """Return the names of a database's tables and views, or with `views` of its views alone.

    The statement may name the database, and a pattern which the names have to match.
    """
    database = (
        tokens.identifier() if tokens.accept("IN") or tokens.accept("FROM") else session.database
    )
    token = tokens.peek()
    pattern = (
        tokens.string()
        if token is not None and (tokens.accept("LIKE") or token.token_type == TokenType.STRING)
        else "*"
    )
    expected = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\|", "|"))
    pages = session.catalog.glue.get_paginator("get_tables").paginate(DatabaseName=database)
    tables = [
        t
        for page in pages
        for t in page["TableList"]
        if not views or t.get("TableType") == "VIRTUAL_VIEW"
    ]
    names = sorted(
        named_table["Name"] for named_table in tables if expected.fullmatch(named_table["Name"])
    )
    return StatementOutput(
        ("tab_name" if not views else "views",), tuple((name,) for name in names)
    )


def show_databases(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW DATABASES: return the names of all databases in Glue."""
    tokens.accept("LIKE")
    pages = session.catalog.glue.get_paginator("get_databases").paginate()
    names = {database["Name"] for page in pages for database in page["DatabaseList"]} | {"default"}
    return StatementOutput(("database_name",), tuple((name,) for name in sorted(names)))


def show_partitions(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW PARTITIONS: return a table's partitions as key=value/... texts."""
    relation = named_table(session, tokens, views=False)
    names = [column.name for column in relation.partitions]
    if relation.parameters.get("projection.enabled") == "true":
        return StatementOutput(("partition",))
    partitions = sorted(
        "/".join(f"{k}={v}" for k, v in zip(names, p["Values"], strict=True))
        for p in session.catalog.partitions(relation)
    )
    return StatementOutput(("partition",), tuple((line,) for line in partitions))


def show_columns(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW COLUMNS: return the names of a table's columns."""
    if not tokens.accept("IN"):
        tokens.expect("FROM")
    return StatementOutput(
        ("field",), tuple((column.name.ljust(20),) for column in named_table(session, tokens).every)
    )


def show_properties(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW TBLPROPERTIES: return a table's properties, or the one that is named."""
    properties = named_table(session, tokens, views=False).parameters
    columns = ("prpt_name", "prpt_value")
    if not tokens.accept("("):
        return StatementOutput(columns, tuple(properties.items()))
    name = tokens.string()
    tokens.expect(")")
    tokens.done()
    return StatementOutput(
        columns, ((name, properties.get(name, f"Table does not have property: {name}")),)
    )


def show_create(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW CREATE TABLE: return the statement that creates a table, line by line."""
    relation = named_table(session, tokens, views=False)
    lines = [f"CREATE EXTERNAL TABLE `{relation.database}.{relation.name}`("]
    lines += [
        f"  `{c.name}` {c.type}{',' if c is not relation.columns[-1] else ')'}"
        for c in relation.columns
    ]
    if relation.partitions:
        lines += [
            "PARTITIONED BY ( ",
            *(
                f"  `{c.name}` {c.type}{',' if c is not relation.partitions[-1] else ')'}"
                for c in relation.partitions
            ),
        ]
    descriptor = relation.input["StorageDescriptor"]
    lines += [
        "ROW FORMAT SERDE ",
        f"  '{relation.serde}' ",
        "STORED AS INPUTFORMAT ",
        f"  '{descriptor.get('InputFormat', '')}' ",
    ]
    lines += [
        "OUTPUTFORMAT ",
        f"  '{descriptor.get('OutputFormat', '')}'",
        "LOCATION",
        f"  '{relation.location}'",
    ]
    pairs = [f"  '{key}'='{value}'" for key, value in relation.parameters.items()]
    lines += ["TBLPROPERTIES (", ", \n".join(pairs) + ")"] if pairs else []
    return StatementOutput(
        ("createtab_stmt",), tuple((line,) for line in "\n".join(lines).split("\n"))
    )


def show_create_view(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute SHOW CREATE VIEW: return the statement that creates a view, line by line."""
    relation = named_table(session, tokens)
    if relation.view is None:
        raise QueryFailed("FAILED", f"{relation.name} is a table")
    text = f"CREATE VIEW {relation.database}.{relation.name} AS\n{relation.view.strip()}"
    return StatementOutput(("create view",), tuple((line,) for line in text.split("\n")))


def describe(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute DESCRIBE: show a table's columns and partitions."""
    for word in ("EXTENDED", "FORMATTED"):
        tokens.accept(word)
    relation = named_table(session, tokens)
    comments = {
        c["Name"].lower(): c.get("Comment", "")
        for c in relation.input.get("StorageDescriptor", {}).get("Columns", [])
    }
    rows: list[tuple[str | None, ...]] = [
        (c.name.ljust(20), c.type.ljust(20), comments.get(c.name, "").ljust(20))
        for c in relation.every
    ]
    if relation.partitions:
        rows += [
            ("", None, None),
            ("# Partition Information", None, None),
            ("# col_name".ljust(20), "data_type".ljust(20), "comment".ljust(20)),
            ("", None, None),
        ]
        rows += [(c.name.ljust(20), c.type.ljust(20), " " * 20) for c in relation.partitions]
    return StatementOutput(("col_name", "data_type", "comment"), tuple(rows))
