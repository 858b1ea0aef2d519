"""The columns of transforms: defined for every value, equal by rows and by tables, and stable."""

import json
import math

import mmh3
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.models import predictor, trainers
from isthmus.pipelines.transforms.compute import apply, bucket_names
from isthmus.pipelines.transforms.transformed import Transforms
from isthmus.project.specs.description import Feature, Model, Transform

numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 10.0, 100.5]))
words = st.one_of(st.none(), st.text(max_size=4))
wholes = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
EDGES = (1.0, 10.0, 100.5)


def column(transform, **columns):
    return apply(pa.table(columns), [transform])[transform.name].to_pylist()


@given(st.lists(numbers, max_size=20))
def test_a_number_is_in_the_bucket_whose_edges_hold_it(values):
    bucketize = Transform(kind="bucketize", name="b", inputs=("x",), at=EDGES)
    expected = [
        None
        if x is None or math.isnan(x)
        else next(
            (name for edge, name in zip(EDGES, bucket_names(EDGES), strict=False) if x < edge),
            "100.5 or more",
        )
        for x in values
    ]
    assert column(bucketize, x=pa.array(values, pa.float64())) == expected


@pytest.mark.parametrize("count", [32, 33, 200])
def test_a_number_is_in_its_bucket_however_many_edges_there_are(count):
    edges = tuple(float(edge) for edge in range(count))
    values = [-1.0, 0.0, 0.5, count - 1.0, count - 1.5, float("inf"), float("nan"), None]
    bucketize = Transform(kind="bucketize", name="b", inputs=("x",), at=edges)
    last = f"{count - 1} or more"
    assert column(bucketize, x=pa.array(values, pa.float64())) == [
        *("below 0", "0 to 1", "0 to 1", last, f"{count - 2} to {count - 1}", last, None, None)
    ]


def test_buckets_are_named_by_their_edges():
    assert bucket_names((1.0, 2.5)) == ["below 1", "1 to 2.5", "2.5 or more"]
    assert bucket_names((0.1234567,)) == ["below 0.1234567", "0.1234567 or more"]


@given(st.lists(numbers, max_size=20))
def test_the_log_is_of_one_more_and_null_where_there_is_none(values):
    log = Transform(kind="log", name="l", inputs=("x",))
    expected = [
        None if x is None or not math.isfinite(x) or x < 0 else math.log1p(x) for x in values
    ]
    computed = column(log, x=pa.array(values, pa.float64()))
    assert [value is None for value in computed] == [value is None for value in expected]
    assert [v for v in computed if v is not None] == pytest.approx(
        [v for v in expected if v is not None], rel=1e-15
    )


@given(st.lists(st.tuples(words, wholes, st.one_of(st.none(), st.booleans())), max_size=20))
def test_a_cross_is_the_hash_of_its_row_alone(rows):
    cross = Transform(kind="cross", name="k", inputs=("word", "whole", "flag"), into=97)
    table = {
        name: pa.array([row[place] for row in rows], kind)
        for place, (name, kind) in enumerate(
            [("word", pa.string()), ("whole", pa.int64()), ("flag", pa.bool_())]
        )
    }
    assert column(cross, **table) == [
        str(
            mmh3.hash(
                json.dumps(list(row), ensure_ascii=False, separators=(",", ":")), signed=False
            )
            % 97
        )
        for row in rows
    ]


def test_the_hash_of_a_cross_is_the_same_on_every_platform_and_in_every_release():
    cross = Transform(kind="cross", name="k", inputs=("a", "b"), into=4096)
    table = {"a": pa.array([1, 2, None]), "b": pa.array(["books", "é", None])}
    assert column(cross, **table) == ["711", "2888", "2810"]


def model(*, trainer="mine.train"):
    return Model(
        name="m",
        path="models/m.yaml",
        model="ranker",
        objective="ctr",
        features=(
            Feature(view=None, name="position"),
            Feature(view="history", name="shown"),
            Feature(view="profile", name="category"),
        ),
        trainer=trainer,
        transforms=(
            Transform(kind="bucketize", name="bucket", inputs=("shown",), at=EDGES),
            Transform(kind="log", name="log_shown", inputs=("shown",)),
            Transform(kind="cross", name="pair", inputs=("position", "bucket"), into=32),
        ),
        listed=("position", "bucket", "log_shown", "pair", "category"),
    )


