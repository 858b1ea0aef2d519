"""Whether a model's trainer is there: the module's file is parsed, never run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..reading.fence import LARGEST_TEXT, ProjectPaths
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child
from ..specs.description import Model
from .builtin_trainers import check_builtin, is_builtin

_GIVEN = ("label", "features")  # after data; `parameters` arrive by name too


def check(fence: ProjectPaths, models: Iterable[Model], report: ProblemReport) -> None:
    """Report trainers that are missing or cannot be called; their modules are parsed, never run.

    `fence` are the folders and files that the project may read.
    """
    folder = fence.folder
    parsed: dict[Path, ast.Module | None] = {}
    for model in models:
        if is_builtin(model.trainer):
            check_builtin(model, report)
            continue
        key = f"{model.path}:trainer"
        module, _, function = model.trainer.rpartition(".")
        file = module_file(folder, module)
        if file is None:
            near = sorted(path.stem for path in folder.glob("*.py"))
            remedy = (
                did_you_mean(module, near, has="modules here are")
                if near
                else f"write {module.replace('.', '/')}.py beside project.yaml"
            )
            report.add(key, f"there is no module {module} beside project.yaml", remedy)
            continue
        if problem := fence.problem(file, file.relative_to(folder).as_posix()):
            report.add(key, *problem)
            continue
        if module.split(".")[0] in sys.stdlib_module_names:
            report.add(
                key,
                f"{module} is the name of a module of Python itself",
                "rename the file: Python would find its own",
            )
        if file not in parsed:
            parsed[file] = parse_module(file, folder, report)
        tree = parsed[file]
        if tree is not None:
            _function(tree, function, model, key, report)


def module_file(folder: Path, module: str) -> Path | None:
    """Return the file of a Python module beside project.yaml, or None."""
    path = folder.joinpath(*module.split("."))
    return next(
        (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None
    )


def parse_module(file: Path, folder: Path, report: ProblemReport) -> ast.Module | None:
    """Parse a trainer's module into an AST without running it; report a syntax error."""
    shown = file.relative_to(folder).as_posix()
    if file.stat().st_size > LARGEST_TEXT:
        report.add_file(
            shown,
            f"it has more than {LARGEST_TEXT >> 20} MiB",
            "a module is read whole: take its data out",
        )
        return None
    try:
        return ast.parse(file.read_bytes(), filename=shown)
    except SyntaxError as error:
        report.add_file(
            shown,
            f"this is not Python: {error.msg}",
            "Python cannot read it, so nothing in it can train",
            line=error.lineno or 0,
        )
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # a null byte, or brackets without end
        report.add_file(shown, f"this is not Python: {error}")
    return None


def _function(tree: ast.Module, name: str, model: Model, key: str, report: ProblemReport) -> None:
    """Report a trainer function that its module does not define, or with wrong parameters."""
    named = dict(top_level_names(tree.body))
    if "*" in named:
        return
    if name not in named:
        module = model.trainer.rpartition(".")[0]
        functions = [word for word, node in named.items() if isinstance(node, ast.FunctionDef)]
        report.add(
            key,
            f"{module} has no function {name}",
            did_you_mean(name, functions, has=f"{module} has"),
        )
        return
    node = named[name]
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        _parameters(node, model, report)


def top_level_names(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that a module defines at its top level, with their AST nodes.

    A star import yields "*": only running the module would tell which names it brings.
    """
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                yield from (
                    (alias.asname or alias.name.split(".")[0], node) for alias in node.names
                )
            case ast.Assign():
                names = (
                    part
                    for target in node.targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name)
                )
                yield from ((part.id, node) for part in names)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.If() | ast.Try() | ast.With():
                for field in ("body", "orelse", "finalbody"):
                    yield from top_level_names(getattr(node, field, []))
                for handler in getattr(node, "handlers", []):
                    yield from top_level_names(handler.body)
            case _:
                pass


def _parameters(node: ast.FunctionDef, model: Model, report: ProblemReport) -> None:
    """Report configured parameters that a trainer function does not take, or lacks.

    The function will be called as trainer(data, label=..., features=..., **parameters).
    """
    arguments, place = node.args, f"{model.path}:parameters"
    by_name = _by_name(arguments)
    if not _takes_data(arguments) or (
        arguments.kwarg is None and not set(by_name).issuperset(_GIVEN)
    ):
        shown = ", ".join(["data", *_GIVEN, *model.parameters])
        report.add(
            f"{model.path}:trainer",
            f"{model.trainer} does not take data, label and features",
            f"write def {node.name}({shown})",
        )
        return
    names = [name for name in by_name if name not in _GIVEN]
    for name in (
        name for name in model.parameters if name not in names and arguments.kwarg is None
    ):
        remedy = did_you_mean(name, names, has=f"{model.trainer} has")
        report.add(child(place, name), f"{name} is not a parameter of {model.trainer}", remedy)
    searched = model.tune.search if model.tune else {}
    for name in (name for name in searched if name not in names and arguments.kwarg is None):
        report.add(
            child(f"{model.path}:tune.search", name),
            f"{name} is not a parameter of {model.trainer}",
            did_you_mean(name, names, has=f"{model.trainer} has"),
        )
    for name in (
        name
        for name in names
        if name not in model.parameters and name not in _with_default(arguments)
    ):
        report.add(
            place,
            f"{model.trainer} needs {name}, which has no default",
            f"write parameters: {{{name}: ...}}",
        )


def _takes_data(arguments: ast.arguments) -> bool:
    """Return whether a trainer takes the data by position and requires no other such argument."""
    return len(arguments.posonlyargs) < 2 and bool(
        arguments.posonlyargs or arguments.args or arguments.vararg
    )


def _by_name(arguments: ast.arguments) -> list[str]:
    """Return the names of a function's arguments that can be given by keyword."""
    either = arguments.args if arguments.posonlyargs else arguments.args[1:]
    return [argument.arg for argument in (*either, *arguments.kwonlyargs)]


def _with_default(arguments: ast.arguments) -> set[str]:
    """Return the names of a function's arguments that have a default."""
    in_order = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        *in_order[len(in_order) - len(arguments.defaults) :],
        *(argument.arg for argument, default in by_name if default is not None),
    }
