"""A new project's folder: a packaged example."""

from __future__ import annotations

import errno
import filecmp
import os
import re
import runpy
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from ..core.signals import lives
from ..errors import AlreadyExists, NotFound
from .reading.names import PROJECT_LENGTH, did_you_mean, neutral
from .schema import schema

STARTER = "starter"  # the smallest project that does something
DEFAULT = "shop"
WORLD = "world.py"  # of an example whose data are made and not packed
PROFILES = "profiles.yaml"
_NEW = "new"  # what every project has beside its description, unless the example has its own
_WORKFLOW = Path(".github/workflows/isthmus.yml")
_SCHEMA = Path("schema/isthmus.json")
# of the schema, by the files that it checks
_PARTS = {"project.yaml": "project", PROFILES: "profiles", "models/*.yaml": "model"}
_IGNORED = ".isthmus/\n__pycache__/\n"
_LEFT_BEHIND = frozenset(
    {"__pycache__", ".isthmus", ".gitignore", ".pytest_cache", ".ipynb_checkpoints"}
)


def examples() -> tuple[str, ...]:
    """Return the names of the packaged examples, which `--example` takes."""
    return tuple(
        sorted(
            folder.name
            for folder in _examples().iterdir()
            if folder.joinpath("project.yaml").is_file()
        )
    )


