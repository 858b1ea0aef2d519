"""The pages of runs and comparisons: static HTML in the blob store, self-contained, made once and never served."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotFound
from ..reports import page
from ..storage import BlobStore
from . import records, spoken
from .figures import Seen, calibration_chart, daily_chart, roc_chart
from .leak import Leak, leak_page
from .picture import demo_picture
from .records import Evaluation, Run
from .shelf import keep, run_uri

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runtime import Project
    from .compare import Comparison

__all__ = ["Leak", "comparison_page", "demo_picture", "leak_page", "run_page", "run_uri", "write_run"]


def write_run(blobs: BlobStore, run: Run, ours: pa.Table, champion: pa.Table | None) -> None:
    """The page of one run; `champion` are the predictions that it was compared with."""
    blobs.put(run_uri(blobs, run.name), run_page(run, ours, champion).encode())


def comparison_page(project: Project, found: Comparison) -> Path:
    """Write `reports/<a>-<b>.html` and return where it is (on a cloud target: a copy in the project's .isthmus/)."""
    from . import runs

    blobs = project.target.blobs
    theirs, ours = (runs.predictions_of(blobs, run.name) for run in (found.first, found.second))
    html = _comparison(found, theirs, ours)
    return keep(project, f"{found.first.name}-{found.second.name}.html", html.encode())


def run_page(run: Run, ours: pa.Table, champion: pa.Table | None) -> str:
    if run.evaluation is None or run.data is None:
        raise NotFound(f"run {run.name} has no figures: {run.failure}")
    seen = [Seen(name=run.configuration, style="b" if champion is not None else "a", predictions=ours)]
    if champion is not None:
        seen.insert(0, Seen(name=f"champion, {run.champion.version}", style="a", predictions=champion))
    outcome = run.data.outcome
    return page.page(
        f"{run.name} {run.configuration}",
        [
            page.heading(f"Run {run.name}: {run.model} / {run.configuration}", _when(run)),
            _gate(run),
            page.section("Figures", _figures(run, run.evaluation), page.words(_power(run.evaluation, outcome), "soft")),
            page.section("Pictures", page.charts(roc_chart(seen), calibration_chart(seen), daily_chart(seen))),
            page.section("Test periods", _periods(run.evaluation)),
            page.section("Data", *_data(run)),
            page.section("Configuration", page.words(f"{run.path}, trainer {run.trainer}", "soft"), page.code(run.config)),
        ],
        _footer(run.ended, run.target),
    )


def _comparison(found: Comparison, theirs: pa.Table, ours: pa.Table) -> str:
    from . import compare

    one, two = found.first, found.second
    outcome = two.data.outcome if two.data else "click"
    rows = [
        ("version", compare.version_of(one), compare.version_of(two), ""),
        ("features", str(len(one.features)), str(len(two.features)), ""),
        *compare.figure_rows(found, "   "),
    ]
    head = ("", f"{one.name} {one.configuration}", f"{two.name} {two.configuration}", "difference")
    seen = [
        Seen(name=f"{one.name} {one.configuration}", style="a", predictions=theirs),
        Seen(name=f"{two.name} {two.configuration}", style="b", predictions=ours),
    ]
    kind = {"better": "pass", "worse": "fail", "undecided": ""}[found.verdict]
    drawn = (
        f"intervals are 95 %; they {spoken.drawn(compare.figures(two))}"
        if compare.figures(two).unit
        else f"intervals are 95 %, {spoken.drawn(compare.figures(two))}"
    )
    paired = f"Both models on the same {found.rows:,} rows with {spoken.clicks(found.clicks, outcome)}; {drawn}."
    return page.page(
        f"{one.name} and {two.name}",
        [
            page.heading(f"{one.configuration} and {two.configuration}", f"runs {one.name} and {two.name} for {two.objective}"),
            page.verdict([f"Verdict: {_first_word(found)}", _sentence(found)], kind),
            page.section("Figures", page.table(head, rows), page.words(paired, "soft")),
            page.section("Pictures", page.charts(roc_chart(seen), calibration_chart(seen), daily_chart(seen))),
            page.section("What differs", *_changes(one, two)),
        ],
        _footer(max(one.ended, two.ended), two.target),
    )


def _first_word(found: Comparison) -> str:
    words = {"undecided": "undecided", "better": f"{found.second.name} ranks better", "worse": f"{found.second.name} ranks worse"}
    return words[found.verdict]


def _sentence(found: Comparison) -> str:
    from .compare import power

    if found.verdict == "undecided":
        return f"The interval of the difference in {found.metric} holds 0. {power(found)}"
    return f"The interval of the difference in {found.metric}, {spoken.interval(found.deciding(), sign=True)}, does not hold 0."


def _changes(one: Run, two: Run) -> list[str]:
    pairs = {
        "trainer": (one.trainer, two.trainer),
        "parameters": (_named(one.parameters), _named(two.parameters)),
        "features": (", ".join(one.features), ", ".join(two.features)),
        "git": (str(one.git or "none"), str(two.git or "none")),
        "data": (one.data.digest[:12] if one.data else "", two.data.digest[:12] if two.data else ""),
    }
    rows = [(name, first or "none", second or "none") for name, (first, second) in pairs.items() if first != second]
    if not rows:
        return [page.words("Nothing: configuration, code revision and data are the same.")]
    return ['<div class="changes">', page.table(("", one.name, two.name), rows), "</div>"]


def _named(parameters: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _gate(run: Run) -> str:
    said = {
        None: "No gate: the configuration asks for none.",
        "pass": "Gate: pass",
        "fail": "Gate: fail. The version is registered as rejected and gets no alias.",
        "inconclusive": "Gate: inconclusive. It may serve as challenger, not become champion.",
    }[run.gate]
    checks = [f"{check.name} {check.wanted}: {check.verdict} ({check.reason})" for check in run.checks.checks]
    alias = f" as {run.alias}" if run.alias else f" ({run.alias_why_not})" if run.alias_why_not else ""
    checks += [run.checks.note] if run.checks.note else []
    return page.verdict([said, *checks, f"Registered {run.version}{alias}."], run.gate or "")


def _figures(run: Run, found: Evaluation) -> str:
    ceiling = run.champion.ceiling
    known = f"; knowing every {run.champion.ceiling_of}'s true rate would give about {ceiling:.2f}" if run.champion.ceiling_of else ""
    rows = [("AUC within days", _short(found.auc), f"chance is 0.5{known}")]
    if found.ranked is not None:
        about = records.told(found.ranked)
        rows += [(name.replace("_", " "), _short(figure), about) for name, figure in records.ranking_figures(found.metrics).items()]
        rows += [("first places", f"gini {found.ranked.gini:.2f}", records.first_places(found.ranked))] if found.ranked.item else []
    paired = f"{run.champion.version}, paired on the same {run.champion.rows:,} rows"
    for name, figure in run.champion.figures().items():
        digits = records.digits_of(name)
        value = f"{spoken.signed(figure.value, digits)}   ({spoken.interval(figure, digits, sign=True)})"
        rows.append((f"{'AUC' if name == 'auc' else name.replace('_', ' ')} against the champion", value, paired))
    if run.champion.difference is None and run.champion.why_not:
        rows.append(("AUC against the champion", "not known", run.champion.why_not))
    rows.append(("log loss", _loss(found), f"always answering the base rate: {found.base_log_loss:.5f}"))
    sure = "1 is perfect" if found.units else "1 is perfect; exact Poisson interval"
    rows.append(("observed / expected", _short(found.calibration, 2), sure))
    return page.table(("", "value (95 %)", ""), rows, wordy=2)


def _power(found: Evaluation, outcome: str) -> str:
    tested = f"{len(found.periods)} test periods, {found.rows:,} rows. "
    if found.unit is None:
        return f"{tested}{spoken.power(found.clicks, outcome)} Intervals: {spoken.drawn(found)}."
    power = spoken.power_of_units(found.auc, found.units, found.unit, "a distance of AUC from chance")
    return f"{tested}{power}Intervals {spoken.drawn(found)}."


def _periods(found: Evaluation) -> str:
    rows = [
        (
            f"{period.start:%a %-d %b %Y}" if found.forward_days >= 1 else f"{period.start:%-d %b %H:%M}",
            f"{period.trained_rows:,}",
            f"{period.trained_clicks:,}",
            f"{period.rows:,}",
            f"{period.clicks:,}",
            "none" if period.auc is None else f"{period.auc:.3f}",
        )
        for period in found.periods
    ]
    length = "day" if found.forward_days == 1 else f"period of {found.forward_days:g} days"
    told = f"Each {length} is predicted by a model that was trained on what was known when it began; younger outcomes are left out."
    head = ("from", "rows before", "clicks before", "rows", "clicks", "AUC")
    return page.words(told, "soft") + page.table(head, rows, numbers=True)


def _data(run: Run) -> list[str]:
    from .records import described

    data = run.data
    if data is None:
        return []
    parts = [
        page.words(described(data)),
        page.words(f"Canonical hash {data.digest[:16]}; {run.git or 'no git'}; model {(run.code or '')[:16]}", "soft"),
    ]
    parts += [page.verdict([f"Leak alarm. {warning}"], "fail") for warning in data.warnings]
    rows = [(feature, data.types.get(feature.rsplit(".", 1)[-1], "")) for feature in run.features]
    return [*parts, page.table(("feature", "type"), rows)]


def _short(found: object, digits: int = 3) -> str:
    from .statistics import Estimate

    return f"{found.value:.{digits}f}   ({spoken.interval(found, digits)})" if isinstance(found, Estimate) else "not known"


def _loss(found: Evaluation) -> str:
    return "no rates" if found.log_loss is None else f"{found.log_loss:.5f}"


def _when(run: Run) -> str:
    seconds = (run.ended - run.started).total_seconds()
    return f"{run.started:%-d %B %Y, %H:%M} UTC, {seconds:.0f} s, target {run.target}, {run.git or 'no git'}"


def _footer(made: datetime, target: str) -> str:
    return f"Isthmus, {made:%-d %B %Y, %H:%M} UTC, target {target}. Nothing on this page is fetched from elsewhere."
