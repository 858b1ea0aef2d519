"""The trainers that come with Isthmus: their names, their parameters, what they can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..reading.common_shapes import COLUMN
from ..reading.names import did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import Report, child, item
from ..reading.shapes import LATER, Key, ListOf, Number, OneOf, Record
from ..specs.description import AttributeType, Model, Objective

PREFIX = "isthmus."
_CATEGORIES = Key(
    shape=ListOf(of=COLUMN),
    example="[position]",
    description="Columns of type int or bool that are categories: each value for itself. A string "
    "always is one.",
)
_NULLS = Key(
    shape=OneOf(words=("indicator", "mean")),
    description="What a missing number counts as: the mean, with a weight of its own for being "
    "missing (indicator, the default), or the mean alone.",
)
PARAMETERS: Mapping[str, Record] = {
    "isthmus.logistic": Record(
        noun="isthmus.logistic",
        keys={
            "C": Key(
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
            "alpha": Key(
                shape=Number(least=0, most=1e9),
                description="Strength of the L2 penalty: larger is stronger. Default 1.",
            ),
            "categories": _CATEGORIES,
            "nulls": _NULLS,
        },
    ),
}
_LATER_TRAINERS = ("isthmus.boosting", "isthmus.online")


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


def check_builtin(model: Model, report: Report) -> None:
    """Report categories of a model with a built-in trainer that are none of its columns."""
    key = child(f"{model.path}:parameters", "categories")
    for position, name in enumerate(model.parameters.get("categories", ())):
        if name not in model.columns:
            report.add(
                item(key, position),
                f"{name} is not among the features",
                did_you_mean(name, model.columns, has="they are"),
            )


def check_kind(model: Model, objective: Objective, report: Report) -> None:
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
