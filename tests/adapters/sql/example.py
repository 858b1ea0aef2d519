"""The example project, as every test of SQL uses it."""

from functools import cache
from pathlib import Path

import msgspec

import isthmus
from isthmus.endpoints.gateway.exposed import exposed_view
from isthmus.events.relations import exactly_once_view
from isthmus.experiments.cells import cells_sql
from isthmus.feature_store.relations import objective_view
from isthmus.project.load import load
from isthmus.project.specs import Attribute, Event

FOLDER = Path(isthmus.__file__).parent / "examples" / "openbandit"


VIEW = Event(
    name="view",
    attributes=(
        Attribute(name="exposure_id", type="string"),
        Attribute(name="seconds", type="float"),
        Attribute(name="position", type="int"),
    ),
)


@cache
def example():
    return load(FOLDER / "project.yaml")


def texts():
    """The three views, the objective's view, the exactly-once view, exposed events, and the sums of an experiment by row and by unit."""
    spec = example().spec
    ctr = spec.objectives["ctr"]
    by_unit = msgspec.structs.replace(ctr, unit="segment_id")
    return {
        **{name: view.sql for name, view in spec.feature_views.items()},
        "ctr": objective_view(spec, ctr).view_sql,
        "events_impression": exactly_once_view(spec.events["impression"]).view_sql,
        "view_exposed": exposed_view(VIEW).view_sql,
        "arms_by_row": _asked(cells_sql(spec.analyses["policy_test"], ctr)),
        "arms_by_unit": _asked(cells_sql(spec.analyses["policy_test"], by_unit)),
    }


def _asked(sql):
    moment = "TIMESTAMP '2019-12-01 00:00:00'"
    for name, literal in {"control": "'random'", "treatment": "'bts'", "until": moment, "known": moment}.items():
        sql = sql.replace(f"${name}", literal)
    return sql
