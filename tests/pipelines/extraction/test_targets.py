"""Extraction and profiles on the laptop, SageMaker's and Vertex's stacks: the same rows."""

import pytest

import isthmus as im
from isthmus.tests.experiments.chain.test_chain import PROFILES, TARGETS, led_to
from isthmus.tests.pipelines.extraction import world

pytestmark = pytest.mark.slow


def test_every_target_has_the_same_vectors_and_profiles_and_serves_them(tmp_path, monkeypatch):
    rows = {}
    for target in TARGETS:
        with monkeypatch.context() as environment:
            led_to(target, environment)
            folder = world.create(tmp_path / target / "reader", published=60, clicked=60)
            (folder / "profiles.yaml").write_text(PROFILES)
            with im.open(folder, target=target, offline=target != "local") as project:
                im.apply(project)
                im.ingest(project)
                first = im.features.extract(project, "item_text").extraction
                assert (first.items, first.rows) == (60, 60)
                again = im.features.extract(project, "item_text").extraction
                assert (again.computed, again.rows, again.from_before) == (0, 0, first.computed)
                im.materialize(project, ["user_taste"])
                rows[target] = [
                    im.query(project, f"SELECT * FROM {view} ORDER BY entity_key, event_timestamp")
                    .to_pandas()
                    .drop(columns=["dt"])
                    for view in ("item_text", "user_taste")
                ]
                served = im.features.get(project, "item_text", [7]).rows[0]
                assert served["item_text_02"] is not None
    for target in TARGETS[1:]:
        for ours, theirs in zip(rows["local"], rows[target], strict=True):
            assert list(ours.columns) == list(theirs.columns)
            assert len(ours) == len(theirs) > 0
            for name in ours.columns:
                if ours[name].dtype == "float64":
                    assert list(theirs[name]) == pytest.approx(list(ours[name]), abs=1e-12)
                else:
                    assert list(theirs[name]) == list(ours[name])
