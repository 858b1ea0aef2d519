"""Count what makes the code base hard to read, at one or several revisions.

`python tests/house.py [REVISION ...]` prints a column for each revision and one for the files as
they are: files, lines, characters a line, flat folders, folders that import each other, functions
named from one place, vague names, fragments of docstrings. The tests of the architecture and of the
words use the same functions.

`python tests/house.py --draw SEED [--count 50]` prints functions drawn at random, each by its module,
class, signature and docstring alone: does somebody who sees only that know what it does?
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Tests, benchmarks and examples are read less; nothing imports them.
LEFT_OUT = re.compile(
    r"^(tests|examples|benchmarks|docs|deploy|\.ci|\.alias|localstack/tests|localstack/testing)/"
    r"|(^|/)(setup|noxfile)\.py$"
)
FLAT = 20  # files of a folder
VAGUE = frozenset(
    re.findall(
        r"\w+",
        "found said given held made kept one each at of on by seen known wanted asked there here "
        "before beside told came",
    )
)
# A docstring that begins so continues the function's name, or has no verb.
FRAGMENT = re.compile(
    r"(Of|By|As|With|That|Those|What|Who|Whoever|It|None|Where|When|For|To|Not|In|Until|Each|Its"
    r"|Only|From|Also|Nothing|Invalid|NotFound|Conflict|Refused|Busy|Absent|May)\b"
)

Sources = Mapping[str, str]


def sources(revision: str | None = None) -> Sources:
    """Return the text of every Python file by its path, at a revision or as the files are."""
    command = ["git", "-C", str(ROOT)]
    if revision is None:
        listed = subprocess.run(
            [*command, "ls-files", "*.py"], capture_output=True, text=True, check=True
        )
        paths = [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]
        return {path: (ROOT / path).read_text() for path in paths}
    listed = subprocess.run(
        [*command, "ls-tree", "-r", "--name-only", revision],
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path for path in listed.stdout.splitlines() if path.endswith(".py")]
    asked = "".join(f"{revision}:{path}\n" for path in paths)
    answer = subprocess.run(
        [*command, "cat-file", "--batch"], input=asked.encode(), capture_output=True, check=True
    ).stdout
    texts, position = {}, 0
    for path in paths:
        end = answer.index(b"\n", position)
        size = int(answer[position:end].split()[-1])
        texts[path] = answer[end + 1 : end + 1 + size].decode()
        position = end + 1 + size + 1
    return texts


def packaged(texts: Sources) -> Sources:
    """Return the files of the two packages alone."""
    return {path: text for path, text in texts.items() if not LEFT_OUT.search(path)}


def module_name(path: str) -> str:
    """Return the absolute name of a file's module."""
    root = "isthmus_stack" if path.startswith("localstack/") else "isthmus"
    parts = [root, *path.removeprefix("localstack/").removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(path: str) -> str:
    """Return a file's folder; a root module and a room's port are places of their own."""
    return path if "/" not in path or path.endswith("/port.py") else path.rpartition("/")[0]


def _only_exports(tree: ast.Module) -> bool:
    """Tell whether a package's `__init__` only names what its modules define."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"))
        for node in tree.body
    )


def imported(path: str, tree: ast.Module, modules: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that a file imports, late imports and those for types included."""
    name = module_name(path)
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                other = modules.get(f"{module}.{alias.name}") or modules.get(module)
                if other:
                    yield other


def folder_imports(texts: Sources) -> dict[str, dict[str, set[str]]]:
    """Return for each place the places that it imports, with the pairs of files that make it so."""
    modules = {module_name(path): path for path in texts}
    graph: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path, text in texts.items():
        tree = ast.parse(text)
        if path.endswith("__init__.py") and _only_exports(tree):
            continue
        for other in imported(path, tree, modules):
            if place(other) != place(path):
                graph[place(path)][place(other)].add(f"{path} -> {other}")
    return graph


def knots(graph: Mapping[str, Mapping[str, set[str]]]) -> list[list[str]]:
    """Return the groups of places that import each other in a circle (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in list(graph):
        if node not in index:
            visit(node)
    return groups


def flat_folders(texts: Sources) -> dict[str, int]:
    """Return the folders in which more than twenty Python files lie flat."""
    counts = Counter(path.rpartition("/")[0] for path in texts)
    return {folder: count for folder, count in counts.items() if count > FLAT}


def bound_name(node: ast.AST) -> str | None:
    """Return the name that a node of syntax binds; a function's without its underscores."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.strip("_")
    if isinstance(node, ast.MatchAs | ast.ExceptHandler):
        return node.name
    return None


def vague_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of locals, parameters and functions whose name says nothing.

    A struct's field is left out: it may be the key of a stored document or of --json.
    """
    fields = {
        id(item.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if (name := bound_name(node)) in VAGUE and id(node) not in fields:
            yield getattr(node, "lineno", 1), name


def fragments(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, first line) of docstrings that are no sentence by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and FRAGMENT.match(text):
                yield getattr(node, "lineno", 1), text.splitlines()[0]


def figures(texts: Sources) -> dict[str, str]:
    """Return what is counted of a revision, by name."""
    ours = packaged(texts)
    trees = {path: ast.parse(text) for path, text in ours.items()}
    lines = [line for text in ours.values() for line in text.splitlines() if line.strip()]
    groups = knots(folder_imports(ours))
    private = [
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("_") and not node.name.startswith("__")
    ]
    words = Counter(re.findall(r"\w+", "\n".join(ours.values())))
    return {
        "Python files of both packages": f"{len(ours):,}",
        "lines that are not blank": f"{len(lines):,}",
        "characters a line": f"{sum(map(len, lines)) / len(lines):.1f}",
        "lines above 100, tests included": f"{_long(texts):,}",
        "folders with more than 20 files, tests included": str(len(flat_folders(texts))),
        "knots of folders": f"{len(groups)}, of {sum(map(len, groups))} folders",
        "private functions named from one place": f"{_once(private, words):.0%}",
        "vague names": f"{sum(1 for tree in trees.values() for _ in vague_names(tree)):,}",
        "fragments of docstrings": f"{sum(1 for t in trees.values() for _ in fragments(t)):,}",
    }


def _long(texts: Sources) -> int:
    return sum(len(line) > 100 for text in texts.values() for line in text.splitlines())


def _once(functions: list[str], words: Counter[str]) -> float:
    return sum(words[name] == 2 for name in functions) / len(functions)


def functions(texts: Sources) -> dict[str, str]:
    """Return for each function and method of both packages what a stranger sees of it.

    That is its file, its class, its signature and its docstring, by its qualified name. Functions
    within functions are left out, and methods like `__enter__`, which Python names.
    """
    seen = {}
    for path, text in packaged(texts).items():
        module = ast.parse(text)
        classes = [("", module)] + [
            (node.name, node) for node in ast.walk(module) if isinstance(node, ast.ClassDef)
        ]
        for owner, scope in classes:
            for node in scope.body:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if node.name.startswith("__"):
                    continue
                names = filter(None, [module_name(path), owner, node.name])
                place_of = f"{path}: class {owner}" if owner else path
                seen[".".join(names)] = f"{place_of}\n{_signature(node)}"
    return seen


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    bare = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(bare, ast.FunctionDef | ast.AsyncFunctionDef)
    text = ast.get_docstring(node)
    bare.body = [ast.Expr(ast.Constant(...))]
    head = ast.unparse(bare).removesuffix("...").rstrip()
    doc = "\n".join(f"    {line}".rstrip() for line in text.splitlines()) if text else "    (none)"
    return f"{head}\n{doc}"


def draw(seed: int, count: int) -> Iterator[str]:
    """Yield what a stranger sees of functions drawn at random; a seed draws the same ones again."""
    every = functions(sources())
    for name in random.Random(seed).sample(sorted(every), count):
        yield every[name]


def main(revisions: list[str]) -> None:
    """Print the table."""
    columns = {revision: figures(sources(revision)) for revision in revisions}
    columns["now"] = figures(sources())
    print(f"{'':50}" + "".join(f"{name[:12]:>20}" for name in columns))
    for row in columns["now"]:
        print(f"{row:50}" + "".join(f"{column[row]:>20}" for column in columns.values()))


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revisions", nargs="*", metavar="REVISION")
    parser.add_argument("--draw", type=int, metavar="SEED", help="print functions drawn at random")
    parser.add_argument("--count", type=int, default=50, help="how many to draw")
    options = parser.parse_args()
    if options.draw is None:
        main(options.revisions)
    else:
        for number, text in enumerate(draw(options.draw, options.count), 1):
            print(f"## {number}\n{text}\n")
