"""One event: its attributes with who reads them, how many came by date, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from ....core.runtime.project import Project
from ....events.catalogue.entries import AttributeEntry, EventEntry, describe
from ....events.catalogue.readers import versions_of
from ....events.catalogue.volume import DayVolume, volume
from ....events.refusals.open_rows import Group, summary
from ....events.tables.relations import raw_name
from ....feature_store.as_known.cost import scan_of
from ....feature_store.port import TableState
from ....reports import page as kit
from ....reports import plots
from ...parts.forms import Form
from ...parts.reads import ReadFailure, Reads, missing, whole
from ...parts.view import PageContent
from .events import path

_DAYS, _MOST_DAYS = 28, 366
_SHOWN = 50  # reasons


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    event: EventEntry  # as `isthmus events show --json`, with the versions that read it
    rows: (
        int | ReadFailure | None
    )  # stored, copies included; None: not made yet, or nobody counted them
    days: tuple[DayVolume, ...] | ReadFailure | None  # None: not counted
    # as in `isthmus events quarantine --json`; None: not read
    quarantine: tuple[Group, ...] | ReadFailure | None
    unread: tuple[ReadFailure, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one event: attributes, readers, stored rows by date, quarantined rows.

    The query has `days` to count the events of, and `quarantine` to read what was refused. Without
    them the warehouse is not queried.
    """
    name, spec = query["event"], project.spec
    reads = Reads()
    describe(spec, name)  # NotFound
    days = whole(query, "days", default=_DAYS, most=_MOST_DAYS) if "days" in query else None
    versions = reads.attempt("registered versions", lambda: versions_of(project))
    state = reads.attempt(
        f"the table of {name}", lambda: project.target.warehouse.observe(raw_name(name))
    )
    data = EventData(
        event=describe(
            spec, name, versions=None if isinstance(versions, ReadFailure) else versions
        ),
        rows=state.rows if isinstance(state, TableState) else state,
        days=None
        if days is None
        else reads.attempt("events by date", lambda: volume(project, name, days=days)),
        quarantine=reads.attempt("the quarantine", lambda: summary(project, name))
        if "quarantine" in query
        else None,
        unread=(),
    )
    return PageContent(
        title=name,
        below=" ".join(
            filter(
                None,
                (data.event.description, f"Owner {data.event.owner}." if data.event.owner else ""),
            )
        ),
        parts=(
            *reads.box(),
            *_about(data.event),
            _volume_section(data, days, _price(project, state)),
            _quarantine(data),
            Form(
                action="",
                button="",
                command=f"isthmus events quarantine {name}",
                note="Row by row:",
            ),
        ),
        data=msgspec.structs.replace(data, unread=tuple(reads.unread)),
    )


def _about(event: EventEntry) -> list[str]:
    """Return HTML on what reads an event, how late it may come, and its attributes."""
    lines = [
        f"Objectives: {', '.join(event.objectives)}." if event.objectives else "",
        f"Referred to by {', '.join(event.referred_by)}." if event.referred_by else "",
        f"Read by {', '.join(event.readers)}." if event.readers else "Nobody reads it.",
        f"Late by {event.max_lateness_days:g} days at most.",
    ]
    return [
        *(kit.words(line) for line in lines if line),
        kit.section(
            "Attributes", kit.table(_HEAD, map(_attribute, event.attributes), wordy=(2, 4, 5))
        ),
    ]


_HEAD = ("attribute", "type", "values", "refers to", "read by", "")


def _attribute(attribute: AttributeEntry) -> tuple[str, ...]:
    """Return an attribute's cells in the table of an event: type, rule, reference, readers."""
    kind, _, name = attribute.refers_to.partition(" ")
    refers = kit.link(attribute.refers_to, path(name)) if kind == "event" else attribute.refers_to
    type_ = attribute.type if attribute.required else f"{attribute.type}, may be missing"
    return (
        attribute.name,
        type_,
        attribute.rule,
        refers,
        ", ".join(attribute.readers),
        attribute.description,
    )


