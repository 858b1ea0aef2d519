"""Check predictions against the models of the project."""

from __future__ import annotations

from collections.abc import Mapping

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport
from ..specs.description import ProjectSpec


def check(spec: ProjectSpec, registered: Mapping[str, set[str]], report: ProblemReport) -> None:
    """Report predictions of models that no configuration trains.

    `registered`: the aliases that each model gets from any configuration.
    """
    for prediction in spec.predictions.values():
        key = f"predictions.{prediction.name}"
        if prediction.model not in registered:
            report.add(
                f"{key}.model",
                f"no file of models/ trains {prediction.model}",
                did_you_mean(prediction.model, registered, has="models are"),
            )
