"""Work out what a log holds: events and their ids, the outcome, attributes and whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from ...errors import Invalid
from ...project.reading.names import NAME_LENGTH, column_problem, neutral
from .log_columns import Column, Log
from .outcome_values import Value
from .role_words import attribute_name, likeness, plain
from .roles import Roles

_NUMBERS = (  # of an outcome that is a number, before those of any outcome
    (("rating", "star", "score", "grade", "bewertung", "stern", "評価"), "rating"),
)
_OUTCOMES = (  # what a column's or value's name begins with or holds -> the event
    (("click", "klick", "geklickt", "クリック"), "click"),
    (
        ("purchas", "bought", "buy", "order", "kauf", "gekauft", "bestell", "transaction"),
        "purchase",
    ),
    (("購入", "購買", "注文"), "purchase"),
    (("like", "rating", "star", "score", "bewertung", "stern", "評価", "fav"), "like"),
    (("stay", "dwell", "watch_time", "verweil", "滞在"), "stay"),
    (("play", "watch", "再生"), "play"),
    (("add_to_cart", "addtocart", "cart"), "add_to_cart"),
    (("conver",), "conversion"),
)
_WITHIN = tuple(
    timedelta(minutes=minutes) for minutes in (30, 60, 6 * 60, 24 * 60, 3 * 24 * 60, 7 * 24 * 60)
)
_SAME = 1.02  # values of an attribute per item, at most, of an attribute of items
_WORDS = 1_000  # values of a text, at most, that may be a feature


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the log as an attribute of the exposure."""

    column: Column
    name: str
    type: str
    sql: str
    # whose it is: item, list (the same for all rows of one request or user), row, or a key
    of: str = "row"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How rows of outcomes find the row that was shown."""

    words: str
    on: str  # SQL between `outcomes` and `shown`
    latest: bool  # of several the latest before the outcome


class LogShape(msgspec.Struct, frozen=True, kw_only=True):
    """Describe what a log holds."""

    log: Log
    roles: Roles
    exposure: str  # names of events; without an outcome the only one
    event_id: str  # SQL
    event_id_words: str
    attributes: tuple[Attribute, ...]
    left_out: dict[str, str]  # columns, and why
    oldest: datetime
    newest: datetime
    outcome: str | None = None  # the event
    outcome_words: str = ""
    second: Log | None = None
    second_roles: Roles | None = None
    link: Link | None = None
    within: timedelta = _WITHIN[0]
    share: float = 0.0  # of the rows that have the outcome
    value: Value | None = None  # the number that an outcome has, which is maximised
    mean: float = 0.0  # of a row's label: the share, or the sum of its outcomes' numbers

    @property
    def item(self) -> Attribute | None:
        """The attribute with the id of the shown item, or None."""
        return self._with_role("item")

    @property
    def user(self) -> Attribute | None:
        """The attribute with the user's id, by which rows depend on each other, or None."""
        return self._with_role("user")

    @property
    def request(self) -> Attribute | None:
        """The attribute with the id of the list in which rows were ranked, or None."""
        return self._with_role("request")

    def _with_role(self, role: str) -> Attribute | None:
        """Return the log's attribute that has a role such as `item` or `user`, or None."""
        column = self.roles.get(role)
        return next((a for a in self.attributes if a.column is column), None) if column else None


def shape_of(log: Log, roles: Roles, second: Log | None, second_roles: Roles | None) -> LogShape:
    """Work out the events, attributes and outcomes of one log, or of a log and its outcomes.

    A log is a file of events; roles say which of its columns have the user, the item and so on.

    Raises:
        Invalid: The second file's rows cannot be led back to the first's; no row, or every row, has
            the outcome.
    """
    attributes, left_out = _attributes(log, roles)
    where = where_shown(roles)
    event_id, event_id_words = _event_id(log, roles)
    shape = LogShape(
        log=log,
        roles=roles,
        exposure=_singular(log),
        event_id=event_id,
        event_id_words=event_id_words,
        attributes=tuple(_whose(log, roles, attributes, where)),
        left_out=left_out,
        oldest=_time(log, f"min({roles.time})"),
        newest=_time(log, f"max({roles.time})"),
    )
    if second is not None and second_roles is not None:
        return _with_second(shape, second, second_roles)
    if roles.followed:
        return _with_kinds(shape)
    if roles.outcome is None:
        return shape
    when, value = f"WHERE {roles.outcome.condition}", roles.outcome.value
    (hits,) = log.ask(f"count(*) FILTER (WHERE {roles.outcome.condition})")
    if value is None and hits in (0, log.rows):
        raise Invalid(
            f"{'no' if hits == 0 else 'every'} row of {log.path.name} has {roles.outcome.words}: "
            "there is nothing to learn from",
            remedy="name another column, or a condition: --as outcome=COLUMN, --as "
            "'outcome=stars >= 4'",
        )
    within = _WITHIN[0]
    if roles.outcome.at is not None:
        within = _window(log, f"({roles.outcome.at}) - ({roles.time})", f"{log.table} {when}")
    return msgspec.structs.replace(
        shape,
        exposure="impression",
        outcome=_outcome_name(roles.outcome.column.source, value=value),
        outcome_words=roles.outcome.words,
        newest=max(shape.newest, _time(log, f"max({roles.outcome.at or roles.time})")),
        within=within,
        share=hits / log.rows,
        value=value,
        mean=hits / log.rows if value is None else _sum_of(log, value) / log.rows,
    )


