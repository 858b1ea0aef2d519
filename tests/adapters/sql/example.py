"""The example project, as every test of SQL uses it."""

from functools import cache
from pathlib import Path

import isthmus
from isthmus.events.relations import exactly_once_view
from isthmus.feature_store.relations import objective_view
from isthmus.project.load import load

FOLDER = Path(isthmus.__file__).parent / "examples" / "openbandit"


@cache
def example():
    return load(FOLDER / "project.yaml")


def texts():
    """The three views, the objective's view and the exactly-once view."""
    spec = example().spec
    return {
        **{name: view.sql for name, view in spec.feature_views.items()},
        "ctr": objective_view(spec, spec.objectives["ctr"]).view_sql,
        "events_impression": exactly_once_view(spec.events["impression"]).view_sql,
    }
