"""Write the files of a project for a log: its description, its sources, its views and model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from shlex import quote

import msgspec

from ...project.reading.fence import line
from ...project.reading.quantities import duration_text
from .log_model import (
    HISTORY_DAYS,
    entity_name,
    feature_names,
    is_ranked,
    model_text,
    objective_name,
    objective_rate,
    view_queries,
)
from .log_shape import Attribute, LogShape, linked_outcomes, where_shown

_SHOWN = 8  # of a list in a guess


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a project, and what was guessed for them."""

    files: dict[str, str]
    guesses: tuple[str, ...]


def describe(
    shape: LogShape, *, now: datetime | None, paths: Sequence[Path], folder: Path
) -> Draft:
    """Return the files of a new project for a log: project.yaml, SQL and a model.

    Args:
        shape: The log's events, attributes and outcomes.
        now: When the project's clock stands still, at the end of an old log; None: it does not.
        paths: The log's files, which are read where they lie.
        folder: The project's.
    """
    outside = [p.resolve() for p in paths if not p.resolve().is_relative_to(folder.resolve())]
    files = {
        "project.yaml": "".join(_project(shape, now, f"{line(outside)}\n" if outside else "")),
        f"sources/{shape.exposure}.sql": _source(shape),
    }
    if shape.outcome is not None:
        files[f"sources/{shape.outcome}.sql"] = _outcome_source(shape)
    for name, sql in view_queries(shape).items():
        files[f"features/{name}.sql"] = sql
    if is_ranked(shape):
        files["models/first.yaml"] = model_text(shape)
    return Draft(files=files, guesses=tuple(_guesses(shape)))


def _guesses(shape: LogShape) -> Iterator[str]:
    """Yield sentences on what was guessed about the log, for the user to check."""
    log = shape.log
    yield (
        f"each of the {log.rows:,} rows of {log.path.name}, which is read where it lies, is one "
        f"{shape.exposure}" + (f", where {_exposure_condition(shape)}" if shape.roles.shown else "")
    )
    yield f"event_timestamp: {shape.roles.time}, until {shape.newest:%Y-%m-%d %H:%M:%S}"
    yield f"event_id: {shape.event_id_words}"
    yield from _dirt(shape)
    for key in (shape.item, shape.user):
        if key is not None:
            column = key.column
            yield f"entity {entity_name(key)}: {column.source}, {column.distinct:,} of them"
    if shape.request is not None:
        yield f"list: rows of one {shape.request.column.source} were ranked against each other"
    yield from _outcome_guesses(shape)
    renamed = [
        f"{a.column.source} is {a.name}" for a in shape.attributes if a.name != a.column.source
    ]
    if renamed:
        yield f"renamed, as SQL's names are in small letters: {_listed(renamed)}"
    if is_ranked(shape):
        yield f"features: {_listed(feature_names(shape))}"
        unused = [a.column.source for a in shape.attributes if a.of == "row"]
        if unused:
            yield (
                f"no features: {_listed(unused)}: they differ from row to row, so that a "
                "request does not know them before it is ranked"
            )
    if shape.left_out:
        yield "left out: " + _listed([f"{n}: {why}" for n, why in shape.left_out.items()], "; ")


def _outcome_guesses(shape: LogShape) -> Iterator[str]:
    """Yield sentences on what came of the log's rows, and what is maximised."""
    if shape.outcome is None:
        return
    link = f", {shape.link.words}" if shape.link else ""
    yield (
        f"outcome{'' if shape.outcome == 'outcome' else f' {shape.outcome}'}: "
        f"{shape.outcome_words}{link}; {100 * shape.share:.3g} % of "
        f"the rows, within {duration_text(shape.within)}"
    )
    if (value := shape.value) is None:
        return
    source = shape.second_roles or shape.roles
    column = source.columns["outcome"].source
    condition = quote(f"outcome={column} >= {value.threshold}")
    yield (
        f"objective {objective_name(shape)}: the sum of {value.name} per {shape.exposure}, "
        f"{shape.mean:.4g} on average; --as {condition} makes it yes or no"
    )


