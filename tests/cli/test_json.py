"""`--json`: one JSON value on stdout for every command, with what the text says."""

import json

import click
import pytest

from isthmus.cli.console.console import FORMAT
from isthmus.cli.main import COMMANDS, main
from isthmus.tests.cli.json_shapes import shape_of, strangers
from isthmus.tests.cli.running import at_terminal, isthmus, plain, too_wide

pytestmark = pytest.mark.slow

ASK = '{"visitor_id": "v1", "item_id": [1, 2, 3], "slots": 2}'
READS = {
    "validate": ["validate"],
    "schema": ["schema"],
    "doctor": ["doctor"],
    "plan": ["plan"],
    "status": ["status"],
    "guard": ["guard"],
    "events list": ["events", "list"],
    "events show": ["events", "show", "click"],
    "events quarantine": ["events", "quarantine", "click"],
    "features get": ["features", "get", "item_history", "1", "99"],
    "features check": ["features", "check"],
    "features skew": ["features", "skew"],
    "features leaks": ["features", "leaks", "models/history.yaml"],
    "query": [
        "query",
        "SELECT item_id FROM events_impression WHERE item_id = $item",
        "--param",
        "item=1",
        "--limit",
        "99",
    ],
    "runs list": ["runs", "list"],
    "runs show": ["runs", "show", "r1"],
    "runs compare": ["runs", "compare", "r1", "r1"],
    "runs tag": ["runs", "tag", "r1", "first"],
    "runs note": ["runs", "note", "r1", "the first"],
    "runs cancel": ["runs", "cancel", "r1"],
    "runs why-rerun": ["runs", "why-rerun", "r1"],
    "runs log": ["runs", "log", "r1", "fit"],
    "runs step": ["runs", "step", "r1", "evaluate"],
    "models list": ["models", "list"],
    "models graph": ["models", "graph"],
    "models promote": ["models", "promote", "ranker@1"],
    "endpoints list": ["endpoints", "list"],
    "endpoints invoke": ["endpoints", "invoke", "home", ASK],
    "endpoints explain": ["endpoints", "explain", "home", ASK],
    "endpoints metrics": ["endpoints", "metrics", "home"],
    "endpoints logs": ["endpoints", "logs", "home"],
    "endpoints service": ["endpoints", "service", "home"],
    "apply": ["apply"],
    "ingest": ["ingest"],
    "materialize": ["materialize"],
    "deploy": ["deploy", "home"],
    "traffic": ["traffic", "home", "champion=100"],
}
ELSEWHERE = {
    "init": "below",
    "train": "below",
    "destroy": "below",
    "trust": "tests/cli/test_clone.py",
    "events diff": "test_diff.py",
    "completion": "test_command_line.py",
    "demo": "tests/lifecycle/test_demo.py",
    "runs export": "tests/pipelines/tracking/test_mlflow.py",
    "models replay": "tests/experiments/replay/test_version.py",
    "endpoints shadow": "tests/endpoints/gateway/test_shadow.py",
    "endpoints serve": "it runs until it is stopped",
    "gateway": "tests/endpoints/gateway_http/test_gateway_process.py",
    "ui": "tests/ui/test_command.py",
    "import": "tests/adapters/sagemaker/endpoints/test_adoption.py",
    "predict": "tests/pipelines/scoring/test_predict.py",
    "tune": "tests/pipelines/tuning/test_tune.py",
    "features extract": "tests/pipelines/extraction/test_command.py",
    "features quarantine": "tests/pipelines/extraction/test_command.py",
    "compile": "tests/adapters/vertex/pipelines/test_compile.py",
}


ELSEWHERE |= {
    f"experiment {name}": "tests/experiments/results/test_results.py"
    for name in ("list", "results", "power", "report")
}
ELSEWHERE |= {
    f"stream {name}": "tests/lifecycle/streams/test_process.py"
    for name in ("list", "run", "start", "status", "stop", "rebuild")
}
ELSEWHERE |= {"stream replay": "tests/feature_store/streams/test_command.py"}
ELSEWHERE |= {
    f"dataset {name}": "tests/lifecycle/streams/test_export.py" for name in ("export", "show")
}
ELSEWHERE |= {
    f"monitor {name}": "tests/experiments/monitors/test_monitors.py" for name in ("show", "list")
}
ELSEWHERE |= {
    f"experiment {name}": "tests/experiments/running/test_console.py"
    for name in ("start", "ramp", "stop", "close", "status", "history", "audit")
}
ELSEWHERE |= {"experiment simulate": "tests/experiments/simulation/test_simulate.py"}
ELSEWHERE |= {
    f"rollout {name}": "tests/rollouts/verbs/test_verbs.py"
    for name in (
        "start",
        "status",
        "pause",
        "resume",
        "promote",
        "abort",
        "history",
        "wait",
        "rehearse",
        "run",
        "tick",
        "report",
    )
}