def _sum_of(log: Log, value: Value) -> float:
    """Return the sum of an outcome's number over the log's rows."""
    (total,) = log.ask(f"sum(CAST({value.sql()} AS DOUBLE)) FILTER (WHERE {value.condition})")
    return float(total)


def _time(log: Log, instant: str) -> datetime:
    """Return the time in UTC that an aggregate SQL expression has over a log."""
    (milliseconds,) = log.ask(f"epoch_ms({instant})")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _with_kinds(shape: LogShape) -> LogShape:
    """Return the log's shape, with outcomes read from rows of another event type in that log."""
    roles, log = shape.roles, shape.log
    link = _link(shape, roles)
    if link is None:
        return shape
    (rows,) = log.ask(f"count(*) FILTER (WHERE {_is(roles, roles.shown)})")
    exposure = _name(roles.shown, "impression")
    shape = msgspec.structs.replace(
        shape,
        exposure="impression" if exposure in ("show", "shown", "seen", "pv") else exposure,
        outcome=_outcome_name(roles.followed),
        outcome_words=f"{roles.columns['kind'].source} is {roles.followed}",
        link=link,
    )
    return _with_delays(shape, rows=rows)


def _with_second(shape: LogShape, second: Log, roles: Roles) -> LogShape:
    """Return the log's shape, with the outcomes of a second file joined to it.

    `roles` says which of that file's columns are which.
    """
    link = _direct_link(shape, second) or _link(shape, roles)
    if link is None:
        raise Invalid(
            f"rows of {second.path.name} cannot be led back to rows of {shape.log.path.name}: the "
            "files share no id of a row, no request and item, and no user and item",
            remedy="add a column of one of these to either, or name them by --as",
        )
    outcome = roles.outcome
    condition = f" with {outcome.words}" if outcome else ""
    shape = msgspec.structs.replace(
        shape,
        exposure="impression" if _singular(second) != "impression" else _singular(shape.log),
        outcome=_outcome_name(second.path.name.split(".")[0], fallback=_singular(second)),
        outcome_words=f"a row of {second.path.name}{condition}",
        value=outcome.value if outcome else None,
        second=second,
        second_roles=roles,
        newest=max(shape.newest, _time(second, f"max({roles.time})")),
        link=link,
    )
    return _with_delays(shape, rows=shape.log.rows)


def _direct_link(shape: LogShape, second: Log) -> Link | None:
    """Return the join of outcomes to exposures by the exposure's id; None if outcomes lack it."""
    identity = shape.roles.get("id")
    if identity is None:
        return None
    stem = plain(shape.exposure)
    names = {plain(identity.source), f"{stem}_id", "impression_id"} - {"id", "event_id"}
    for column in second.columns:
        if plain(column.source) in names:
            return Link(
                words=f"by {column.source}",
                on=f"CAST(outcomes.{column.sql} AS VARCHAR) = shown.impression_id",
                latest=False,
            )
    return None


def _link(shape: LogShape, theirs: Roles) -> Link | None:
    """Return the join of outcomes to exposures by request and item, or by user and item.

    `theirs` are the roles of the outcomes' columns. None if neither pair is in both.
    """
    ours = shape.roles
    for roles, latest in ((("request", "item"), False), (("user", "item"), True)):
        pairs = [(ours.get(role), theirs.get(role)) for role in roles]
        if all(mine is not None and other is not None for mine, other in pairs):
            condition = " AND ".join(
                f"CAST(outcomes.{other.sql} AS VARCHAR) = shown.{role}"
                for role, (_, other) in zip(roles, pairs, strict=True)
                if other is not None
            )
            words = f"by {' and '.join(mine.source for mine, _ in pairs if mine is not None)}"
            return Link(
                words=words + (", the latest before it" if latest else ""),
                on=condition,
                latest=latest,
            )
    return None


