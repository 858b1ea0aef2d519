"""Endpoints, runs, models and events: what each page shows is what the console says, and what is
away is told.
"""

import re

import pytest

from isthmus.endpoints.operations.rule_hits import hits_sql
from isthmus.events.catalogue.volume import volume_sql
from isthmus.feature_store.port import TableState
from isthmus.feature_store.sql import subset as neutral
from isthmus.pipelines.port import RunState
from isthmus.pipelines.run_pages.run_list import list_runs
from isthmus.pipelines.runs import watch
from isthmus.pipelines.runs.names import next_name
from isthmus.project.specs.rules import Block, Condition
from isthmus.ui.pages import PAGES

from .chromium import MISSING, PROGRAM, Chromium
from .conftest import Browser
from .drawn import drawn, judged, serving
from .operations import operating
from .whole import OPERATIONS, check_data, check_pictures, check_whole

PATHS = (
    "/endpoints",
    "/endpoints/ranker",
    "/endpoints/ranker?days=7&minutes=30&unit=v1",
    "/rollouts",
    "/runs",
    "/runs?sort=auc&where=tag=cold-start",
    "/runs/r2",
    "/runs/compare?first=r1&others=r2",
    "/models",
    "/models/ranker@2",
    "/models/graph/good",
    "/bias",
    "/bias/served_alike",
    "/bias/not_yet?days=92",
    "/events",
    "/events/impression",
    "/events/impression?days=28&quarantine=yes",
)

QUIET = (
    "/endpoints",
    "/endpoints/ranker",
    "/runs",
    "/models",
    "/models/ranker@1",
    "/models/graph/good",
    "/bias",
    "/bias/served_alike",
    "/events/impression",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with (
        pytest.MonkeyPatch.context() as patch,
        operating(tmp_path_factory.mktemp("operating") / "shop", patch) as project,
    ):
        yield project


@pytest.fixture(scope="module")
def browser(project):
    return Browser(project)


@pytest.fixture
def blind(project, monkeypatch):
    """Without queries."""
    monkeypatch.setattr(type(project.target.warehouse), "query", None)


def figures(text, title):
    """The cells of the table behind a picture, or of a section."""
    table = re.search(rf"{re.escape(title)}.*?<table>(.*?)</table>", text, re.DOTALL)[1]
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", table)
    ]
    return [[re.sub("<[^>]*>", "", cell) for cell in row] for row in rows]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_whole_has_its_data_and_every_picture_its_table(browser, path):
    check_whole(browser, path)
    check_data(browser, path)
    check_pictures(browser, path)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_every_page_is_drawn_on_a_phone_and_on_a_desk_in_both_themes(project, tmp_path):
    """Starts Chromium."""
    with Chromium(tmp_path) as chromium, serving(lambda: project) as host:
        drawn(chromium, host, PATHS)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_axe_core_finds_nothing_on_any_page_in_either_theme(project, tmp_path):
    """Starts Chromium.

    A run's report is judged, too: the pages that are files are made of the same parts.
    """
    with Chromium(tmp_path) as chromium, serving(lambda: project) as host:
        judged(
            chromium,
            [
                *(f"{host}{path}" for path in PATHS),
                f"{project.target.blobs.root}/runs/r2/report.html",
            ],
        )


def test_every_page_of_operations_is_among_them():
    asked = {path.partition("?")[0] for path in PATHS} - {"/bias/not_yet"} | {
        "/endpoints/ranker/rollout"
    }  # below: of an endpoint without one
    names = {
        "endpoint": "ranker",
        "run": "r2",
        "version": "ranker@2",
        "config": "good",
        "monitor": "served_alike",
        "event": "impression",
    }
    assert {
        page.path.format(**names) for page in PAGES if page.path.startswith(OPERATIONS)
    } == asked


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    "path",
    [
        "/endpoints",
        "/endpoints/ranker",
        "/runs",
        "/models",
        "/models/ranker@1",
        "/models/graph/good",
        "/bias/served_alike",
        "/events/impression",
    ],
)
def test_the_warehouse_is_only_asked_when_somebody_says_so(browser, path):
    assert "could not be read" not in browser.get(path).text


