"""What a sound project reads to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from isthmus.errors import NotFound, ProjectError
from isthmus.project.load import load, parse
from isthmus.project.specs.description import Bound, Feature

from .conftest import EXAMPLE


def test_the_example_has_no_problem_and_counts_as_the_specification_says():
    description, problems = parse(EXAMPLE / "project.yaml")
    assert problems == ()
    spec = description.spec
    sizes = [
        len(s)
        for s in (
            spec.events,
            spec.objectives,
            spec.feature_views,
            spec.models,
            spec.endpoints,
            spec.tables,
        )
    ]
    assert sizes == [2, 1, 3, 2, 1, 2]
    assert spec.now == datetime(2019, 12, 1, tzinfo=UTC)


def test_a_window_of_days_includes_its_last_day():
    model = load(EXAMPLE).spec.models["logistic"]
    assert model.window == (datetime(2019, 11, 24, tzinfo=UTC), datetime(2019, 12, 1, tzinfo=UTC))


def test_what_a_model_leaves_out_takes_the_documented_defaults():
    model = load(EXAMPLE).spec.models["popularity"]
    assert (model.window, model.window_length) == (None, timedelta(days=28))
    assert (model.evaluate.forward, model.evaluate.after) == (None, timedelta(days=2))
    assert model.gate.bounds == ()


def test_a_window_may_be_a_length_back_from_now(example):
    example.edit("models/logistic.yaml", "2019-11-24 .. 2019-11-30", "14d")
    model = example.spec().models["logistic"]
    assert (model.window, model.window_length) == (None, timedelta(days=14))


def test_an_attribute_named_as_a_key_or_as_an_event_refers_to_it():
    events = load(EXAMPLE).spec.events
    by_name = {a.name: a for a in events["click"].attributes}
    assert (by_name["impression_id"].event, by_name["impression_id"].entity) == ("impression", None)
    assert (by_name["item_id"].event, by_name["item_id"].entity) == (None, "item")


def test_features_are_views_features_or_the_exposures_attributes():
    features = load(EXAMPLE).spec.models["logistic"].features
    assert features[0] == Feature(view=None, name="position")
    assert features[4] == Feature(view="item_history", name="item_ctr_7d")


def test_shares_are_exact_decimals(example):
    example.edit("project.yaml", "traffic: 90", "traffic: 99.95")
    example.edit("project.yaml", "traffic: 10", "traffic: 0.05")
    variants = example.spec().endpoints["ranker"].variants
    assert [v.traffic for v in variants] == [Decimal("99.95"), Decimal("0.05")]


def test_places_are_found_by_the_documented_keys():
    places = load(EXAMPLE).places
    assert (
        places["models/logistic.yaml:features[4]"].file,
        places["models/logistic.yaml:features[4]"].line,
    ) == (
        "models/logistic.yaml",
        11,
    )
    assert places["feature_views.item_history"].file == "project.yaml"
    line = (
        (EXAMPLE / "project.yaml")
        .read_text()
        .splitlines()[places["feature_views.item_history"].line - 1]
    )
    assert line.strip().startswith("item_history:")


def test_a_view_carries_its_sql_with_its_lines_and_without_a_closing_semicolon(example):
    example.edit("features/item_history.sql", "AND CURRENT ROW)", "AND CURRENT ROW) ;\n")
    view = example.spec().feature_views["item_history"]
    assert view.sql.startswith("-- features/item_history.sql")
    assert view.sql.endswith("AND CURRENT ROW)\n")
    assert view.ttl == timedelta(days=7)


def test_a_section_may_move_to_a_folder_of_its_name_as_it_is(example):
    before = example.spec()
    text = (example.path / "project.yaml").read_text()
    start, end = text.index("  click:\n"), text.index("\nobjectives:")
    body = "\n".join(line[4:] for line in text[start:end].splitlines()[1:])
    example.write("events/click.yaml", body)
    example.write("project.yaml", text[:start] + text[end:])
    description, problems = example.parse()
    assert problems == ()
    assert description.spec == before
    assert (
        description.places["events.click.owner"].file,
        description.places["events.click.owner"].line,
    ) == ("events/click.yaml", 2)


def test_a_whole_section_may_live_in_its_folder(example):
    example.edit(
        "project.yaml", "tables:                          # slow things that are not events\n", ""
    )
    example.edit("project.yaml", "  items:      data/random_items.parquet\n", "")
    text = (example.path / "project.yaml").read_text()
    example.write(
        "project.yaml",
        "\n".join(line for line in text.splitlines() if "item_prior.csv" not in line),
    )
    example.write("tables/items.yaml", "data/random_items.parquet\n")
    example.write("tables/item_prior.yaml", "data/item_prior.csv\n")
    assert sorted(example.spec().tables) == ["item_prior", "items"]


def test_a_folder_is_as_good_as_its_project_file():
    assert load(EXAMPLE).spec == load(EXAMPLE / "project.yaml").spec


def test_without_a_project_file_the_error_says_how_to_begin(tmp_path):
    with pytest.raises(NotFound) as error:
        load(tmp_path / "project.yaml")
    assert "isthmus init" in error.value.remedy
    description, problems = parse(tmp_path)
    assert (description, problems[0].file) == (None, "project.yaml")


def test_load_raises_every_error_and_no_warning(example):
    example.edit("project.yaml", "ranker@challenger", "ranker@chalenger")  # a warning
    example.edit("project.yaml", "within: 30m", "within: 30")
    example.edit("models/logistic.yaml", "trainer: ranker.logistic", "trainer: ranker.logistics")
    with pytest.raises(ProjectError) as error:
        load(example.path)
    assert [p.severity for p in error.value.problems] == ["error", "error"]
    assert sorted(p.severity for p in example.problems()) == ["error", "error", "warning"]


def test_with_errors_in_models_only_the_rest_can_still_be_looked_at(example):
    example.edit("models/logistic.yaml", "item_history.item_ctr_7d", "item_histori.item_ctr_7d")
    description, problems = example.parse()
    assert [p.severity for p in problems] == ["error"]
    assert sorted(description.spec.models) == ["popularity"]
    assert len(description.spec.feature_views) == 3


def test_with_errors_in_events_there_is_no_description(example):
    example.edit("project.yaml", "segment_id: {type: string}", "segment_id: {type: strin}")
    assert example.parse()[0] is None


def test_rows_are_ranked_within_their_unit_unless_the_objective_says_within_what(example):
    example.edit("project.yaml", "within: 30m, ", "within: 30m, unit: segment_id, ")
    objective = example.spec().objectives["ctr"]
    assert (objective.unit, objective.ranked_within) == ("segment_id", "segment_id")
    example.edit("project.yaml", "unit: segment_id, ", "unit: segment_id, ranked_within: item_id, ")
    assert example.spec().objectives["ctr"].ranked_within == "item_id"


def test_a_gate_may_ask_for_any_figure_and_for_its_difference(example):
    example.edit("project.yaml", "within: 30m, ", "within: 30m, unit: segment_id, ")
    example.edit(
        "models/logistic.yaml",
        "auc_vs_champion: {at_least: 0}",
        "ndcg@5_vs_champion: {at_least: -0.01}\n  log_loss: {at_most: 0.03}",
    )
    assert example.spec().models["logistic"].gate.bounds == (
        Bound(metric="ndcg@5", against=True, low=-0.01),
        Bound(metric="log_loss", high=0.03),
        Bound(metric="calibration", low=0.67, high=1.5),
    )


def test_an_endpoint_that_counts_another_unit_is_warned_of(example):
    example.edit("project.yaml", "within: 30m, ", "within: 30m, unit: item_id, ")
    example.edit("project.yaml", "unit: visitor_id ", "unit: segment_id ")
    problems = example.problems()
    (warning,) = [
        problem
        for problem in problems
        if "evaluation and experiments count different units" in problem.message
    ]
    assert (warning.severity, warning.file) == ("warning", "project.yaml")
    example.edit("project.yaml", "unit: item_id, ", "unit: segment_id, ")
    assert not example.problems()


def test_an_objective_without_a_unit_has_that_of_its_endpoints_if_the_exposure_logs_it(example):
    assert example.spec().objectives["ctr"].unit is None, "no visitor_id is logged"
    example.edit("project.yaml", "unit: visitor_id ", "unit: segment_id ")
    objective = example.spec().objectives["ctr"]
    assert (objective.unit, objective.ranked_within) == ("segment_id", "segment_id")


def test_a_unit_of_one_row_is_declared_by_event_id_and_ranks_nothing(example):
    example.edit("project.yaml", "within: 30m, ", "within: 30m, unit: event_id, ")
    assert not example.problems()
    objective = example.spec().objectives["ctr"]
    assert (objective.unit, objective.ranked_within) == ("event_id", None)
