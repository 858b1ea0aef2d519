"""`metrics:`, `layers:`, `experiments:` -> structs, with what is left out."""

from datetime import timedelta
from decimal import Decimal

import pytest

from isthmus.events.catalogue.readers import readers
from isthmus.project.specs import reach
from isthmus.project.specs.description import Parameter
from isthmus.project.specs.experiments import (
    ExperimentArm,
    ExperimentGuardrail,
    Layer,
    Metric,
    Plan,
    Total,
)
from isthmus.project.specs.monitors import AlarmLimits, Monitor
from isthmus.project.specs.rules import Condition

from . import home_shop
from .cases import P
from .conftest import Folder
from .shop_cases import SHOP_CASES

DAY = timedelta(days=1)


@pytest.fixture
def shop(tmp_path):
    home_shop.write(tmp_path)
    return Folder(tmp_path)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home_shop")
    home_shop.write(folder)
    description, problems = Folder(folder).parse()
    assert problems == ()
    return description.spec


def test_a_metric_is_a_sum_a_share_of_units_or_a_ratio(spec):
    assert spec.metrics["clicks"] == Metric(
        name="clicks", kind="sum", numerator=Total(event="click"), within=7 * DAY, before=14 * DAY
    )
    assert spec.metrics["revenue"] == Metric(
        name="revenue",
        kind="sum",
        numerator=Total(event="purchase", attribute="amount"),
        within=7 * DAY,
        at_most=50000,
    )
    assert spec.metrics["stay_per_view"] == Metric(
        name="stay_per_view",
        kind="rate",
        numerator=Total(event="view", attribute="seconds"),
        denominator=Total(event="view"),
        within=7 * DAY,
    )
    assert spec.metrics["errors"] == Metric(
        name="errors", kind="any", numerator=Total(event="app_error"), within=DAY, goal="minimise"
    )


def test_every_objective_is_a_metric(spec):
    assert spec.metrics["ctr"] == Metric(
        name="ctr",
        kind="rate",
        numerator=Total(event="click"),
        denominator=Total(event="impression"),
        objective="ctr",
    )


def test_what_a_monitor_says(spec):
    assert spec.monitors["category_bias"] == Monitor(
        name="category_bias",
        endpoint="ranker",
        items="item_profile.item_category",
        alarm=AlarmLimits(shown_to_organic=2, calibration=(0.67, 1.5), gini_rise=0.05),
    )
    assert spec.monitors["served_alike"] == Monitor(
        name="served_alike",
        endpoint="ranker",
        units="gender",
        alarm=AlarmLimits(satisfied_ratio=0.8, mix_drift=0.05),
    )


def test_what_an_experiment_says(spec):
    experiment = spec.experiments["ranker_v2"]
    assert experiment.arms == (
        ExperimentArm(name="control", weight=50),
        ExperimentArm(name="treatment", weight=50, parameters={"variant": "challenger"}),
    )
    assert (experiment.layer, experiment.share, experiment.holdout) == (
        "home",
        Decimal(20),
        Decimal(5),
    )
    assert experiment.targeting == (
        Condition(attribute="country", among=("JP", "TW")),
        Condition(attribute="platform", not_among=("web",)),
    )
    assert experiment.guardrails == (
        ExperimentGuardrail(metric="bought", may="drop", margin=Decimal(2)),
        ExperimentGuardrail(metric="errors", may="rise", margin=Decimal(10)),
    )
    assert (experiment.metric, experiment.also, experiment.segments) == (
        ("ctr",),
        ("clicks", "stay_per_view"),
        ("platform",),
    )
    assert experiment.plan == Plan(minimum_effect=Decimal(8), days=14)
    assert experiment.aims


def test_a_limit_of_robots_is_read_of_runs_and_of_logs_and_needs_units(shop):
    shop.edit(
        P,
        "metric: ctr, plan: {minimum_effect: 3%}",
        "metric: ctr, drop_above: 500, plan: {minimum_effect: 3%}",
    )
    assert shop.spec().experiments["blend_up"].drop_above == 500


