"""The figures that a gate may bound, by name.

`ndcg@10_vs_champion` is the difference of `ndcg@10` to the champion's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from ..reading.names import did_you_mean

AGAINST = "_vs_champion"
_RANKING = r"(ndcg|recall|precision|value)@[1-9][0-9]{0,3}|mrr|group_auc"
METRIC = rf"auc|pr_auc|log_loss|rmse|mae|r2|spearman|calibration|{_RANKING}"
CHECK = rf"({METRIC})({AGAINST})?"
EXAMPLES = (
    "auc",
    "pr_auc",
    "ndcg@10",
    "recall@10",
    "precision@10",
    "mrr",
    "group_auc",
    "log_loss",
    "calibration",
)
NUMBER_EXAMPLES = (  # of an objective that is a number
    "rmse",
    "mae",
    "r2",
    "spearman",
    "ndcg@10",
    "value@10",
    "calibration",
)
ALL_EXAMPLES = tuple(dict.fromkeys((*EXAMPLES, *NUMBER_EXAMPLES)))
CUTOFF = 10  # of ndcg, recall, precision and value, beside those that a gate names
_ELSEWHERE = {"average_precision": "pr_auc", "ap": "pr_auc", "auprc": "pr_auc", "roc_auc": "auc"}
_LOSSES = ("log_loss", "rmse", "mae")


def check_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a gate has no such check, else None."""
    if re.fullmatch(CHECK, name):
        return None
    names = [*ALL_EXAMPLES, *(f"{metric}{AGAINST}" for metric in ALL_EXAMPLES)]
    metric = name.removesuffix(AGAINST)
    if metric in _ELSEWHERE:
        return (
            f"{name} is not a key of a gate",
            f"did you mean {_ELSEWHERE[metric]}{name.removeprefix(metric)}?",
        )
    remedy = (
        did_you_mean(name, [*names, "leaks"])
        or f"a gate has {', '.join(EXAMPLES)}, of an objective that is a number "
        f"{', '.join(NUMBER_EXAMPLES)}, and each with {AGAINST}; and leaks"
    )
    return f"{name} is not a key of a gate", remedy


def metric_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if there is no metric of this name, else None."""
    if re.fullmatch(METRIC, name):
        return None
    if name in _ELSEWHERE:
        return f"{name} is not a metric", f"did you mean {_ELSEWHERE[name]}?"
    remedy = (
        did_you_mean(name, ALL_EXAMPLES)
        or f"metrics are {', '.join(EXAMPLES)}; of an objective that is a number "
        f"{', '.join(NUMBER_EXAMPLES)}"
    )
    return f"{name} is not a metric", remedy


def exists(metric: str, *, number: bool) -> bool:
    """Return whether a metric is one of objectives that are numbers, or else of rates."""
    named = {name.partition("@")[0] for name in (NUMBER_EXAMPLES if number else EXAMPLES)}
    return metric.partition("@")[0] in named


def figure_digits(metric: str, *numbers: float) -> int:
    """Return how many decimal digits these values of a metric, or a difference, are shown with.

    What is in the unit of the outcome (rmse, mae, value@k, mean) has four significant ones.
    """
    if not (metric in ("rmse", "mae", "mean") or metric.startswith("value@")):
        return {"log_loss": 5, "calibration": 2}.get(metric, 3)
    largest = max(map(abs, numbers))
    return min(6, max(0, 3 - math.floor(math.log10(largest)))) if 1e-6 < largest < math.inf else 3


def is_loss(metric: str) -> bool:
    """Return whether a metric falls as models get better: log_loss, rmse, mae."""
    return metric in _LOSSES


def orders(metric: str) -> bool:
    """Return whether a metric only needs the order of the predictions, and not their scale."""
    return metric in ("auc", "pr_auc", "spearman") or ranks(metric)


def deciding_metric(metrics: Iterable[str]) -> str:
    """Return the metric that decides between models that were trained for different objectives.

    It is the mean value of the row that comes first, or of a rate ndcg; without lists that of the
    order of all rows.
    """
    candidates = set(metrics)
    names = ("value@1", f"ndcg@{CUTOFF}", "spearman", "auc")
    return next(name for name in names if name in candidates)


def ranks(metric: str) -> bool:
    """Return whether a metric (such as ndcg@10) compares rows that were ranked together."""
    return re.fullmatch(_RANKING, metric) is not None


def cutoffs(metrics: Iterable[str]) -> tuple[int, ...]:
    """Return every cutoff k of ranking metrics (ndcg@k): 10 and those named."""
    named_cutoffs = {int(metric.partition("@")[2]) for metric in metrics if "@" in metric}
    return tuple(sorted({CUTOFF, *named_cutoffs}))