def test_an_endpoint_shows_its_split_now_and_to_be(browser):
    text = browser.get("/endpoints/ranker").text
    assert figures(text, "Split")[1:] == [["champion", "75", "60"], ["challenger", "25", "40"]]
    bars = re.search("Split.*?</svg>", text, re.DOTALL)[0]
    assert re.findall("<title>(.*?)</title>", bars) == [
        "champion 75 %",
        "challenger 25 %",
        "champion 60 %",
        "challenger 40 %",
    ]
    assert "Nobody: deploy and traffic may move it" in text
    assert "There was none." in text
    assert "<code>isthmus rollout start ranker</code>" in text


def test_minutes_are_summed_by_variant_and_drawn_by_minute(browser):
    text = browser.get("/endpoints/ranker?minutes=30").text
    assert figures(text, "Minutes from")[1:] == [
        ["champion", "30", "900", "0", "0", "4.00", "9.00"],
        ["challenger", "1", "10", "0", "2", "4.00", "9.00"],
    ]
    assert [row[1:] for row in figures(text, "Errors<div>")[1:]] == [["0", ""]] * 29 + [["0", "20"]]


def test_rules_are_counted_by_name_once_for_each_answer(browser, project):
    assert "answers</th>" not in browser.get("/endpoints/ranker").text
    counted = browser.get("/endpoints/ranker.json?days=7").json()["rules"]
    assert counted == {
        "since": "2020-01-02",
        "answers": 10,
        "hits": {"pin 7": 5, "cap item_id 2": 3, "block item_id=9": 0, "cap item_id 3/24h": 0},
    }
    rows = figures(browser.get("/endpoints/ranker?days=7").text, "<h2>Rules</h2>")
    assert rows[1] == ["pin 7", "5", "50.0 %", "stands on place 1", "any", "until 2020-02-01 00:00"]


def test_what_a_unit_was_shown_is_asked_for_by_its_name(browser):
    assert browser.get("/endpoints/ranker.json").json()["unit"] is None
    text = browser.get("/endpoints/ranker?unit=v1").text
    assert figures(text, "What a unit was shown")[1:] == [
        ["cap item_id 3/24h", "7", "1"],
        ["cap item_id 3/24h", "8", "1"],
    ]
    assert "Nothing that counts." in browser.get("/endpoints/ranker?unit=v2").text


def test_runs_are_those_of_the_console_and_can_be_compared(browser, project):
    listed = list_runs(project)
    shown = browser.get("/runs.json").json()["runs"]
    assert [(run["name"], run["tags"], run["evaluation"]["auc"]["value"]) for run in shown] == [
        (of.name, list(of.tags), of.evaluation.auc.value) for of in listed
    ]
    text = browser.get("/runs").text
    assert re.findall('name="run" value="(r[0-9])"[^>]* checked>', text) == ["r1", "r2"]
    one = browser.get("/runs/compare.json?run=r1&run=r2").json()
    assert one == browser.get("/runs/compare.json?first=r1&others=r2").json()
    assert "one run is named" in browser.get("/runs/compare?run=r1", status=400).text
    for choice in ("where=tag=cold-start", "newest=1"):
        assert [run["name"] for run in browser.get(f"/runs.json?{choice}").json()["runs"]] == ["r2"]
    pair = browser.get("/runs/compare.json?first=r1&others=r2").json()[0]
    assert (pair["first"]["name"], pair["second"]["name"], pair["rows"]) == (
        "r1",
        "r2",
        listed[0].evaluation.rows,
    )


