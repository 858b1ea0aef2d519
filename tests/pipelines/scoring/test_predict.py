"""`isthmus predict` on a laptop: what is scored, once, by whom; kills; what is refused before."""

import subprocess
import sys
import threading

import msgspec
import pytest

import isthmus as im
from isthmus.endpoints.gateway.request.inputs import manifest_of
from isthmus.errors import Invalid, NotFound, Refused
from isthmus.pipelines.models.predictor import ModelFeature, load
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.scoring.scoring import plan_batch
from isthmus.tests.cli.running import edit, isthmus
from isthmus.tests.pipelines.killed import kill_at

pytestmark = pytest.mark.slow

DECLARED = """
predictions:
  nightly: {model: ranker@champion, rows: predictions/nightly.sql, into: ranking_nightly, shards: 4}
"""
ROWS = """SELECT item_id, count(*) AS times, sum(position) AS places
FROM events_impression
WHERE event_timestamp > $as_of - INTERVAL 30 DAY AND event_timestamp <= $as_of
GROUP BY item_id
"""
COUNT = "SELECT count(*) AS n FROM ranking_nightly"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    parent = tmp_path_factory.mktemp("scoring")
    isthmus(parent, "init", "shop", "--example", "starter")
    folder = parent / "shop"
    (folder / "predictions").mkdir()
    (folder / "predictions" / "nightly.sql").write_text(ROWS)
    with (folder / "project.yaml").open("a") as file:
        file.write(DECLARED)
    for command in (["apply"], ["ingest"], ["materialize"], ["train", "history"]):
        isthmus(folder, *command)
    return folder


@pytest.fixture
def shop(trained, tmp_path):
    """A copy, so that no test meets the batches of another."""
    subprocess.run(["cp", "-a", str(trained), str(tmp_path / "shop")], check=True)
    return tmp_path / "shop"


@pytest.fixture
def project(shop):
    with im.open(shop / "project.yaml") as opened:
        yield opened


def test_every_row_has_the_prediction_that_the_model_gives_for_its_features_as_of_now(project):
    scored = im.predict(project, "nightly")
    table = im.query(project, "SELECT * FROM ranking_nightly ORDER BY item_id").to_pylist()
    assert scored.rows == len(table) == 10
    assert {row["version"] for row in table} == {1}
    assert {row["model"] for row in table} == {"ranker"}
    assert {row["as_of_timestamp"] for row in table} == {project.now().replace(tzinfo=None)}
    online = im.features.get(project, "item_history", [str(row["item_id"]) for row in table])
    model = load(local_path(project.target.registry.get("ranker", 1).uri)).predictor
    features = [{"item_ctr_7d": (row or {}).get("item_ctr_7d")} for row in online.rows]
    assert [row["prediction"] for row in table] == pytest.approx(
        [float(value) for value in model.predict(features)], abs=1e-12
    )


def test_features_are_those_that_were_known_at_the_moment(project):
    im.predict(project, "nightly", as_of=project.now())
    earlier = project.now().replace(day=4)
    im.predict(project, "nightly", as_of=earlier)
    rows = im.query(
        project,
        "SELECT as_of_timestamp, item_id, prediction FROM ranking_nightly ORDER BY 1, 2",
    ).to_pylist()
    moments = sorted({row["as_of_timestamp"] for row in rows})
    assert moments == [earlier.replace(tzinfo=None), project.now().replace(tzinfo=None)]
    first, last = (
        [row["prediction"] for row in rows if row["as_of_timestamp"] == moment]
        for moment in moments
    )
    assert first != last


def test_a_repeat_adds_nothing_and_scores_nothing_again(project):
    first, again = im.predict(project, "nightly"), im.predict(project, "nightly")
    assert (first.cached, again.cached) == (0, 4)
    assert first.batch == again.batch
    assert im.query(project, COUNT).to_pylist() == [{"n": 10}]


def test_a_look_at_the_first_rows_is_not_published(shop):
    said = isthmus(shop, "predict", "nightly", "--limit", "3", "--json").json
    assert said["into"] is None
    assert [row["item_id"] for row in said["first"]] == [1, 2, 3]
    assert all(0 <= row["prediction"] <= 1 for row in said["first"])
    assert "ranking_nightly" in isthmus(shop, "query", COUNT, ok=False).err


def test_a_dry_run_says_what_would_be_scored_and_begins_nothing(shop):
    said = isthmus(shop, "predict", "nightly", "--dry-run")
    assert "nightly   ranker@1   as of" in said.out
    assert said.out.splitlines()[-1].startswith("dry run: would call ")
    with im.open(shop / "project.yaml") as project:
        assert project.target.state.get("predictions/nightly") is None


