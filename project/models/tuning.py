"""The key `tune` of a file of models/: its shape, what it means, and what it may search.

`{trials: 20, parallel: 4, metric: auc, search: {leaves: [8, 128], rate: {log: [0.01, 0.3]}}}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..reading import yaml
from ..reading.names import did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child, item
from ..reading.shapes import WRONG, MapOf, Number, Record, RecordKey, Schema, Text, shown
from ..sections.values import YamlValues
from ..specs.description import Model, Objective
from ..specs.tuning import Search, Tuning
from .builtin_trainers import check_kind
from .gate_figures import METRIC, metric_problem

MOST_TRIALS, MOST_AT_ONCE, MOST_SEARCHED, MOST_CHOICES, LONGEST = 100, 16, 10, 50, 40
_FORMS = "write [low, high], {log: [low, high]} or {choices: [a, b]}"


def _metric(text: str) -> str:
    """Return the name of a metric that trials can be judged by unchanged; raise Mistake if none."""
    if problem := metric_problem(text):
        raise Mistake(*problem)
    if text == "calibration":
        raise Mistake(
            "calibration is best at 1, neither high nor low", "write log_loss, which judges it, too"
        )
    return text


class Searched(msgspec.Struct, frozen=True):
    """The shape of what one parameter is searched in: two numbers, a list, or a mapping."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read from YAML what a tuning searches of one parameter: a range, or a list of choices.

        It reports at `key` what is wrong with it.
        """
        form, values_key, values = "", key, node
        if isinstance(node, yaml.Mapping):
            if len(node.entries) != 1 or next(iter(node.entries)) not in ("log", "choices"):
                report.add(key, f"{', '.join(node.entries) or 'nothing'} is no search", _FORMS)
                return WRONG
            form, values = next(iter(node.entries.items()))
            values_key = child(key, form)
        if not isinstance(values, yaml.Sequence):
            report.add(values_key, f"{shown(values)} is not a list", _FORMS)
            return WRONG
        plain = [yaml.plain(entry) for entry in values.items]
        numbers = [v for v in plain if isinstance(v, int | float) and not isinstance(v, bool)]
        if form == "log" or (form == "" and len(plain) == len(numbers) == 2):
            return _read_range(plain, numbers, values_key, report, log=form == "log")
        return _read_choices(plain, values_key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        number: Schema = {"type": "number"}
        bounds: Schema = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        choices: Schema = {
            "type": "array",
            "items": {"type": ["number", "string", "boolean"]},
            "minItems": 2,
            "maxItems": MOST_CHOICES,
        }
        return {
            "anyOf": [
                choices,
                *(
                    {
                        "type": "object",
                        "properties": {name: shape},
                        "required": [name],
                        "additionalProperties": False,
                    }
                    for name, shape in (("log", bounds), ("choices", choices))
                ),
            ]
        }


def _read_range(
    plain: list[Any], numbers: Sequence[float], key: str, report: ProblemReport, *, log: bool
) -> Any:
    """Return the search range between two numbers; report numbers that bound nothing.

    `plain` are the YAML values, `log` says that the range is logarithmic.
    """
    if len(plain) != 2 or len(numbers) != 2 or not all(abs(v) < float("inf") for v in numbers):
        report.add(key, "it needs two numbers", "write [low, high]")
        return WRONG
    low, high = numbers
    if low >= high:
        report.add(key, f"{low:g} is not below {high:g}", "write the lower bound first")
        return WRONG
    if log and low <= 0:
        report.add(item(key, 0), f"{low:g} has no logarithm", "begin above 0: {log: [0.001, 1]}")
        return WRONG
    return Search(
        low=float(low), high=float(high), log=log, whole=all(isinstance(v, int) for v in numbers)
    )


def _read_choices(plain: list[Any], key: str, report: ProblemReport) -> Any:
    """Return the search among the values of a list; report a list that leaves no choice.

    `plain` are the YAML values.
    """
    if not 2 <= len(plain) <= MOST_CHOICES:
        report.add(key, f"a choice of {len(plain)}", f"list 2 to {MOST_CHOICES} values")
        return WRONG
    for position, value in enumerate(plain):
        if not isinstance(value, int | float | str | bool) or len(str(value)) > LONGEST:
            report.add(
                item(key, position),
                f"{str(value)[:LONGEST]} is no choice",
                f"a choice is a number, true, false, or a text of at most {LONGEST} characters",
            )
            return WRONG
        if value in plain[:position]:  # as Optuna compares: True is 1
            report.add(item(key, position), f"{value} is there twice", "take one of them out")
            return WRONG
    return Search(choices=tuple(plain))


TUNE = Record(
    noun="tune",
    keys={
        "trials": RecordKey(
            shape=Number(whole=True, least=1, most=MOST_TRIALS),
            required=True,
            example="20",
            description="How many sets of parameters are tried.",
        ),
        "parallel": RecordKey(
            shape=Number(whole=True, least=1, most=MOST_AT_ONCE),
            description="How many are tried at once: one round, a step each. The next round's are "
            "chosen by what the rounds before it showed. Default 4.",
        ),
        "metric": RecordKey(
            shape=Text(what="a metric", pattern=METRIC, parse=_metric, example="auc"),
            required=True,
            example="auc",
            description="What trials are judged by, named as in `gate`: auc, ndcg@10, log_loss; of "
            "a number rmse, spearman, ... log_loss, rmse and mae are best low, others high.",
        ),
        "search": RecordKey(
            shape=MapOf(of=Searched(), least=1),
            required=True,
            example="{leaves: [8, 128]}",
            description="The parameters that trials set: [low, high] for a number in between (a "
            "whole one if both are whole), {log: [low, high]} for one whose size matters, such as "
            "a rate, and a list, or {choices: [a, b]}, for one of its values.",
        ),
        "seed": RecordKey(
            shape=Number(whole=True, least=0, most=1_000_000),
            description="Another seed suggests other trials. Default 0.",
        ),
    },
)


def read_bounds(
    node: yaml.YamlNode, key: str, parameters: Record, values: YamlValues, report: ProblemReport
) -> None:
    """Check what a model's `tune` searches by the keys of its built-in trainer, at their lines.

    Whole numbers of a parameter that may have a fraction become a range of all numbers in
    `values`, the model's.

    Args:
        node: The model's file.
        key: The model's place in the report.
        parameters: The trainer's parameters.
        values: The values of the model's file, whose `tune` is sound.
        report: Where mistakes are reported.
    """
    tune = node.entries.get("tune") if isinstance(node, yaml.Mapping) else None
    search = tune.entries.get("search") if isinstance(tune, yaml.Mapping) else None
    if not isinstance(search, yaml.Mapping):
        return
    read: dict[str, Search] = values["tune"]["search"]
    for name, entry in search.entries.items():
        place = child(child(key, "tune.search"), name)
        about = parameters.keys.get(name)
        if about is None:
            report.add(
                place,
                f"{name} is not a parameter of {parameters.noun}",
                did_you_mean(name, parameters.keys, has=f"{parameters.noun} has"),
            )
            continue
        listed = entry
        if isinstance(entry, yaml.Mapping):
            form, listed = next(iter(entry.entries.items()))
            place = child(place, form)
        for position, value in enumerate(listed.items if isinstance(listed, yaml.Sequence) else ()):
            about.shape.read(value, item(place, position), report)
        if read[name].whole and isinstance(about.shape, Number) and not about.shape.whole:
            read[name] = msgspec.structs.replace(read[name], whole=False)


def build_tuning(
    values: YamlValues, parameters: YamlValues, path: str, report: ProblemReport
) -> Tuning:
    """Build a model's Tuning from the values of `tune`; report too many searched parameters.

    Whole bounds of a parameter that is written with a fraction in the file's `parameters`, 1.0, are
    those of a number that may have one.
    """
    key = f"{path}:tune"
    if len(values["search"]) > MOST_SEARCHED:
        report.add(
            child(key, "search"),
            f"{len(values['search'])} parameters, more than {MOST_SEARCHED}",
            "search those that matter most",
        )
    parallel = min(values.get("parallel", 4), values["trials"])
    search = {
        name: msgspec.structs.replace(about, whole=False)
        if isinstance(parameters.get(name), float)
        else about
        for name, about in values["search"].items()
    }
    return Tuning(**(values | {"parallel": parallel, "search": search}))


def check_tuning(model: Model, objective: Objective, report: ProblemReport) -> None:
    """Report values that a built-in trainer would refuse, or not read, for this objective."""
    if model.tune is None:
        return
    own = ProblemReport()
    check_kind(model, objective, own)
    for name, search in model.tune.search.items():
        for value in search.choices or (search.low,):
            trial = msgspec.structs.replace(model, parameters={**model.parameters, name: value})
            after = ProblemReport()
            check_kind(trial, objective, after)
            for problem in after.problems:
                if problem not in own.problems:
                    report.add(
                        child(f"{model.path}:tune.search", name),
                        problem.message.partition(": ")[2],
                        problem.remedy,
                    )
