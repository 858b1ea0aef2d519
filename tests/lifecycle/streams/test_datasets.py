"""A data set in a project: planned, applied, read by a worker, replayed, and kept as it was."""

from datetime import UTC, datetime, timedelta

import pytest

import isthmus as im
from isthmus.errors import Refused
from isthmus.events.intake.emit import emit_stream
from isthmus.events.tables.exposures import EXPOSURES_STREAM
from isthmus.feature_store.datasets.labels import Labeller
from isthmus.tests.cli.running import isthmus
from isthmus.tests.conformance.data.shown import exposure
from isthmus.tests.project.objectives.test_datasets import DATASETS
from isthmus.tests.project.objectives.test_served_objectives import CHAMPION, PROJECT

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


@pytest.fixture
def shop(tmp_path):
    """Exposures of two days ago, every third with a click."""
    (tmp_path / "models").mkdir()
    (tmp_path / "project.yaml").write_text((PROJECT + DATASETS).lstrip())
    (tmp_path / "models/champion.yaml").write_text(CHAMPION.lstrip())
    assert "+ data set       served" in isthmus(tmp_path, "plan").out
    isthmus(tmp_path, "apply", "--yes")
    assert "4 in place" in isthmus(tmp_path, "plan").out
    shown = [
        exposure(number) | {"event_timestamp": BEGIN + timedelta(minutes=number)}
        for number in range(60)
    ]
    clicks = [
        {
            "event_id": f"c{number}",
            "event_timestamp": BEGIN + timedelta(minutes=number + 4),
            "exposure_id": f"q-{number}",
            "impression_id": "i",
            "seconds": 1.0,
        }
        for number in range(0, 60, 3)
    ]
    with im.open(tmp_path) as project:
        assert emit_stream(project, EXPOSURES_STREAM, shown) == ()
        assert im.emit(project, "click", clicks) == ()
    return tmp_path


def test_a_replay_compares_each_example_with_the_objectives_row(shop):
    said = isthmus(shop, "stream", "replay", "served").out
    assert said == (
        "replayed 80 events as fast as they go   60 rows   0 differ from the rows of served_ctr   "
        "0 late\n"
    )
    with im.open(shop) as project:
        late = {"event_id": "c", "exposure_id": "q-1", "impression_id": "i", "seconds": 1.0}
        moment = {"event_timestamp": BEGIN + timedelta(minutes=30)}
        since = BEGIN + timedelta(minutes=2)
        assert im.emit(project, "click", [late | moment]) == ()
        whole, later = (im.stream.replay(project, "served", since=s) for s in (None, since))
    assert (whole.events, whole.rows, whole.differ) == (81, 60, 0)
    assert (later.rows, later.differ) == (58, 0)


def test_a_replay_that_differs_names_the_examples_and_exits_with_one(shop, monkeypatch):
    monkeypatch.setattr(Labeller, "_label", lambda _self, _amounts: 0)
    said = isthmus(shop, "stream", "replay", "served", ok=False)
    assert said.code == 1
    assert "20 differ from the rows of served_ctr" in said.out
    assert "q-0 at " in said.out


def test_a_worker_begins_with_what_was_shown_lately_and_other_examples_are_refused(shop):
    assert "served  data set  exposures, click  within 30m" in isthmus(shop, "stream", "list").out
    lately = datetime.now(UTC) - timedelta(minutes=9)
    with im.open(shop) as project:
        shown = [exposure(number) | {"event_timestamp": lately} for number in (101, 102)]
        click = {"event_id": "c101", "exposure_id": "q-101", "impression_id": "i", "seconds": 1.0}
        assert emit_stream(project, EXPOSURES_STREAM, shown) == ()
        moment = {"event_timestamp": lately + timedelta(minutes=1)}
        assert im.emit(project, "click", [click | moment]) == ()
    isthmus(shop, "stream", "run", "served", "--for", "1s")
    (status,) = isthmus(shop, "stream", "status", "--json").json
    figures = status["figures"]
    assert (figures["examples"], figures["waiting"]) == (1, 1)  # not what is older than 2 x within
    query = "SELECT event_id, outcome FROM events_examples_served"
    with im.open(shop) as project:
        (example,) = im.query(project, query).to_pylist()
    assert example == {"event_id": "q-101", "outcome": 1}
    file = shop / "project.yaml"
    text = file.read_text()
    assert text.count("exposures, within: 30m") == 1
    file.write_text(text.replace("exposures, within: 30m", "exposures, within: 20m"))
    assert "other examples than it has" in isthmus(shop, "plan").out
    with im.open(shop) as project:
        with pytest.raises(Refused, match="data set served: other examples") as refused:
            im.apply(project)
        assert "served_v2" in refused.value.remedy
        with pytest.raises(Refused, match="served: its definition changed"):
            im.stream.run(project, ["served"], duration=timedelta(seconds=1))