def _listed(words: Sequence[str], separator: str = ", ") -> str:
    """Return words joined to one line; of many, the first ones and how many more there are."""
    more = len(words) - _SHOWN
    shown = separator.join(words[:_SHOWN] if more > 1 else words)
    return f"{shown} and {more} more" if more > 1 else shown


def _exposure_condition(shape: LogShape) -> str:
    """Return the condition that picks exposures out of a log of mixed events: `kind is view`."""
    return f"{shape.roles.columns['kind'].source} is {shape.roles.shown}"


def _dirt(shape: LogShape) -> Iterator[str]:
    """Yield sentences on irregularities in the files: encoding, bad rows, formats."""
    for log in filter(None, (shape.log, shape.second)):
        form = log.form
        if form is None:
            continue
        if form.encoding != "utf-8":
            yield f"{log.path.name} is written in {form.encoding}"
        if form.either_order:
            yield f"day or month first cannot be told in {', '.join(form.either_order)}"
        if form.bad_rows or log.broken:
            first = f", the first in {form.bad[0]}" if form.bad else ""
            bad = max(form.bad_rows, log.broken)
            rows = "bad row goes" if bad == 1 else "bad rows go"
            yield f"{bad:,} {rows} to quarantine{first}"


def _project(shape: LogShape, now: datetime | None, paths: str) -> Iterator[str]:
    """Yield the text of the project.yaml that is proposed for a log, in parts.

    Args:
        shape: What was guessed of the log: its events, keys, outcome and features.
        now: The moment at which the log ends, as the project's clock; None for the real clock.
        paths: The section `paths:` as YAML, for files outside of the folder; "" for none.
    """
    yield f"name: {shape.exposure}\n"  # until it is in its folder
    if now is not None:
        yield f"now: {now:%Y-%m-%dT%H:%M:%SZ}"
        yield "        # the log ends here. Live projects leave this out.\n"
    if paths:
        yield f"\n# What sources/ may read outside of this folder.\n{paths}"
    keys = [key for key in (shape.item, shape.user) if key is not None]
    if keys:
        yield "\nentities:\n"
    for key in keys:
        yield f"  {entity_name(key)}: {{key: {key.name}, type: {key.type}}}\n"
    yield "\nevents:                          "
    yield "# event_id and event_timestamp (UTC) come with every event"
    yield f"\n  {shape.exposure}:\n"
    yield "    description: What a row means.\n    owner: you@example.com\n    attributes:\n"
    for attribute in shape.attributes:
        required = ", required: false" if attribute.column.nulls else ""
        yield f"      {attribute.name}: {{type: {attribute.type}{required}}}{_comment(attribute)}\n"
    if shape.outcome is None:
        yield from _without_outcome(shape)
        return
    yield from _outcome_event(shape)
    unit = f", unit: {shape.user.name}" if shape.user else ""
    request = f", ranked_within: {shape.request.name}" if shape.request else ""
    yield "\nobjectives:                      # unit: whose rows depend on each other. "
    yield "ranked_within: which rows competed\n"
    yield f"  {objective_name(shape)}: {{{objective_rate(shape)}{unit}{request}}}\n"
    views = view_queries(shape)
    if views and shape.item is not None:
        yield "\nfeature_views:                   # SQL in features/<name>.sql\n"
        for name in views:
            ttl = f", ttl: {HISTORY_DAYS}d" if name.endswith("_history") else ""
            yield f"  {name}: {{entity: {entity_name(shape.item)}{ttl}}}\n"
    if is_ranked(shape):
        sent = "" if shape.user else "             # sent by the caller; the log names nobody"
        yield "\nendpoints:\n  home:\n"
        yield f"    objective: {objective_name(shape)}\n"
        yield f"    unit: {shape.user.name if shape.user else 'visitor_id'}{sent}\n"
        yield "    variants:\n      champion: {model: ranker@champion, traffic: 100}\n"
        yield "    explore: 5%                  "
        yield "# share answered in random order, logged with its propensity\n"


