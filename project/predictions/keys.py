"""The keys of the section `predictions:`."""

from __future__ import annotations

from ..endpoints.keys import MODEL_REFERENCE
from ..reading.common_shapes import path_inside
from ..reading.names import name_problem, relation_problem
from ..reading.quantities import Mistake
from ..reading.shapes import Number, Record, RecordKey, Text

_MOST_SHARDS = 40  # SageMaker takes 50 steps a pipeline


def _table(text: str) -> str:
    """Return the name of a warehouse table unchanged; raise Mistake if it may not have it."""
    if problem := name_problem(text) or relation_problem(text):
        raise Mistake(*problem)
    return text


def _path(text: str) -> str:
    """Return the path of an SQL file unchanged; raise Mistake unless it is inside the project."""
    path_inside(text, "predictions/nightly.sql")
    if not text.endswith(".sql"):
        raise Mistake(f"{text!r} is no .sql file", "write predictions/nightly.sql")
    return text


PREDICTION = Record(
    noun="a prediction",
    keys={
        "model": RecordKey(shape=MODEL_REFERENCE, required=True, example="ranker@champion"),
        "rows": RecordKey(
            shape=Text(
                what="a path",
                parse=_path,
                pattern=r"[^/~].*\.sql",
                example="predictions/nightly.sql",
            ),
            required=True,
            example="predictions/nightly.sql",
            description="A SELECT of the rows to score: the keys of the entities whose views the "
            "model reads, and the attributes that it reads. `$as_of` is the time of the features.",
        ),
        "into": RecordKey(
            shape=Text(what="a table's name", parse=_table, example="ranking_nightly"),
            required=True,
            example="ranking_nightly",
            description="The table that gains the scored rows, one batch a call.",
        ),
        "shards": RecordKey(
            shape=Number(whole=True, least=1, most=_MOST_SHARDS),
            example="4",
            description=f"How many parts are scored at once, {_MOST_SHARDS} at most. Default 1.",
        ),
    },
)
