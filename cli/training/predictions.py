"""predict: score a table of rows with a model version."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ..console.command import command
from ..console.console import Console
from ..console.tables import grid
from .run_costs import say_cost


@command(
    changes=True,
    help="Score the rows of a prediction in project.yaml, and add them to its table as one batch. "
    "What was interrupted goes on where it was.",
)
@click.argument("name")
@click.option(
    "--as-of",
    type=click.DateTime(),
    metavar="TIME",
    help="Join the features as they were known at that time (UTC). Default: now.",
)
@click.option(
    "--limit",
    type=int,
    metavar="N",
    help="Score the first N rows alone and show them. Nothing is published.",
)
def predict(console: Console, name: str, as_of: datetime | None, limit: int | None) -> None:
    """Run `isthmus predict`: score the rows of a declared prediction, and publish them as a batch.

    `as_of` is the time of the features; with `limit` only so many rows are scored and printed.
    """
    from ...lifecycle.verbs.predict import planned
    from ...lifecycle.verbs.predict import predict as score

    moment = as_of.replace(tzinfo=UTC) if as_of else None
    with console.open() as project:
        plan = planned(project, name, as_of=moment, limit=limit)
        console.would(plan, f"{project.target.name:<7} {plan}")
        say_cost(console, plan.estimate)
        scored = score(project, name, as_of=moment, limit=limit)
    rows = [tuple(row.values()) for row in scored.first]
    table = f"\n{grid(rows, head=tuple(scored.first[0]))}" if rows else ""
    console.result(scored, f"{scored}{table}")
    if scored.into:
        console.next(f'query "SELECT * FROM {scored.into}" --limit 10')