def test_the_two_kinds_of_experiments_are_told_apart(spec):
    assert list(spec.experiments) == ["ranker_v2", "blend_up", "order_duel"]
    assert list(spec.analyses) == ["policy_test"]


def test_parameters_have_the_values_that_their_types_have(spec):
    assert spec.endpoints["ranker"].parameters["ad_boost"] == Parameter(
        name="ad_boost", type="float", default=1.0, min=0.5, max=2
    )
    assert isinstance(spec.endpoints["ranker"].parameters["ad_boost"].default, float)


def test_an_arms_whole_number_is_the_float_that_its_parameter_is_and_explore_a_number_of_percent(
    shop,
):
    shop.edit(P, "low: {blend: 0.3}", "low: {blend: 0, explore: 2.5%}")
    low = shop.spec().experiments["blend_up"].arms[1]
    assert low.parameters == {"blend": 0.0, "explore": 2.5}
    assert isinstance(low.parameters["blend"], float)


def test_the_short_form_compares_two_variants(shop):
    shop.edit(
        P,
        "arms:      {control: {}, treatment: {variant: challenger}}",
        "control: champion\n    treatment: challenger",
    )
    arms = shop.spec().experiments["ranker_v2"].arms
    assert [(arm.name, arm.parameters) for arm in arms] == [
        ("control", {"variant": "champion"}),
        ("treatment", {"variant": "challenger"}),
    ]


def test_an_endpoint_has_a_layer_of_its_name_unless_another_one_is_written(shop):
    assert list(shop.spec().layers) == ["home"]
    shop.edit(P, "layers:\n  home: {endpoint: ranker, holdout: 2%}\n", "")
    shop.edit(P, "    layer: home\n", "")
    shop.edit(P, "{layer: home, arms", "{endpoint: ranker, arms")
    spec = shop.spec()
    assert spec.layers == {"ranker": Layer(name="ranker", endpoint="ranker")}
    assert {experiment.layer for experiment in spec.experiments.values()} == {"ranker"}


def test_a_section_of_experiments_may_be_files_of_its_own(shop):
    text = (shop.path / P).read_text()
    before, line = text.split("  blend_up:\n    ")
    shop.write("experiments/blend_up.yaml", line.splitlines()[0] + "\n")
    shop.write(P, before + line.split("\n", 1)[1])
    assert set(shop.spec().experiments) == {"ranker_v2", "blend_up", "order_duel"}


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ("impression", ("exposure_id",)),
        ("click", ("impression_id", "exposure_id")),
        ("purchase", ("visitor_id",)),
        ("nothing", None),
    ],
)
def test_an_event_comes_to_its_unit_by_the_shortest_path(spec, event, path):
    assert reach.path(event, "visitor_id", spec.events) == path


def test_a_metric_reads_what_it_adds_up_and_what_leads_to_the_unit(spec):
    assert readers(spec, "purchase", "amount") == ("metric revenue",)
    assert readers(spec, "purchase", "visitor_id") == ("metric bought", "metric revenue")
    assert readers(spec, "view", "page") == ()
    assert readers(spec, "click", "impression_id")[:2] == ("objective ctr", "metric clicks")
    assert "metric clicks" in readers(spec, "impression", "exposure_id")
    assert "metric clicks" not in readers(spec, "impression", "item_id")


def test_a_monitor_reads_outcomes_and_what_leads_to_its_groups(spec):
    assert "monitor served_alike" in readers(spec, "click", "impression_id")
    assert {"monitor served_alike", "monitor category_bias"} <= set(
        readers(spec, "impression", "exposure_id")
    )
    assert {"monitor served_alike", "monitor category_bias"} <= set(readers(spec, "click"))
    assert not [
        name for name in readers(spec, "impression", "item_id") if name.startswith("monitor")
    ]