def create(
    folder: Path,
    *,
    example: str | None = None,
    files: Mapping[str, str] | None = None,
    targets: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Create a project from an example in a new or empty folder; return its files.

    A new folder appears whole or not at all. Without an example's name the example is the shop, and
    the project is named after the folder. The starter project always is.

    Args:
        folder: where to; the returned paths are below it as it is given.
        example: which one; None: the shop.
        files: texts by path, in place of the shop's but for the starter's profiles.
        targets: which targets the profiles keep; None: all.

    Raises:
        AlreadyExists: the folder holds anything.
        NotFound: there is no such example, or target.
    """
    shown, folder = folder, folder.resolve()
    if example is not None and example not in examples():
        raise NotFound(
            f"there is no example {example}",
            remedy=did_you_mean(example, examples(), has="examples are"),
        )
    if folder.exists() and not folder.is_dir():
        raise AlreadyExists(f"{folder} is a file", remedy="choose another name")
    left, existing = _abandoned_drafts(folder), {path.name for path in _entries(folder)}
    if existing and (not left or "project.yaml" in existing):  # which is the last to come
        _remove(left)
        raise _not_empty(folder, existing)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    _remove([draft])
    try:
        _fill(draft, folder.name, example=example, files=files, targets=targets)
        _require_same(draft, folder, existing)
    except BaseException:
        _remove([draft])
        raise
    _move_into_place(draft, folder, existing)
    _remove(left)
    return tuple(
        sorted(shown / path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    )


def _fill(
    draft: Path,
    name: str,
    *,
    example: str | None,
    files: Mapping[str, str] | None,
    targets: Sequence[str] | None,
) -> None:
    """Write a new project's files, from an example or from texts, into a draft folder.

    `targets` are those that profiles.yaml keeps.
    """
    draft.mkdir(parents=True)
    if files is None:
        _copy(_examples().joinpath(example or DEFAULT), draft)
    else:
        _write(files, draft)
    (draft / ".gitignore").write_text(
        _IGNORED, encoding="utf-8"
    )  # packaging leaves dotted files out
    if (draft / WORLD).is_file():
        runpy.run_path(str(draft / WORLD))["write"](draft / "data")
    if targets is not None:
        _keep_targets(draft / PROFILES, targets)
    if example in (None, STARTER):
        _rename(draft / "project.yaml", name)
    _complete(draft)


def _move_into_place(draft: Path, folder: Path, existing: Collection[str]) -> None:
    """Move the complete draft of a project to its final folder.

    `existing` are the entries it has already. A new folder appears by one rename. An existing empty
    folder is filled entry by entry: folders first, because only those fail if a concurrent `init`
    has put its own there, and project.yaml last. Raises AlreadyExists if another `init` was faster.
    """
    try:
        if not folder.exists():
            draft.rename(folder)
            return
        for path in sorted(
            draft.iterdir(),
            key=lambda path: (path.name == "project.yaml", not path.is_dir(), path.name),
        ):
            if path.name not in existing:
                _move(path, folder / path.name)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        _remove([draft])
        raise _not_empty(folder, {path.name for path in _entries(folder)}) from None
    shutil.rmtree(draft)


def _move(path: Path, place: Path) -> None:
    """Move a file; raise FileExistsError if there is one already."""
    if os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    path.rename(place)


def _abandoned_drafts(folder: Path) -> list[Path]:
    """Return the draft folders that killed processes left beside this folder.

    A process that was killed while it filled an existing folder left a part of the project there,
    too.
    """
    drafts = {
        path: re.fullmatch(rf"\.{re.escape(folder.name)}\.(\d+)\.new", path.name)
        for path in _entries(folder.parent)
    }
    ours = os.getpid()  # an earlier one had our number: in a container all have the same
    return [
        path
        for path, match in drafts.items()
        if match and (int(match[1]) == ours or not lives(int(match[1])))
    ]


def _entries(folder: Path) -> list[Path]:
    """Return the paths directly in a folder; empty if it does not exist."""
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(drafts: Iterable[Path]) -> None:
    """Delete draft folders, ignoring errors."""
    for draft in drafts:
        shutil.rmtree(draft, ignore_errors=True)


def _require_same(draft: Path, folder: Path, existing: Collection[str]) -> None:
    """Raise AlreadyExists unless the existing entries of the folder are the same in the draft.

    Entries that are the same are the part that a killed `init` had moved there.
    """
    if not all(_is_same(draft / name, folder / name) for name in existing):
        raise _not_empty(folder, existing)


def _is_same(draft: Path, path: Path) -> bool:
    """Return whether a path has the same content as the file or folder in the draft.

    A symbolic link never has: the user made it.
    """
    if path.is_symlink():
        return False
    if path.is_file():
        return draft.is_file() and filecmp.cmp(draft, path, shallow=False)
    names = {entry.name for entry in _entries(draft)}
    return (
        draft.is_dir()
        and {entry.name for entry in _entries(path)} == names
        and all(_is_same(draft / n, path / n) for n in names)
    )


def _not_empty(folder: Path, existing: Collection[str]) -> AlreadyExists:
    """Return the error that a new project's folder is not empty; it has the entries `existing`."""
    listed = ", ".join(sorted(existing)[:3]) + (", ..." if len(existing) > 3 else "")
    return AlreadyExists(
        f"{folder} is not empty: it holds {listed}",
        remedy="choose another name, or an empty folder",
    )


def _write(files: Mapping[str, str], draft: Path) -> None:
    """Write these files, and the starter's profiles.yaml, into the draft folder of a project."""
    for name, text in files.items():
        (draft / name).parent.mkdir(exist_ok=True)
        (draft / name).write_text(text, encoding="utf-8")
    (draft / PROFILES).write_bytes(_examples().joinpath(STARTER, PROFILES).read_bytes())


def _keep_targets(profiles: Path, targets: Sequence[str]) -> None:
    """Remove all but the named targets from profiles.yaml; the first becomes the default.

    Raises:
        NotFound: There is no such target in it.
    """
    head, *blocks = re.split(r"(?m)^(?=  [a-z])", profiles.read_text(encoding="utf-8"))
    by_name = {block.strip().partition(":")[0]: block for block in blocks}
    if unknown := next((name for name in targets if name not in by_name), None):
        raise NotFound(
            f"there is no target {unknown}",
            remedy=did_you_mean(unknown, by_name, has="targets are"),
        )
    head = re.sub(r"(?m)^default: .*$", f"default: {targets[0]}", head)
    profiles.write_text(
        head + "".join(by_name[name] for name in by_name if name in targets), encoding="utf-8"
    )


def _complete(draft: Path) -> None:
    """Write README, tests, CI workflow and the editors' JSON Schema into a draft project."""
    _copy(_examples().joinpath(_NEW), draft)
    readme = draft / "README.md"
    readme.write_text(
        readme.read_text(encoding="utf-8").replace("PROJECT", _project_name(draft), 1),
        encoding="utf-8",
    )
    (draft / _WORKFLOW).parent.mkdir(parents=True)
    (draft / _WORKFLOW).write_bytes(_examples().joinpath("ci/github-actions.yml").read_bytes())
    (draft / _SCHEMA).parent.mkdir()
    (draft / _SCHEMA).write_bytes(msgspec.json.format(msgspec.json.encode(schema())) + b"\n")
    for pattern, part in _PARTS.items():
        whole = draft / _SCHEMA.with_name(f"{part}.json")
        whole.write_bytes(msgspec.json.encode({"$ref": f"{_SCHEMA.name}#/$defs/{part}"}) + b"\n")
        for path in draft.glob(pattern):
            to_schema = os.path.relpath(whole, path.parent)
            path.write_text(
                f"{path.read_text(encoding='utf-8').rstrip()}\n\n# yaml-language-server: "
                f"$schema={to_schema}\n",
                encoding="utf-8",
            )


def _project_name(draft: Path) -> str:
    """Return the project's name from the first line of its project.yaml."""
    return (
        (draft / "project.yaml")
        .read_text(encoding="utf-8")
        .partition("\n")[0]
        .removeprefix("name: ")
    )


def _examples() -> Traversable:
    """Return the package's folder of examples."""
    return files(__name__.partition(".")[0]).joinpath("examples")


def _copy(source: Traversable, folder: Path) -> None:
    """Copy a packaged folder; do not overwrite existing files."""
    for relative, packaged in _walk(source):
        target = folder / relative
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with as_file(packaged) as path:
            shutil.copyfile(path, target)  # without its mode: packaged files may be read-only


def _walk(source: Traversable, below: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield an example's files with their relative paths."""
    for entry in source.iterdir():
        if entry.name in _LEFT_BEHIND:
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{below}{entry.name}/")
        else:
            yield f"{below}{entry.name}", entry


def _rename(project: Path, name: str) -> None:
    """Set the project's name in project.yaml to a valid name made of `name`."""
    fitting = neutral(name)[:PROJECT_LENGTH].rstrip("_") or STARTER
    text = project.read_text(encoding="utf-8")
    project.write_text(
        re.sub(r"\Aname: .*$", f"name: {fitting}", text, flags=re.MULTILINE), encoding="utf-8"
    )