def linked_outcomes(shape: LogShape, *, columns: str, loaded: bool) -> str:
    """Return the SQL that joins outcomes to the exposures they followed.

    Args:
        shape: The log's.
        columns: The columns to select; the two sides of the join are `outcomes` and `shown`.
        loaded: Whether the tables are those of the open connection, and not the sources' files.
    """
    link, roles, log = shape.link, shape.second_roles or shape.roles, shape.second or shape.log
    assert link is not None  # noqa: S101  the caller has seen that there is one
    keys = [
        f"CAST({column.sql} AS VARCHAR) AS {role}"
        for role in ("request", "user", "item")
        if (column := shape.roles.get(role)) is not None
    ]
    shown = ", ".join(
        [f"{shape.event_id} AS impression_id", f"{shape.roles.time} AS shown_at", *keys]
    )
    tables = [rows.table if loaded else rows.relation for rows in (log, shape.log)]
    if shape.second is None:
        followed = f" WHERE {_is(roles, roles.followed)}"
    else:
        followed = f" WHERE {roles.outcome.condition}" if roles.outcome else ""
    join = "ASOF JOIN" if link.latest else "JOIN"
    later = " AND outcomes.followed_at >= shown.shown_at" if link.latest else ""
    return (
        f"SELECT {columns}\n"
        f"FROM (SELECT *, {roles.time} AS followed_at FROM {tables[0]}{followed}) AS outcomes\n"
        f"{join} (SELECT {shown}\n      FROM {tables[1]}{where_shown(shape.roles)}) AS shown\n"
        f"  ON {link.on}{later}"
    )


def _with_delays(shape: LogShape, *, rows: int) -> LogShape:
    """Return the log's shape, completed by how soon and how often outcomes follow its rows.

    `rows` is the log's number of rows.

    Raises:
        Invalid: No outcome follows any row.
    """
    value = f"CAST({shape.value.sql('outcomes')} AS DOUBLE)" if shape.value else "NULL"
    joined = linked_outcomes(
        shape,
        columns="shown.impression_id, outcomes.followed_at - shown.shown_at AS delay, "
        f"{value} AS value",
        loaded=True,
    )
    followed, total = shape.log.query(
        f"SELECT count(DISTINCT impression_id), sum(value) FROM ({joined})"
    )
    if not followed:
        words = shape.link.words if shape.link else ""
        raise Invalid(
            f"{shape.outcome_words}: none follows a row of {shape.log.path.name} ({words})",
            remedy="name the columns that lead from one to the other by --as",
        )
    return msgspec.structs.replace(
        shape,
        share=followed / rows,
        mean=(total if shape.value else followed) / rows,
        within=_window(shape.log, "delay", f"({joined})"),
    )


def _window(log: Log, delay: str, rows: str) -> timedelta:
    """Return the shortest usual time window that holds 99 % of the outcomes' delays.

    `delay` is the delay's SQL expression, `rows` the SQL of the rows that have one.

    `log` is the log of exposures.
    """
    (longest,) = log.query(f"SELECT quantile_cont(epoch({delay}), 0.99) FROM {rows}")
    return next((w for w in _WITHIN if timedelta(seconds=longest or 0) <= w), _WITHIN[-1])


def _is(roles: Roles, value: str) -> str:
    """Return the SQL condition that a row of a log is of this event type."""
    text = value.replace("'", "''")
    return f"{roles.columns['kind'].sql} = '{text}'"


def where_shown(roles: Roles) -> str:
    """Return the SQL WHERE clause that selects the exposures of a log by event type.

    It is "" if all rows are exposures.
    """
    return f" WHERE {_is(roles, roles.shown)}" if roles.shown else ""


def _event_id(log: Log, roles: Roles) -> tuple[str, str]:
    """Return the SQL expression of a row's unique id, and text on which columns it is from."""
    if (identity := roles.get("id")) is not None:
        return f"CAST({identity.sql} AS VARCHAR)", identity.source
    request, item = roles.get("request"), roles.get("item")
    if request is not None and item is not None and not request.nulls and not item.nulls:
        (pairs,) = log.ask(f"count(DISTINCT ({request.sql}, {item.sql}))")
        if pairs == log.rows:
            sql = f"CAST({request.sql} AS VARCHAR) || '-' || CAST({item.sql} AS VARCHAR)"
            return sql, f"{request.source} and {item.source}"
    every = ", ".join(column.sql for column in log.columns)
    digest = (
        f"md5(CAST(row({every}) AS VARCHAR)) || '-' ||\n           row_number() OVER (PARTITION "
        f"BY {every})"
    )
    return digest, "a digest of the row, as no column names each row once"


