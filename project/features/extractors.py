"""Whether a view's own extractor is there: the module's file is parsed, never run."""

from __future__ import annotations

import ast

from ..models.trainers import module_file, parse_module, top_level_names
from ..reading.fence import ProjectPaths
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport
from .content_keys import is_builtin


def check_function(fence: ProjectPaths, extractor: str, key: str, report: ProblemReport) -> None:
    """Report an extractor whose module or function is missing beside project.yaml."""
    if is_builtin(extractor):
        return
    module, _, function = extractor.rpartition(".")
    file = module_file(fence.folder, module)
    if file is None:
        near = sorted(path.stem for path in fence.folder.glob("*.py"))
        report.add(
            key,
            f"there is no module {module} beside project.yaml",
            did_you_mean(module, near)
            or f"write {module.replace('.', '/')}.py there, or use isthmus.text",
        )
        return
    if problem := fence.problem(file, file.relative_to(fence.folder).as_posix()):
        report.add(key, *problem)
        return
    tree = parse_module(file, fence.folder, report)
    if tree is None:
        return
    names = dict(top_level_names(tree.body))
    if function not in names and "*" not in names:
        functions = [name for name, node in names.items() if isinstance(node, ast.FunctionDef)]
        report.add(
            key,
            f"{module} has no function {function}",
            did_you_mean(function, functions, has=f"{module} has"),
        )