@pytest.mark.parametrize("case", SHOP_CASES.values(), ids=SHOP_CASES)
def test_a_mistake_is_named_with_its_line_and_remedy(shop, case):
    file, old, new, blamed, message, remedy = case
    shop.edit(file, old, new)
    problems = [p for p in shop.problems() if message in p.message]
    assert len(problems) == 1, [str(p) for p in shop.problems()]
    line = (shop.path / file).read_text().splitlines()[problems[0].line - 1]
    assert (problems[0].severity, problems[0].file) == ("error", file)
    assert blamed is None or blamed in line, f"{problems[0]} blames: {line}"
    assert remedy in problems[0].remedy


SEARCH = (
    "  search: {objective: ctr, unit: visitor_id, variants: {only: {model: ranker@champion, "
    "traffic: 100}}}\n"
)


def test_layers_of_one_endpoint_do_not_set_the_same_parameter(shop):
    shop.edit(P, "layers:\n", "layers:\n  second: {endpoint: ranker}\n")
    shop.edit(
        P,
        "{layer: home, arms: {control: {}, low: {blend: 0.3}",
        "{layer: second, arms: {control: {}, low: {variant: champion}",
    )
    (problem,) = shop.problems()
    assert "arms.low.variant: ranker_v2 of the layer home sets variant, too" in problem.message
    assert problem.remedy.startswith("write layer: home for both")


def test_layers_of_two_endpoints_may(shop):
    shop.edit(P, "metrics:\n", SEARCH + "metrics:\n")
    shop.edit(
        P,
        "{layer: home, arms: {control: {}, low: {blend: 0.3}, high: {blend: 0.7}}",
        "{layer: search, arms: {a: {}, b: {variant: only}}",
    )
    assert shop.problems() == ()
    assert list(shop.spec().layers) == ["search", "home"]


def test_an_experiment_says_its_layer_where_there_are_two(shop):
    shop.edit(P, "layers:\n", "layers:\n  second: {endpoint: ranker}\n")
    shop.edit(P, "    layer: home\n", "")
    (problem,) = shop.problems()
    assert (problem.message, problem.remedy) == (
        "experiments.ranker_v2: layer is missing, and ranker has second, home",
        "name one of them",
    )


def test_an_experiment_says_its_endpoint_where_there_are_two(shop):
    shop.edit(P, "metrics:\n", SEARCH + "metrics:\n")
    shop.edit(P, "    layer: home\n", "")
    (problem,) = shop.problems()
    assert problem.message == "experiments.ranker_v2: layer is missing, and there are 2 endpoints"


def test_a_layer_is_not_named_as_the_one_that_another_endpoint_has(shop):
    shop.edit(P, "metrics:\n", SEARCH + "metrics:\n")
    shop.edit(P, "  home: {endpoint", "  search: {endpoint: ranker}\n  home: {endpoint")
    (problem,) = shop.problems()
    assert "layers.search: the endpoint search has a layer of this name" in problem.message


def test_a_segment_is_of_one_value(shop):
    shop.edit(
        P,
        "gender: {type: string, required: false}",
        "gender: {type: string, required: false}, age: {type: float}",
    )
    shop.edit(P, "segments:  [platform]", "segments:  [age]")
    (problem,) = shop.problems()
    assert "segments[0]: age is a float, and a segment is of one value" in problem.message


def test_results_by_model_version_are_of_arms_that_share_their_versions(shop):
    shop.edit(P, "segments:  [platform]", "segments:  [model_version]")
    (problem,) = shop.problems()
    assert "segments[0]: arms that set variant have a version each" in problem.message
    shop.edit(
        P,
        "{control: {}, treatment: {variant: challenger}}",
        "{control: {}, treatment: {blend: 0.4}}",
    )
    assert shop.spec().experiments["ranker_v2"].segments == ("model_version",)
    shop.edit(
        P,
        "gender: {type: string, required: false}",
        "gender: {type: string, required: false}, model_version: {type: string}",
    )
    (problem,) = shop.problems()
    assert (problem.message.partition("segments[0]: ")[2], problem.remedy) == (
        "model_version is the version that answered, and an attribute of a request to ranker",
        "rename the attribute",
    )


