"""The transforms cosine and dot: against NumPy, of nulls, and in a project's model."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.transforms.compute import apply
from isthmus.pipelines.transforms.transform_text import transform_text
from isthmus.project.load import load, parse
from isthmus.project.specs.description import Transform
from isthmus.tests.pipelines.extraction import world

NAMES = ("a_00", "a_01", "b_00", "b_01")
MODEL = """model: ranker
objective: ctr
features: [position, {cosine: [user_taste, item_text], as: taste}]
trainer: isthmus.logistic
serve_as: {position: 1}
"""


def products(kind, rows):
    columns = list(zip(*rows, strict=True)) or [()] * 4
    table = pa.table(
        {name: pa.array(column, pa.float64()) for name, column in zip(NAMES, columns, strict=True)}
    )
    transform = Transform(kind=kind, name="n", inputs=NAMES)
    return apply(table, [transform])["n"].to_pylist()


numbers = st.floats(-1e3, 1e3, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=20))
def test_they_are_numpys_products(rows):
    for (a, b, c, d), dot, cosine in zip(
        rows, products("dot", rows), products("cosine", rows), strict=True
    ):
        assert dot == pytest.approx(np.dot([a, b], [c, d]))
        lengths = np.hypot(a, b) * np.hypot(c, d)
        if lengths == 0:
            assert cosine is None
        else:
            assert cosine == pytest.approx(np.dot([a, b], [c, d]) / lengths, abs=1e-12)
            assert -1 <= cosine <= 1


@pytest.mark.parametrize("kind", ["cosine", "dot"])
@pytest.mark.parametrize("odd", [None, float("nan"), float("inf")])
def test_a_vector_with_a_value_that_is_no_number_has_none(kind, odd):
    assert products(kind, [(1.0, odd, 1.0, 1.0), (1.0, 0.0, 1.0, 0.0)]) == [None, 1.0]


def test_its_text_names_the_two_views():
    assert transform_text(Transform(kind="cosine", name="n", inputs=NAMES)) == "cosine a, b"


@pytest.fixture
def folder(tmp_path):
    project = world.PROJECT.replace(
        "  click: {",
        "  shown: {attributes: {item_id: {type: int}, user_id: {type: string}, position: {type: int}}}\n  opened: {attributes: {shown_id: {type: string}}}\n  click: {",
    ).replace(
        "feature_views:", "objectives:\n  ctr: {rate: opened / shown, within: 30m}\nfeature_views:"
    )
    folder = world.create(tmp_path / "reader", project, published=5, clicked=5)
    (folder / "models").mkdir()
    (folder / "models" / "taste.yaml").write_text(MODEL)
    return folder


def test_a_model_reads_the_columns_of_both_views_and_its_trainer_sees_one(folder):
    model = load(folder).spec.models["taste"]
    assert model.columns == ("position", "taste")
    assert [str(feature) for feature in model.features] == [
        "position",
        *(f"user_taste.user_taste_0{n}" for n in range(4)),
        *(f"item_text.item_text_0{n}" for n in range(4)),
    ]


def test_vectors_of_two_lengths_are_refused_at_the_transforms_line(folder):
    file = folder / "project.yaml"
    two = "  item_short: {entity: item, extract: {from: item_published, reads: [title], with: isthmus.text, parameters: {dimensions: 3}}}\n"
    file.write_text(file.read_text() + two)
    text = MODEL.replace("[user_taste, item_text]", "[user_taste, item_short]")
    (folder / "models" / "taste.yaml").write_text(text)
    _, problems = parse(file)
    (problem,) = (p for p in problems if p.severity == "error")
    assert "user_taste has 4 dimensions and item_short 3" in problem.message
    assert (problem.file, problem.line) == ("models/taste.yaml", 3)
