"""`isthmus train --curve`: the curve is in the record, the text and the page, and registers nothing."""

import re

import pytest

from isthmus.pipelines.run_pages import records
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.runs.watch import observe
from isthmus.pipelines.training import training
from isthmus.tests.cli.running import isthmus
from isthmus.tests.pipelines import trained
from isthmus.tests.pipelines.run_pages.test_report import Whole

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path):
    folder = trained.make_project(tmp_path / "shop")
    trained.configure(
        folder, "gated", "gate: {calibration: {within: [0.1, 9]}, log_loss: {at_most: 2}}\n"
    )
    with trained.open_project(folder) as project:
        yield project


def test_a_run_with_a_curve_is_the_run_without_it_and_the_curve(shop, monkeypatch):
    table = trained.data()
    plain = trained.run_here(shop, "good", table, monkeypatch)
    curved = trained.run_here(shop, "good", table, monkeypatch, curve=True)
    assert plain.curve is None
    assert (curved.evaluation, curved.code, curved.version) == (
        plain.evaluation,
        plain.code,
        plain.version,
    )
    assert [version.version for version in shop.target.registry.versions("ranker")] == [1]
    whole = curved.curve.points[-1]
    assert (curved.curve.metric, curved.curve.tested) == ("auc", curved.evaluation.rows)
    assert whole.figures["auc"] == curved.evaluation.auc
    assert records.fetch(shop.target.blobs, curved.name) == curved


def test_the_text_and_the_page_show_the_gates_metric_by_share(shop, monkeypatch):
    run = trained.run_here(shop, "gated", trained.data(), monkeypatch, curve=True)
    lines = str(run).splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("  curve"))
    assert "log loss by the share of rows trained on, tested on the same" in lines[first]
    assert [line.split()[:2] for line in lines[first + 1 : first + 6]] == [
        [str(percent), "%"] for percent in (10, 20, 40, 70, 100)
    ]
    assert "changed log loss by" in lines[first + 6]
    page = local_path(run_uri(shop.target.blobs, run.name)).read_text()
    Whole(page)
    section = page.partition("<h2>Learning curve</h2>")[2].partition("<h2>")[0]
    assert "<svg" in section
    assert len(re.findall(r'class="dot a"', section)) == 2 * 5  # on a desk, and on a phone
    assert "gain over the share before" in section
    assert "which rows were trained on is one draw of many" in section


def test_the_command_runs_the_curve_as_a_step_and_takes_it_from_the_cache_again(tmp_path):
    isthmus(tmp_path, "init", "shop", "--example", "starter")
    folder = tmp_path / "shop"
    for command in (["apply"], ["ingest"], ["materialize"]):
        isthmus(folder, *command)
    (first,) = isthmus(folder, "train", "history", "--curve", "--json").json
    (again,) = isthmus(folder, "train", "history", "--curve", "--json").json
    assert [point["percent"] for point in first["curve"]["points"]] == [10, 20, 40, 70, 100]
    assert again["curve"] == first["curve"]
    with trained.open_project(folder) as project:
        reasons = {step.name: step.reason or "" for step in observe(project, again["name"]).steps}
        assert reasons["curve"].startswith("cached")
        assert "curve" not in [
            step.name for step in training.pipeline(project, project.spec.models["history"]).steps
        ]
