"""The steps of a training run: dataset, fit, evaluate, curve where it is asked for, register.

Each is a job of its own: all that it needs comes through the context.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ...errors import Invalid
from ...events.tables.column_types import of_arrow
from ...project.specs.description import Feature, Model, Objective, ProjectSpec
from ...reports.columns import plural
from ..step.context import StepContext

if TYPE_CHECKING:
    import pyarrow as pa

    from ..evaluation.distribution import Distribution
    from ..evaluation.forward_evaluation import Forward
    from ..evaluation.leak_alarm import FeatureFinding
    from ..run_pages.records import TrainingSetData


def dataset(context: StepContext) -> None:
    """Run the step `dataset`: write the point-in-time training set to `data/data.parquet`.

    Its record is `data/data.json`.
    """
    import pyarrow.parquet as pq

    from ...feature_store.offline.late_history import late_histories
    from ...feature_store.offline.logged_set import logged_set
    from ...feature_store.offline.training_set import STAMP, training_set
    from ..evaluation.leaks.look import look

    model, project = _model(context), context.project()
    start, end, as_of = (_moment(context, name) for name in ("start", "end", "as_of"))
    if model.logged:
        logged = logged_set(project, model, start=start, end=end, as_of=as_of)
        stamped = logged.table
        if logged.left_out:
            context.log(f"left out: {logged.left_out}")
    else:
        stamped = training_set(
            project, model.objective, model.features, start=start, end=end, as_of=as_of, stamps=True
        )
    table = stamped.select([name for name in stamped.column_names if not name.startswith(STAMP)])
    looked = look(project, model, table, start=start, end=end, as_of=as_of)
    record = _known_data(
        table,
        model,
        project.spec,
        start=start,
        end=end,
        as_of=as_of,
        stamped=stamped,
        looked=looked,
        late=tuple(map(str, late_histories(project, stamped))),
    )
    context.log(
        f"{plural(record.rows, 'row')}, {record.positives:,} with the outcome, hash {record.digest}"
    )
    for warning in (*record.warnings, *record.late):
        context.log(f"warning: {warning}")
    pq.write_table(table, context.outputs["data"] / "data.parquet")
    (context.outputs["data"] / "data.json").write_bytes(msgspec.json.encode(record))
    context.set("rows", record.rows)


def fit(context: StepContext) -> None:
    """Run the step `fit`: train the model on all rows, and save it as the artifact `model`."""
    from ..evaluation.folds import lists_of
    from ..models import predictor, trainers
    from ..transforms.transformed import inner
    from .dataset import read_data

    model, folder = _model(context), _folder(context)
    table, record = read_data(context.inputs["data"])
    spec = context.project().spec
    objective = spec.objectives[model.objective]
    fitted = trainers.fit(
        trainers.find(model, folder),
        model,
        table,
        folder,
        competed=lists_of(objective.unit, objective.ranked_within),
    )
    trainers.check_same_by_rows(fitted, table, model, folder)
    keys = {name: spec.entities[view.entity].key for name, view in spec.feature_views.items()}
    digest = predictor.save(
        fitted, context.outputs["model"], model=model, types=record.types, keys=keys
    )
    context.log(f"{type(inner(fitted)).__name__}, digest {digest}")
    context.set("digest", digest)


def evaluate(context: StepContext) -> None:
    """Run the step `evaluate`: predict the test periods, and measure the predictions.

    The figures are in `forward/evaluation.json`.
    """
    import pyarrow.parquet as pq

    from ..evaluation import forward_evaluation, gate
    from ..evaluation.measure import measure
    from ..models import trainers
    from .dataset import read_data

    model, folder = _model(context), _folder(context)
    objective, spec = (
        msgspec.convert(context.parameters["objective"], Objective),
        context.project().spec,
    )
    table, record = read_data(context.inputs["data"])
    predicted: Forward = forward_evaluation.forward(
        table,
        trainers.find(model, folder),
        model,
        start=record.start,
        end=record.end,
        folder=folder,
        log=context.log,
        among=forward_evaluation.grouping(table, objective, spec),
        source=context.inputs["data"] / "data.parquet",
        shuffle=True,
        keeps=True,
    )
    measured = measure(predicted, gate.cutoffs_of(model.gate), at_most=objective.at_most)
    pq.write_table(predicted.predictions, context.outputs["forward"] / "predictions.parquet")
    (context.outputs["forward"] / "evaluation.json").write_bytes(msgspec.json.encode(measured))
    figure = measured.figures().get(measured.whole)
    shown = f"{figure.value:.3f}" if figure else "not known"
    context.log(f"{measured.whole} {shown} on {plural(measured.rows, 'row')}")


def curve(context: StepContext) -> None:
    """Run the step `curve`: train on shares of the units, and measure each on the same test rows.

    The figures are in `curve/curve.json`. Nothing of it is registered.
    """
    import pyarrow.parquet as pq

    from ...core.formats import decode
    from ..evaluation import forward_evaluation, gate, learning_curve
    from ..evaluation.evaluation import Evaluation
    from ..models import trainers
    from .dataset import read_data

    model, folder, forward = _model(context), _folder(context), context.inputs["forward"]
    objective = msgspec.convert(context.parameters["objective"], Objective)
    table, record = read_data(context.inputs["data"])
    file = forward / "evaluation.json"
    metric = learning_curve.curve_metric(
        model.gate, decode(file.read_bytes(), Evaluation, what=str(file))
    )
    measured = learning_curve.learning_curve(
        table,
        trainers.find(model, folder),
        model,
        pq.ParquetFile(forward / "predictions.parquet").read(),
        metric=metric,
        start=record.start,
        end=record.end,
        folder=folder,
        log=context.log,
        among=forward_evaluation.grouping(table, objective, context.project().spec),
        source=context.inputs["data"] / "data.parquet",
        cutoffs=gate.cutoffs_of(model.gate),
    )
    (context.outputs["curve"] / "curve.json").write_bytes(msgspec.json.encode(measured))


def register(context: StepContext) -> None:
    """Run the step `register`: compare with the champion, judge, register, write the record."""
    from .registration import register as put

    put(context, _model(context))


def _known_data(
    table: pa.Table,
    model: Model,
    spec: ProjectSpec,
    *,
    start: datetime,
    end: datetime,
    as_of: datetime,
    stamped: pa.Table,
    looked: tuple[FeatureFinding, ...],
    late: tuple[str, ...],
) -> TrainingSetData:
    """Return the record of a training set; raise Invalid if it has no rows.

    `table` are its rows, `stamped` the same with the times of feature values, `looked` the findings
    of the leak alarm, and `late` the views that are out of date.
    """
    import pyarrow.compute as pc

    from ...feature_store.offline.training_set import canonical_hash
    from ..run_pages.records import TrainingSetData

    if not table.num_rows:
        raise Invalid(
            f"{model.path}: {model.objective} has no rows from {start:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M} whose outcome is known",
            remedy="isthmus ingest, or another `window`",
        )
    if endless := int(np.count_nonzero(~np.isfinite(table["outcome"].to_numpy()))):
        raise Invalid(
            f"{model.path}: {plural(endless, 'row')} of {model.objective} add up to more than a "
            "number can hold",
            remedy=f"write at_most: for objectives.{model.objective}, or max: for its attribute",
        )
    views = list(dict.fromkeys(feature.view for feature in model.features if feature.view))
    empty: dict[str, int] = {}
    for view in views:
        nothing: list[Any] = [
            pc.is_null(table[feature.name]) for feature in model.features if feature.view == view
        ]
        rows = int(pc.sum(reduce(pc.and_, nothing)).as_py() or 0)
        empty |= {view: rows} if rows else {}
    names = [feature.name for feature in model.features]
    shown, outcomes = table["event_timestamp"], table["outcome"].to_numpy()
    objective = spec.objectives[model.objective]
    return TrainingSetData(
        start=start,
        end=end,
        as_of=as_of,
        first=pc.min(shown).as_py().replace(tzinfo=UTC),
        last=pc.max(shown).as_py().replace(tzinfo=UTC),
        rows=table.num_rows,
        positives=int(np.count_nonzero(outcomes)),
        digest=canonical_hash(table),
        exposure=objective.exposure,
        outcome=objective.outcome,
        types={name: of_arrow(table.schema.field(name).type) for name in names},
        features=len(names),
        views=len(views),
        empty=empty,
        distributions=tuple(_distribution(feature, stamped) for feature in model.features),
        leaks=looked,
        warnings=tuple(str(finding) for finding in looked if finding.warnings),
        late=late,
        sums=objective.sums,
        mean=float(outcomes.mean()) if objective.is_number else None,
        at_most=objective.at_most,
        capped=None if objective.at_most is None else float((outcomes >= objective.at_most).mean()),
    )


def _distribution(feature: Feature, stamped: pa.Table) -> Distribution:
    """Return a feature's distribution, with the age of its values at the time of their rows.

    `stamped` has the training set's rows with the times of feature values.
    """
    from ...feature_store.offline.training_set import STAMP
    from ..evaluation.distribution import distribution

    age, stamp = None, f"{STAMP}{feature.view}"
    if stamp in stamped.column_names:
        shown, of_value = (stamped[name].to_numpy() for name in ("event_timestamp", stamp))
        age = (shown - of_value) / np.timedelta64(
            1, "s"
        )  # NaT, where there is no value, becomes NaN
    return distribution(str(feature), stamped[feature.name], age=age)


def _model(context: StepContext) -> Model:
    """Return the model's configuration from the step's parameters."""
    return msgspec.convert(context.parameters["model"], Model)


def _moment(context: StepContext, name: str) -> datetime:
    """Return a time from the step's parameters."""
    return msgspec.convert(context.parameters[name], datetime)


def _folder(context: StepContext) -> Path:
    """Return the path of the project's folder, where the trainer's module is.

    Invalid is raised without a project.yaml.
    """
    if context.project_file is None:
        raise Invalid(
            "a trainer is a module beside project.yaml, and this project has no file",
            remedy="write project.yaml",
        )
    return Path(context.project_file).parent
