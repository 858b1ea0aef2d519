"""An experiment's results, whoever assigned its units: the gateway, or the site whose log is analysed."""

from __future__ import annotations

from datetime import datetime

from ..errors import Invalid
from ..runtime import Project
from . import results as of_log
from . import run_results
from .results import Results
from .run_figures import RunResults


def results(
    project: Project, name: str, *, as_of: datetime | None = None, last: bool = False, despite_split: bool = False
) -> Results | RunResults:
    """Compare the arms of an experiment, or of one of its runs (`name.2`).

    `last`: what the last look at a run showed, without a query. Raises as results.results and run_results.results; Invalid: of a log
    nothing is stored, and of two moments there is one.
    """
    if name in project.spec.analyses:
        if last:
            raise Invalid(f"{name} is analysed from its log: no look at it is stored", remedy=f"isthmus experiment results {name}")
        return of_log.results(project, name, as_of=as_of)
    if last and as_of is not None:
        raise Invalid("--last is the newest look, and --as-of is another one", remedy="take one of the two out")
    return run_results.last(project, name) if last else run_results.results(project, name, as_of=as_of, despite_split=despite_split)
