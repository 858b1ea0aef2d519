"""Hooks of mkdocs.yml: both READMEs and the stacks' docs are pages, and what else pages link to outside of docs/ comes along as text."""  # noqa: INP001

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STACK = ROOT / "localstack"
PAGES = {  # file -> its place in the site
    ROOT / "README.md": "index.md",
    STACK / "README.md": "stack/index.md",
    **{page: str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")},
    **{page: f"stack/{page.name}" for page in (STACK / "docs").glob("*.md")},
}
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<to>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """The pages that do not lie in docs/, and a copy of every file that a page names."""
    for page, place in PAGES.items():
        if page.parent != DOCS:
            files.append(File.generated(config, place, content=page.read_text()))
    for named in sorted(
        {target for page in PAGES for target in _targets(page) if _is_copied(target)}
    ):
        files.append(File.generated(config, _copy(named), content=named.read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Its links lead to where both are in the site."""
    source = next(path for path, place in PAGES.items() if place == page.file.src_uri)
    return _LINK.sub(lambda link: f"]({_led(source, link['to'])}{link['anchor'] or ''})", markdown)


def _targets(page: Path) -> Iterator[Path]:
    return ((page.parent / link["to"]).resolve() for link in _LINK.finditer(page.read_text()))


def _is_copied(target: Path) -> bool:
    """Whether a page links to a file of the repository that is no page."""
    return (
        target.is_file()
        and target.is_relative_to(ROOT)
        and target not in PAGES
        and not target.is_relative_to(DOCS)
    )


def _led(source: Path, to: str) -> str:
    target = (source.parent / to).resolve()
    place = PAGES.get(target) or (
        _copy(target)
        if _is_copied(target)
        else str(target.relative_to(DOCS))
        if target.is_relative_to(DOCS)
        else None
    )
    return os.path.relpath(place, os.path.dirname(PAGES[source]) or ".") if place else to  # noqa: PTH120  a place in the site


def _copy(target: Path) -> str:
    return f"source/{target.relative_to(ROOT)}.txt"
