"""The trainers that come with Isthmus: their names, their parameters, what they can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..reading.common_shapes import COLUMN
from ..reading.names import did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child, item
from ..reading.shapes import LATER, ListOf, Number, OneOf, Record, RecordKey
from ..specs.description import AttributeType, Model, Objective

PREFIX = "isthmus."
_CATEGORIES = RecordKey(
    shape=ListOf(of=COLUMN),
    example="[position]",
    description="Columns of type int or bool that are categories: each value for itself. A string "
    "always is one.",
)
_NULLS = RecordKey(
    shape=OneOf(words=("indicator", "mean")),
    description="What a missing number counts as: the mean, with a weight of its own for being "
    "missing (indicator, the default), or the mean alone.",
)
PARAMETERS: Mapping[str, Record] = {
    "isthmus.logistic": Record(
        noun="isthmus.logistic",
        keys={
            "C": RecordKey(
                shape=Number(least=1e-6, most=1e6),
                description="Inverse strength of the L2 penalty: smaller is stronger. Default 1.",
            ),
            "categories": _CATEGORIES,
            "nulls": _NULLS,
        },
    ),
    "isthmus.linear": Record(
        noun="isthmus.linear",
        keys={
            "alpha": RecordKey(
                shape=Number(least=0, most=1e9),
                description="Strength of the L2 penalty: larger is stronger. Default 1.",
            ),
            "categories": _CATEGORIES,
            "nulls": _NULLS,
        },
    ),
    "isthmus.boosting": Record(
        noun="isthmus.boosting",
        keys={
            "trees": RecordKey(
                shape=Number(whole=True, least=1, most=10_000),
                description="The number of trees. Default 100.",
            ),
            "leaves": RecordKey(
                shape=Number(whole=True, least=2, most=4096),
                description="The most leaves of a tree. Default 31.",
            ),
            "rate": RecordKey(
                shape=Number(least=0.0001, most=1),
                description="The share of each tree's correction that is taken. Default 0.1.",
            ),
            "rows_in_leaf": RecordKey(
                shape=Number(whole=True, least=1, most=1_000_000),
                description="The fewest training rows in a leaf. Default 20.",
            ),
            "loss": RecordKey(
                shape=OneOf(words=("tweedie", "lambdarank")),
                description="What is minimised instead of the log loss of an outcome, or the "
                "squared error of a number: tweedie (numbers from 0 up, many of them 0), "
                "lambdarank (the order of rows that were ranked together).",
            ),
            "power": RecordKey(
                shape=Number(least=1.01, most=1.99),
                description="The variance power of loss: tweedie. Default 1.5.",
            ),
            "categories": _CATEGORIES,
        },
    ),
}
_LATER_TRAINERS = ("isthmus.online",)


def is_builtin(trainer: str) -> bool:
    """Return whether a trainer's name is one of Isthmus's own, as isthmus.logistic is."""
    return trainer.startswith(PREFIX)


def known_trainer(text: str) -> str:
    """Return the name of a built-in trainer unchanged; raise Mistake if there is none of it."""
    if text in _LATER_TRAINERS:
        raise Mistake(f"{text} is {LATER}", f"it has {', '.join(PARAMETERS)}")
    if text not in PARAMETERS:
        raise Mistake(
            f"{text} is no trainer of Isthmus", did_you_mean(text, PARAMETERS, has="it has")
        )
    return text


def check_builtin(model: Model, report: ProblemReport) -> None:
    """Report categories of a model with a built-in trainer that are none of its columns."""
    key = child(f"{model.path}:parameters", "categories")
    for position, name in enumerate(model.parameters.get("categories", ())):
        if name not in model.columns:
            report.add(
                item(key, position),
                f"{name} is not among the features",
                did_you_mean(name, model.columns, has="they are"),
            )


def check_kind(model: Model, objective: Objective, report: ProblemReport) -> None:
    """Report a built-in trainer whose label is of the other kind than its model's objective."""
    rate, number = "an outcome of 0 or 1", "a number"
    learns, instead = {
        "isthmus.logistic": (rate, "isthmus.linear"),
        "isthmus.linear": (number, "isthmus.logistic"),
    }.get(model.trainer, ("", ""))
    is_of = number if objective.is_number else rate
    if learns and learns != is_of:
        report.add(
            child(f"{model.path}:", "trainer"),
            f"{model.trainer} learns {learns}, and {objective.name} is {is_of}",
            f"write trainer: {instead}, or use one of your own",
        )
    if model.trainer == "isthmus.boosting":
        _check_loss(model, objective, report)


def _check_loss(model: Model, objective: Objective, report: ProblemReport) -> None:
    """Report a loss of isthmus.boosting that does not fit its model's objective."""
    loss, place = model.parameters.get("loss"), f"{model.path}:parameters"
    if loss == "tweedie" and not objective.is_number:
        report.add(
            child(place, "loss"),
            f"tweedie learns a number, and {objective.name} is an outcome of 0 or 1",
            "leave loss out",
        )
    elif loss == "lambdarank" and objective.is_number:
        report.add(
            child(place, "loss"),
            f"lambdarank of {objective.name}, which is a number, is {LATER}",
            "leave loss out",
        )
    elif loss == "lambdarank" and objective.ranked_within is None:
        report.add(
            child(place, "loss"),
            "lambdarank compares rows that were ranked against each other, and "
            f"{objective.name} does not say which were",
            f"add ranked_within (a request's id), or at least unit, to objectives.{objective.name}",
        )
    if "power" in model.parameters and loss != "tweedie":
        report.add(
            child(place, "power"), "power is a parameter of loss: tweedie", "leave power out"
        )


def unreadable_columns(
    model: Model, types: Mapping[str, AttributeType]
) -> Iterator[tuple[str, str, str]]:
    """Yield (key, problem, remedy) of each column that a built-in trainer cannot read.

    `types`: those of the model's columns by name, as far as they are known.
    """
    categories = model.parameters.get("categories", ())
    for position, name in enumerate(model.columns):
        kind = types.get(name)
        if kind == "timestamp":
            yield (
                item("features", position),
                f"{name} is a timestamp, which {model.trainer} does not read",
                "compute a number in its view's SQL, such as the days since",
            )
        elif kind == "float" and name in categories:
            yield (
                child("parameters", item("categories", categories.index(name))),
                f"{name} is a float, which is no category",
                f"take it out, or bucketize it: {{bucketize: {name}, at: [...], as: ...}}",
            )
