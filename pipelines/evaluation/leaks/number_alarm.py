"""Find features that may have seen an outcome that is a number (the leak alarm of a number).

A number is asked the questions of a 0/1 label (leak_alarm.py) at two cuts: whether it is other than
0, and whether it is above the median of those that are. A feature that orders the outcomes orders
both, so both have the rules that are held against what can be known beforehand: an AUC of 0.9, a
day that stands out, an id that ranks, a worth that falls with what was known earlier. That a value
nearly decides the outcome is asked of the first cut only: that long films are nearly all watched
for longer than the median is known beforehand. A property of an item is held against the items'
true rates of the first cut, and against their true means, of outcomes that are cut at their 99th
percentile: the inequality holds of any bounded function of the outcome, and a few large outcomes
would hide any excess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..leak_alarm import ALPHA, FeatureFinding, leak_alarm
from ..statistics import Floats

_LARGEST = 99.0  # percentile of the outcomes other than 0 at which they are cut for the means
_FEWEST = 50  # rows on either side of a cut: with fewer it is not asked
_CHANCE = 0.5  # an AUC that says nothing


class _Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the outcome: its words, and the answer of each row."""

    words: str
    truth: NDArray[np.bool_]
    near_certain: bool
    amounts: Floats | None = None  # whose means by entity bound a property's worth


def number_leak_alarm(
    table: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    what: str = "the outcome",
    unit: str | None = None,
    earlier: pa.Table | None = None,
    back: timedelta = timedelta(),
    time: str = "event_timestamp",
    within: str | None = None,
    entities: Mapping[str, str] | None = None,
) -> tuple[FeatureFinding, ...]:
    """Look for leaks of an outcome that is a number, by the AUC of each feature at two cuts.

    The chance of a false alarm, 1 % in one call, is shared by the cuts.

    Args:
        table: The training set.
        label: The column of the outcome.
        features: The columns to look at.
        what: The name of the number, such as stay.seconds.
        unit: The column that says whose a row is.
        earlier: The same rows with what was known `back` before them.
        back: How long before its row a value of `earlier` was known.
        time: The column of a row's time.
        within: The column that says which rows were ranked together.
        entities: The columns of entities' keys, by the entity's name.

    Returns:
        A finding for each feature. Its figures are those of the cut that warns, else of the cut at
        which the feature ranks better.
    """
    outcomes = np.asarray(table[label].to_numpy(zero_copy_only=False), dtype=float)
    cuts = _cuts(outcomes, what)
    if not cuts:
        return tuple(
            FeatureFinding(feature=name, why_not=f"{what} is the same in all but {_FEWEST} rows")
            for name in features
        )
    place = table.column_names.index(label)
    by_cut: list[tuple[_Cut, tuple[FeatureFinding, ...]]] = []
    for cut in cuts:
        cut_table = table.set_column(place, label, pa.array(cut.truth))
        findings = leak_alarm(
            cut_table,
            label,
            features,
            unit=unit,
            earlier=earlier,
            back=back,
            time=time,
            within=within,
            entities=entities,
            alpha=ALPHA / len(cuts),
            near_certain=cut.near_certain,
            amounts=cut.amounts,
        )
        by_cut.append((cut, findings))
    return tuple(
        _together([(cut, findings[number]) for cut, findings in by_cut])
        for number in range(len(features))
    )


def _cuts(outcomes: Floats, what: str) -> list[_Cut]:
    """Return the yes-or-no questions about a number that enough rows answer either way.

    Examples: is it other than 0, is it above the median. `what` names the number.
    """
    other = outcomes[outcomes != 0]
    if not len(other):
        return []
    middle = float(np.median(other))
    above = outcomes > middle
    words = f"{what} above {middle:,.4g}"
    if above.sum() < _FEWEST:  # nearly all of the upper half are at the cap, or alike
        above, words = outcomes >= middle, f"{what} of {middle:,.4g} at least"
    low, high = np.percentile(other, [100 - _LARGEST, _LARGEST])
    amounts = np.clip(outcomes, min(float(low), 0.0), max(float(high), 0.0))
    cuts = [
        _Cut(words=f"{what} other than 0", truth=outcomes != 0, near_certain=True),
        _Cut(words=words, truth=above, near_certain=False, amounts=amounts),
    ]
    return [cut for cut in cuts if _FEWEST <= cut.truth.sum() <= len(outcomes) - _FEWEST]


def _together(by_cut: Sequence[tuple[_Cut, FeatureFinding]]) -> FeatureFinding:
    """Merge the findings on one feature from all yes-or-no questions, with all their warnings."""
    warnings = tuple(
        f"of {cut.words} {warning}" for cut, finding in by_cut for warning in finding.warnings
    )

    def worth(pair: tuple[_Cut, FeatureFinding]) -> tuple[bool, float]:
        finding: Any = pair[1]
        return bool(finding.warnings), abs((finding.auc or _CHANCE) - _CHANCE)

    cut, finding = max(by_cut, key=worth)
    return msgspec.structs.replace(
        finding, warnings=warnings, outcome=None if finding.auc is None else cut.words
    )