def test_a_run_that_goes_on_is_named(browser, project, monkeypatch):
    """Of the numbers given after the newest training run that ended, as other runs have numbers,
    too.
    """
    before = project.target.state.get("runs/counter")
    assert [next_name(project) for _ in range(2)] == ["r3", "r4"]
    try:
        assert browser.get("/runs.json").json()["going_on"] == [], (
            "nothing was submitted under these numbers"
        )
        monkeypatch.setattr(
            watch,
            "observe",
            lambda _, run: RunState(
                run_id=run, phase={"r3": "done", "r4": "running"}[run], steps=()
            ),
        )
        assert '<a href="/runs/r4">r4</a>' in browser.get("/runs").text
        assert "/runs/r3" not in browser.get("/runs").text
        assert "It has not ended: running" in browser.get("/runs/r4").text
    finally:
        project.target.state.put(
            "runs/counter", before.value, expect=project.target.state.get("runs/counter").token
        )


def test_a_version_says_what_it_is_made_of_and_why_it_was_promoted(browser):
    lineage = browser.get("/models/ranker@2.json").json()
    assert lineage["served"] == ["ranker challenger"]
    made = {
        (edge["source"]["name"], edge["target"]["name"]) for edge in lineage["lineage"]["made_of"]
    }
    assert made == {
        ("ctr", "ranker@2"), ("item_history", "ranker@2"), ("ctr", "item_history"), ("click", "ctr"), ("impression", "ctr"),
    }  # fmt: skip
    text = browser.get("/models/ranker@2").text
    assert "it reads &lt;less&gt;" in text
    drawing = re.search("From events.*?</svg>", text, re.DOTALL)[0]
    for thing in ("endpoint ranker", "version ranker@2: challenger, run r2", "model other"):
        assert f'aria-label="{thing}' in drawing
    assert "feature item_history.item_ctr: weight unknown, 2.0 % null, known in 98.0 %" in drawing


def test_a_configuration_has_the_graph_of_its_newest_run_and_of_its_versions(browser):
    assert '<a href="/models/graph/good">good</a>' in browser.get("/models").text
    text = browser.get("/models/graph/good").text
    assert '<a href="/runs/r1">r1</a>' in text
    assert "Weights are unknown: the predictor of shop_trainer.train has no method" in text
    graph = browser.get("/models/graph/good.json").json()
    column = next(one for one in graph["nodes"] if one["node"]["kind"] == "feature")
    assert column["about"] == "weight unknown, 2.0 % null, known in 98.0 % of 2,100 rows"
    ends = {
        (edge["source"]["name"], edge["target"]["name"])
        for edge in graph["edges"]
        if edge["target"]["kind"] in ("version", "endpoint")
    }
    assert ends == {("good", "ranker@1"), ("ranker@1", "ranker")}


def test_bias_lists_monitors_with_their_alarms(browser):
    rows = figures(browser.get("/bias").text, "<h1>Bias</h1>")
    assert [row[:3] for row in rows[1:3]] == [
        ["served_alike", "satisfied ratio f", "2020-01-07"],
        ["not_yet", "nobody has looked", ""],
    ]
    assert "Nobody has looked yet" in browser.get("/bias/not_yet").text


def test_a_monitor_shows_the_newest_look_each_day_once_and_its_versions(browser):
    text = browser.get("/bias/served_alike").text
    assert figures(text, "The last window")[1][:2] == ["f", "50.0 % (48.5 .. 51.5)"]
    days = figures(text, "<figcaption>Satisfied<div>")[1:]
    assert [(day, group, value.partition(" (")[0]) for day, group, value, _ in days] == [
        (f"2020-01-0{day}", group, "0.0 %" if (day, group) == (6, "f") else "30.0 %")
        for day in (3, 4, 5, 6, 7)
        for group in "fm"
    ]
    versions = text.partition("<h2>By version</h2>")[2]
    ratio = figures(versions, "Satisfied, lowest / highest")[1:]
    assert [
        (version, against, value.partition(" (")[0]) for version, against, value, _ in ratio
    ] == [
        ("ranker@1", "m / f", "1.00"),
        ("ranker@2", "f / m", "0.60"),
        ("ranker@10", "f / m", "0.50"),
    ]
    assert '<span class="key quiet">limit 0.8</span>' in versions
    assert "f finds less here than m; a model trained" in text
    alarms = figures(text, "<h2>Alarms</h2>")[1:]
    assert {tuple(row[1:3]) for row in alarms} == {("satisfied, lowest / highest", "f / m")}
    assert [(row[0], row[3]) for row in alarms] == [
        ("2020-01-07", "all versions"),
        ("2020-01-07", "ranker@2"),
        ("2020-01-07", "ranker@10"),
        ("2020-01-06", "ranker@2"),
        ("2020-01-05", "ranker@2"),
    ]


