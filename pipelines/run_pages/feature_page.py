"""Draw the part of a run's page about its features.

It shows what each is worth, how it is distributed, how old it is at serving, and how far it has
drifted.
"""

from __future__ import annotations

from ...project.models.gate_figures import CUTOFF, is_loss
from ...reports import page, plots
from ..evaluation.distribution import Distribution, spoken_age
from ..evaluation.evaluation import Evaluation
from ..evaluation.statistics import Estimate
from ..evaluation.worth import FIGURES, FeatureWorth
from . import figure_text
from .records import Run
from .run_text import outcome_of

_MUCH, _LITTLE = 0.25, 0.1  # of drift, by convention


def features(run: Run) -> list[str]:
    """Return the sections of a run's HTML page on feature importance and distributions.

    A run of an earlier release has only those that it stored.
    """
    parts = []
    if run.evaluation is not None and run.evaluation.worth:
        parts.append(page.section("What features are worth", *_worth(run, run.evaluation)))
    if run.data is not None and run.data.distributions:
        parts.append(page.section("Features", *_distributions(run, run.data.distributions)))
    return parts


def _worth(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the chart and the table of feature importances, as HTML parts."""
    full = {feature.rsplit(".", 1)[-1]: feature for feature in run.features}
    names = [name for name in FIGURES if any(name in worth.falls for worth in evaluation.worth)]
    metric = names[0] if names else evaluation.whole
    lines = [
        plots.Range(
            name=full.get(worth.feature, worth.feature),
            value=fall.value,
            low=fall.low,
            high=fall.high,
        )
        for worth in evaluation.worth
        if (fall := worth.falls.get(metric))
    ]
    head = ("", *(_worth_head(name) for name in names))
    rows = [
        (full.get(worth.feature, worth.feature), *(_fall(worth, name) for name in names))
        for worth in evaluation.worth
    ]
    drawn = figure_text.people(evaluation.unit) if evaluation.unit and evaluation.units else "rows"
    exchanged = (
        "What is the same for a whole list is exchanged between lists. "
        if evaluation.ranked
        else ""
    )
    explanation = (
        "How much worse the model ranks when a feature's values are shuffled among the rows of a "
        f"test period, on {evaluation.worth[0].rows:,} of {evaluation.rows:,} test rows; "
        f"intervals are 95 % and draw {drawn}. {exchanged}Features that say the same thing hide "
        "each other: two that are worth nothing may be worth much together."
    )
    table = page.table(head, rows, numbers=True)
    if not lines:
        return [page.words(explanation, "soft"), table]
    low, high = min(0.0, *(line.low for line in lines)), max(0.0, *(line.high for line in lines))
    pad = 0.05 * ((high - low) or 1.0)
    label = "AUC within days" if metric == "auc" else metric
    ruler = plots.axis(f"{label} falls by", low - pad, high + pad)
    return [
        page.words(explanation, "soft"),
        plots.ranges(f"Worth of each feature, {label}, 95 %", ruler, lines, behind=table),
    ]


def _worth_head(name: str) -> str:
    """Return the head of the column of a metric's loss without a feature."""
    spoken = "AUC" if name == "auc" else name.replace("_", " ")
    return f"{spoken} {'rises' if is_loss(name) else 'falls'} by"


def _fall(worth: FeatureWorth, name: str) -> str:
    """Return text on how much a metric falls when a feature is shuffled, with its interval."""
    fall = worth.falls.get(name)
    if fall is None:
        return "not known"
    digits = figure_text.digits_of(name, fall)
    between = figure_text.interval(fall, digits, sign=True)
    return f"{figure_text.signed(fall.value, digits)}   ({between})"


def _distributions(run: Run, distributions: tuple[Distribution, ...]) -> list[str]:
    """Return the table of the features' value distributions and drift, as HTML parts."""
    types = run.data.types if run.data else {}
    rows = [
        (
            column.feature,
            types.get(column.feature.rsplit(".", 1)[-1], ""),
            f"{100 * column.nulls / column.rows:.1f} %" if column.nulls else "none",
            page.MarkupCell(
                plots.bars(
                    column.bars or tuple(column.levels.values()),
                    f"distribution of {column.feature}",
                )
            ),
            _values_text(column),
            ""
            if column.age is None
            else f"{spoken_age(column.age[0])}, {spoken_age(column.age[1])}",
            _drift(run, column),
        )
        for column in distributions
    ]
    head = (
        "feature",
        "type",
        "nulls",
        "",
        "5 %, median, 95 %; or levels",
        "age: median, 95 %",
        "drift",
    )
    champion = run.champion.version
    unlike = f"{champion} has none of these features, or was trained before this was kept"
    against = (
        f"Drift: the population stability index against the training set of {champion} "
        f"({run.champion.run}); by convention below {_LITTLE} "
        f"is little, above {_MUCH} much."
        if run.drift
        else f"Drift is not known: {run.champion.why_not or unlike}."
    )
    age = (
        "Age: from the value's own time to the row's, point in time; an endpoint's values are as "
        "much older as its last materialize is."
    )
    return [page.table(head, rows, wordy=4), page.words(f"{age} {against}", "soft")]


def _values_text(column: Distribution) -> str:
    """Return a feature's quantiles as text, or its most frequent values."""
    if column.quantiles:
        _, low, _, middle, _, high, _ = column.quantiles
        return f"{low:.4g}, {middle:.4g}, {high:.4g}"
    shown = [f"{level} {100 * share:.0f} %" for level, share in list(column.levels.items())[:4]]
    return ", ".join([*shown, *(["..."] if len(column.levels) > 4 else [])]) or "no value"


def _drift(run: Run, column: Distribution) -> str:
    """Return a feature's drift index as text, with a word where it is large."""
    index = run.drift.get(column.feature)
    if index is None:
        return ""
    return f"{index:.3f}{' much' if index > _MUCH else ''}"


def segments(run: Run) -> list[str]:
    """Return the HTML section on metrics by segment; none if the run has no segments."""
    if not run.segments:
        return []
    names = [
        name
        for name in (f"ndcg@{CUTOFF}", "auc", "spearman", "rmse", "calibration")
        if any(name in segment.figures for segment in run.segments)
    ]
    against = [
        name for name in names[:1] if any(name in segment.differences for segment in run.segments)
    ]
    outcomes = f"{outcome_of(run)}s"
    head = (
        "",
        "value",
        "rows",
        outcomes,
        *(f"{name} against the champion" for name in against),
        *names,
    )
    rows = []
    for segment in run.segments:
        own = [_figure(name, segment.figures.get(name)) or "too few units" for name in names]
        other = [_figure(name, segment.differences.get(name), sign=True) for name in against]
        rows.append(
            (
                segment.attribute,
                segment.value,
                f"{segment.rows:,}",
                f"{segment.positives:,}",
                *other,
                *own,
            )
        )
    ranked = "Rows of a segment are ranked among themselves. " if f"ndcg@{CUTOFF}" in names else ""
    note = (
        f"{ranked}Each interval is a 95 % one by itself: of {len(rows)} segments alike, "
        f"{len(rows) / 20:.1g} look different on average."
    )
    return [page.section("Segments", page.table(head, rows), page.words(note, "soft"))]


def _figure(name: str, figure: Estimate | None, *, sign: bool = False) -> str:
    """Return a metric and its interval as text; empty for None."""
    if figure is None:
        return ""
    digits = figure_text.digits_of(name, figure) if name != "calibration" else 3
    value = f"{figure.value:{'+' if sign else ''}.{digits}f}"
    return f"{value}   ({figure_text.interval(figure, digits, sign=sign)})"
