"""A run that is trained again after a correction reads the data again, and says how much was
corrected.
"""

import pandas as pd

import isthmus
from isthmus.events.intake.ingest import ingest
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.training import training
from isthmus.tests.pipelines import trained


def impressions(position):
    shown = pd.date_range("2020-01-02", periods=5, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "event_id": [f"i{n}" for n in range(5)],
            "event_timestamp": shown,
            "item_id": 1,
            "position": position,
        }
    )


def test_corrections_since_the_run_before_are_told_and_are_new_data_to_the_cache(
    tmp_path, monkeypatch
):
    folder = trained.make_project(tmp_path / "shop")
    with trained.open_project(folder) as project:
        model = training.configuration(project, "good")

        def read_again():
            return training.pipeline(project, model).steps[0].fingerprint["events"]

        assert read_again().startswith("0 copies"), "nothing is applied yet"
        isthmus.apply(project)
        ingest(project, event="impression", data=impressions(1))
        before = read_again()
        assert before == read_again()
        first = trained.run_here(project, "good", trained.data(), monkeypatch)
        ingest(project, event="impression", data=impressions([1, 1, 1, 2, 2]), corrects=True)
        assert read_again() != before
        second = trained.run_here(project, "good", trained.data(), monkeypatch)
        third = trained.run_here(project, "good", trained.data(), monkeypatch)
        page = local_path(run_uri(project.target.blobs, second.name)).read_text()
    assert first.corrected is None
    assert "\n  corrected     2 corrections since r1\n" in str(second)
    assert "2 corrections since r1" in page
    assert third.corrected is None, "r2 had them already"