def table(rows=300, seed=28):
    chance = np.random.default_rng(seed)
    return pa.table(
        {
            "position": pa.array(chance.integers(1, 5, rows)),
            "shown": pa.array(chance.uniform(-2, 200, rows), mask=chance.random(rows) < 0.2),
            "category": pa.array(chance.choice(["a", "b", "c"], rows)),
            "outcome": pa.array(chance.integers(0, 2, rows)),
        }
    )


class Means:
    """The mean outcome by the columns that it was trained with."""

    def __init__(self, means):
        self.means = means

    def predict(self, rows, *, scale=1.0):
        return [self.score(row) * scale for row in rows]

    def score(self, row):
        assert {"position", "bucket", "log_shown", "pair", "category"} <= set(row)
        return self.means[str(row["bucket"])] + (row["log_shown"] or 0.0) + int(row["pair"])

    def predict_table(self, table, *, scale=1.0):
        assert table.column_names == ["position", "bucket", "log_shown", "pair", "category"]
        return [self.score(row) * scale for row in table.to_pylist()]


def train(data, label, features):
    groups = data.select(["bucket", label]).group_by("bucket").aggregate([(label, "mean")])
    assert features == ["position", "bucket", "log_shown", "pair", "category"]
    return Means({str(row["bucket"]): row[f"{label}_mean"] for row in groups.to_pylist()})


def test_a_trainer_gets_the_columns_and_what_is_kept_answers_features(tmp_path):
    fitted = trainers.fit(train, model(), table(), tmp_path)
    digest = predictor.save(fitted, tmp_path / "model", model=model())
    document = msgspec.json.decode(
        (tmp_path / "model" / "transforms.json").read_bytes(), type=Transforms
    )
    assert document.inputs == {"position": "int64", "shown": "float64"}
    loaded = predictor.load(tmp_path / "model", digest=digest)
    assert loaded.manifest.accepted.keys() == {"scale"}
    assert [feature.name for feature in loaded.manifest.features] == [
        "position",
        "shown",
        "category",
    ]
    whole = trainers.predict(loaded.predictor, table(), model(), tmp_path)
    rows = table().select(["position", "shown", "category"]).to_pylist()
    assert loaded.predictor.predict(rows) == whole.tolist()
    assert loaded.predictor.predict(rows, scale=2.0) == (whole * 2).tolist()


def test_other_transforms_are_another_model_and_an_altered_one_does_not_load(tmp_path):
    fitted = trainers.fit(train, model(), table(), tmp_path)
    first = predictor.save(fitted, tmp_path / "first", model=model())
    wider = msgspec.structs.replace(
        model(),
        transforms=(
            *model().transforms[:2],
            msgspec.structs.replace(model().transforms[2], into=64),
        ),
    )
    fitted = trainers.fit(train, wider, table(), tmp_path)
    assert predictor.save(fitted, tmp_path / "second", model=wider) != first
    file = tmp_path / "first" / "transforms.json"
    file.write_text(file.read_text().replace("100.5", "101.5"))
    with pytest.raises(predictor.Invalid, match=r"transforms\.json was changed after it was saved"):
        predictor.load(tmp_path / "first")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"position": 1, "category": "a"}, "instance 1 has no shown"),
        ({"position": 1, "shown": "many", "category": "a"}, "shown is not of type float64"),
        ({"position": 1.5, "shown": 1, "category": "a"}, "position is not of type int64"),
    ],
)
def test_a_row_of_another_kind_is_refused_by_its_column(row, words, tmp_path):
    fitted = trainers.fit(train, model(), table(), tmp_path)
    good = {"position": 2.0, "shown": 3, "category": "b"}  # 2.0: a protobuf Value knows no int
    assert len(fitted.predict([good])) == 1
    with pytest.raises(ValueError, match=words):
        fitted.predict([good, row])
