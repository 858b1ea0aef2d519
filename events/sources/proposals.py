"""Propose how a source reads its file, where rows were refused for the way it is written."""

from __future__ import annotations

from ...errors import Invalid
from .sniffing import TextFormat, sniff
from .source import Source

_OPTIONS = ("encoding", "decimal_separator", "timestampformat", "dateformat")


def proposal(source: Source, event: str, name: str, reason: str, *, most: bool) -> str:
    """Return a hint, with SQL, on how to read a text file whose rows were refused; or "".

    Args:
        source: The source.
        event: The event's name.
        name: The file, as the quarantine calls it.
        reason: Why its first row was refused.
        most: Whether most rows were refused so.
    """
    text = source.texts.get(name)
    if text is None:
        return ""
    try:
        form = sniff(text.path)
    except Invalid:
        return ""
    missing = [option for option in _OPTIONS if option in form.options.keys() - text.options]
    zoneless = most and reason.endswith("has no time zone") and not source.in_sql
    if not missing and not zoneless:
        return ""
    relation = form.relation(text.name)
    note = _time_comment(form)
    if source.in_sql:
        return f"in {source.name}: FROM {relation}{note}"
    return (
        f"write sources/{event}.sql, in place of a `source:` in project.yaml: "
        f"SELECT * FROM {relation}{note or '  -- its times are UTC'}"
    )


def _time_comment(form: TextFormat) -> str:
    """Return a SQL comment on what was guessed about a file's times; "" if nothing was."""
    if form.either_order:
        return f"  -- or is the day the month in {', '.join(form.either_order)}?"
    return "  -- its times are UTC" if form.time_formats else ""
