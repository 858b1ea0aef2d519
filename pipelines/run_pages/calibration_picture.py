"""Draw calibration and ROC of two runs as one PNG, for a README or a terminal that shows images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import MissingDependency
from .figures import calibration_bins, roc
from .run_text import outcome_of
from .runs import get_run, predictions_of

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_COLOURS = ("#1f66b0", "#c2540a", "#2e8b57", "#7b5ea7")


def demo_picture(
    project: Project, runs: Sequence[str], *, name: str = "demo-calibration.png"
) -> Path:
    """Draw calibration and ROC of runs (by name, champion first) as a PNG; return its path.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no global state
    except ImportError as error:
        raise MissingDependency(
            "pictures need matplotlib", remedy='pip install "isthmus[demo]"'
        ) from error
    from .report_store import keep

    figure = Figure(figsize=(10, 4.6), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    widest, outcome = 0.0, "positive"
    for place, run_name in enumerate(runs):
        run, table = get_run(project, run_name), predictions_of(project.target.blobs, run_name)
        bins, outcome = calibration_bins(table), outcome_of(run)
        expected = [100 * bin_.expected for bin_ in bins]
        observed = [100 * bin_.observed for bin_ in bins]
        down = [100 * (bin_.observed - bin_.low) for bin_ in bins]
        up = [100 * (bin_.high - bin_.observed) for bin_ in bins]
        colour = _COLOURS[place % len(_COLOURS)]
        left.errorbar(
            expected,
            observed,
            yerr=(down, up),
            fmt="o",
            ms=5,
            lw=1.4,
            color=colour,
            label=run.configuration,
        )
        across, hits = roc(table)
        area = (
            f"{run.evaluation.auc.value:.3f} ({run.evaluation.auc.low:.3f} .. "
            f"{run.evaluation.auc.high:.3f})"
            if run.evaluation and run.evaluation.auc
            else ""
        )
        right.plot(across, hits, color=colour, lw=1.8, label=f"{run.configuration}  {area}")
        widest = max(widest, *expected)
    left.plot([0, widest * 1.1], [0, widest * 1.1], ls="--", lw=1, color="#98a2ab", label="perfect")
    right.plot([0, 1], [0, 1], ls="--", lw=1, color="#98a2ab", label="chance")
    left.set(
        title="Calibration, rows in fifths by prediction, 95 %",
        xlabel=f"expected {outcome}s, %",
        ylabel=f"observed {outcome}s, %",
    )
    right.set(
        title="ROC within days, AUC (95 %)",
        xlabel=f"rows without a {outcome} ranked as high",
        ylabel=f"{outcome}s found",
    )
    left.set_xlim(0, widest * 1.1)
    left.set_ylim(bottom=0)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
        axes.grid(color="#e3e7ea", lw=0.7)
        axes.set_axisbelow(True)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return keep(project, name, out.getvalue())
