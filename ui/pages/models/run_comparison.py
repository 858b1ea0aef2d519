"""Draw runs side by side, as `isthmus runs compare` does.

Each is paired with the first on the rows that both were tested on.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....core.runtime.project import Project
from ....errors import Invalid
from ....pipelines.run_pages import comparison_page, runs
from ....pipelines.run_pages.compare import compare
from ....reports import page as kit
from ...parts.links import run_path
from ...parts.view import PageContent

_MOST = 20


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page that compares training runs side by side, each with the first.

    The query has `run`, the names with blanks between them; or `first` and `others`.

    Raises:
        Invalid: There are no runs or too many, or they do not compare.
        NotFound: There is no such run.
    """
    typed = " ".join(query.get(name, "") for name in ("run", "first", "others"))
    names = typed.replace(",", " ").split()
    if len(names) < 2:
        raise Invalid(
            f"{'one run is' if names else 'no runs are'} named, and two are compared",
            remedy="tick two runs at /runs, or ask for /runs/compare?run=r1&run=r2",
        )
    if len(names) > _MOST:
        raise Invalid(
            f"{len(names)} runs are more than the {_MOST} that a page compares",
            remedy="isthmus runs compare",
        )
    compared = compare(project, *dict.fromkeys(names))
    tables = [runs.predictions_of(project.target.blobs, run.name) for run in compared.runs]
    title, below = comparison_page.heading(compared)
    links = kit.links([(run.name, run_path(run.name)) for run in compared.runs])
    return PageContent(
        title=title,
        below=below,
        parts=(links, *comparison_page.parts(compared, tables)),
        data=compared,
    )
