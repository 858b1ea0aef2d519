"""Show what an evaluation says when a feature has seen the outcomes that it predicts.

The leak stands beside the honest join.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import Invalid
from ...feature_store.views.lineage import is_made_of
from ...project.specs.description import Feature, Model, ParsedProject
from ...reports import page
from ...reports.columns import plural
from ..evaluation import forward_evaluation
from ..evaluation.leak_alarm import leak_alarm
from ..evaluation.measure import auc
from ..evaluation.statistics import Estimate
from ..models import lineage, trainers
from . import figure_text, runs
from .figures import ChartedRun, daily_chart, roc_chart
from .report_store import keep

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from .records import TrainingSetData


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """The AUC within days of one feature as the score, and of the whole model.

    Each is joined honestly, and with the leak.
    """

    run: str
    feature: str
    entity: str
    rows: int
    positives: int
    honest: Estimate
    leaked: Estimate
    model_honest: Estimate
    model_leaked: Estimate
    alarmed: bool  # whether the leak alarm calls it
    page: Path


def leak_page(project: Project, run: str, *, feature: str | None = None) -> Leak:
    """Train a run's configuration again with a leaking feature, and write a page that compares.

    The page shows how a label leak inflates the AUC. One history feature gets the values of the
    leak: its entity's rate over the whole window. `feature` names it; by default it is the first
    whose view reads the objective. Nothing is registered.

    Raises:
        NotFound: there is no such run.
        Invalid: it has no feature that is made of past outcomes, or its objective is a number.
    """
    record = runs.get_run(project, run)
    model = msgspec.convert(record.settings, Model)
    if project.spec.objectives[model.objective].is_number:
        raise Invalid(
            f"{model.path}: a leak is not shown for an objective that is a number yet",
            remedy=f"choose a run whose objective is a rate; {model.objective} is a sum",
        )
    chosen = _choose(project.description, model, feature)
    entity = project.spec.entities[project.spec.feature_views[chosen.view or ""].entity]
    data, data_record = runs.data_of(project.target.blobs, run)
    leaky = with_leak(data, chosen.name, entity.key)
    trainer = trainers.find(model, project.folder)
    among = forward_evaluation.grouping(
        leaky, project.spec.objectives[model.objective], project.spec
    )
    evaluated = forward_evaluation.forward(
        leaky,
        trainer,
        model,
        start=data_record.start,
        end=data_record.end,
        folder=project.folder,
        log=lambda _text: None,
        among=among,
    )
    ours = runs.predictions_of(project.target.blobs, run)
    alone, alone_leaky = (as_score(ours, table, chosen.name) for table in (data, leaky))
    leak = Leak(
        run=run,
        feature=str(chosen),
        entity=entity.name,
        rows=ours.num_rows,
        positives=int(pc.sum(ours["outcome"]).as_py()),
        honest=auc(alone),
        leaked=auc(alone_leaky),
        model_honest=auc(ours),
        model_leaked=auc(evaluated.predictions),
        alarmed=bool(
            leak_alarm(
                leaky,
                "outcome",
                [chosen.name],
                unit=among.unit,
                within=among.ranked_within,
                entities={entity.name: entity.key},
            )[0].warnings
        ),
        page=Path(),
    )
    drawn = figure_text.independence(record.evaluation) if record.evaluation else ""
    html = _page(
        leak,
        record.configuration,
        data_record,
        alone,
        alone_leaky,
        intervals=f"Intervals are 95 %: {drawn}.",
    )
    return msgspec.structs.replace(leak, page=keep(project, f"leak-{run}.html", html.encode()))


def with_leak(data: pa.Table, feature: str, key: str) -> pa.Table:
    """Return the training set with `feature` replaced by the click rate of each `key`.

    The rate (0 .. 1) is over all rows: it includes later rows and the row itself.
    """
    rates = data.group_by(key).aggregate([("outcome", "mean")])
    by_key = dict(zip(rates[key].to_pylist(), rates["outcome_mean"].to_pylist(), strict=True))
    values = pa.array([by_key[value] for value in data[key].to_pylist()], pa.float64())
    return data.set_column(data.column_names.index(feature), feature, values)


def as_score(predictions: pa.Table, data: pa.Table, feature: str) -> pa.Table:
    """Return predictions with a feature's values in place of the model's own predictions.

    The values are those of the rows in `data`. Rows for which the feature is not known yet get its
    mean.
    """
    values = dict(
        zip(data["event_id"].to_pylist(), data[feature].cast(pa.float64()).to_pylist(), strict=True)
    )
    scores = np.array(
        [values[event_id] for event_id in predictions["event_id"].to_pylist()], dtype=float
    )  # None becomes NaN
    scores[np.isnan(scores)] = np.nanmean(scores) if not np.isnan(scores).all() else 0.0
    place = predictions.column_names.index("prediction")
    return predictions.set_column(place, "prediction", pa.array(scores))


def _choose(description: ParsedProject, model: Model, chosen_name: str | None) -> Feature:
    """Return the feature to make leak: the named one, or the first made of past outcomes.

    A feature that only counts exposures is not made of outcomes.

    `chosen_name` is the named one, if any.
    """
    spec = description.spec
    views = lineage.histories(spec, model.objective)
    histories = [feature for feature in model.features if feature.view in views]
    rates = (
        feature
        for feature in histories
        if chosen_name in (None, feature.name, str(feature))
        and _reads_outcomes(description, model, feature)
    )
    rate = next(rates, None)
    if rate is None:
        listed = ", ".join(map(str, histories)) or "none"
        what = f"{chosen_name} is not" if chosen_name else "no feature is"
        raise Invalid(
            f"{model.path}: {what} made of past outcomes ({listed})",
            remedy="choose a run with a history feature",
        )
    return rate


def _reads_outcomes(description: ParsedProject, model: Model, feature: Feature) -> bool:
    """Return whether a feature's SQL computes it from the model's outcomes."""
    view = description.spec.feature_views[feature.view or ""]
    return is_made_of(description, view, feature.name, relation=model.objective, column="outcome")


def _short(figure: Estimate) -> str:
    """Return a metric and its interval as text."""
    return f"{figure.value:.3f} ({figure_text.interval(figure)})"


def _page(
    leak: Leak,
    configuration: str,
    record: TrainingSetData,
    honest: pa.Table,
    leaked: pa.Table,
    *,
    intervals: str,
) -> str:
    """Return the HTML page that compares honest features with leaking ones."""
    entity, outcome = leak.entity, record.outcome
    rows = [
        (f"{leak.feature} alone, point in time", _short(leak.honest)),
        (f"{leak.feature} alone, whole window", _short(leak.leaked)),
        (f"{configuration}, all features, point in time", _short(leak.model_honest)),
        (f"{configuration}, all features, whole window", _short(leak.model_leaked)),
    ]
    drawn = [
        ChartedRun(name="as it was known", style="a", predictions=honest),
        ChartedRun(name="whole window: a leak", style="b", predictions=leaked),
    ]
    alarm = (
        "The leak alarm calls it: it agrees with these rows better than every "
        f"{entity}'s true rate could, or stands out on one day."
        if leak.alarmed
        else "The leak alarm does not call it: no day stands out, and there are too few "
        f"{outcome}s to tell it from every {entity}'s true rate. The join prevents it."
    )
    return page.page(
        "The leak beside the honest join",
        [
            page.heading(
                "The leak beside the honest join",
                f"run {leak.run}, {configuration}; one model, one log, one feature differs",
            ),
            page.verdict(
                [
                    f"AUC {leak.leaked.value:.2f} with the leak, {leak.honest.value:.2f} without",
                    "Only the second is what a visitor would have met. Chance is 0.5.",
                ],
                "fail",
            ),
            page.section(
                "What was done",
                page.words(
                    f"Point in time: each row got the {entity}'s rate as it was known when the "
                    f"row happened, from earlier {record.exposure}s whose outcome was already "
                    f"known. Whole window: each row got the {entity}'s rate over the whole "
                    "window, which one GROUP BY over the log gives. That rate counts the row's "
                    f"own {outcome} and every later one: it has seen the answers."
                ),
                page.table(("", "AUC within days (95 %)"), rows, wordy=0),
                page.words(
                    f"{leak.rows:,} test rows, {plural(leak.positives, outcome)}. {intervals}",
                    "soft",
                ),
            ),
            page.section("Pictures", roc_chart(drawn, outcome), daily_chart(drawn, outcome)),
            page.section(
                "Why it matters",
                page.words(
                    f"With few {outcome}s such a rate is mostly those {outcome}s themselves. "
                    f"Offline the model looks excellent; online the later {outcome}s do not "
                    "exist yet, and it ranks as the point-in-time figures say."
                ),
                page.words(alarm),
            ),
        ],
        f"Isthmus, run {leak.run}. Nothing on this page is fetched from elsewhere.",
    )
