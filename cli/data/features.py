"""materialize, and features get | check | skew | leaks."""

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
        models = sorted(project.spec.models.values(), key=lambda model: model.alias != "champion")
    width = max((len(r.view) for r in reports), default=0)
    lines = [
        f"{r.view:<{width}}   {plural(r.rows, 'row'):>12}   "
        f"{plural(r.keys_online, 'key'):>11} online   known up to {r.until:%Y-%m-%d %H:%M}"
        for r in reports
    ]
    checks = [str(report.as_known) for report in reports if report.as_known is not None]
    console.result(reports, "\n".join([*lines, *checks, str(served)]))
    if models:  # the champion first: what comes after is compared with it
        console.next("train " + " ".join(model.path for model in models))


@click.group(help="Read online features; check for later data, skew and leaks.")
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


for _name, _command in (("get", get), ("check", check), ("skew", skew), ("leaks", leaks)):
    features.add_command(_command, _name)