def _attributes(log: Log, roles: Roles) -> tuple[list[Attribute], dict[str, str]]:
    """Return the columns that become attributes, and by name why other columns do not."""
    by_role = {column.source: role for role, column in roles.columns.items()}
    attributes: list[Attribute] = []
    left_out: dict[str, str] = {}
    names: set[str] = set()
    for column in log.columns:
        role = by_role.get(column.source)
        if role in ("id", "time", "outcome", "kind"):
            continue
        name = attribute_name(column.source, role)
        if column.numbers_rows:
            left_out[column.source] = "it numbers a frame's rows"
        elif column.type is None:
            left_out[column.source] = "no attribute can have its type"
        elif not name or column_problem(name) is not None:
            left_out[column.source] = "no attribute can have its name"
        elif name in names:
            left_out[column.source] = "another has its name"
        elif role is None and (roles.outcome or roles.followed) and _tells_outcome(column):
            left_out[column.source] = "it looks like an outcome, which a model must not see"
        else:
            names.add(name)
            type_ = "string" if role in ("user", "request") else column.type
            attributes.append(
                Attribute(
                    column=column,
                    name=name,
                    type=type_,
                    sql=_value(column, type_),
                    of="key" if role in ("user", "item", "request") else "row",
                )
            )
    return attributes, left_out


def _tells_outcome(column: Column) -> bool:
    """Return whether a column looks like an outcome (label), by its name and its values.

    Its values are 0 and 1, or times that many rows lack.
    """
    few = set(column.values) <= {"0", "1", "True", "False"} and len(column.values) > 1
    late = column.type == "timestamp" and column.nulls > 0
    return likeness("outcome", column.source) > 0 and (few or late)


def _value(column: Column, type_: str) -> str:
    """Return the SQL that reads a column as a value of an attribute's type."""
    if type_ == "timestamp" and column.kind != "TIMESTAMP WITH TIME ZONE":
        return f"CAST({column.sql} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    if type_ == "string" and column.kind != "VARCHAR":
        return f"CAST({column.sql} AS VARCHAR)"
    if "DECIMAL" in column.kind:
        return f"CAST({column.sql} AS DOUBLE)"
    return f"CAST({column.sql} AS BIGINT)" if "HUGEINT" in column.kind else column.sql


def _whose(
    log: Log, roles: Roles, attributes: Sequence[Attribute], where: str
) -> Iterable[Attribute]:
    """Yield each attribute, marked as fixed by its item, its list or its user, or as neither.

    `where` is the SQL clause that picks the rows to look at.
    """
    item, group = roles.get("item"), roles.get("request") or roles.get("user")
    for attribute in attributes:
        if attribute.of == "key" or attribute.column is roles.get("position"):
            yield attribute
            continue
        owned = "row"
        for owner, name in ((item, "item"), (group, "list")):
            if (
                owner is not None
                and owned == "row"
                and _belongs(log, attribute.column, owner, where)
            ):
                owned = name
        yield msgspec.structs.replace(attribute, of=owned)


def _belongs(log: Log, column: Column, owner: Column, where: str) -> bool:
    """Return whether a column has a single value for all rows of the same `owner`, as an item.

    `where` is the SQL clause that picks the rows to look at.
    """
    if column.type == "string" and column.distinct > _WORDS:
        return False
    owners, pairs = log.query(
        f"SELECT count(DISTINCT {owner.sql}), count(DISTINCT ({owner.sql}, {column.sql})) "
        f"FROM {log.table}{where}"
    )
    return bool(pairs <= _SAME * owners)


def _singular(log: Log) -> str:
    """Return an event name from the log's file name, in the singular."""
    name = neutral(re.split(r"[.]", log.path.name)[0])
    # "bus" and "ads" are no plurals to cut
    name = name.removesuffix("s") if len(name) > 3 and (not name.endswith("ss")) else name
    return _name(name, "event")


def _name(text: str, fallback: str) -> str:
    """Return a text as a valid name of project.yaml, or the fallback if it cannot be one."""
    name = neutral(plain(text))[:NAME_LENGTH].rstrip("_")
    return name if name and column_problem(name) is None else fallback


def _outcome_name(text: str, fallback: str = "outcome", *, value: Value | None = None) -> str:
    """Return an event name for an outcome, from its column, value or file.

    `value` is the number that the outcome has, if it has one.
    """
    name = plain(text)
    events: tuple[tuple[tuple[str, ...], str], ...] = _OUTCOMES
    for beginnings, event in _NUMBERS + events if value else events:
        if any(name.startswith(word) or f"_{word}" in name for word in beginnings):
            return event
        if any(not word.isascii() and word in name for word in beginnings):
            return event
    return _name(text, fallback) if fallback != "outcome" else fallback
