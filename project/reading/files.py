"""The files of a project's folder: section folders, SQL, model configurations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import yaml
from .fence import LARGEST_TEXT, ProjectPaths
from .names import did_you_mean
from .report import ProblemReport


def read_text(
    path: Path, file: str, report: ProblemReport, fence: ProjectPaths | None = None
) -> str | None:
    """Return a file's text; if it cannot be read, report the problem and return None.

    With `fence` the file must lie where the project may read. A file that the user named needs
    none.
    """
    problem = fence.problem(path, file) if fence else None
    if problem is None and path.exists() and not path.is_file():
        problem = (
            f"{file} is not a regular file",
            "put a file there: pipes and devices are not read",
        )
    if problem:
        report.add_file(file, *problem)
        return None
    try:
        if path.stat().st_size > LARGEST_TEXT:
            report.add_file(
                file,
                f"it has more than {LARGEST_TEXT >> 20} MiB",
                "rows belong in data/: these files are read whole",
            )
            return None
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        report.add_file(
            file,
            "this is not UTF-8 text",
            "save it as UTF-8",
            line=error.object[: error.start].count(b"\n") + 1,
        )
    except OSError as error:
        report.add_file(file, f"it cannot be read: {error.strerror}", "look at its permissions")
    return None


def read_sql(
    fence: ProjectPaths, file: str, key: str, report: ProblemReport, *, remedy: str
) -> str:
    """Return the SQL text of a file of the project, without a closing semicolon.

    "" after reporting an error at `key`; `remedy` says what to write into the file.
    """
    path = fence.folder / file
    if not path.exists():
        near = sorted(other.name for other in path.parent.glob("*.sql"))
        report.add(key, f"there is no {file}", did_you_mean(path.name, near) or remedy)
        return ""
    text = read_text(path, file, report, fence)
    if text is None:
        report.add(key, f"{file} cannot be read")
        return ""
    bare = text.rstrip().rstrip(";").rstrip()
    if not any(line.strip() and not line.strip().startswith("--") for line in bare.splitlines()):
        report.add(key, f"{file} holds no SQL", remedy)
    return bare + "\n"


def read_yaml(
    path: Path, file: str, key: str, report: ProblemReport, fence: ProjectPaths | None = None
) -> yaml.YamlNode | None:
    """Return a file's YAML tree; if there is none, report the problem and return None.

    With `fence` the file must lie where the project may read.
    """
    text = read_text(path, file, report, fence)
    return None if text is None else read_tree(text, file, key, report)


def read_tree(text: str, file: str, key: str, report: ProblemReport) -> yaml.YamlNode | None:
    """Parse a YAML text, located below `key`; if it is empty or broken, report it, return None."""
    node, problems = yaml.read(text, file)
    report.take(problems, key)
    if node is None and not problems:
        report.add_file(file, "nothing is in it", "fill it, or delete it")
    if node is not None:
        report.locate(key, node, file, line=node.line)
    return node


def with_folders(
    root: yaml.Mapping,
    sections: Iterable[str],
    fence: ProjectPaths,
    report: ProblemReport,
    drafts: Mapping[str, str],
) -> yaml.Mapping:
    """Return the YAML tree of project.yaml with the files of its section folders merged in.

    A file such as events/click.yaml has the value of the key events.click.

    Args:
        root: the tree of project.yaml.
        sections: the sections that may have a folder.
        fence: the folders and files that the project may read.
        report: where problems go.
        drafts: texts by file (`experiments/banner.yaml`), read as if the files existed.
    """
    entries, lines = dict(root.entries), dict(root.lines)
    for section in sections:
        paths = (
            *yaml_files(fence, section, report),
            *(Path(file) for file in drafts if file.startswith(f"{section}/")),
        )
        entry = entries.get(section)
        if entry is None or (isinstance(entry, yaml.Scalar) and entry.value is None):
            entry = yaml.Mapping(entries={}, lines={}, line=0)
        if paths and isinstance(entry, yaml.Mapping):  # what is no mapping is reported as that
            entries[section] = _with_files(
                entry, section, paths, report, drafts=drafts, fence=fence
            )
            lines.setdefault(section, 1)
    return yaml.Mapping(entries=entries, lines=lines, line=root.line)


def _with_files(
    section_node: yaml.Mapping,
    section: str,
    paths: Iterable[Path],
    report: ProblemReport,
    *,
    drafts: Mapping[str, str],
    fence: ProjectPaths,
) -> yaml.Mapping:
    """Return a section's YAML mapping with its files added; report names that are in both.

    `drafts` are texts by file, read as if the files existed.
    """
    entries, lines = dict(section_node.entries), dict(section_node.lines)
    for path in paths:
        file, key = f"{section}/{path.name}", f"{section}.{path.stem}"
        if path.stem in entries:
            first = report.places[key]
            report.add_file(
                file,
                f"{key}: it is defined twice; the first is in {first.file}:{first.line}",
                "keep one of the two",
            )
            continue
        node = (
            read_tree(drafts[file], file, key, report)
            if str(path) == file
            else read_yaml(path, file, key, report, fence)
        )
        # a file that cannot be read still declares its name, so that others' references to it are
        # not wrong too
        entries[path.stem] = node if node is not None else yaml.scalar("")
        lines[path.stem] = node.line if node is not None else 1
    return yaml.Mapping(entries=entries, lines=lines, line=section_node.line)


def orphans(
    folder: Path, kind: str, names: tuple[str, ...], noun: str, report: ProblemReport
) -> None:
    """Report SQL files whose name is not in the project, as it may be a typing mistake.

    `kind` is their folder, `names` are the declared ones, `noun` is what they are called.
    """
    for path in sorted((folder / kind).glob("*.sql")):
        if path.stem not in names:
            section = "events" if kind == "sources" else "feature_views"
            report.add_file(
                f"{kind}/{path.name}",
                f"{path.stem} is not {noun}",
                did_you_mean(path.stem, names, has=f"{section} are")
                or f"declare it in {section}, or move the file away",
            )


def yaml_files(fence: ProjectPaths, shown: str, report: ProblemReport) -> Iterator[Path]:
    """Yield the paths of a folder's YAML files, and report other files there.

    `shown` is the folder as messages name it.
    """
    folder = fence.folder / shown
    if not folder.is_dir():
        return
    if problem := fence.problem(folder, shown):
        report.add_file(shown, *problem)
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".yaml":
            yield path
        elif path.suffix == ".yml":
            report.add_file(
                f"{shown}/{path.name}", "files here end in .yaml", f"rename it to {path.stem}.yaml"
            )
