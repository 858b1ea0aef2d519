"""Twelve logs of twelve shapes: from `init --from` to a model without editing a file, and on to a
ranked answer over HTTP.
"""

import json

import pytest

import isthmus as im
from isthmus.tests.cli.running import isthmus, start
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.lifecycle.start import sample_logs
from isthmus_stack.testing.keys_kit import fetched

pytestmark = pytest.mark.timeout(600)
ROWS = sample_logs.REQUESTS * sample_logs.LIST
# of each shape: rows shown and stored, the objective, its outcomes, the features, rows in
# quarantine
WANTED = {
    "english_csv": (ROWS, "ctr", "click", 4, 0),
    "english_parquet_in_another_order": (ROWS, "ctr", "click", 4, 0),
    "english_json_lines_packed": (ROWS, "ctr", "click", 5, 0),
    "german_csv_with_commas_and_local_times": (ROWS, "ctr", "click", 5, 0),
    "japanese_csv_of_shift_jis": (ROWS, "ctr", "click", 4, 0),
    "japanese_tsv_of_utf_16": (ROWS, "ctr", "click", 4, 0),
    "epoch_milliseconds_without_lists": (ROWS, "outcome_rate", "outcome", 2, 0),
    "clicks_in_a_second_file": (ROWS, "ctr", "click", 5, 0),
    "purchases_of_a_second_file_by_user_and_item": (ROWS, "purchase_rate", "purchase", 4, 0),
    "kinds_of_events_in_one_file": (ROWS, "purchase_rate", "purchase", 3, 0),
    "stars_as_grades": (ROWS, "mean_rating", "rating", 3, 0),
    "broken_lines_and_a_bad_time": (ROWS - 3, "ctr", "click", 4, 3),
}
CLICKS = int(sample_logs.site()["clicked"].sum())


def test_every_shape_is_looked_at():
    assert WANTED.keys() == sample_logs.SHAPES.keys()


def made(tmp_path, shape):
    logs = tmp_path / "logs"
    logs.mkdir()
    folder = tmp_path / "mine"
    scaffolded = im.init(folder, source=sample_logs.SHAPES[shape](logs))
    assert scaffolded.missing == ()
    return folder


@pytest.mark.parametrize("shape", WANTED)
def test_a_log_becomes_a_project_whose_rows_go_in_and_whose_features_come_out(tmp_path, shape):
    rows, objective, outcome, features, quarantined = WANTED[shape]
    folder = made(tmp_path, shape)
    assert im.validate(folder / "project.yaml").problems == ()
    with im.open(folder / "project.yaml") as project:
        im.apply(project)
        reports = {report.event: report for report in im.ingest(project)}
        materialized = im.materialize(project)
        known = project.target.warehouse.query(f"SELECT sum(outcome) AS n FROM {objective}", {})
        (model,) = project.spec.models.values()
        unit = project.spec.objectives[objective].unit
    exposure = next(name for name in reports if name != outcome)
    assert (reports[exposure].stored, reports[exposure].quarantined) == (rows, quarantined)
    # within the window 99 % of the outcomes follow, the last rows' windows are open, and of a row
    # that two outcomes follow one counts
    if outcome == "rating":  # each row has one, and the label is the number of stars
        assert reports[outcome].stored == ROWS
        assert 0.95 * 2.9 * ROWS < known["n"][0].as_py() < 3.1 * ROWS
    else:
        assert 0.95 * reports[outcome].stored <= known["n"][0].as_py() <= reports[outcome].stored
        assert CLICKS - 3 <= reports[outcome].stored <= CLICKS
    assert model.trainer == ("isthmus.linear" if outcome == "rating" else "isthmus.logistic")
    assert not list(folder.glob("*.py"))
    assert (len(model.features), model.objective) == (features, objective)
    assert unit is not None
    assert all(report.rows > 0 for report in materialized)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["english_csv", "japanese_csv_of_shift_jis"])
def test_a_log_ends_as_a_ranked_answer_over_http(tmp_path, shape):
    answer(tmp_path, shape)


@pytest.mark.soak
@pytest.mark.parametrize("shape", WANTED)
def test_every_log_ends_as_a_ranked_answer_over_http(tmp_path, shape):
    answer(tmp_path, shape)


@pytest.mark.soak
def test_one_log_gives_the_same_figures_on_the_laptop_and_both_clouds(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    source = sample_logs.SHAPES["english_csv"](logs)
    targets = ("local", "sagemaker", "vertex")
    folder = tmp_path / "mine"
    im.init(folder, source=source, targets=targets)
    figures = {}
    for target in targets:
        there = ("--target", target) + (() if target == "local" else ("--offline",))
        try:
            isthmus(folder, "apply", "--yes", *there)
            for command in ("ingest", "materialize", "train models/first.yaml"):
                isthmus(folder, *command.split(), *there)
            run = isthmus(folder, "runs", "show", "r1", *there, "--json").json
        finally:
            isthmus(folder, "destroy", "--yes", *there)  # a cloud's stack ends with it
        figures[target] = dict(flat(run["evaluation"]))
    assert figures["local"]["auc.value"] > 0.6
    for target in targets[1:]:
        assert figures[target] == pytest.approx(figures["local"], abs=1e-9)


def flat(value, key=""):
    """The numbers and texts of nested dicts and lists, each by its path."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in entries:
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def answer(tmp_path, shape):
    """Type the commands that `init` says are next, and ask the gateway."""
    folder = made(tmp_path, shape)
    isthmus(folder, "apply", "--yes")
    for command in ("ingest", "materialize", "train models/first.yaml", "deploy home"):
        isthmus(folder, *command.split())
    request = request_of(folder)
    try:
        found = ranked(folder, request)
    finally:
        isthmus(folder, "destroy", "--yes")
    assert sorted(found["items"]) == ["a1", "a2", "a3"]
    assert len(set(found["scores"])) > 1, "the model tells items apart"


def request_of(folder):
    """A request to rank three articles, with what the model's features need of a caller."""
    with im.open(folder / "project.yaml") as project:
        endpoint = project.spec.endpoints["home"]
        item = next(key for key in project.spec.entities.values() if key.key != endpoint.unit)
        model = project.spec.models["first"]
    sent = [feature.name for feature in model.features if feature.view is None]
    request = {endpoint.unit: "u1", item.key: ["a1", "a2", "a3"]}
    return request | dict.fromkeys(sent, sample_logs.DEVICES[0])


def ranked(folder, request):
    """What a gateway, started as a process of its own, answers to one request."""
    gateway = start(folder, "gateway", "--port", "0", "--json")
    try:
        said = ""
        while not said.endswith("}\n"):
            line = gateway.stdout.readline()
            assert line, gateway.stderr.read()
            said += line
        url = json.loads(said)["url"]
        until(lambda: fetched(f"{url}/health")[0] == 200, within=120)
        status, body = fetched(
            f"{url}/rank",
            method="POST",
            headers={"Content-Type": "application/json"},
            data=json.dumps(request).encode(),
        )
        assert status == 200, body
        return json.loads(body)
    finally:
        gateway.terminate()
        gateway.communicate(timeout=60)
