"""A comparison is paired, antisymmetric, and says when it cannot tell."""

import msgspec
import pytest

from isthmus.errors import Invalid, NotFound
from isthmus.pipelines.run_pages.changed_columns import changed_columns
from isthmus.pipelines.run_pages.compare import compare
from isthmus.project.specs.description import Feature
from isthmus.tests.pipelines import trained
from isthmus.tests.pipelines.model_graph.worlds import model_of_size, run_of


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = trained.make_project(tmp_path_factory.mktemp("compare") / "shop")
    trained.configure(folder, "worse", "parameters: {sign: -1}\n")
    trained.configure(folder, "same", "parameters: {digits: 2}\n")
    trained.configure(folder, "shorter", "parameters: {digits: 3}\n")
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        for name in ("good", "worse", "same"):
            trained.run_here(project, name, trained.data(), patch)
        trained.run_here(
            project,
            "same",
            trained.data(seed=9).set_column(0, "event_id", [[f"x{i}" for i in range(2100)]]),
            patch,
        )
        yield project


@pytest.mark.slow
def test_the_worse_run_is_called_worse_and_the_other_way_round(shop):
    forth, back = (compare(shop, *names)[0] for names in (("r1", "r2"), ("r2", "r1")))
    assert (forth.verdict, back.verdict) == ("worse", "better")
    assert forth.difference.value == pytest.approx(-back.difference.value)
    assert forth.difference.high == pytest.approx(-back.difference.low)


def test_what_cannot_be_told_apart_is_undecided_and_says_what_it_would_take(shop):
    found = compare(shop, "r1", "r3")[0]
    assert found.verdict == "undecided"
    assert "With 270 clicks an AUC of 0.55 would be found in 80 % of cases" in str(found)


@pytest.mark.slow
def test_both_columns_are_figures_of_the_rows_of_both_runs(shop):
    """The second run was tested on later days, too."""
    table = trained.data()
    shorter = table.slice(0, 1500)
    with pytest.MonkeyPatch.context() as patch:
        run = trained.run_here(shop, "shorter", shorter, patch)
    pair = compare(shop, run.name, "r1")[0]
    assert pair.rows == run.evaluation.rows < pair.second.evaluation.rows
    assert pair.first_figures["auc"].value == pytest.approx(run.evaluation.auc.value)
    assert pair.second_figures["auc"].value == pytest.approx(
        pair.first_figures["auc"].value + pair.difference.value
    )
    assert f"{pair.second_figures['auc'].value:.3f}" in str(pair)
    assert f"figures   of the {pair.rows:,} rows that both were tested on" in str(pair)


def test_runs_without_a_common_row_do_not_compare(shop):
    with pytest.raises(Invalid, match="no row is common to both"):
        compare(shop, "r1", "r4")


def test_an_unknown_run_is_not_found(shop):
    with pytest.raises(NotFound, match="r77"):
        compare(shop, "r1", "r77")


def test_features_and_transforms_of_only_one_run_are_named():
    before = model_of_size(3)
    edges = msgspec.structs.replace(before.transforms[0], at=(5.0,))
    features = (*before.features[:-1], Feature(view=None, name="hour"))
    after = msgspec.structs.replace(
        before, features=features, transforms=(edges, *before.transforms[1:])
    )
    lines = changed_columns(run_of(before), run_of(after, name="r2"))
    assert lines == [
        "only r1   feature item_history.rate_of_2_days",
        "only r1   transform shown = bucketize rate_of_1_days: below 5, 5 to 10, 10 or more",
        "only r2   feature hour",
        "only r2   transform shown = bucketize rate_of_1_days: below 5, 5 or more",
    ]
    assert changed_columns(run_of(before), run_of(before, name="r2")) == []
    many = changed_columns(run_of(model_of_size(30)), run_of(before, name="r2"))
    assert len(many) == 1
    assert many[0].startswith("only r1   features item_trend.rate_of_3_days, ")
    assert many[0].endswith(" and 15 more")
