"""Hooks of mkdocs.yml: the README is the home page, and what pages link to outside of docs/ comes along as text."""  # noqa: INP001

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<to>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """The home page, and a copy of every file that a page names."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text()))
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    for place in sorted({place for page in pages for place in map(_outside, _targets(page)) if place}):
        files.append(File.generated(config, _copy(place), content=(ROOT / place).read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    here = ROOT if page.file.src_uri == "index.md" else DOCS
    return _LINK.sub(lambda link: f"]({_led(here, link['to'])}{link['anchor'] or ''})", markdown)


def _targets(page: Path) -> Iterator[Path]:
    return ((page.parent / link["to"]).resolve() for link in _LINK.finditer(page.read_text()))


def _outside(target: Path) -> Path | None:
    """The place below the root of a file that is no page of ours; None: it is a page, or no file."""
    return target.relative_to(ROOT) if target.is_file() and target.is_relative_to(ROOT) and target.parent != DOCS else None


def _led(here: Path, to: str) -> str:
    target = (here / to).resolve()
    place = _outside(target)
    return _copy(place) if place else target.name if target.parent == DOCS else to


def _copy(place: Path) -> str:
    return f"source/{place}.txt"
