"""`isthmus demo`: the figures that the data's own page publishes, and nothing left running; on each
cloud the same, to the last row.
"""

import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

import isthmus as im
from isthmus.lifecycle.demo import demo
from isthmus.lifecycle.demo.streams import write_project
from isthmus.project.scaffold import create
from isthmus.tests.cli.running import at_terminal, isthmus, too_wide

pytestmark = pytest.mark.slow

REQUESTS = 60  # there; the split itself is judged elsewhere, with more
CLOUDS = [  # target, the variable that would name another stack, and what its own needs
    pytest.param(
        target,
        variable,
        marks=pytest.mark.skipif(not all(map(find_spec, needs)), reason=f"needs {needs}"),
    )
    for target, variable, needs in (
        ("sagemaker", "AWS_ENDPOINT_URL", ("boto3", "moto")),
        ("vertex", "GCP_ENDPOINT_URL", ("grpc", "cryptography")),
    )
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "openbandit"


@pytest.fixture(scope="module")
def played():
    """The stages and the result of the demo on the laptop, once it was run."""
    return {"stages": []}


@pytest.fixture(scope="module")
def here(folder, played):
    """What the demo says on the laptop; it makes the folder."""
    run = demo.demo

    def recorded(project, *, on_stage, **options):
        played["result"] = run(
            project, on_stage=lambda *stage: played["stages"].append(stage), **options
        )
        return played["result"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "demo", recorded)
        return isthmus(folder.parent, "demo", "--requests", "200", "--json").json


def test_the_demo_reproduces_the_published_figures_and_stops_what_it_started(here, folder):
    assert [(r["event"], r["stored"]) for r in here["ingested"]] == [
        ("impression", 20_000),
        ("click", 80),
    ]
    assert round(here["champion"]["evaluation"]["auc"]["value"], 3) == 0.540
    assert round(here["challenger"]["evaluation"]["auc"]["value"], 3) == 0.475
    assert here["challenger"]["gate"] == "inconclusive"
    assert round(here["replay"]["value"], 6) == 0.004553
    assert round(here["leak"]["honest"]["value"], 2) == 0.47
    assert round(here["leak"]["leaked"]["value"], 2) == 0.75
    assert sum(here["served"]["requests"].values()) == 200
    assert here["served"]["exposures"] == 600, "one for each of three places"
    assert here["served"]["errors"] == 0
    with im.open(folder / "project.yaml") as project:
        assert project.target.endpoints.observe("ranker") is None
    for page in (here["picture"], here["page"]):
        assert (folder / page).is_file()


def test_what_the_demo_says_fits_a_terminal_of_80_columns(here, played, folder, monkeypatch):
    """Of the run above: what it said is said again."""

    def said_again(_project, *, on_stage, **_options):
        for stage in played["stages"]:
            on_stage(*stage)
        return played["result"]

    monkeypatch.setattr(demo, "demo", said_again)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, seen = at_terminal(folder, "demo")
    assert "[14/14]" in seen
    assert "Is a bad version taken back?" in seen
    assert too_wide(seen) == []


def test_the_readmes_show_what_the_demo_says_but_for_what_chance_decides(here, played):
    """`make pictures` takes their figures from a run."""
    said = str(played["result"]).splitlines()
    for readme in ("README.md", "docs/ja/index.md"):
        page = (Path(im.__file__).parent / readme).read_text()
        shown = re.findall(
            r"^  \S.*\? .*$", page.partition("```")[2].partition("```")[0], re.MULTILINE
        )
        assert len(shown) == 4
        for line in shown:
            (own,) = [answer for answer in said if answer.startswith(line.partition("?")[0])]
            # the split is drawn, and the run above asks less often
            drawn = r"[\d,]+/[\d,]+ of [\d,]+" if "Did traffic go" in line else "$^"
            assert re.sub(drawn, "N", own) == re.sub(drawn, "N", line)
    leak = here["leak"]
    carelessly = f"{leak['leaked']['value']:.3f} and not {leak['honest']['value']:.3f}"
    assert carelessly in (Path(im.__file__).parent / "README.md").read_text()


@pytest.mark.parametrize(("target", "variable"), CLOUDS)
def test_the_demo_on_a_cloud_prints_the_figures_of_the_laptop(
    here, folder, monkeypatch, target, variable
):
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(
        "isthmus.adapters.sagemaker.endpoints.host._FRESH", timedelta(minutes=2)
    )  # a busy machine takes its time
    there = isthmus(folder, "demo", "--requests", REQUESTS, "--json", "--target", target).json
    assert (here["target"], there["target"]) == ("local", target)
    for run in ("champion", "challenger"):
        assert (
            there[run]["data"]["digest"] == here[run]["data"]["digest"]
        )  # canonical_hash of the training set
        assert rounded(there[run]["evaluation"]) == rounded(here[run]["evaluation"])
        assert (there[run]["gate"], there[run]["version"]) == (
            here[run]["gate"],
            here[run]["version"],
        )
    for part in ("first", "last", "replay", "fixed", "random_ctr", "experiment"):
        assert rounded(there[part]) == rounded(here[part]), part
    assert rounded(_without_page(there["leak"])) == rounded(_without_page(here["leak"]))
    assert there["skew"] == here["skew"]
    assert [_counts(report) for report in there["ingested"]] == [
        _counts(report) for report in here["ingested"]
    ]
    assert there["served"]["errors"] == 0
    assert sum(there["served"]["requests"].values()) == REQUESTS


def rounded(value):
    """To ten figures: the engines give the same rows in another order, and sums of floats depend on
    it.
    """
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _without_page(leak):
    return {name: value for name, value in leak.items() if name != "page"}


def _counts(report):
    return {
        name: report[name] for name in ("event", "read", "stored", "already_there", "quarantined")
    }


def test_the_demo_refuses_another_project(new):
    said = isthmus(new, "demo", ok=False)
    assert said.code == 1
    assert "the demo runs the example shop; this project is another shop" in said.err
    said = isthmus(new, "demo", "--example", "openbandit", ok=False)
    assert (
        said.code,
        "the demo runs the example openbandit; this project is shop" in said.err,
    ) == (1, True)
    said = isthmus(new, "demo", "--example", "shop", "--requests", "5", ok=False)
    assert (said.code, "how often the shop's visitors come is the shop's" in said.err) == (1, True)


@pytest.mark.parametrize(("target", "_variable"), [("local", ""), *CLOUDS])
def test_the_log_counted_as_a_stream_has_the_rows_of_its_sql(
    tmp_path, monkeypatch, target, _variable
):
    for variable in ("AWS_ENDPOINT_URL", "GCP_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    said = isthmus(tmp_path, "demo", "--streams", "--target", target, "--json").json
    assert (said["target"], said["replay"]["view"]) == (target, "item_live")
    figures = [said["replay"][name] for name in ("events", "rows", "differ", "late")]
    assert figures == [20_080, 53_349, 0, 0]
    if target == "local":
        again = isthmus(tmp_path, "demo", "--streams").out
        assert "yes: 53,349 rows, 0 differ" in again


def test_the_demo_of_streams_refuses_other_options_and_goes_on_where_it_was_killed(tmp_path, new):
    said = isthmus(tmp_path, "demo", "--streams", "--keep", ok=False)
    assert (said.code, "leave the other options out" in said.err) == (64, True)
    said = isthmus(new, "demo", "--streams", ok=False)
    assert (said.code, "this project is shop" in said.err) == (1, True)
    folder = tmp_path / "openbandit_live"
    create(folder, example="openbandit")  # what a kill leaves before the view is added
    write_project(folder)
    text = (folder / "project.yaml").read_text()
    write_project(folder)
    assert text.count("item_live:") == 1
    assert (folder / "project.yaml").read_text() == text
