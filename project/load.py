"""Read a project's folder into a Description.

All mistakes are reported at once, each with its file, its line and a remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ..errors import NotFound, Problem, ProjectError
from . import warehouse_names
from .datasets import checks as dataset_checks
from .datasets.build import build_dataset
from .endpoints import checks as endpoint_checks
from .endpoints import rules
from .endpoints.build import build_endpoint
from .events import checks as event_checks
from .events.build import build_entity, build_event
from .experiments import analyses
from .experiments import build as experiment_build
from .experiments import checks as experiment_checks
from .features import checks as feature_checks
from .features import content
from .features import files as feature_files
from .features.build import build_table, build_views
from .features.content import is_generated, vectors_of
from .features.stream_views import check_files
from .metrics import metrics as unit_metrics
from .models import checks as model_checks
from .models import trainers
from .models.build import build_model
from .models.files import model_files
from .models.keys import MODEL
from .models.logged import with_logged_features
from .monitors import monitors
from .objectives import checks as objective_checks
from .objectives.build import build_objective, with_units_of_endpoints
from .predictions import checks as prediction_checks
from .predictions.build import build_prediction
from .profiles import profiles
from .project_keys import PROJECT, SECTIONS
from .reading import files, yaml
from .reading.fence import ProjectPaths, fence
from .reading.names import name_problem
from .reading.report import ProblemReport, sort_problems
from .reading.shapes import WRONG
from .rollouts import rollouts
from .sections.references import DeclaredNames
from .specs.description import FeatureView, Model, ParsedProject, ProjectSpec

# Nothing that SQL is checked against depends on these: with errors only here, the sound rest is
# still a description.
_LEAVES = (
    "datasets.",
    "endpoints.",
    "experiments.",
    "layers.",
    "metrics.",
    "monitors.",
    "predictions.",
    "rollouts.",
    "models/",
    "sources/",
    "features/",
    "profiles.yaml:",
)


Entries = dict[str, dict[str, Any]]  # of a section, by name


def load(path: Path) -> ParsedProject:
    """Read and validate a project's files, and return its Description.

    Mistakes in a single target of profiles.yaml are raised only when that target is opened.

    Raises:
        NotFound: there is no project.yaml.
        ProjectError: every error of its files.
    """
    description, problems, _ = _parse(path, {}, None)
    errors = tuple(problem for problem in problems if problem.severity == "error")
    if not _where(path).is_file():
        raise NotFound(errors[0].message, remedy=errors[0].remedy)
    if errors or description is None:
        raise ProjectError(errors)
    return description


def parse(
    path: Path, drafts: Mapping[str, str] | None = None, *, target: str | None = None
) -> tuple[ParsedProject | None, tuple[Problem, ...]]:
    """Parse a project's files; return what is valid of it, with all problems and warnings.

    If all errors lie in endpoints, experiments, metrics, monitors, rollouts, models, trainers,
    sources or profiles, the description has the rest of the project, so that views can be checked
    as well. With other errors there is none. `load` never returns such a description.

    Args:
        path: project.yaml, or its folder.
        drafts: texts of section files that are not written yet, by their names.
        target: mistakes of other targets in profiles.yaml are warnings; None: errors, too.
    """
    description, problems, of_targets = _parse(path, drafts or {}, target)
    if target is not None:
        of_targets = tuple(replace(problem, severity="warning") for problem in of_targets)
    return description, sort_problems((*problems, *of_targets))


def _parse(
    path: Path, drafts: Mapping[str, str], target: str | None
) -> tuple[ParsedProject | None, tuple[Problem, ...], tuple[Problem, ...]]:
    """Parse a project's files; return what is valid, the problems, and those of other targets.

    `drafts` are texts of files that are not written yet; problems of targets other than `target`
    are apart.
    """
    path = _where(path)
    folder = path.resolve().parent
    if not path.is_file():
        return (
            None,
            (
                Problem(
                    file=path.name,
                    line=0,
                    message=f"there is no {path.name} in {folder}",
                    remedy="go to the project's folder, or begin one: isthmus init NAME --example "
                    "openbandit",
                ),
            ),
            (),
        )
    report = ProblemReport()
    others = report.with_same_places()
    root = files.read_yaml(path, path.name, "", report)
    fenced = fence(folder, _paths(root))
    if isinstance(root, yaml.Mapping):
        spec = _project(files.with_folders(root, SECTIONS, fenced, report, drafts), fenced, report)
    else:
        spec = None
        if root is not None:
            report.add("", "a project is a mapping", "begin with name: and the sections below it")
    name = spec.name if spec else ""
    targets = profiles.read(fenced, report)
    used = () if target is None else (target,)
    profiles.check(targets, folder, name, report, used=lambda _default: used, others=others)
    whole = spec is not None and all(
        key.startswith(_LEAVES) or key.endswith(".py:") for key in report.wrong_keys()
    )
    if spec is None or not whole:
        return None, report.sorted(), others.sorted()
    description = ParsedProject(
        spec=_sound(spec, report), folder=str(folder), places=dict(report.places), profiles=targets
    )
    return description, report.sorted(), others.sorted()


def _paths(root: yaml.YamlNode | None) -> tuple[str, ...]:
    """Return the extra paths that project.yaml allows to read; empty if they are malformed.

    Malformed ones are reported with the rest of the file.
    """
    node = root.entries.get("paths") if isinstance(root, yaml.Mapping) else None
    paths = (
        PROJECT.keys["paths"].shape.read(node, "paths", ProblemReport()) if node is not None else ()
    )
    return () if paths is WRONG else tuple(paths)


def _where(path: Path) -> Path:
    """Return the path of project.yaml, from a path that names the file or its folder."""
    path = Path(path)
    return path / "project.yaml" if path.is_dir() else path


def _project(root: yaml.Mapping, fenced: ProjectPaths, report: ProblemReport) -> ProjectSpec | None:
    """Build the ProjectSpec struct from the YAML tree; None if nothing more can be checked.

    `fenced` are the folders and files that the project may read.
    """
    folder = fenced.folder
    values = PROJECT.read(root, "", report)
    if values is WRONG:
        return None
    sections: dict[str, dict[str, Any]] = {section: values.get(section, {}) for section in SECTIONS}

    def sound(section: str) -> dict[str, Any]:
        return {
            name: values
            for name, values in sections[section].items()
            if report.sound(f"{section}.{name}") and values is not WRONG
        }

    declared = DeclaredNames(**{section: tuple(values) for section, values in sections.items()})
    entities = {name: build_entity(name, values) for name, values in sound("entities").items()}
    events = {
        name: build_event(name, values, entities, declared.events, report)
        for name, values in sound("events").items()
    }
    for event in events.values():
        event_checks.one_source(folder, event.name, event.source, report)
    tables = {name: build_table(name, values) for name, values in sound("tables").items()}
    for table in tables.values():
        feature_files.table_file(fenced, table.name, table.path, report)
    sections_of_views = sound("feature_views")
    views = build_views(
        sections_of_views, entities, events, declared.events, fenced=fenced, report=report
    )
    check_files(folder, sections_of_views, report)
    generated = {name: values for name, values in sections_of_views.items() if is_generated(values)}
    with_files = tuple(name for name in declared.feature_views if name not in generated)
    files.orphans(folder, "features", with_files, "a feature view of SQL", report)
    files.orphans(folder, "sources", declared.events, "an event", report)
    models, registered = _models(fenced, views, report)
    endpoints = {
        name: build_endpoint(
            name,
            about | {"rules": rules.build(about.get("rules", ()))},
            f"endpoints.{name}",
            report,
        )
        for name, about in sound("endpoints").items()
    }
    models = with_logged_features(models, endpoints, report)
    spec = ProjectSpec(
        name=values.get("name", ""),
        now=values.get("now"),
        paths=values.get("paths", ()),
        entities=entities,
        events=events,
        objectives=with_units_of_endpoints(
            {name: build_objective(name, values) for name, values in sound("objectives").items()},
            endpoints,
            events,
        ),
        tables=tables,
        feature_views=views,
        endpoints=endpoints,
        models=models,
        rollouts={
            name: rollouts.build(name, values, endpoints.get(name), report)
            for name, values in sound("rollouts").items()
        },
        predictions={
            name: build_prediction(name, values, fenced, report)
            for name, values in sound("predictions").items()
        },
        datasets={name: build_dataset(name, values) for name, values in sound("datasets").items()},
    )
    spec = _with_experiments(
        spec,
        declared,
        {section: sound(section) for section in ("metrics", "layers", "experiments", "monitors")},
        report,
    )
    warehouse_names.check(spec, declared, report)
    event_checks.check_entity_keys(spec, report)
    objective_checks.check(spec, declared, report)
    feature_checks.check(spec, declared, report)
    content.check(spec, generated, declared, registered=registered, fence=fenced, report=report)
    endpoint_checks.check(spec, declared, registered, report)
    model_checks.check(spec, declared, report)
    rollouts.check(spec, declared, report)
    analyses.check(spec, declared, report)
    unit_metrics.check(spec, declared, report)
    experiment_checks.check(spec, declared, report)
    rules.check(spec, declared, report)
    monitors.check(spec, declared, report)
    prediction_checks.check(spec, registered, report)
    dataset_checks.check(spec, declared, report)
    trainers.check(fenced, models.values(), report)
    return spec


def _with_experiments(
    spec: ProjectSpec, declared: DeclaredNames, sections: dict[str, Entries], report: ProblemReport
) -> ProjectSpec:
    """Return the project with its metrics, layers, experiments and monitors built."""
    built = {
        name: unit_metrics.build(name, values, report)
        for name, values in sections["metrics"].items()
    }
    entries = sections["experiments"]
    watched = {
        name: monitors.build(name, values, report) for name, values in sections["monitors"].items()
    }
    spec = msgspec.structs.replace(
        spec,
        monitors={name: monitor for name, monitor in watched.items() if monitor},
        metrics=unit_metrics.of_objectives(spec.objectives.values())
        | {name: metric for name, metric in built.items() if metric},
        layers=experiment_build.layers(sections["layers"], spec.endpoints, report),
        analyses={
            name: analyses.build(name, values, report)
            for name, values in entries.items()
            if "arm" in values
        },
    )
    assigned = {
        name: experiment_build.build(name, values, spec, declared, report)
        for name, values in entries.items()
        if "arm" not in values
    }
    return msgspec.structs.replace(
        spec, experiments={name: experiment for name, experiment in assigned.items() if experiment}
    )


def _models(
    fenced: ProjectPaths, views: Mapping[str, FeatureView], report: ProblemReport
) -> tuple[dict[str, Model], dict[str, set[str]]]:
    """Return the valid model configurations, and the aliases that any of them gives each model."""
    models: dict[str, Model] = {}
    registered: dict[str, set[str]] = {}
    for name, file, node in model_files(fenced, report):
        key = f"{file}:"
        if problem := name_problem(name):
            report.add(key, *problem)
        values = MODEL.read(node, key, report)
        if values is WRONG:
            continue
        if "model" in values:
            registered.setdefault(values["model"], set()).update(
                {values["alias"]} if "alias" in values else ()
            )
        if report.sound(key):
            models[name] = build_model(name, values, file, vectors_of(views), report)
    return models, registered


def _sound(spec: ProjectSpec, report: ProblemReport) -> ProjectSpec:
    """Remove the endpoints, rollouts and experiments that have errors from a project."""
    return msgspec.structs.replace(
        spec,
        endpoints={
            name: endpoint
            for name, endpoint in spec.endpoints.items()
            if report.sound(f"endpoints.{name}")
        },
        rollouts={
            name: rollout
            for name, rollout in spec.rollouts.items()
            if report.sound(f"rollouts.{name}")
        },
        analyses={
            name: built
            for name, built in spec.analyses.items()
            if report.sound(f"experiments.{name}")
        },
        experiments={
            name: built
            for name, built in spec.experiments.items()
            if report.sound(f"experiments.{name}") and report.sound(f"layers.{built.layer}")
        },
        layers={
            name: layer for name, layer in spec.layers.items() if report.sound(f"layers.{name}")
        },
        metrics={
            name: metric for name, metric in spec.metrics.items() if report.sound(f"metrics.{name}")
        },
        monitors={
            name: monitor
            for name, monitor in spec.monitors.items()
            if report.sound(f"monitors.{name}")
        },
        models={
            name: model for name, model in spec.models.items() if report.sound(f"{model.path}:")
        },
        predictions={
            name: prediction
            for name, prediction in spec.predictions.items()
            if report.sound(f"predictions.{name}")
        },
        datasets={
            name: dataset
            for name, dataset in spec.datasets.items()
            if report.sound(f"datasets.{name}")
        },
    )
