"""Cut out the part of a trainer's module that its predictor needs.

So serving does not import what only training uses. A top-level statement is kept when it binds a
name that a kept statement uses, or changes such a name. What cannot be followed (star imports,
`globals()`, `eval`, `exec`) keeps the module whole, which is always right and only heavier.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_UNFOLLOWABLE = frozenset({"globals", "eval", "exec", "__import__", "vars"})


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a predictor's code, by path relative to the code folder.

    It also says why the predictor's module is whole; None if it is cut.
    """

    files: dict[str, str]
    whole: str | None


def cut(module: str, source: str, root: Path, name: str, *, whole: bool = False) -> Slice:
    """Return the part of a module's source that the class `name` needs, with its local imports.

    It becomes the code in a model's folder. `source` is that of the dotted `module` below `root`.
    Imports of modules below `root` are made relative, so that the copy can live under any package
    name.
    """
    tree = ast.parse(source)
    reason = "asked for" if whole else _whole_because(tree)
    body = tree.body if reason else _required_statements(source, tree, name)
    if body is None:
        reason, body = f"{name} uses names that cannot be followed", tree.body
    files: dict[str, str] = {}
    _place(module, source, body, root, files, is_package=False)
    return Slice(files=files, whole=reason)


def _whole_because(tree: ast.Module) -> str | None:
    """Return a text on why a module's code must be copied as a whole; None if a part suffices."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return f"line {node.lineno}: from {node.module} import *"
    return None


class _Statement(msgspec.Struct, frozen=True, eq=False):
    """A top-level statement, the names that it binds, and the module's names that it reads."""

    node: ast.stmt
    binds: set[str]
    uses: set[str]

    def matters_to(self, needed: set[str], own: set[str]) -> bool:
        """Return whether a statement must be kept: it binds or may change a needed name.

        `needed` are the names needed so far, `own` the module's names that are not imported.
        """
        return bool(self.binds & needed or (_changes(self.node) and self.uses & needed & own))


def _required_statements(source: str, tree: ast.Module, name: str) -> list[ast.stmt] | None:
    """Return the module's statements that `name` needs, in order, or None if unknown."""
    future = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    statements = _statements(source, tree, future)
    defined = {bound for statement in statements for bound in statement.binds}
    imports = (
        statement
        for statement in statements
        if isinstance(statement.node, ast.Import | ast.ImportFrom)
    )
    own = defined.difference(*(statement.binds for statement in imports))
    needed_names, needed = {name}, set[_Statement]()
    while more := [
        statement
        for statement in statements
        if statement not in needed and statement.matters_to(needed_names, own)
    ]:
        needed.update(more)
        needed_names.update(*(statement.uses for statement in more))
    if needed_names & (_UNFOLLOWABLE - defined):
        return None
    return [*future, *(statement.node for statement in statements if statement in needed)]


def _statements(source: str, tree: ast.Module, future: list[ast.ImportFrom]) -> list[_Statement]:
    """Return a module's top-level statements that may be needed, with the names they bind and read.

    Left out are its docstring, its `future` imports and what runs only as a script.
    """
    lazy = any(alias.name == "annotations" for node in future for alias in node.names)
    prefix = "from __future__ import annotations\n" if lazy else ""
    nodes = [
        n
        for n in tree.body
        if n not in future and not _is_docstring(n, tree) and not _is_main_guard(n)
    ]
    texts = [_statement_text(source, node) for node in nodes]
    return [
        _Statement(node, _bindings(node, text), _names_read(node, prefix + text))
        for node, text in zip(nodes, texts, strict=True)
    ]


