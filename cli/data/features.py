"""materialize, and features get | extract | quarantine | check | skew | leaks."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ...reports.columns import plural
from ..console.command import command
from ..console.console import Console
from ..console.tables import grid


@command(
    changes=True,
    help="Compute the feature views (default: all) up to now, and put the newest rows online.",
)
@click.argument("views", nargs=-1)
@click.option("--until", type=click.DateTime(), help="Up to this moment (UTC) instead of now.")
@click.option(
    "--moments",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Moments at which a new view is checked first.",
)
def materialize(
    console: Console, views: tuple[str, ...], until: datetime | None, moments: int
) -> None:
    """Run `isthmus materialize`: compute feature views up to a moment, and sync the online store.

    `moments` is how many past times a new view is checked at for leaks.
    """
    from ...feature_store.as_known.check import price
    from ...feature_store.as_known.cost import scan
    from ...feature_store.offline.materialize import materialize as compute
    from ...feature_store.offline.materialize import unchecked, watermark
    from ...feature_store.online.skew import skew as compare

    with console.open() as project:
        moment = until.replace(tzinfo=UTC) if until else project.now()
        if console.dry_run:
            marks = {
                name: watermark(project, name)
                for name in views or project.spec.feature_views
                if name in project.spec.feature_views
            }
            known_values = {
                name: f"known up to {mark:%Y-%m-%d %H:%M}" if mark else "nothing computed yet"
                for name, mark in marks.items()
            }
            console.would(
                marks,
                "\n".join(
                    f"{name}   {words} -> {moment:%Y-%m-%d %H:%M}"
                    for name, words in known_values.items()
                ),
            )
        if new := unchecked(project, views or None):
            paid = price(moments, scan=scan(project, new))
            console.say(f"first, whether they see later data ({paid}): {', '.join(new)}")
        reports = compute(project, views or None, until=moment, moments=moments)
        served = None if console.as_json else compare(project)
        views_by_name = project.spec.feature_views
        streams = {name for name, view in views_by_name.items() if view.stream is not None}
        models = sorted(project.spec.models.values(), key=lambda model: model.alias != "champion")
    width = max((len(r.view) for r in reports), default=0)
    lines = [
        f"{r.view:<{width}}   {plural(r.rows, 'row'):>12}   "
        + ("by its stream" if r.view in streams else f"{plural(r.keys_online, 'key'):>11} online")
        + f"   known up to {r.until:%Y-%m-%d %H:%M}"
        for r in reports
    ]
    checks = [str(report.as_known) for report in reports if report.as_known is not None]
    console.result(reports, "\n".join([*lines, *checks, str(served)]))
    if models:  # the champion first: what comes after is compared with it
        console.next("train " + " ".join(model.path for model in models))


@click.group(
    help="Read online features; extract vectors of content; check for later data, skew and leaks."
)
def features() -> None:
    """Group the commands that read online features and check feature views."""


@command(help="The online features of some keys, with their age on the project's clock.")
@click.argument("view")
@click.argument("keys", nargs=-1, required=True)
def get(console: Console, view: str, keys: tuple[str, ...]) -> None:
    """Run `isthmus features get`: print the online features of some entity keys of a view."""
    from ...lifecycle.verbs.features import get as read

    with console.open() as project:
        served = read(project, view, keys)
    rows = served.rows
    shown = [
        [f"{v:%Y-%m-%d %H:%M:%S}" if isinstance(v, datetime) else v for v in row.values()]
        for row in rows
    ]
    stale = (
        ["older than the view's ttl, served as missing: " + ", ".join(served.stale_features)]
        if served.stale_features
        else []
    )
    console.result(served, grid(shown, head=list(rows[0])), *stale)


@command(
    changes=True,
    help="Compute the vectors of a view's new and changed contents, and put them online. "
    "Its extractor is fitted first if there is no version yet. It runs where this command does; "
    "what was interrupted goes on where it was.",
)
@click.argument("view")
def extract(console: Console, view: str) -> None:
    from ...lifecycle.verbs.features import extract as compute
    from ...lifecycle.verbs.features import planned

    with console.open() as project:
        if console.dry_run:
            plan = planned(project, view)
            console.would(plan, str(plan))
        extracted = compute(project, view)
    extraction, published = extracted.extraction, extracted.published
    lines = [
        str(extraction),
        (
            f"{plural(published.rows, 'row')} published   "
            f"{plural(published.keys_online, 'key')} online   "
            f"known up to {published.until:%Y-%m-%d %H:%M}"
        ),
    ]
    if extraction.unreadable:
        lines.append(
            f"warning {view}: {extraction.unreadable:,} of "
            f"{extraction.computed + extraction.from_before:,} contents could not be read "
            f"(isthmus features quarantine {view}); their vectors are null"
        )
    console.result(extracted, "\n".join(lines))


@command(help="The contents of a view that its extractor could not read, newest first, and why.")
@click.argument("view")
def quarantine(console: Console, view: str) -> None:
    from ...lifecycle.verbs.features import quarantine as show

    with console.open() as project:
        contents = show(project, view)
    rows = [
        (row.event_id, row.key, f"{row.event_timestamp:%Y-%m-%d %H:%M:%S}", row.problem)
        for row in contents
    ]
    table = grid(rows, head=("event_id", "key", "event_timestamp", "problem"))
    console.result(contents, table if rows else f"{view}: every content was read")


@command(help="Compare what is served online with what the events say.")
@click.option("--sample", default=200, show_default=True, help="How many keys to compare.")
def skew(console: Console, sample: int) -> None:
    """Run `isthmus features skew`: compare a sample of online features with recomputed ones."""
    from ...lifecycle.verbs.features import skew as compare

    with console.open() as project:
        report = compare(project, sample)
    console.result(report)
    if report.differ:
        raise SystemExit(1)


@command(
    help="Each feature's AUC by day, and with what was known earlier: what stands out or falls "
    "far has often seen the label."
)
@click.argument("config")
def leaks(console: Console, config: str) -> None:
    """Run `isthmus features leaks`: print the AUC of each feature of a model by day."""
    from ...lifecycle.verbs.features import leaks as look

    with console.open() as project:
        looked = look(project, config)
    console.result(looked, "\n".join(map(str, looked)))
    if any(row.warnings for row in looked):
        raise SystemExit(1)


@command(
    help="Whether the views' rows (default: all) see data that only became known after them. "
    "Nothing is written."
)
@click.argument("views", nargs=-1)
@click.option(
    "--moments",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Moments of the history to look at.",
)
def check(console: Console, views: tuple[str, ...], moments: int) -> None:
    """Run `isthmus features check`: check views at past moments for data that came later."""
    from ...feature_store.as_known.check import price
    from ...feature_store.as_known.cost import scan
    from ...lifecycle.verbs.features import check as check_as_known

    with console.open() as project:
        console.say(price(moments, scan=scan(project, views or None)))
        reports = check_as_known(project, views or None, moments=moments)
    console.result(reports, "\n".join(map(str, reports)))
    if any(report.peek for report in reports):
        raise SystemExit(1)


for _name, _command in (
    ("get", get),
    ("extract", extract),
    ("quarantine", quarantine),
    ("check", check),
    ("skew", skew),
    ("leaks", leaks),
):
    features.add_command(_command, _name)
