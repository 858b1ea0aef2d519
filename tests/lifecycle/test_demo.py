"""`isthmus demo`: the figures that the data's own page publishes, and nothing left running."""

import pytest

import isthmus as im
from isthmus.tests.cli.running import isthmus

pytestmark = pytest.mark.slow


def test_the_demo_reproduces_the_published_figures_and_stops_what_it_started(tmp_path):
    found = isthmus(tmp_path, "demo", "--requests", "200", "--json").json
    assert [(r["event"], r["stored"]) for r in found["ingested"]] == [("impression", 20_000), ("click", 80)]
    assert round(found["champion"]["evaluation"]["auc"]["value"], 3) == 0.540
    assert round(found["challenger"]["evaluation"]["auc"]["value"], 3) == 0.475
    assert found["challenger"]["gate"] == "inconclusive"
    assert round(found["replay"]["value"], 6) == 0.004553
    assert round(found["leak"]["honest"]["value"], 2) == 0.47
    assert round(found["leak"]["leaked"]["value"], 2) == 0.75
    assert sum(found["served"]["requests"].values()) == 200
    assert found["served"]["exposures"] == 600, "one for each of three places"
    assert found["served"]["errors"] == 0
    with im.open(tmp_path / "openbandit/project.yaml") as project:
        assert project.target.endpoints.observe("ranker") is None
    for page in (found["picture"], found["page"]):
        assert (tmp_path / "openbandit" / page).is_file()


def test_the_demo_refuses_another_project(new):
    said = isthmus(new, "demo", ok=False)
    assert said.code == 1
    assert "the demo runs the example openbandit; this project is shop" in said.err
