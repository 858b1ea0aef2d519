"""The figures that a gate may bound, by name.

`ndcg@10_vs_champion` is the difference of `ndcg@10` to the champion's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..reading.names import did_you_mean

AGAINST = "_vs_champion"
_RANKING = r"(ndcg|recall|precision)@[1-9][0-9]{0,3}|mrr|group_auc"
_METRIC = rf"auc|pr_auc|log_loss|calibration|{_RANKING}"
CHECK = rf"({_METRIC})({AGAINST})?"
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
CUTOFF = 10  # of ndcg, recall and precision, beside those that a gate names
_ELSEWHERE = {"average_precision": "pr_auc", "ap": "pr_auc", "auprc": "pr_auc", "roc_auc": "auc"}


def check_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a gate has no such check, else None."""
    if re.fullmatch(CHECK, name):
        return None
    names = [*EXAMPLES, *(f"{metric}{AGAINST}" for metric in EXAMPLES)]
    metric = name.removesuffix(AGAINST)
    if metric in _ELSEWHERE:
        return (
            f"{name} is not a key of a gate",
            f"did you mean {_ELSEWHERE[metric]}{name.removeprefix(metric)}?",
        )
    remedy = (
        did_you_mean(name, [*names, "leaks"])
        or f"a gate has {', '.join(EXAMPLES)}, and each with {AGAINST}; and leaks"
    )
    return f"{name} is not a key of a gate", remedy


def ranks(metric: str) -> bool:
    """Return whether a metric (such as ndcg@10) compares rows that were ranked together."""
    return re.fullmatch(_RANKING, metric) is not None


def cutoffs(metrics: Iterable[str]) -> tuple[int, ...]:
    """Return every cutoff k of ranking metrics (ndcg@k): 10 and those named."""
    named_cutoffs = {int(metric.partition("@")[2]) for metric in metrics if "@" in metric}
    return tuple(sorted({CUTOFF, *named_cutoffs}))
