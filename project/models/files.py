"""The configurations in models/."""

from __future__ import annotations

from collections.abc import Iterator

from ..reading import yaml
from ..reading.fence import ProjectPaths
from ..reading.files import read_yaml, yaml_files
from ..reading.report import ProblemReport


def model_files(
    fence: ProjectPaths, report: ProblemReport
) -> Iterator[tuple[str, str, yaml.YamlNode]]:
    """Yield (name, file, YAML tree) of each model configuration models/<name>.yaml.

    `fence` are the folders and files that the project may read.
    """
    for path in yaml_files(fence, "models", report):
        file = f"models/{path.name}"
        node = read_yaml(path, file, f"{file}:", report, fence)
        if node is not None:
            yield path.stem, file, node
