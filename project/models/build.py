"""Values of a file of models/ -> structs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ..reading.report import ProblemReport, child
from ..sections.values import YamlValues
from ..specs.description import Bound, Evaluation, Gate, Model
from .gate_figures import AGAINST
from .logged import LOGGED
from .transforms import build_features
from .tuning import build_tuning

_DAY = timedelta(days=1)


def build_model(
    name: str,
    values: YamlValues,
    path: str,
    vectors: Mapping[str, tuple[str, ...]],
    report: ProblemReport,
) -> Model:
    """Build the Model struct from the values of models/<name>.yaml, and report mistakes.

    `vectors` are the columns of each feature view that has a vector.
    """
    fields = dict(values)
    window = fields.pop("window", None)
    if isinstance(window, tuple):
        fields["window"] = window
    elif window is not None:
        fields["window_length"] = window
    tune = fields.pop("tune", None)
    listed = fields.pop("features")
    logged = listed == LOGGED
    if logged and "serve_as" in fields:
        report.add(
            f"{path}:serve_as",
            "features: logged has the values at serving of the versions that are served",
            "take it out",
        )
    built = Model(
        name=name,
        path=path,
        **{"features": ()} if logged else build_features(listed, path, vectors, report),
        logged=logged,
        evaluate=Evaluation(**fields.pop("evaluate", {})),
        gate=_build_gate(fields.pop("gate", {}), path, report),
        tune=build_tuning(tune, fields.get("parameters", {}), path, report)
        if tune is not None
        else None,
        **fields,
    )
    length = built.window[1] - built.window[0] if built.window else built.window_length
    if built.evaluate.after + (built.evaluate.forward or _DAY) > length:
        report.add(
            f"{path}:window" if window is not None else f"{path}:evaluate",
            f"the window of {length.days} days leaves no period to test on, "
            f"{built.evaluate.after.days} days after its start",
            "widen the window, or shorten evaluate.after",
        )
    elif built.tune and built.evaluate.after + 2 * (built.evaluate.forward or _DAY) > length:
        report.add(
            f"{path}:tune",
            "the window leaves one period to test on: trials are judged on all but the last",
            "widen the window, or shorten evaluate.after or evaluate.forward",
        )
    return built


def _build_gate(values: YamlValues, path: str, report: ProblemReport) -> Gate:
    """Build a model's gate: the bounds that its evaluation metrics must keep."""
    bounds = {check: about for check, about in values.items() if check != "leaks"}
    return Gate(
        bounds=tuple(_build_bound(check, about, path, report) for check, about in bounds.items()),
        leaks=values.get("leaks"),
    )


def _build_bound(check: str, about: YamlValues, path: str, report: ProblemReport) -> Bound:
    """Build one metric's bound of a gate; report missing or contradicting limits."""
    key = child(f"{path}:gate", check)
    low, high = about.get("within", (about.get("at_least"), about.get("at_most")))
    if low is None and high is None:
        report.add(
            key, "nothing is asked of it", "write at_least, at_most or within: {at_least: 0}"
        )
    elif "within" in about and len(about) > 1:
        report.add(
            key, "within and another bound", "within: [low, high] has both: take the other out"
        )
    elif low is not None and high is not None and low > high:
        report.add(
            child(key, "within"), f"{low:g} is above {high:g}", "write the lower bound first"
        )
    low, high = (None if bound is None else float(bound) for bound in (low, high))
    return Bound(
        metric=check.removesuffix(AGAINST), against=check.endswith(AGAINST), low=low, high=high
    )
