"""An experiment's results, whoever assigned its units: the gateway, or a site with its own log."""

from __future__ import annotations

from datetime import datetime

from ...core.runtime.project import Project
from ...errors import Invalid
from ...times import utc_milliseconds
from .log_results import compare_log
from .results import Results
from .run_results import compare_run, last_look


def results(
    project: Project,
    name: str,
    *,
    as_of: datetime | None = None,
    last: bool = False,
    despite_split: bool = False,
) -> Results:
    """Compare the arms of an experiment, or of one of its runs (`name.2`).

    Args:
        project: The project.
        name: The experiment or run.
        as_of: Where the log, as it is known now, is cut: events that arrived later count when they
            happened before. Nothing is recorded.
        last: Return what the last look at a run showed, without a query.
        despite_split: Answer also where the units did not come as planned.

    Raises:
        NotFound: There is no such experiment, it never ran, or with `last` nobody has looked yet.
        Invalid: An arm has no unit or row; `last` is passed with `as_of` or for a site's log; or
            `as_of` lies in the future.
        Refused: The split of a run is not as planned.
    """
    if as_of is not None and utc_milliseconds(as_of) > project.now():
        raise Invalid(
            f"{as_of:%Y-%m-%d %H:%M} has not come yet: windows that are open would be taken "
            "for closed",
            remedy="leave it out",
        )
    if name in project.spec.analyses:
        if last:
            raise Invalid(
                f"{name} is analysed from its log: no look at it is stored",
                remedy=f"isthmus experiment results {name}",
            )
        return compare_log(project, name, as_of=as_of)
    if last and as_of is not None:
        raise Invalid(
            "--last is the newest look, and --as-of is another one",
            remedy="take one of the two out",
        )
    if last:
        return last_look(project, name, despite_split=despite_split)
    return compare_run(project, name, as_of=as_of, despite_split=despite_split)
