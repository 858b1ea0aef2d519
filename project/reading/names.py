"""The rules of names: pattern, lengths, reserved words (PORTS.md, section 1, rule 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

NAME = r"[a-z](_?[a-z0-9])*"
TARGET = r"[a-z]([-_]?[a-z0-9])*"
PROJECT_LENGTH = VARIANT_LENGTH = 16
NAME_LENGTH = 28
OURS = "isthmus_"  # begins whatever Isthmus names inside SQL: aliases, CTEs, helper columns
COLUMN_LENGTH = 63  # the shortest limit of a feature's name: SageMaker's 64, BigQuery's 300

# Columns that our own tables add to an event's, an objective's or a view's
# (events/tables/relations.py, feature_store/tables/relations.py).
OWN_COLUMNS = frozenset({
    "event_id", "event_timestamp", "created_timestamp", "outcome", "dt", "payload_digest", "source",
    "line", "correction", "stored_timestamp", "entity_key", "loaded_timestamp",
    "file_row_number",  # DuckDB's own, of a file that it reads
})  # fmt: skip

# Words that DuckDB 2.0, Athena (Trino) or BigQuery reserve: a table or column of such a name would
# need quotes somewhere.
SQL_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    all alter analyse analyze and any array as asc assert_rows_modified asymmetric at between
    both by case cast check collate column constraint contains create cross cube current
    current_catalog current_date current_path current_role current_schema current_time
    current_timestamp current_user deallocate default deferrable define delete desc describe
    distinct drop else end enum escape except exclude execute exists extract false fetch
    following for foreign from full graph_table group grouping groups hash having if ignore in
    initially inner insert intersect interval into is join json_array json_exists json_object
    json_query json_table json_value lambda lateral leading left like limit listagg localtime
    localtimestamp lookup merge natural new no normalize not null nulls of offset on only or
    order outer over partition pivot pivot_longer pivot_wider placing preceding prepare primary
    proto qualify range recursive references respect returning right rollup rows select set show
    skip some struct summarize symmetric table tablesample then to trailing treat trim true
    uescape unbounded union unique unnest unpivot using values variadic when where window with
    within
    """,
    )
)


def name_problem(name: str, *, longest: int = NAME_LENGTH) -> tuple[str, str] | None:
    """Return (problem, remedy) if a name breaks the naming rules, else None."""
    if not re.fullmatch(NAME, name):
        other = neutral(name)
        hint = f", for example {other[:longest].rstrip('_')}" if other else ""
        return (
            f"{name!r} is not a name",
            f"use small letters, digits and single _ between them, a letter first{hint}",
        )
    if name.startswith(OURS):
        return (
            f"names that begin with {OURS} are Isthmus's own",
            f"choose another name{_example(name)}",
        )
    if len(name) > longest:
        return (
            f"the name has {len(name)} characters, more than {longest}",
            "shorten it: clouds limit their names, and ours are put together",
        )
    return None


def _example(name: str) -> str:
    """Return a phrase with an example of an allowed name, or "" if there is none."""
    rest = neutral(name.removeprefix(OURS))
    return f", for example {rest}" if rest else ""


def column_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a column may not have this name, else None."""
    if problem := name_problem(name, longest=COLUMN_LENGTH):
        return problem
    if name in OWN_COLUMNS:
        return f"the column {name} is made by Isthmus itself", "choose another name"
    return relation_problem(name)


def relation_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a table or column may not have this name, else None.

    The name must be valid in SQL without quotes, on every engine.
    """
    if name in SQL_WORDS:
        return f"{name} is a reserved word of SQL", f"choose another name, for example {name}_value"
    return None


def neutral(text: str) -> str:
    """Return a text converted to a valid name (snake case), or "" when nothing is left."""
    return re.sub(r"^[0-9_]+|_+$", "", re.sub(r"[^a-z0-9]+", "_", text.lower()))


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the known name most similar to a mistyped one, or None."""
    near = get_close_matches(word, list(names), n=1)
    return near[0] if near else None


def did_you_mean(word: str, names: Iterable[str], *, has: str | None = None) -> str | None:
    """Return a remedy for a mistyped name, `did you mean X? <has> A, B`; None if none is near.

    `has` begins the list of the known names.
    """
    listed_names = list(names)
    near = nearest(word, listed_names)
    parts = [f"did you mean {near}?"] if near else []
    if has is not None:
        listed = ", ".join(listed_names[:12]) + (", ..." if len(listed_names) > 12 else "")
        nothing = (
            f"there are no {has.removesuffix(' are')} yet"
            if has.endswith(" are")
            else f"{has} none"
        )
        parts.append(f"{has} {listed}" if listed_names else nothing)
    return "   ".join(parts) or None
