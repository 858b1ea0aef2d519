"""Change keys of a model's configuration for one run: `train --set parameters.C=1`.

The result is read and judged as if its file said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..errors import Invalid, ProjectError
from .features.content import vectors_of
from .models import trainers
from .models.build import build_model
from .models.checks import check_model
from .models.keys import MODEL
from .reading import files, yaml
from .reading.fence import fence
from .reading.report import ProblemReport
from .reading.shapes import WRONG
from .sections.references import DeclaredNames
from .specs.description import Model, ParsedProject


def overridden(description: ParsedProject, model: Model, overrides: Sequence[str]) -> Model:
    """Return a model's configuration with some keys changed for one run (`--set KEY=VALUE`).

    Args:
        description: the project.
        model: the configuration as its file has it.
        overrides: KEY=VALUE, the key a path in the file (parameters.C, evaluate.forward), the
            value YAML.

    Raises:
        Invalid: an override is no KEY=VALUE, or nothing that a file could hold.
        ProjectError: the file would be refused if it said so; the place is the override.
    """
    key, report = f"{model.path}:", ProblemReport()
    fenced = fence(Path(description.folder), description.spec.paths)
    node = files.read_yaml(fenced.folder / model.path, model.path, key, report, fenced)
    for override in overrides:
        path, value = _split(override)
        node = _put(node, path, value, override)
    values = MODEL.read(node or yaml.scalar(""), key, report)
    built = (
        build_model(
            model.name, values, model.path, vectors_of(description.spec.feature_views), report
        )
        if values is not WRONG and report.sound(key)
        else None
    )
    if built is not None:
        check_model(built, description.spec, _declared(description), report)
        trainers.check(fenced, [built], report)
    problems = tuple(problem for problem in report.sorted() if problem.severity == "error")
    if problems or built is None:
        place = f"{model.path} --set {' --set '.join(overrides)}"
        raise ProjectError(
            tuple(msgspec.structs.replace(problem, file=place, line=0) for problem in problems)
        )
    return built


def _split(override: str) -> tuple[list[str], yaml.YamlNode]:
    """Parse a `--set KEY=VALUE` into the key's path and the value's YAML node."""
    path, equals, text = override.partition("=")
    if not equals or not all(path.split(".")):
        raise Invalid(
            f"--set {override} is not KEY=VALUE",
            remedy="write a key of the configuration and its value: --set parameters.C=1",
        )
    node, problems = yaml.read(text, "--set")
    if problems:
        raise Invalid(f"--set {override}: {problems[0].message}", remedy=problems[0].remedy)
    return path.split("."), node or yaml.scalar("")


def _put(
    node: yaml.YamlNode | None, path: list[str], value: yaml.YamlNode, override: str
) -> yaml.YamlNode:
    """Return a copy of a YAML tree with a value set at a path; missing mappings are added.

    `override` is what the user wrote, for errors.

    `node` is the tree.
    """
    if not path:
        return value
    if node is None or (isinstance(node, yaml.Scalar) and node.value is None):
        node = yaml.Mapping(entries={}, lines={}, line=0)
    if not isinstance(node, yaml.Mapping):
        raise Invalid(
            f"--set {override}: what is above {path[0]} holds no keys",
            remedy="give the whole value: --set features=[a, b]",
        )
    first, *rest = path
    inner = _put(node.entries.get(first), rest, value, override)
    return yaml.Mapping(
        entries=node.entries | {first: inner}, lines={first: node.line} | node.lines, line=node.line
    )


def _declared(description: ParsedProject) -> DeclaredNames:
    """Return the names of the project's events, objectives and feature views."""
    spec = description.spec
    return DeclaredNames(
        events=tuple(spec.events),
        objectives=tuple(spec.objectives),
        feature_views=tuple(spec.feature_views),
    )