@pytest.mark.soak
def test_two_at_once_add_one_batch(shop):
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "isthmus", "predict", "nightly"],
            cwd=shop,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    ended = [child.communicate(timeout=300) for child in children]
    codes = [child.returncode for child in children]
    assert 0 in codes, ended
    assert all(
        code == 0 or b"another command holds this project" in err
        for code, (_, err) in zip(codes, ended, strict=True)
    )
    with im.open(shop / "project.yaml") as project:
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]


@pytest.mark.soak
def test_killed_after_a_shard_it_goes_on_and_does_not_score_that_shard_again(shop):
    kill_at(shop, "predict", "nightly", files=["score_*/step.json"])
    store = shop / ".isthmus"
    done = len(list(store.rglob("score_*/step.json")))
    assert not list(store.rglob("publish/step.json"))
    with im.open(shop / "project.yaml") as project:
        scored = im.predict(project, "nightly")
        assert scored.resumed
        assert scored.cached >= min(done, 1)
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]
        assert not im.predict(project, "nightly").resumed


@pytest.mark.soak
def test_a_reader_sees_the_whole_batch_or_nothing(shop):
    seen, stop = set(), threading.Event()

    def read():
        with im.open(shop / "project.yaml") as reader:
            while not stop.is_set():
                try:
                    seen.add(im.query(reader, COUNT).to_pylist()[0]["n"])
                except (Invalid, NotFound):  # the table is not there yet
                    seen.add(0)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        with im.open(shop / "project.yaml") as project:
            im.predict(project, "nightly")
            im.predict(project, "nightly", as_of=project.now().replace(day=4))
    finally:
        stop.set()
        thread.join()
    counts = {0, 10, 20}
    assert seen <= counts


def test_a_version_of_other_features_is_refused_before_anything_runs(shop):
    edit(shop / "features/item_history.sql", "item_ctr_7d", "item_ctr_week")
    edit(shop / "models/history.yaml", "item_ctr_7d", "item_ctr_week")
    with im.open(shop / "project.yaml") as project:
        with pytest.raises(
            Refused, match=r"item_history\.item_ctr_7d \(float64\), which is no feature today"
        ):
            im.predict(project, "nightly")
        assert project.target.state.get("predictions/nightly") is None


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (
            ModelFeature(name="times", type="string"),
            r"times \(string\), and the rows have it as int64",
        ),
        (ModelFeature(name="weekday", type="int64"), r"weekday \(int64\), and the rows have none"),
        (
            ModelFeature(name="item_ctr_7d", view="item_history", type="string"),
            r"item_history\.item_ctr_7d \(string\), which is float64 today",
        ),
    ],
)
def test_rows_without_what_the_version_reads_are_refused_before_anything_runs(
    project, feature, said
):
    manifest = manifest_of(project, "ranker", 1)
    with pytest.raises((Invalid, Refused), match=said):
        plan_batch(
            project,
            project.spec.predictions["nightly"],
            project.target.registry.get("ranker", 1),
            msgspec.structs.replace(manifest, features=(feature,)),
            as_of=project.now(),
        )


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT position FROM events_impression\n", "the rows have no item_id"),
        ("SELECT item_id FROM events_impresion\n", "events_impresion cannot be read here"),
        ("SELECT item_id, 1 AS prediction FROM events_impression\n", "the column prediction"),
        ("SELECT item_id FROM events_impression WHERE item_id = $x\n", "the parameter $x"),
        ("SELECT item_id, item_id FROM events_impression\n", "two columns are named item_id"),
        ("-- nothing\n", "holds no SQL"),
    ],
)
def test_wrong_rows_are_an_error_at_validate_with_their_file(shop, sql, said):
    (shop / "predictions/nightly.sql").write_text(sql)
    shown = isthmus(shop, "validate", ok=False)
    assert shown.code == 1
    assert said in shown.out + shown.err
    assert "nightly" in shown.out + shown.err


def test_no_rows_are_an_error_and_nothing_is_published(project, shop):
    (shop / "predictions/nightly.sql").write_text(
        ROWS.replace("<= $as_of", "< TIMESTAMP '2001-01-01 00:00:00'")
    )
    with im.open(shop / "project.yaml") as reopened:
        with pytest.raises(Invalid, match="the rows of prediction nightly are none"):
            im.predict(reopened, "nightly")
        assert reopened.target.state.get("predictions/nightly") is None
