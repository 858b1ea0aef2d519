"""What goes wrong, as EXAMPLE.md prints it: what, where, and what to do; exit code 1, and nothing
half-made.
"""

import json
import subprocess

import pytest

from isthmus.tests.cli.running import create, edit, isthmus, tree


@pytest.fixture(scope="module")
def _bandit(tmp_path_factory):
    return create(tmp_path_factory.mktemp("bandit") / "openbandit", example="openbandit")


@pytest.fixture
def bandit(_bandit):
    """The example; what a test edits is put back."""
    kept = {name: (_bandit / name).read_text() for name in ("project.yaml", "models/logistic.yaml")}
    yield _bandit
    for name, text in kept.items():
        (_bandit / name).write_text(text)


def failed(folder, *arguments, code=1, **options):
    said = isthmus(folder, *arguments, ok=False, **options)
    assert said.code == code, said
    return said.err


def test_validate_names_every_mistake_with_its_line_and_remedy(bandit):
    edit(bandit / "models/logistic.yaml", "item_history.item_ctr_7d", "item_history.item_crt_7d")
    edit(bandit / "project.yaml", "explore: 5%", "explore: much")
    line = 1 + (bandit / "project.yaml").read_text().split("explore: much")[0].count("\n")
    said = failed(bandit, "validate")
    assert f"error  project.yaml:{line}           endpoints.ranker.explore: " in said
    assert said.endswith("2 errors; nothing was changed\n")
    edit(bandit / "project.yaml", "explore: much", "explore: 5%")
    said = failed(bandit, "validate")
    assert said.startswith(
        "error  models/logistic.yaml:11   features: item_history.item_crt_7d is not a feature\n"
        "       did you mean item_history.item_ctr_7d?   item_history has "
        "item_impressions_7d, item_ctr_7d\n"
    )
    assert said.endswith("1 error; nothing was changed\n")


def test_a_section_of_a_later_version_is_refused_and_not_ignored(bandit):
    with (bandit / "project.yaml").open("a") as file:
        file.write("\nlayers:\n  a: {}\n")
    assert "layers" in failed(bandit, "validate")


def test_ingest_says_why_events_were_refused_and_where(shop):
    impressions = [
        line.split(",")[0] for line in (shop / "data/impressions.csv").read_text().splitlines()[1:]
    ]
    rows = [
        {
            "event_id": f"new-{n}",
            "event_timestamp": "2026-01-07T10:00:00Z",
            "impression_id": impressions[n % 420],
        }
        for n in range(1200)
    ]
    for n in (3, 5, 7, 9):
        rows[n]["impression_id"] = f"lost-{n}"
    del rows[376]["impression_id"]
    rows[801]["event_timestamp"] = "2026-01-07T10:00:00"
    (shop / "clicks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = isthmus(
        shop, "ingest", "clicks.jsonl", "--event", "click", "--max-bad", "0.2%", ok=False
    )
    assert said.code == 1
    first, *reasons = said.out.splitlines()
    assert first.startswith("click   1,200 read   1,194 stored   0 already there   6 quarantined")
    assert (
        reasons[0]
        == "  4   impression_id     refers to no impression (late ones are tried again at the "
        "next ingest)   first: line 4"
    )
    assert sorted(reason.split()[-2:] for reason in reasons[1:]) == [
        ["line", "377"],
        ["line", "802"],
    ]
    assert [
        reason
        for reason in reasons
        if reason.startswith('  1   event_timestamp   "2026-01-07T10:00:00" has no time zone')
    ]
    assert len({reason.index("  line ") for reason in reasons[1:]}) == 1, (
        "lines stand below each other"
    )
    assert (
        said.err
        == "error  0.5 % quarantined, more than the 0.2 % allowed (--max-bad)    see: isthmus "
        "events quarantine click\n"
    )
    groups = isthmus(shop, "events", "quarantine", "click", "--json").json["groups"]
    assert sum(group["count"] for group in groups) == 6
    assert (
        isthmus(shop, "events", "quarantine", "click")
        .out.splitlines()[0]
        .startswith("4  impression_id")
    )


def test_the_reports_of_a_refused_ingest_are_in_its_json(shop):
    (shop / "clicks.jsonl").write_text('{"event_id": "c1"}\n')
    said = isthmus(shop, "ingest", "clicks.jsonl", "--event", "click", "--json", ok=False)
    assert said.code == 1
    (report,) = said.json["error"]["reports"]
    assert (report["event"], report["read"], report["stored"]) == ("click", 1, 0)
    assert report["reasons"][0]["first_line"] == 1


def test_a_breaking_change_of_an_event_fails_the_review(shop):
    git = ["git", "-c", "user.email=a@example.com", "-c", "user.name=a"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=shop, check=True)
    assert isthmus(shop, "events", "diff", "main").out == "no event changed since main\n"
    edit(shop / "project.yaml", "position: {type: int, min: 1}", "position: {type: string}")
    said = isthmus(shop, "events", "diff", "main", ok=False)
    assert said.code == 1
    assert said.err.startswith("error  impression.position: int -> string is BREAKING: ")
    assert said.err.endswith("Add an attribute instead.\n")
    (change,) = isthmus(shop, "events", "diff", "main", "--json", ok=False).json
    assert (change["event"], change["attribute"], change["breaking"]) == (
        "impression",
        "position",
        True,
    )
    assert "nowhere" in failed(shop, "events", "diff", "nowhere")


