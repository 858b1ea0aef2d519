import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.events.tables import relations
from isthmus.project.specs.description import Attribute, Event, ParsedProject, ProjectSpec
from isthmus.target import Profile
from isthmus.times import wall_clock

NOW = datetime(2019, 12, 1, tzinfo=UTC)

IMPRESSION = Event(
    name="impression",
    attributes=(
        Attribute(name="item_id", type="int", min=0, max=79, entity="item"),
        Attribute(name="position", type="int", allowed=(1, 2, 3)),
        Attribute(name="policy", type="string", allowed=("random", "bts")),
        Attribute(name="propensity", type="float", min=0, max=1, required=False),
    ),
)
CLICK = Event(
    name="click",
    attributes=(
        Attribute(name="impression_id", type="string", event="impression"),
        Attribute(name="item_id", type="int", min=0, max=79),
    ),
)
PURCHASE = Event(
    name="purchase", attributes=(Attribute(name="click_id", type="string", event="click"),)
)
SPEC = ProjectSpec(
    name="shop", now=NOW, events={"purchase": PURCHASE, "click": CLICK, "impression": IMPRESSION}
)


def make_project(folder, spec=SPEC, *, make=True, clock=wall_clock, **options):
    """A project in a folder, its tables made, as `apply` makes them."""
    profile = Profile(
        name="local", adapter="local", project=spec.name, options={"home": str(folder / ".isthmus")}
    )
    project = Project(
        ParsedProject(spec=spec, folder=str(folder)), targets.load(profile, clock=clock), **options
    )
    if make:
        apply_tables(project)
    return project


def apply_tables(project):
    for table in relations.tables(project.spec):
        project.target.warehouse.apply(table)


@pytest.fixture
def project(tmp_path):
    with make_project(tmp_path) as opened:
        yield opened


def impression(number, **changes):
    row = {
        "event_id": f"i{number}",
        "event_timestamp": (NOW - timedelta(hours=1, seconds=number)).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
        "item_id": number % 80,
        "position": 1 + number % 3,
        "policy": "bts",
        "propensity": 0.25,
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def click(number, **changes):
    row = {
        "event_id": f"c{number}",
        "event_timestamp": (NOW - timedelta(minutes=50, seconds=number)).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
        "impression_id": f"i{number}",
        "item_id": number % 80,
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def seen(project, event):
    """What readers see, in a fixed order."""
    return project.target.warehouse.query(
        f"SELECT * FROM events_{event} ORDER BY dt, event_id", {}
    ).to_pylist()


def raw_count(project, event):
    return project.target.warehouse.query(f"SELECT count(*) AS n FROM {event}_raw", {})["n"][
        0
    ].as_py()


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def lines(tmp_path):
    return lambda rows, name="rows.jsonl": write_lines(tmp_path / name, rows)


def counts(report):
    return report.read, report.stored, report.already_there, report.quarantined


def arrow_table(rows):
    return pa.Table.from_pylist(typed(rows))


def typed(rows):
    return [
        {**row, "event_timestamp": datetime.fromisoformat(row["event_timestamp"])} for row in rows
    ]
