"""Write figures as people read them: one way for each, for the console and for the pages."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from ...project.models.gate_figures import figure_digits
from ...project.specs.description import ROW
from ...reports.columns import plural

if TYPE_CHECKING:
    from ..evaluation.evaluation import Evaluation
    from ..evaluation.statistics import Estimate

_POWER = "would be found in 80 % of cases"


def digits_of(metric: str, figure: Estimate) -> int:
    """Return how many decimal digits a metric, or a difference in it, is shown with."""
    return figure_digits(metric, figure.value, figure.low, figure.high)


def estimate(figure: Estimate, digits: int = 3, *, sign: bool = False, what: str = "") -> str:
    """Return a metric as text: `0.475 95 % 0.403 .. 0.541`.

    `what` comes after the value, and `sign` writes a plus sign.
    """
    value = signed(figure.value, digits) if sign else f"{figure.value:.{digits}f}"
    return f"{value}{what}   95 % {interval(figure, digits, sign=sign)}"


def interval(figure: Estimate, digits: int = 3, *, sign: bool = False) -> str:
    """Return a metric's interval as text: `0.403 .. 0.541`.

    `sign` writes a plus sign: `-0.135 .. +0.007`.
    """
    if sign:
        return f"{signed(figure.low, digits)} .. {signed(figure.high, digits)}"
    return f"{figure.low:.{digits}f} .. {figure.high:.{digits}f}"


def with_interval(figure: Estimate | None, metric: str, gap: str) -> str:
    """Return a metric as text, and its interval after a gap; `not known` without one.

    `metric` is its name, which says how many digits it has.
    """
    if figure is None:
        return "not known"
    digits = digits_of(metric, figure)
    return f"{figure.value:<5.{digits}f}{gap}{interval(figure, digits)}"


def difference_text(difference: Estimate, metric: str, gap: str) -> str:
    """Return a difference in a metric as text with its sign, and its interval after a gap.

    `metric` is its name, which says how many digits it has.
    """
    digits = digits_of(metric, difference)
    return f"{signed(difference.value, digits)}{gap}{interval(difference, digits, sign=True)}"


def signed(value: float, digits: int) -> str:
    """Return a number as text with its sign: `+0.012`."""
    return f"{value:+.{digits}f}"


def days(first: date, last: date) -> str:
    """Return a span of dates as text: `24-30 Nov 2019`."""
    if first == last:
        return f"{first:%-d %b %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}-{last:%-d %b %Y}"
    if first.year == last.year:
        return f"{first:%-d %b} - {last:%-d %b %Y}"
    return f"{first:%-d %b %Y} - {last:%-d %b %Y}"


def two_figures(number: float) -> str:
    """Return a number as text, rounded to two significant digits: `1,600` for `1,636`.

    A planned number claims no more.
    """
    return f"{int(float(f'{number:.2g}')):,}"


def power_text(number: int, outcome: str) -> str:
    """Return a sentence on the AUC that so many positives can show with 80 % power.

    `outcome` names them. It also says how many more positives a smaller AUC takes.
    """
    from ..evaluation.statistics import distance_shown, positives_needed

    shown = distance_shown(number)
    smaller = [distance for distance in (0.1, 0.05, 0.02, 0.01) if distance < 0.75 * shown][:2]
    if not smaller:
        return f"With {plural(number, outcome)} an AUC of {0.5 + shown:.3f} {_POWER}."
    takes = [f"{0.5 + smaller[0]:.2f} takes {two_figures(positives_needed(smaller[0]))} {outcome}s"]
    takes += [
        f"{0.5 + distance:.2f} {two_figures(positives_needed(distance))}"
        for distance in smaller[1:]
    ]
    return (
        f"With {plural(number, outcome)} an AUC of {0.5 + shown:.2f} {_POWER}; {', '.join(takes)}."
    )


def people(attribute: str) -> str:
    """Return the plural noun for what an attribute identifies: `users` for `user_id`."""
    return f"{attribute.removesuffix('_id').removesuffix('_key').replace('_', ' ')}s"


def independence(evaluation: Evaluation) -> str:
    """Return a phrase on which rows an evaluation's intervals take as independent."""
    if evaluation.unit == ROW:
        return f"draw rows, which the objective calls independent of each other (unit: {ROW})"
    if evaluation.unit is not None:
        return (
            f"draw {evaluation.units:,} {people(evaluation.unit)}: rows of one are not independent"
            + _few(evaluation.units)
        )
    rows = (
        f"{evaluation.units:,} {people(evaluation.ranked.within)}" if evaluation.ranked else "rows"
    )
    return f"{rows} taken as independent: the log names no unit, so the true intervals are wider"


def _few(number: int) -> str:
    """Return a remark that so many units are too few for an interval, or ""."""
    from ..evaluation.units import FEWEST

    return f"; too few for an interval, which takes {FEWEST}" if number < FEWEST else ""


def power_of_units(figure: Estimate, number: int, unit: str, what: str) -> str:
    """Return a sentence on the effect that so many units can show with 80 % power.

    `unit` names them, and `what` the effect. It also says how many would show less: an interval
    narrows with the root of their number.
    """
    from ..evaluation.statistics import distance_shown_by
    from ..evaluation.units import FEWEST

    if number < FEWEST:
        return ""
    shown = distance_shown_by(figure)
    digits = 3 if shown < 0.1 else 2
    smaller = [
        distance
        for distance in (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
        if distance < 0.75 * shown
    ][:2]
    takes = [
        f"{distance:g} takes {two_figures(number * (shown / distance) ** 2)} {people(unit)}"
        for distance in smaller
    ]
    sentence = f"With {number:,} {people(unit)} {what} of {shown:.{digits}f} {_POWER}"
    return f"{sentence}{'; ' if takes else ''}{', '.join(takes)}. "
