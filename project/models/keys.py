"""The keys of a file of models/."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..reading import quantities, yaml
from ..reading.common_shapes import COLUMN, DURATION, NAME_SHAPE
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child
from ..reading.shapes import (
    WRONG,
    Free,
    ListOf,
    MapOf,
    Number,
    OneOf,
    Record,
    RecordKey,
    Schema,
    Text,
)
from .builtin_trainers import PARAMETERS, is_builtin, known_trainer
from .gate_figures import CHECK, check_problem
from .logged import FeaturesShape
from .tuning import TUNE, read_bounds

TRAINER = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+"


def _trainer(text: str) -> str:
    """Return a trainer's name unchanged.

    Raises Mistake unless it is `module.function` or one of Isthmus's own.
    """
    if not re.fullmatch(TRAINER, text):
        raise Mistake(
            f"{text!r} does not name a function",
            "write module.function, the module being a file beside project.yaml: ranker.logistic",
        )
    return known_trainer(text) if is_builtin(text) else text


EVALUATE = Record(
    noun="evaluate",
    keys={
        "forward": RecordKey(
            shape=DURATION,
            description="The length of one test period. Default: a tenth of the days to test, in "
            "whole days.",
        ),
        "after": RecordKey(
            shape=DURATION,
            description="How much log comes before the first test period. Default 2d.",
        ),
        "segments": RecordKey(
            shape=ListOf(of=COLUMN),
            example="[platform]",
            description="Attributes of the exposure: the report has the figures of each value.",
        ),
    },
)


BOUND = Record(
    noun="a bound",
    keys={
        "at_least": RecordKey(shape=Number(), example="0"),
        "at_most": RecordKey(shape=Number()),
        "within": RecordKey(shape=ListOf(of=Number(), least=2, most=2), example="[0.67, 1.5]"),
    },
)


GATE = MapOf(of=BOUND, names=check_problem, pattern=CHECK, own={"leaks": OneOf(words=("none",))})


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of models/: a record whose `parameters` a built-in trainer has keys for."""

    record: Record

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a model's YAML as values by key, or report what is wrong with it."""
        values = self.record.read(node, key, report)
        if values is WRONG or not isinstance(node, yaml.Mapping):
            return values
        parameters = PARAMETERS.get(values.get("trainer", ""))
        if parameters is not None and "parameters" in node.entries:
            built = parameters.read(node.entries["parameters"], child(key, "parameters"), report)
            if built is not WRONG:
                values["parameters"] = {
                    name: list(value) if isinstance(value, tuple) else value  # as JSON has it
                    for name, value in built.items()
                }
        if parameters is not None and "tune" in values and report.sound(child(key, "tune")):
            read_bounds(node, key, parameters, values, report)
        return values

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return self.record.schema() | {
            "allOf": [
                {
                    "if": {"properties": {"trainer": {"const": name}}, "required": ["trainer"]},
                    "then": {"properties": {"parameters": shape.schema()}},
                }
                for name, shape in PARAMETERS.items()
            ]
        }


_RECORD = Record(
    noun="a model's configuration",
    keys={
        "model": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="ranker",
            description="The registered model that a run becomes a version of.",
        ),
        "alias": RecordKey(
            shape=NAME_SHAPE, description="What the new version is called: champion, challenger."
        ),
        "objective": RecordKey(shape=NAME_SHAPE, required=True, example="ctr"),
        "window": RecordKey(
            shape=Text(
                what="a window",
                pattern=f"{quantities.WINDOW}|{quantities.DURATION}",
                parse=quantities.window,
                example="2019-11-24 .. 2019-11-30",
            ),
            description="Days, both included, or a length back from now. Default 28d.",
        ),
        "features": RecordKey(
            shape=FeaturesShape(),
            required=True,
            example="[view.feature]",
            description="view.feature, an attribute of the objective's exposure, or a transform: "
            "{bucketize: view.feature, at: [10, 100], as: bucket}, "
            "{cross: [a, b], into: 4096, as: pair}, {log: view.feature, as: log_count}. Or logged: "
            "the rows that were scored, of an objective that counts exposures.",
        ),
        "serve_as": RecordKey(
            shape=MapOf(of=Free()),
            description="Values at serving for attributes that are not known before ranking.",
        ),
        "trainer": RecordKey(
            shape=Text(
                what="a function", pattern=TRAINER, parse=_trainer, example="ranker.logistic"
            ),
            required=True,
            example="ranker.logistic",
            description="module.function, the module beside project.yaml; or one of Isthmus's: "
            "isthmus.logistic, isthmus.linear, isthmus.boosting.",
        ),
        "parameters": RecordKey(
            shape=MapOf(of=Free()), description="Given to the trainer by name."
        ),
        "evaluate": RecordKey(shape=EVALUATE),
        "gate": RecordKey(
            shape=GATE,
            description="What the whole 95 % interval of a figure must keep: "
            "{ndcg@10_vs_champion: {at_least: 0}, calibration: {within: [0.67, 1.5]}}. Figures: "
            "auc, pr_auc, ndcg@k, recall@k, precision@k, mrr, group_auc, log_loss, calibration; "
            "of an objective that is a number rmse, mae, r2, spearman, ndcg@k, value@k, "
            "calibration; with _vs_champion "
            "their difference to the champion's. `leaks: none` fails with the leak alarm. "
            "Default where rows were ranked against each other, unless a ranking is compared "
            "already: ndcg@10_vs_champion: {at_least: 0}.",
        ),
        "tune": RecordKey(
            shape=TUNE,
            example="{trials: 20, metric: auc, search: {leaves: [8, 128]}}",
            description="What `isthmus tune` tries: {trials: 20, parallel: 4, metric: auc, search: "
            "{leaves: [8, 128], rate: {log: [0.01, 0.3]}, trees: [50, 100, 200]}}.",
        ),
    },
)

MODEL = ModelFile(record=_RECORD)
