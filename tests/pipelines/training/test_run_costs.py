"""What runs cost, on every target: kept, listed, shown, estimated, and refused above a budget."""

from decimal import Decimal

import pytest

import isthmus as im
from isthmus.errors import NotFound, Refused
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.costs import find_cost
from isthmus.pipelines.runs.names import COUNTER
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus.tests.experiments.chain.test_chain import PROFILES, TARGETS, led_to
from isthmus.tests.pipelines.scoring.test_predict import DECLARED, ROWS
from isthmus.ui.pages.models.run import page as run_page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MACHINES = {"sagemaker": "ml.m5.large", "vertex": "n1-standard-4"}
FEES = {"local": Decimal(0), "sagemaker": Decimal(0), "vertex": Decimal("0.03")}
BUDGET = "jobs: {machine: n1-standard-4, budget: 5.00 USD}"


@pytest.fixture(scope="module", params=TARGETS)
def shop(request, tmp_path_factory):
    """A project with a trained model and a scored table, and the words that choose its target."""
    target = request.param
    folder = create(tmp_path_factory.mktemp("costs") / "shop")
    (folder / "profiles.yaml").write_text(
        PROFILES.replace(
            "    location: us-central1\n", f"    location: us-central1\n    {BUDGET}\n"
        )
    )
    (folder / "predictions").mkdir()
    (folder / "predictions" / "nightly.sql").write_text(ROWS)
    with (folder / "project.yaml").open("a") as file:
        file.write(DECLARED.replace("shards: 4", "shards: 1"))
    chosen = () if target == "local" else ("--target", target, "--offline")
    with pytest.MonkeyPatch.context() as environment:
        led_to(target, environment)
        for command in (["apply", "--yes"], ["ingest"], ["materialize"]):
            isthmus(folder, *command, *chosen)
        first = isthmus(folder, "train", "history", *chosen)
        isthmus(folder, "predict", "nightly", *chosen)
        yield folder, target, chosen, first


def opened(folder, target):
    return im.open(folder / "project.yaml", target=target, offline=target != "local")


def test_a_training_run_is_listed_with_the_cost_of_the_seconds_that_its_target_bills(shop):
    folder, target, chosen, _ = shop
    (run,) = isthmus(folder, "runs", "list", "--cost", *chosen, "--json").json
    cost = run["cost"]
    assert [step["step"] for step in cost["steps"]] == ["dataset", "fit", "evaluate", "register"]
    assert all(step["seconds"] > 0 for step in cost["steps"])
    assert {step["machine"] for step in cost["steps"]} == {MACHINES.get(target, "")}
    usd = FEES[target] + sum(
        Decimal(str(step["seconds"])) * Decimal(step["hourly"]) / 3600 for step in cost["steps"]
    )
    assert abs(Decimal(cost["usd"]) - usd) < Decimal("0.000001")
    assert (Decimal(cost["usd"]) > 0) == (target != "local") == cost["billed"]
    table = isthmus(folder, "runs", "list", "--cost", *chosen).out
    assert "cost (USD)" in table
    without = isthmus(folder, "runs", "list", *chosen)
    assert "cost (USD)" not in without.out
    assert isthmus(folder, "runs", "list", *chosen, "--json").json[0]["cost"] is None


def test_a_run_of_either_kind_is_shown_with_its_cost_and_its_page_says_it_once(shop):
    folder, target, chosen, _ = shop
    said = "0.00 USD: local bills nothing" if target == "local" else "USD ("
    for run in ("r1", "r2"):
        shown = isthmus(folder, "runs", "show", run, *chosen).out
        (line,) = [line for line in shown.splitlines() if line.lstrip().startswith("cost")]
        assert said in line
        assert isthmus(folder, "runs", "show", run, *chosen, "--json").json["cost"]["run"] == run
    with opened(folder, target) as project:
        blobs = project.target.blobs
        page = blobs.get(run_uri(blobs, "r1")).decode()
        assert page.count("Cost: ") == 1
        assert f"Cost: {find_cost(blobs, 'r1')}" in page
        drawn = run_page(project, {"run": "r1"})
        assert sum(f"Cost: {find_cost(blobs, 'r1')}" in str(part) for part in drawn.parts) == 1


def test_before_a_run_its_cost_is_said_as_far_as_earlier_ones_tell(shop):
    folder, target, chosen, first = shop
    training = isthmus(folder, "train", "history", *chosen, "--dry-run").out
    scoring = isthmus(folder, "predict", "nightly", *chosen, "--dry-run").out
    if target == "local":
        assert "cost" not in first.out
        assert "cost    0.00 USD: local bills nothing   about" in training
        assert "s as in r2" in scoring
        return
    assert f"cost    unknown: history has no earlier run on {target} to judge by" in first.out
    assert f"s as in r1 on {MACHINES[target]}, price table of" in training
    assert f"s as in r2 on {MACHINES[target]}, price table of" in scoring
    assert training.count("cost ") == scoring.count("cost ") == 1


def test_a_run_above_the_budget_changes_nothing(shop):
    folder, target, _, _ = shop
    if target == "local":
        edit(folder / "profiles.yaml", "  local: {}", "  local: {jobs: {budget: 1.00 USD}}")
        refused = isthmus(folder, "validate", ok=False)
        edit(folder / "profiles.yaml", "  local: {jobs: {budget: 1.00 USD}}", "  local: {}")
        assert "jobs is not a key of a target of local" in refused.out + refused.err
        return
    written = (folder / "profiles.yaml").read_text()
    where = "region: us-east-1\n" if target == "sagemaker" else f"{BUDGET}\n"
    jobs = f"jobs: {{machine: {MACHINES[target]}, budget: 0.0001 USD}}\n"
    new = where + f"    {jobs}" if target == "sagemaker" else jobs
    (folder / "profiles.yaml").write_text(written.replace(where, new))
    try:
        with opened(folder, target) as project:
            before = project.target.state.get(COUNTER).value
            runs = sorted(info.uri for info in project.target.blobs.list(project.target.blobs.root))
            with pytest.raises(Refused, match=rf"profiles.yaml:\d+: targets.{target}.jobs.budget"):
                im.train(project, "history")
            with pytest.raises(Refused, match="a run of score_nightly would cost about"):
                im.predict(project, "nightly")
            assert project.target.state.get(COUNTER).value == before
            assert project.target.state.get("predictions/nightly") is None
            after = sorted(
                info.uri for info in project.target.blobs.list(project.target.blobs.root)
            )
            assert after == runs
    finally:
        (folder / "profiles.yaml").write_text(written)


def test_a_run_that_nobody_watched_to_its_end_is_told_from_what_the_target_knows(shop):
    folder, target, _, _ = shop
    with opened(folder, target) as project:
        blobs = project.target.blobs
        kept = find_cost(blobs, "r1")
        blobs.delete(f"{blobs.root.rstrip('/')}/runs/r1/cost.json")
        assert find_cost(blobs, "r1") is None
        assert im.runs.show(project, "r1").cost == kept
        assert find_cost(blobs, "r1") is None, "a command that reads writes nothing"
        with pytest.raises(NotFound):
            im.runs.show(project, "r99")