def every_command():
    for name in COMMANDS:
        found = main.get_command(click.Context(main), name)
        yield from (
            [f"{name} {child}" for child in found.commands]
            if isinstance(found, click.Group)
            else [name]
        )


def test_no_command_is_left_out():
    commands = {
        name for name in every_command() if name.split()[0] != "stack"
    }  # emulators run until they are stopped: localstack/tests
    assert sorted(commands - set(READS) - set(ELSEWHERE)) == []


@pytest.mark.parametrize("name", READS)
def test_a_command_says_its_result_as_json(served, name):
    said = isthmus(served, *READS[name], "--json")
    document = json.loads(said.out)
    assert said.err == ""
    if name != "schema":
        assert document.pop("format") == FORMAT
        assert strangers(document, shape_of(name)) == []


# text that is copied into a file, or read by a program: it is never broken
RAW = {
    "schema",
    "models graph",
    "endpoints invoke",
    "endpoints logs",
    "endpoints service",
    "runs log",
}


@pytest.mark.parametrize("name", sorted(READS.keys() - RAW))
def test_a_command_fits_a_terminal_of_80_columns(served, name, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, seen = at_terminal(served, *READS[name])
    assert too_wide(seen) == []


def test_the_json_has_what_the_text_has(served):
    plan = isthmus(served, "plan", "--json").json
    assert {(item["kind"], item["name"], item["action"]) for item in plan["items"]} >= {
        ("endpoint", "home", "="),
        ("feature view", "item_history", "="),
    }
    assert plan["hourly_cost"] == "0"
    status = isthmus(served, "status", "--json").json
    rows = {table["name"]: table["rows"] for table in status["tables"]}
    assert rows.items() >= {"impression": 420, "click": 80, "item_history": 420}.items()
    assert rows.keys() - {"impression", "click", "item_history"} == {
        "exposures",
        "rankings",
    }  # as many as were ranked before this test
    assert status["endpoints"]["home"]["phase"] == "ready"
    (run,) = isthmus(served, "runs", "list", "--json").json
    assert (run["name"], run["version"], run["data"]["rows"]) == ("r1", "ranker@1", 420)
    got = isthmus(served, "features", "get", "item_history", "1", "99", "--json").json
    assert [row["item_impressions_7d"] is None for row in got["rows"]] == [False, True]
    answer = isthmus(served, "endpoints", "invoke", "home", ASK, "--json").json
    assert len(answer["items"]) == len(answer["propensities"]) == 2


def test_a_query_says_its_rows_and_that_there_are_more(served):
    sql = "SELECT event_id, event_timestamp FROM events_click ORDER BY event_timestamp, event_id"
    said = isthmus(served, "query", sql, "--limit", "2", "--json")
    first, second = said.json
    assert first["event_timestamp"] <= second["event_timestamp"]
    assert said.err == "more than 2 rows: --limit shows more of them\n"
    text = isthmus(served, "query", sql, "--limit", "2").out.splitlines()
    assert text[0].split() == ["event_id", "event_timestamp"]
    assert [line.split()[0] for line in text[1:]] == [first["event_id"], second["event_id"]]


def test_training_says_a_list_of_runs_and_fits_a_terminal_of_80_columns(shop, monkeypatch):
    (run,) = isthmus(shop, "train", "models/history.yaml", "--json").json
    assert (run["name"], run["status"], run["version"], run["alias"]) == (
        "r1",
        "done",
        "ranker@1",
        "champion",
    )
    monkeypatch.setenv("TERM", "xterm-256color")
    _, seen = at_terminal(shop, "train", "models/history.yaml")
    assert "registered ranker@1" in " ".join(plain(seen))
    assert too_wide(seen) == []


def test_init_and_destroy_say_what_they_made_and_removed(tmp_path):
    said = isthmus(tmp_path, "init", "shop", "--example", "starter", "--json").json
    assert said["folder"] == "shop"
    assert "shop/project.yaml" in said["files"]
    isthmus(tmp_path / "shop", "apply")
    gone = isthmus(tmp_path / "shop", "destroy", "--yes", "--json").json
    assert {resource["name"] for resource in gone["resources"]} >= {
        "impression_raw",
        "item_history",
    }


def test_an_error_is_json_too(served):
    said = isthmus(served, "endpoints", "logs", "nowhere", "--json", ok=False)
    assert said.code == 1
    assert said.json["error"]["kind"] == "NotFound"
    assert said.json["error"]["remedy"]


def test_destroy_as_json_does_not_ask_and_does_not_go_on_without_yes(served):
    said = isthmus(served, "destroy", "--json", ok=False)
    assert (said.code, said.json["error"]["remedy"]) == (1, "add --yes")
    assert isthmus(served, "plan", "--json").json["items"][-1]["action"] == "=", (
        "nothing was removed"
    )