def _volume_section(data: EventData, days: int | None, price: str) -> str:
    """Return the HTML section on an event's stored rows, by date if `days` is given."""
    name = data.event.name
    rows = (
        [kit.words(f"{data.rows:,} rows are stored, copies included.")]
        if isinstance(data.rows, int)
        else []
    )
    counts = [
        (f"count the events of {length} days", f"{path(name)}?days={length}")
        for length in (7, _DAYS, 90)
    ]
    return kit.section(
        "Volume",
        *rows,
        *([] if days is None else _volume(data.days, days)),
        kit.links(counts),
        price,
    )


def _volume(volumes: tuple[DayVolume, ...] | ReadFailure | None, days: int) -> list[str]:
    """Return a chart of the number of events by date, or text on why there is none."""
    if isinstance(volumes, ReadFailure):
        return [missing(volumes)]
    if not volumes:
        return [kit.words(f"None came on the last {days} dates of the project's clock.", "soft")]
    behind = kit.table(
        ("date", "events"), [(f"{day.date}", f"{day.events:,}") for day in volumes], numbers=True
    )
    first, last = volumes[0].date, volumes[-1].date
    bars = plots.Series(
        name="",
        style="a",
        x=[float((day.date - first).days) for day in volumes],
        y=[float(day.events) for day in volumes],
        kind="bars",
        titles=[f"{day.date}: {day.events:,}" for day in volumes],
    )
    up = plots.axis("events", 0, 1.08 * max(day.events for day in volumes), digits=0)
    return [
        kit.charts(plots.chart("Events by date", dates(first, last), up, [bars], behind=behind))
    ]


def dates(first: date, last: date) -> plots.Axis:
    """Return a chart's axis of days from the first date to the last, with a few dates as ticks."""
    number = (last - first).days + 1
    every = max(1, -(-number // 5))
    ticks = [
        (float(day), f"{date.fromordinal(first.toordinal() + day):%-d %b}")
        for day in range(0, number, every)
    ]
    return plots.Axis(label="date", low=-0.6, high=number - 0.4, ticks=ticks)


def _quarantine(data: EventData) -> str:
    """Return the HTML section on an event's quarantined rows, or a link that reads them."""
    link = kit.links([("read the quarantine", f"{path(data.event.name)}?quarantine=yes")])
    groups = data.quarantine
    if groups is None:
        return kit.section("Refused and still open", link)
    if isinstance(groups, ReadFailure):
        return kit.section("Refused and still open", missing(groups), link)
    return kit.section("Refused and still open", *_groups(groups))


def _groups(groups: Sequence[Group]) -> list[str]:
    """Return an HTML table that counts an event's quarantined rows by attribute and reason."""
    if not groups:
        return [kit.words("Nothing is quarantined.")]
    rows = [
        (g.attribute, f"{g.count:,}", g.reason, "tried again" if g.retry else "")
        for g in groups[:_SHOWN]
    ]
    rest = sum(g.count for g in groups[_SHOWN:])
    more = (
        [kit.words(f"{rest:,} more for {len(groups) - _SHOWN:,} other reasons.", "soft")]
        if rest
        else []
    )
    return [kit.table(("attribute", "rows", "why", ""), rows, wordy=2), *more]


def _price(project: Project, state: TableState | ReadFailure | None) -> str:
    """Return an HTML line on how much data the page's queries scan at most, at what price.

    The query of the quarantine reads the table three times.
    """
    if not isinstance(state, TableState) or state.size is None:
        return kit.words(
            "Counting, and reading the quarantine, are queries of the warehouse.", "soft"
        )
    scan = scan_of(project, state.size)
    return kit.words(
        f"Counting reads at most {scan.times(1)}, the quarantine {scan.times(3)} and its own rows.",
        "soft",
    )
