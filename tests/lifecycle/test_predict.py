"""`isthmus predict` gives the same predictions on a laptop and on both offline clouds."""

import pytest

import isthmus as im
from isthmus.tests.cli.running import create
from isthmus.tests.experiments.chain.test_chain import PROFILES, TARGETS, led_to
from isthmus.tests.pipelines.scoring.test_predict import DECLARED, ROWS

pytestmark = pytest.mark.slow

READ = "SELECT * FROM ranking_nightly ORDER BY item_id"


def scored(folder, target):
    with im.open(folder / "project.yaml", target=target, offline=target != "local") as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/history.yaml")
        first, again = im.predict(project, "nightly"), im.predict(project, "nightly")
        rows = im.query(project, READ).to_pylist()
        assert first.rows == again.rows == len(rows) == 10
        assert (again.cached, again.batch) == (2, first.batch)
        return [
            {k: v for k, v in row.items() if k not in ("scored_timestamp", "dt")} for row in rows
        ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("predict") / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    (folder / "predictions").mkdir()
    (folder / "predictions" / "nightly.sql").write_text(ROWS)
    with (folder / "project.yaml").open("a") as file:
        file.write(DECLARED.replace("shards: 4", "shards: 2"))
    return folder


@pytest.fixture(scope="module")
def on_a_laptop(shop):
    return scored(shop, "local")


@pytest.mark.parametrize("target", TARGETS[1:])
def test_an_offline_cloud_gives_the_laptops_rows(shop, on_a_laptop, target, monkeypatch):
    led_to(target, monkeypatch)
    assert scored(shop, target) == on_a_laptop
