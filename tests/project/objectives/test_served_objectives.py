"""Objectives that count what gateways showed, and models of logged rows: how they are written, and
what is refused at its line.
"""

import pytest

from isthmus.project.load import parse
from isthmus.project.specs.description import Feature
from isthmus.project.specs.streams import created_by_apply

RATE = "rate: click / exposures, within: 30m"
PROJECT = f"""
name: shop
entities:
  item: {{key: item_id, type: int}}
events:
  impression: {{attributes: {{item_id: {{type: int}}, place: {{type: int}}}}}}
  click:
    attributes:
      impression_id: {{type: string}}
      exposure_id: {{type: string}}
      seconds: {{type: float}}
objectives:
  ctr: {{rate: click / impression, within: 30m}}
  served_ctr: {{{RATE}}}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    log_features: true
    variants: {{champion: {{model: ranker@champion, traffic: 100}}}}
"""
CHAMPION = """
model: ranker
alias: champion
objective: ctr
features: [place]
serve_as: {place: 1}
trainer: isthmus.logistic
"""
LOGGED = """
model: ranker
alias: online
objective: served_ctr
features: logged
trainer: isthmus.logistic
"""


def read(folder, text=PROJECT, champion=CHAMPION, logged=LOGGED):
    (folder / "models").mkdir()
    (folder / "project.yaml").write_text(text.lstrip())
    (folder / "models/champion.yaml").write_text(champion.lstrip())
    (folder / "models/online.yaml").write_text(logged.lstrip())
    description, problems = parse(folder / "project.yaml")
    return description, [problem for problem in problems if problem.severity == "error"]


def test_exposures_are_an_event_of_who_has_an_endpoint_and_their_unit_is_the_gateways(tmp_path):
    description, problems = read(tmp_path)
    assert problems == []
    objective = description.spec.objectives["served_ctr"]
    assert (objective.exposure, objective.unit, objective.ranked_within) == (
        "exposures",
        "unit",
        "unit",
    )
    assert "exposures" not in description.spec.events
    assert "served_ctr" not in description.spec.metrics
    assert created_by_apply(description.spec)


def test_a_sum_may_be_counted_by_exposures(tmp_path):
    rate = "rate: sum click.seconds / exposures, within: 30m"
    logged = LOGGED.replace("logistic", "linear")
    description, problems = read(tmp_path, PROJECT.replace(RATE, rate), logged=logged)
    assert problems == []
    assert description.spec.objectives["served_ctr"].sums == "seconds"


def test_a_model_of_logged_rows_has_what_the_served_ones_read(tmp_path):
    description, _ = read(tmp_path)
    model = description.spec.models["online"]
    assert model.logged
    assert model.features == (Feature(view=None, name="place"),)
    assert model.serve_as == {"place": 1}


CASES = {
    "no endpoint": (
        {"text": PROJECT.partition("endpoints:")[0]},
        ("project.yaml", "served_ctr:", "objectives.served_ctr.rate: no endpoint logs exposures"),
        "declare an endpoint with an objective",
    ),
    "an outcome without the exposure": (
        {"text": PROJECT.replace("      exposure_id: {type: string}\n", "")},
        (
            "project.yaml",
            "served_ctr:",
            "objectives.served_ctr.rate: click has no attribute exposure_id, so its exposures",
        ),
        "add exposure_id: {type: string} to the attributes of click",
    ),
    "an outcome that is none": (
        {"text": PROJECT.replace(RATE, "rate: clik / exposures, within: 30m")},
        ("project.yaml", "served_ctr:", "objectives.served_ctr.rate: clik is not an event"),
        "did you mean click?",
    ),
    "a unit that they do not have": (
        {"text": PROJECT.replace(RATE, f"{RATE}, unit: visitor_id")},
        (
            "project.yaml",
            "served_ctr:",
            "objectives.served_ctr.unit: visitor_id is not an attribute of exposures",
        ),
        "exposures has",
    ),
    "an endpoint that ranks for it": (
        {"text": PROJECT.replace("objective: ctr\n", "objective: served_ctr\n")},
        (
            "project.yaml",
            "objective: served_ctr",
            "endpoints.ranker.objective: served_ctr counts what gateways showed",
        ),
        "click / impression",
    ),
    "log_features that is no flag": (
        {"text": PROJECT.replace("log_features: true", "log_features: all")},
        (
            "project.yaml",
            "log_features:",
            "endpoints.ranker.log_features: 'all' is neither true nor false",
        ),
        "write true or false",
    ),
    "logged rows that nobody logs": (
        {"text": PROJECT.replace("    log_features: true\n", "")},
        (
            "models/online.yaml",
            "features: logged",
            "features: logged needs log_features: true on an endpoint that serves ranker",
        ),
        "write it in endpoints.ranker",
    ),
    "logged rows of no exposures": (
        {"logged": LOGGED.replace("served_ctr", "ctr")},
        (
            "models/online.yaml",
            "features: logged",
            "features: logged rows are exposures of a gateway, and ctr counts impression",
        ),
        "rate: click / exposures",
    ),
    "exposures whose features are listed": (
        {"logged": LOGGED.replace("features: logged", "features: [position]")},
        (
            "models/online.yaml",
            "features: [position]",
            "features: served_ctr counts what gateways showed",
        ),
        "write features: logged",
    ),
    "logged rows and values at serving": (
        {"logged": f"{LOGGED}serve_as: {{place: 1}}\n"},
        ("models/online.yaml", "serve_as:", "serve_as: features: logged has the values"),
        "take it out",
    ),
    "a word that is not logged": (
        {"logged": LOGGED.replace("features: logged", "features: loged")},
        ("models/online.yaml", "features: loged", "features: 'loged' is not a list"),
        "write [a, b]",
    ),
    "variants of no file": (
        {"text": PROJECT.replace("ranker@champion", "ranker@3")},
        (
            "models/online.yaml",
            "features: logged",
            "features: logged rows have the features of ranker@3",
        ),
        "by an alias",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_its_line_and_remedy(tmp_path, case):
    files, (file, line, message), remedy = case
    _, problems = read(tmp_path, **files)
    problem = next(problem for problem in problems if problem.message.startswith(message))
    text = (tmp_path / problem.file).read_text().splitlines()
    assert problem.file == file
    assert line in text[problem.line - 1]
    assert remedy in problem.remedy


def test_a_mistake_of_the_endpoint_is_not_also_one_of_what_counts_its_exposures(tmp_path):
    _, problems = read(tmp_path, PROJECT.replace("log_features: true", "log_features: all"))
    assert len(problems) == 1


def test_an_experiment_is_not_yet_judged_by_it(tmp_path):
    text = PROJECT.replace(
        "    variants: {",
        "    parameters: {blend: {type: float, default: 0.5}}\n    variants: {",
    )
    experiment = """
experiments:
  blended:
    layer: ranker
    arms: {control: {}, treatment: {blend: 0.7}}
    metric: served_ctr
"""
    _, problems = read(tmp_path, text + experiment.lstrip())
    (message,) = [p.message for p in problems if "served_ctr" in p.message]
    assert message == (
        "experiments.blended.metric: served_ctr counts what gateways showed: as an experiment's "
        "metric it is not supported yet by this version"
    )