def _is_docstring(node: ast.stmt, tree: ast.Module) -> bool:
    """Return whether a statement is the module's docstring."""
    return (
        node is tree.body[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _is_main_guard(node: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == ...`, which runs only as a script."""
    return isinstance(node, ast.If) and "__name__" in {
        n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)
    }


_DEFINING = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.AnnAssign,
)


def _changes(node: ast.stmt) -> bool:
    """Return whether a statement may change things under names that it does not bind.

    Such are `TABLE.update(...)`, `Logistic.scale = 2`, a loop, a condition.
    """
    if isinstance(node, ast.Assign):
        return not all(isinstance(target, ast.Name | ast.Tuple) for target in node.targets)
    return not isinstance(node, _DEFINING)


def _statement_text(source: str, node: ast.stmt) -> str:
    """Return a statement's source text as it is written, decorators included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    text = "\n".join(lines)
    alone = node.col_offset == 0 and len(ast.parse(text).body) == 1
    return text if alone else ast.unparse(node)  # `a = 1; b = 2` shares a line


def _bindings(node: ast.stmt, text: str) -> set[str]:
    """Return the names that a top-level statement binds: by assignment, import, def or class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    table = symtable.symtable(text, "<slice>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def _names_read(node: ast.stmt, text: str) -> set[str]:
    """Return the module's global names that a top-level statement reads, also in inner scopes."""

    def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
        yield table
        for child in table.get_children():
            yield from scopes(child)

    names = set[str]()
    for table in scopes(symtable.symtable(text, "<slice>", "exec")):
        for symbol in table.get_symbols():
            at_top = table.get_type() == "module" and symbol.is_referenced()
            if at_top or symbol.is_global():
                names.add(symbol.get_name())
    # Fields of dataclasses and structs: their annotations are read at run time, quoted or not
    for inner in ast.walk(node):
        if isinstance(inner, ast.AnnAssign):
            names |= {n.id for n in ast.walk(inner.annotation) if isinstance(n, ast.Name)}
    return {n for n in names if n in _UNFOLLOWABLE or not hasattr(builtins, n)}


def _place(
    module: str,
    source: str,
    body: list[ast.stmt],
    root: Path,
    files: dict[str, str],
    *,
    is_package: bool,
) -> None:
    """Add a module's source to `files` with relative imports, and the local modules it imports.

    `body` are the statements of it to keep. `is_package` says that the module is a package.
    """
    parts = module.split(".")
    files[_path(module, is_package=is_package)] = ""  # seen: modules may import each other
    imports = _LocalImports(parts if is_package else parts[:-1], root)
    files[_path(module, is_package=is_package)] = (
        "\n\n".join(imports.rewritten(source, node) for node in body) + "\n"
    )
    for name, file in imports.found.items():
        package = file.name == "__init__.py"
        if _path(name, is_package=package) not in files:
            text = file.read_text(encoding="utf-8")
            _place(name, text, ast.parse(text).body, root, files, is_package=package)


def _path(module: str, *, is_package: bool) -> str:
    """Return the relative path of a module's file in a model's code folder.

    `is_package` says that the module is a package.
    """
    return "/".join(module.split(".")) + ("/__init__.py" if is_package else ".py")


class _LocalImports(ast.NodeTransformer):
    """A transformer that makes imports of modules below `root` relative to `package`.

    It notes those modules in `found`.
    """

    def __init__(self, package: list[str], root: Path) -> None:
        self.package, self.root = package, root
        self.dots = "." * (len(package) + 1)
        self.found: dict[str, Path] = {}
        self.changed = False

    def rewritten(self, source: str, node: ast.stmt) -> str:
        """Return a statement's source text with imports of the project's modules made relative."""
        original = _statement_text(source, node)
        self.changed = False
        new = self.visit(node)
        if not self.changed:
            return original
        return "\n".join(map(ast.unparse, new)) if isinstance(new, list) else ast.unparse(new)

    def visit_Import(self, node: ast.Import) -> ast.AST | list[ast.stmt]:
        """Replace `import a.b` of the project's own modules by relative imports."""
        local = [alias for alias in node.names if self._note(alias.name)]
        if not local:
            return node
        self.changed = True
        lines = [
            ast.unparse(ast.Import(names=[alias])) for alias in node.names if alias not in local
        ]
        for alias in local:
            parent, _, last = alias.name.rpartition(".")
            if not parent or not alias.asname:
                lines.append(
                    f"from {self.dots} import {alias.name.split('.')[0]}"
                    + (f" as {alias.asname}" if alias.asname else "")
                )
            # imported for its effect on the package: `import package.module` makes `package.module`
            # reachable
            if parent:
                lines.append(
                    f"from {self.dots}{parent} import {last} as {alias.asname or '_' + last}"
                )
        return ast.parse("\n".join(lines)).body

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """Make a from-import of the project's own modules relative."""
        if node.module == "__future__":
            return node
        base = self.package[: len(self.package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        notes = [
            self._note(f"{module}.{alias.name}" if module else alias.name) for alias in node.names
        ]  # `from package import module`
        if not node.level and (self._note(module) or any(notes)):
            self.changed = True
            return ast.ImportFrom(module=node.module, names=node.names, level=len(self.dots))
        return node  # relative already: the copy keeps the package's shape

    def _note(self, name: str) -> bool:
        """Record the file of a dotted name if it is a module of the project; return whether it is.

        The packages above it are recorded, too.
        """
        parts = name.split(".")
        hit = False
        for end in range(1, len(parts) + 1):
            base = self.root.joinpath(*parts[:end])
            files = [
                file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file()
            ]
            if files:
                self.found[".".join(parts[:end])] = files[0]
            hit = end == len(parts) and bool(files)
        return hit


def libraries(files: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of installed distributions that source code imports, by name.

    The standard library is Python's version.
    """
    from importlib.metadata import PackageNotFoundError, version

    trees = [ast.parse(text) for text in files.values()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {
        alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {
        node.module.split(".")[0]
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for distribution in sorted(_distributions(names - sys.stdlib_module_names)):
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:  # a namespace without a distribution of its own
            continue
    return versions


def _distributions(names: Collection[str]) -> set[str]:
    """Return the names of installed distributions that provide these top-level modules.

    `packages_distributions()` says the same, but parses every list of files: 0.3 s.
    """
    from importlib.metadata import distributions

    return {
        distribution.metadata["Name"]
        for distribution in distributions()
        if names and _installs(distribution, names)
    }


def _installs(distribution: Distribution, names: Collection[str]) -> bool:
    """Return whether an installed distribution provides one of these top-level modules."""
    if declared := (distribution.read_text("top_level.txt") or "").split():
        return not set(declared).isdisjoint(names)
    paths = distribution.read_text("RECORD") or "".join(
        f"{path}\n" for path in distribution.files or ()
    )
    return any(f"\n{name}{after}" in f"\n{paths}" for name in names for after in "/.")