def test_a_bound_of_a_number_is_a_condition(shop):
    shop.edit(P, "gender: {type: string, required: false}", "age: {type: int, required: false}")
    shop.edit(
        P,
        "targeting: {country: [JP, TW], platform: {not: web}}",
        "targeting: {age: {min: 18, not: [20, 21]}}",
    )
    assert shop.spec().experiments["ranker_v2"].targeting == (
        Condition(attribute="age", not_among=(20, 21), min=18),
    )


def test_the_view_of_what_an_event_followed_is_nobody_elses(shop):
    shop.edit(P, "feature_views:\n", "tables: {view_exposed: data/x.csv}\nfeature_views:\n")
    shop.write("data/x.csv", "a\n1\n")
    (problem,) = shop.problems()
    assert "the table view_exposed, which is made for events.view" in problem.message


def test_a_broken_endpoint_is_not_also_an_unknown_layer(shop):
    shop.edit(P, "layers:\n  home: {endpoint: ranker, holdout: 2%}\n", "")
    shop.edit(P, "    layer: home\n", "    layer: ranker\n")
    shop.edit(P, "{layer: home, arms", "{arms")
    shop.edit(P, "{layer: home, interleave", "{interleave")
    shop.edit(P, "    explore: 5%", "    explore: 0.05")
    assert [p.message.split(":")[0] for p in shop.problems()] == ["endpoints.ranker.explore"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min: 0, max: 1, default", "min: 1, max: 0, default"),
        ("{type: float, min: 0, max: 1, default: 0.5}", "{type: string, min: 0, default: low}"),
        ("country: {type: string}, gender", "country: {type: int}, gender"),
    ],
)
def test_a_broken_declaration_is_not_also_the_mistake_of_who_uses_it(shop, old, new):
    shop.edit(P, old, new)
    (problem,) = shop.problems()
    assert problem.message.startswith("endpoints.ranker.")


def test_without_arms_no_weight_is_judged(shop):
    shop.edit(P, "    arms:      {control: {}, treatment: {variant: challenger}}\n", "")
    (problem,) = shop.problems()
    assert problem.message == "experiments.ranker_v2: arms is missing"


def test_several_mistakes_of_an_experiment_are_told_at_once(shop):
    shop.edit(P, "share:     20%", "share:     0%")
    shop.edit(P, "weights:   {control: 50, treatment: 50}", "weights:   {control: 50}")
    shop.edit(P, "targeting: {country: [JP, TW]", "targeting: {country: [JP, 7]")
    shop.edit(P, "metric:    ctr", "metric:    crt")
    shop.edit(P, "high: {blend: 0.7}", "high: {blend: 7}")
    shop.edit(P, "sum: purchase.amount", "sum: view.page")
    assert len(shop.problems()) == 6


def test_an_experiment_that_interleaves_has_one_arm_and_aims(shop):
    duel = shop.spec().experiments["order_duel"]
    assert (duel.interleave, [arm.name for arm in duel.arms], duel.metric) == (
        ("champion", "challenger"),
        ["interleaved"],
        ("ctr",),
    )
    assert duel.aims


def test_an_interleaving_in_another_layer_than_a_test_of_variants_is_refused(shop):
    shop.edit(P, "layers:\n", "layers:\n  side: {endpoint: ranker}\n")
    shop.edit(P, "order_duel: {layer: home, ", "order_duel: {layer: side, ")
    problems = [problem.message for problem in shop.problems()]
    message = "ranker_v2 of the layer home sets variant, too, and a unit may be in both"
    assert problems == [f"experiments.order_duel.interleave[{at}]: {message}" for at in (0, 1)]


def test_a_rule_without_known_propensities_is_refused_beside_an_interleaving_that_does_not_explore(
    shop,
):
    shop.edit(P, "explore: 5%", "explore: 0%")
    shop.edit(
        P,
        "      - cap:     {",
        "      - cap:     {by: item_id, max: 1, per: response}\n      - cap:     {",
    )
    problem = next(problem for problem in shop.problems() if "second cap" in problem.message)
    assert "it is a second cap per response, and order_duel interleaves" in problem.message
    assert problem.remedy == "take order_duel out, or take one of the rules out"