def _outcome_event(shape: LogShape) -> Iterator[str]:
    """Yield the YAML text of the outcome event of a log, for the proposed project.yaml."""
    # quoted, as a column may be called anything
    yield f"  {shape.outcome}:\n    description: {_quoted(shape.outcome_words)}\n"
    yield "    owner: you@example.com\n    attributes:\n"
    yield f"      {shape.exposure}_id: {{type: string}}   # what it followed\n"
    if (value := shape.value) is not None:
        yield f"      {value.name}: {{type: {value.type}{value.bound}}}\n"


def _quoted(text: str) -> str:
    """Return a text as a quoted scalar of YAML, in one line."""
    return msgspec.json.encode(text).decode()


def _without_outcome(shape: LogShape) -> Iterator[str]:
    """Yield the rest of the proposed project.yaml for a log without outcomes.

    No model can be trained on such a log.
    """
    if (key := shape.item or shape.user) is not None:
        entity = entity_name(key)
        yield "\nfeature_views:                   # SQL in features/<name>.sql\n"
        yield f"  {entity}_history: {{entity: {entity}, ttl: 7d}}\n"
    yield "\n# A model needs an objective, of two events: which rows were followed by what, within"
    yield " which time.\n"
    yield f"# objectives:\n#   ctr: {{rate: click / {shape.exposure}, within: 30m}}\n"


def _comment(attribute: Attribute) -> str:
    """Return a YAML comment for an attribute that belongs to the item, or ""."""
    if attribute.of == "item":
        return "   # of the item: a feature by its view"
    return ""


def _source(shape: LogShape) -> str:
    """Return the SQL query of the proposed project that reads exposures from the log's files."""
    columns = [
        f"{shape.event_id} AS event_id",
        f"{shape.roles.time} AS event_timestamp",
        *(_selected(attribute) for attribute in shape.attributes),
    ]
    return (
        "-- One row per event.\n"
        + _zone(shape)
        + "SELECT "
        + ",\n       ".join(columns)
        + f"\nFROM {shape.log.relation}{where_shown(shape.roles)}\n"
    )


def _zone(shape: LogShape) -> str:
    """Return an SQL comment on the guessed time zone, or ""."""
    _, zoned, rest = shape.roles.time.partition(" AT TIME ZONE ")
    if not zoned:
        return ""
    return f"-- Its times name no zone: they are read as {rest}, which is a guess.\n"


def _selected(attribute: Attribute) -> str:
    """Return an attribute's expression, as SQL, in the SELECT of the query that reads the log."""
    if attribute.sql == f'"{attribute.name}"':
        return attribute.sql
    return f"{attribute.sql} AS {attribute.name}"


def _outcome_source(shape: LogShape) -> str:
    """Return the SQL query of the proposed project that reads outcomes (clicks, ...) from files."""
    if shape.link is not None:
        columns = (
            "shown.impression_id || '-' || row_number() OVER "
            "(PARTITION BY shown.impression_id ORDER BY outcomes.followed_at) AS event_id,\n"
            "       outcomes.followed_at AS event_timestamp,\n"
            f"       shown.impression_id AS {shape.exposure}_id"
        )
        if shape.value is not None:
            columns += f",\n       {shape.value.sql('outcomes')} AS {shape.value.name}"
        return (
            f"-- One row per {shape.outcome}, with the {shape.exposure} that it followed "
            f"({' '.join(shape.link.words.split())}).\n"
            + linked_outcomes(shape, columns=columns, loaded=False)
            + "\n"
        )
    outcome = shape.roles.outcome
    assert outcome is not None  # noqa: S101  it or a link is there
    when = outcome.at or shape.roles.time
    selected = [
        f"{shape.event_id} AS event_id",
        f"{when} AS event_timestamp",
        f"{shape.event_id} AS {shape.exposure}_id",
    ]
    if shape.value is not None:
        selected.append(f"{shape.value.sql()} AS {shape.value.name}")
    return (
        f"-- One row per {shape.exposure} that was followed by a {shape.outcome}: the condition is "
        "a guess.\nSELECT "
        + ",\n       ".join(selected)
        + f"\nFROM {shape.log.relation}\nWHERE {outcome.condition}\n"
    )
