"""Runs are found by figures, fields and tags, and a configuration may be changed for one run."""

import pytest

from isthmus.errors import Invalid, NotFound, ProjectError
from isthmus.pipelines.run_pages import notes, runs
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.pipelines.run_pages.run_list import list_runs
from isthmus.pipelines.training import training
from isthmus.tests.pipelines import trained
from isthmus.tests.pipelines.run_pages.test_report import Whole


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """r1 good, r2 worse than chance, r3 good with two digits, by an override."""
    folder = trained.make_project(tmp_path_factory.mktemp("run_list") / "shop")
    trained.configure(folder, "worse", "parameters: {sign: -1}\n")
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        for name, overrides in (("good", ()), ("worse", ()), ("good", ("parameters.digits=2",))):
            trained.run_here(project, name, trained.data(), patch, overrides)
        yield project


def names(listed):
    return [one.name for one in listed]


def test_runs_are_sorted_by_a_figure_best_first(shop):
    by_auc = names(list_runs(shop, sort="auc"))
    assert by_auc[-1] == "r2"
    losses = [one.evaluation.log_loss for one in list_runs(shop, sort="log_loss")]
    assert losses == sorted(losses)
    assert names(list_runs(shop, sort="auc_vs_champion"))[-1] == "r1", (
        "the first champion has nobody to beat: it comes last"
    )
    with pytest.raises(Invalid, match="aux is not a figure"):
        list_runs(shop, sort="aux")


def test_where_finds_by_field_parameter_and_tag(shop):
    assert names(list_runs(shop, where=["model=worse"])) == ["r2"]
    assert names(list_runs(shop, where=["model=ranker"])) == ["r1", "r2", "r3"]
    assert names(list_runs(shop, where=["parameters.digits=2.0", "model=good"])) == ["r3"]
    notes.tag(shop, "r1", ["baseline", "a"])
    notes.tag(shop, "r1", ["b"], remove=["a"])
    notes.note(shop, "r1", "before the new prior")
    assert notes.read(shop.target.blobs, "r1") == notes.Notes(
        tags=("b", "baseline"), note="before the new prior"
    )
    assert names(list_runs(shop, where=["tag=baseline"])) == ["r1"]
    with pytest.raises(Invalid, match="runs have no modell"):
        list_runs(shop, where=["modell=good"])
    with pytest.raises(Invalid, match="is not a tag"):
        notes.tag(shop, "r1", ["two words"])
    with pytest.raises(NotFound):
        notes.tag(shop, "r9", ["x"])


def test_an_override_is_judged_as_the_file_would_be_and_told_with_the_run(shop):
    run = runs.get_run(shop, "r3")
    assert (run.parameters, run.title()) == ({"sign": 1, "digits": 2}, "good parameters.digits=2")
    assert training.configuration(shop, "good", ["evaluate.forward=2d"]).evaluate.forward.days == 2
    with pytest.raises(
        ProjectError, match=r"models/good.yaml --set parameters.digit=2 (.|\n)*digit"
    ):
        training.configuration(shop, "good", ["parameters.digit=2"])
    with pytest.raises(ProjectError, match="did you mean window"):
        training.configuration(shop, "good", ["windw=7d"])
    with pytest.raises(Invalid, match="is not KEY=VALUE"):
        training.configuration(shop, "good", ["parameters.digits"])
    with pytest.raises(Invalid, match="holds no keys"):
        training.configuration(shop, "good", ["trainer.name=x"])


def test_any_number_of_runs_is_compared_with_the_first(shop):
    compared = compare(shop, "r1", "r2", "r3")
    assert [pair.verdict for pair in compared] == ["worse", "undecided"]
    assert compared[0] == compare(shop, "r1", "r2")[0]
    lines = str(compared).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["run", "r1", "r2", "r3"]
    text = comparison_page(shop, compared).read_text()
    Whole(text)
    assert "1 of 2 differ from r1 at 95 %" in text
    with pytest.raises(Invalid, match="nothing to be compared with"):
        compare(shop, "r1")
