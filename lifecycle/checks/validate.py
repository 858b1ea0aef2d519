"""`isthmus validate`: check every file of a project, for every target that it names.

Nothing is called and nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ...errors import NotFound, Problem, ProjectError
from ...project.reading.names import did_you_mean
from ...project.specs.description import ParsedProject, ProjectSpec
from ...reports.results import Shown
from ...target import Capability, Profile


class TargetLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that says what is well on the targets that share an adapter."""

    target: str
    also: tuple[str, ...]
    views: int
    engine: str = ""  # what the views' SQL is said to; "" when it stays as it is
    runs: bool = True  # whether anything can
    windows_rewritten: int = 0
    cannot_start: tuple[str, ...] = ()  # experiments
    cannot_run: tuple[str, ...] = ()  # endpoints
    cannot_count: tuple[str, ...] = ()  # endpoints: what their caps per unit need
    cannot_shadow: tuple[str, ...] = ()  # endpoints: what their shadow needs


class Validation(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """`problems` holds errors and warnings; `targets` is empty when there are errors."""

    counts: dict[str, int]
    targets: tuple[TargetLine, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems of severity `error`, which make the project invalid."""
        return tuple(p for p in self.problems if p.severity == "error")

    def __str__(self) -> str:
        limits = [limit for line in self.targets for limit in _limits(line)]
        return "\n".join([*map(self._target, self.targets), *limits, *map(str, self.problems)])

    def _target(self, line: TargetLine) -> str:
        """Return a line of text on how the project validates for one target.

        `line` is what the validation found for it.
        """
        also = (f" (and {', '.join(line.also)})" if line.also else "") + (
            "" if line.runs else "; nothing runs there yet"
        )
        if not line.engine:
            return (
                f"{line.target:<11} ok   "
                + "  ".join(_counted(name, n) for name, n in self.counts.items() if n)
                + also
            )
        rewritten = (
            f" ({_counted('window', line.windows_rewritten)} rewritten)"
            if line.windows_rewritten
            else ""
        )
        return (
            f"{line.target:<11} ok   {_counted('view', line.views)} transpiled for "
            f"{line.engine}{rewritten}{also}"
        )


def _counted(name: str, count: int) -> str:
    """Return a count with its noun as text, such as `2 views`."""
    return f"{count} {name}" if count == 1 or name.endswith(")") else f"{count} {name}s"


def _limits(line: TargetLine) -> list[str]:
    """Return lines of text on the parts of the project that a target cannot run.

    `line` is what the validation found for that target.
    """
    endpoints = [
        f"endpoints.{name} cannot run there: routing: sticky is not supported yet"
        for name in line.cannot_run
    ]
    endpoints += [
        f"endpoints.{name} cannot run there: caps per unit are not supported yet"
        for name in line.cannot_count
    ]
    endpoints += [
        f"endpoints.{name} cannot run there: no copy can be aimed at its shadow (routing: sticky)"
        for name in line.cannot_shadow
    ]
    aims = "one call cannot be aimed at a variant (routing: sticky, or arms by parameters)"
    return [
        f"{line.target:<11} ok   but {limit}"
        for limit in (
            *endpoints,
            *(f"experiments.{n} cannot start there: {aims}" for n in line.cannot_start),
        )
    ]


def validate(path: str | Path = "project.yaml", *, target: str | None = None) -> Validation:
    """Check a project's files, its SQL, and what each target supports of it; return a report.

    Mistakes of the project are in the report; they raise no error.

    Args:
        path: project.yaml, or its folder.
        target: The target that must support everything; what others do not is a warning. None:
            every target must.

    Raises:
        NotFound: profiles.yaml has no such target.
    """
    from ...core.plugins import installed
    from ...events.sources.checks import check_sources
    from ...project.load import parse

    description, problems = parse(Path(path), target=target)
    if description is None:
        return Validation(counts={}, targets=(), problems=problems)
    checked = check(description, target)
    lines = checked.lines
    sources = check_sources(description, tuple(map(installed.adapter, lines)) if lines else None)
    problems = tuple(
        sorted(
            dict.fromkeys((*problems, *checked.problems, *checked.elsewhere, *sources)),
            key=lambda p: p.severity,
        )
    )  # profiles.yaml is read by both
    if any(p.severity == "error" for p in problems):
        return Validation(counts={}, targets=(), problems=problems)
    counted = tuple(
        msgspec.structs.replace(line, windows_rewritten=_rewritten(description, adapter))
        for adapter, line in lines.items()
    )
    return Validation(counts=_counts(description), targets=counted, problems=problems)


def _rewritten(description: ParsedProject, adapter: str) -> int:
    """Return how many SQL windows of the feature views are rewritten for an adapter's dialect."""
    from ...adapters import targets

    sql = targets.sql_of(adapter)
    return (
        sum(
            sql.render(view.sql).windows_rewritten
            for view in description.spec.feature_views.values()
        )
        if sql
        else 0
    )


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking a project against its targets."""

    problems: tuple[Problem, ...]
    lines: dict[str, TargetLine] = {}  # by adapter
    elsewhere: tuple[Problem, ...] = ()  # warnings: what only targets that were not chosen refuse


def check(description: ParsedProject, chosen: str | None = None, *, runs: bool = True) -> Checked:
    """Check what needs an engine: view schemas, model features, and each target's SQL.

    Args:
        description: The project.
        chosen: The target that must do all; None: each of profiles.yaml must.
        runs: Endpoints and experiments that cannot run on the chosen target are errors, too.

    Raises:
        NotFound: profiles.yaml has no such target.
    """
    from ...adapters import targets
    from ...core.plugins import installed
    from ...endpoints.target_check import can_count, can_run, can_shadow
    from ...experiments.design.target_check import can_start
    from ...feature_store.views.checks import check as check_features
    from ...feature_store.views.checks import check_target
    from ...rollouts.evidence import needs

    problems = list(check_features(description))
    if any(problem.severity == "error" for problem in problems):
        return Checked(problems=tuple(problems))
    try:
        by_target, unset = _targets(description, chosen)
    except ProjectError as error:
        return Checked(problems=error.problems)
    elsewhere = list(unset)
    if chosen is not None and chosen not in by_target:
        raise NotFound(
            f"there is no target {chosen} in profiles.yaml",
            remedy=did_you_mean(chosen, by_target, has="targets are"),
        )
    spec = description.spec
    for rollout in spec.rollouts.values():
        problems += needs.warnings(description, rollout)
    lines: dict[str, TargetLine] = {}
    by_adapter: dict[str, list[str]] = {}
    for name, profile in by_target.items():
        by_adapter.setdefault(profile.adapter, []).append(name)
    for name, names in by_adapter.items():
        adapter, sql = installed.adapter(name), targets.sql_of(name)
        refused = [
            *(check_target(description, sql.check) if sql is not None else ()),
            *_refused(description, names, chosen if runs else None, adapter.capabilities),
        ]
        if chosen is None or chosen in names:
            problems += refused
        else:
            elsewhere += map(_as_warning, refused)
        engine = adapter.engine.name if adapter.engine and adapter.remote else ""
        lines[name] = TargetLine(
            target=names[0],
            also=tuple(names[1:]),
            views=len(spec.feature_views),
            engine=engine,
            runs=bool(adapter.ports),
            cannot_run=tuple(
                e.name
                for e in description.spec.endpoints.values()
                if not can_run(e, adapter.capabilities)
            ),
            cannot_count=tuple(
                e.name
                for e in description.spec.endpoints.values()
                if not can_count(e, adapter.capabilities)
            ),
            cannot_shadow=tuple(
                e.name
                for e in description.spec.endpoints.values()
                if not can_shadow(e, adapter.capabilities)
            ),
            cannot_start=tuple(
                e.name
                for e in description.spec.experiments.values()
                if not can_start(description.spec, e, adapter.capabilities)
            ),
        )
    return Checked(
        problems=tuple(problems),
        lines=lines,
        elsewhere=tuple(dict.fromkeys(elsewhere)),
    )


def _targets(
    description: ParsedProject, chosen: str | None
) -> tuple[dict[str, Profile], tuple[Problem, ...]]:
    """Return the targets of profiles.yaml by name, and warnings of those that cannot be read.

    Without a chosen target a mistake in any of them is an error. A target whose environment
    variable is not set is only left out.
    """
    from ...project.profiles.profiles import profiles

    try:
        return profiles(description, complete=True), ()
    except ProjectError as error:
        if chosen is None:
            raise
        return profiles(description, used=chosen), tuple(map(_as_warning, error.problems))


def _as_warning(problem: Problem) -> Problem:
    """Return a problem as a warning."""
    return msgspec.structs.replace(problem, severity="warning")


def _refused(
    description: ParsedProject,
    names: Sequence[str],
    chosen: str | None,
    capabilities: Mapping[str, Capability],
) -> Iterator[Problem]:
    """Yield the errors and warnings on what the targets of one adapter cannot do of the project.

    `names` are those targets, and `capabilities` says what the adapter supports. Rollouts are
    checked always, endpoints and experiments if one of these targets was `chosen`.
    """
    from ...endpoints.target_check import check_target as check_endpoint
    from ...experiments.design.target_check import check_target as check_experiment
    from ...rollouts.verbs.target_check import check_target as check_rollout

    for rollout in description.spec.rollouts.values():
        yield from check_rollout(description, rollout, names[0], capabilities)
    if chosen is not None and chosen in names:
        for endpoint in description.spec.endpoints.values():
            yield from check_endpoint(description, endpoint, chosen, capabilities)
        for experiment in description.spec.experiments.values():
            yield from check_experiment(description, experiment, chosen, capabilities)


def _counts(description: ParsedProject) -> dict[str, int]:
    """Return the number of declared events, objectives, views, models, ... by noun."""
    from ...feature_store.views.schema import view_schemas

    spec: ProjectSpec = description.spec
    schemas, _ = view_schemas(description)
    features = sum(len(schema.features) for schema in schemas.values())
    views = len(spec.feature_views)
    return {
        "event": len(spec.events),
        "objective": len(spec.objectives),
        f"view{'s' if views != 1 else ''} ({features} features)": views,
        "model": len(spec.models),
        "endpoint": len(spec.endpoints),
        "rollout": len(spec.rollouts),
        "experiment": len(spec.analyses) + len(spec.experiments),
        "monitor": len(spec.monitors),
        "prediction": len(spec.predictions),
    }