@pytest.mark.parametrize(
    "command",
    [["plan"], ["apply"], ["status"], ["events", "list"], ["models", "graph"], ["ingest"]],
)
def test_outside_of_a_project_the_way_into_one_is_said(tmp_path, command):
    assert failed(tmp_path, *command) == (
        f"error  there is no project.yaml in {tmp_path}\n"
        "       go to the project's folder, or begin one: isthmus init NAME --example openbandit\n"
    )
    assert tree(tmp_path) == {}


def test_validate_outside_of_a_project_says_the_same(tmp_path):
    assert "isthmus init NAME --example openbandit" in failed(tmp_path, "validate")


def test_init_says_the_way_into_the_folder_as_a_shell_takes_it(tmp_path):
    assert (
        isthmus(tmp_path, "init", "my shop").out.splitlines()[-1]
        == "next   cd 'my shop' && isthmus validate"
    )
    (tmp_path / "here").mkdir()
    assert isthmus(tmp_path / "here", "init", ".").out.splitlines()[-1] == "next   isthmus validate"
    assert "a project has a name" in failed(tmp_path, "init", "")


def test_a_folder_that_is_not_empty_is_not_filled(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/notes.txt").write_text("mine")
    assert "is not empty: it holds notes.txt" in failed(tmp_path, "init", "shop")
    assert list((tmp_path / "shop").iterdir()) == [tmp_path / "shop/notes.txt"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["trian"], "error  No such command 'trian'. Did you mean train?\n"),
        (
            ["train"],
            "error  say which configurations to train: this project has models/history.yaml\n",
        ),
        (
            ["plan", "--detailed"],
            "error  No such option '--detailed'. Did you mean '--detailed-exitcode'?\n",
        ),
        (["ingest", "project.yaml"], "error  say which event DATA holds: --event NAME\n"),
        (
            ["ingest", "--max-bad", "much"],
            "error  --max-bad is a share such as 1% or 0.01, or a number of rows, not 'much'\n",
        ),
        (
            ["ingest", "--max-bad", "101%"],
            "error  --max-bad is between 0% and 100%, or a number of rows, not 101%\n",
        ),
        (
            ["traffic", "home", "20"],
            "error  a share is VARIANT=PERCENT, such as challenger=20, not '20'\n",
        ),
        (
            ["traffic", "home", "champion=101"],
            "error  champion=101: a share is a number from 0 to 100",
        ),
        (
            ["models", "promote", "ranker"],
            "error  a version is MODEL@NUMBER, such as ranker@2, not 'ranker'\n",
        ),
        (["stack", "coverage", "azure"], "there is no offline stack of azure: there is aws, gcp"),
    ],
)
def test_a_mistyped_command_exits_with_64_and_says_the_right_form(new, command, said):
    """2 is kept for `plan --detailed-exitcode`: changes."""
    assert said in failed(new, *command, code=64)


def test_a_file_that_is_not_there_is_an_error_like_another(new):
    assert "nowhere.csv" in failed(new, "ingest", "nowhere.csv", "--event", "click")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["train", "models/histroy.yaml"], "did you mean history?"),
        (
            ["train", "models/history.yaml", "models/nowhere.yaml"],
            "there is no configuration models/nowhere.yaml",
        ),
        (["events", "show", "clik"], "project.yaml has impression, click"),
        (["events", "quarantine", "clik"], "project.yaml has impression, click"),
        (["features", "get", "nowhere", "1"], "there is: item_history"),
        (["runs", "show", "r9"], "isthmus runs list"),
        (["runs", "cancel", "r9"], "isthmus runs list"),
        (["runs", "log", "r1", "nowhere"], "it has dataset, fit, evaluate, register"),
        (["models", "promote", "ranker@9"], "there is ranker@1"),
        (["deploy", "nowhere"], "nowhere"),
        (["traffic", "home", "nobody=20"], "it has champion"),
        (["traffic", "nowhere", "champion=20"], "project.yaml has home"),
        (["endpoints", "logs", "nowhere"], "isthmus deploy nowhere"),
        (["endpoints", "metrics", "nowhere"], "isthmus deploy nowhere"),
        (["plan", "--target", "nowhere"], "targets are local"),
    ],
)
def test_a_name_that_is_not_there_is_said_with_those_that_are(served, command, said):
    before = tree(served / ".isthmus/runs")
    assert said in failed(served, *command)
    assert tree(served / ".isthmus/runs") == before, (
        "the first of two configurations was not trained either"
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ('{"visitor_id": "v1", "item_id": [1, 2]', "the request is not JSON"),
        ("[1]", "the request is a list, not an object"),
        ("null", "the request is null, not an object"),
        ('{"visitor_id": "v1", "item": [1]}', "did you mean item_id?"),
        ('{"item_id": [1]}', "visitor_id is missing"),
        ('{"visitor_id": "v1", "item_id": []}', "there is nothing to rank"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(served, request_, said):
    assert said in failed(served, "endpoints", "invoke", "home", request_)


def test_a_request_may_come_on_stdin(served):
    said = isthmus(
        served, "endpoints", "invoke", "home", "-", stdin='{"visitor_id": "v1", "item_id": [1, 2]}'
    )
    assert json.loads(said.out)["version"] == "ranker@1"


def test_destroy_asks_for_the_projects_name(shop):
    before = tree(shop)
    assert "that is not the project's name: nothing was changed" in failed(
        shop, "destroy", stdin="yes\n"
    )
    assert tree(shop) == before
    said = isthmus(shop, "destroy", stdin="shop\n").out
    assert 'keeps models, runs/, reports/, raw/ and your data/    type "shop" to go on: ' in said
    assert "- 1 online view" in said
