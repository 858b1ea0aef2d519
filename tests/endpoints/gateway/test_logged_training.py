"""A model of `features: logged`: what a gateway logged is what it learns from, and it is served."""

import json
from datetime import UTC, datetime, timedelta

import pytest

import isthmus
from isthmus.core.runtime.project import Project
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.events.intake.emit import emit
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

pytestmark = pytest.mark.slow

MONDAY = datetime(2024, 1, 3, tzinfo=UTC)
ONLINE = """
model: ranker
alias: online
objective: served_ctr
window: 2024-01-01 .. 2024-01-10
features: logged
trainer: isthmus.logistic
"""


def files():
    project = (
        mini.FILES["project.yaml"]
        .replace("{type: string}\n      item_id", "{type: string, required: false}\n      item_id")
        .replace(
            "\nobjectives:", "\n      exposure_id: {type: string, required: false}\nobjectives:"
        )
        .replace(
            "\nfeature_views:",
            "\n  served_ctr: {rate: click / exposures, within: 30m}\nfeature_views:",
        )
    )
    return mini.FILES | {
        "project.yaml": f"{project.rstrip()}\n    log_features: true\n",
        "models/online.yaml": ONLINE,
    }


def visited(project, clock, *, visits):
    """Rank every half hour; whoever sees an item clicks it as often as its number says."""
    clicks, rows = [], {}

    def keep(name, instances, **options):
        reply = invoke(name, instances, **options)
        rows[options["request_id"]] = instances
        return reply

    invoke, project.target.endpoints.invoke = project.target.endpoints.invoke, keep
    with Gateway(project, "ranker", seed="logged") as gateway:
        for number in range(visits):
            clock.append(MONDAY + timedelta(minutes=30 * number))
            answer = gateway.rank(mini.REQUEST | {"visitor_id": f"v{number % 20}"})
            clicks += [
                {
                    "event_id": f"c-{exposure}",
                    "event_timestamp": clock[-1] + timedelta(minutes=1),
                    "exposure_id": exposure,
                    "item_id": item,
                }
                for item, exposure in zip(answer.items, answer.exposures, strict=True)
                if (number + item) % 4 < item - 1
            ]
    project.target.endpoints.invoke = invoke
    clock.append(MONDAY + timedelta(days=7))
    assert emit(project, "click", clicks) == ()
    return rows, {click["exposure_id"] for click in clicks}


def test_a_model_learns_from_the_rows_that_were_served_and_is_served_itself(tmp_path, monkeypatch):
    folder, clock = mini.filled(tmp_path, files()), [MONDAY]
    monkeypatch.setattr(Project, "now", lambda _: clock[-1])
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        deploy(project, "ranker")
        rows, clicked = visited(project, clock, visits=300)
        run = isthmus.train(project, "online")
        remove_endpoints(project.target)
        assert (run.data.rows, run.data.positives) == (900, len(clicked))
        assert set(run.features) == {
            "item_history.item_impressions",
            "position",
            "segment_history.segment_impressions",
        }
        table = read(project, run.name)
        for row in table:
            request, _, _ = row["event_id"].rpartition("-")
            served = rows[request][[1, 2, 3, 4].index(int(row["entity_key"]))]
            assert {name: row[name] for name in served} == served
            assert row["outcome"] == (row["event_id"] in clicked)
        (folder / "project.yaml").write_text(
            (folder / "project.yaml").read_text().replace("ranker@challenger", "ranker@online")
        )
    with mini.opened(folder) as project:
        deploy(project, "ranker")
        with Gateway(project, "ranker") as gateway:
            reply = gateway.score(mini.REQUEST, variant="challenger")
        assert f"ranker@{reply.version}" == run.version
        assert len(set(reply.predictions)) > 1
        remove_endpoints(project.target)


def read(project, run):
    """Return the rows that the run's step `dataset` made."""
    import pyarrow.parquet as pq

    (file,) = (project.folder / ".isthmus").glob(f"runs/{run}/**/data.parquet")
    assert json.loads(file.with_name("data.json").read_text())["exposure"] == "exposures"
    return pq.read_table(file).to_pylist()
