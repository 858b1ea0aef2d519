"""Say what runs will cost before they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...pipelines.runs.estimates import RunEstimate
    from ..console.console import Console


def say_cost(console: Console, cost: RunEstimate | None) -> None:
    """Print what runs will cost, on a target that bills them; a dry run says it at its end."""
    if cost is not None and cost.billed and not console.dry_run:
        console.say(str(cost))