def test_a_look_is_taken_from_the_page_where_changes_are_allowed(browser, project):
    assert '<form method="post"' not in browser.get("/bias/not_yet").text
    assert "isthmus monitor not_yet" in browser.get("/bias/not_yet").text
    writer = Browser(project, write=True)
    answer = writer.send("/bias/from_the_page", "/bias/from_the_page/look")
    assert (answer.status_code, answer.headers["location"]) == (303, "/bias/from_the_page")
    assert writer.get("/bias/from_the_page.json").json()["looks"][-1]["units"] == 1, (
        "the one visitor that the gateway answered"
    )


def test_an_event_says_who_reads_it_how_much_came_and_what_was_refused(browser):
    assert "ranker@1, ranker@2" in browser.get("/events/impression").text
    text = browser.get("/events/impression?days=28&quarantine=yes").text
    assert figures(text, "Events by date")[1:] == [
        ["2020-01-02", "10"],
        ["2020-01-03", "9"],
        ["2020-01-04", "10"],
    ]
    assert figures(text, "Refused and still open")[1][:2] == ["position", "1"]


def test_what_a_query_costs_is_said_before_it_is_asked(browser, project, monkeypatch):
    state = TableState(columns=(), rows=None, size=7_000_000_000)
    monkeypatch.setattr(type(project.target.warehouse), "observe", lambda *_: state)
    text = browser.get("/events/impression").text
    assert "Counting reads at most 7 GB, the quarantine 21 GB and its own rows." in text


def test_a_target_that_is_away_is_told_and_not_asked_again(browser, project, monkeypatch):
    monkeypatch.setattr(type(project.target.endpoints), "away", True)
    text = browser.get("/endpoints/ranker").text
    assert "nobody answers" in text
    assert "look at the provider&#x27;s status page" in text
    unread = browser.get("/endpoints/ranker.json").json()["unread"]
    assert [of["why"] for of in unread[1:]] == ["not asked: the target is away"] * 4
    assert "<h2>Rules</h2>" in text, "what project.yaml says is there all the same"
    for path in ("/endpoints", "/models", "/models/ranker@2"):
        assert "Not everything could be read" in browser.get(path).text


ABSENT = [
    "/endpoints/rankr",
    "/endpoints/ranker/rollout",
    "/runs/r9",
    "/models/ranker@9",
    "/models/x",
    "/models/graph/x",
    "/bias/x",
    "/events/x",
]
WRONG = [
    "/endpoints/ranker?minutes=0",
    "/endpoints/ranker?minutes=0000000019999999",
    "/endpoints/ranker?days=x",
    "/runs?sort=x",
    "/runs?where=x",
    "/runs/compare",
    "/events/click?days=1e3",
]


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there_is_404(browser, path):
    browser.get(path, status=404)


@pytest.mark.parametrize("path", WRONG)
def test_a_question_that_is_wrong_is_400(browser, path):
    browser.get(path, status=400)


def test_the_queries_are_in_the_neutral_subset(project):
    rules = (
        *project.spec.endpoints["ranker"].rules,
        Block(where=(Condition(attribute="kind", among=("50 % 'off' \\",)),)),
    )
    assert neutral.check(hits_sql(rules)) == neutral.check(volume_sql("impression_raw")) == ()
