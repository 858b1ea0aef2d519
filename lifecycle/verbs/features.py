"""`im.features`: what `isthmus features` does. get, check, extract, quarantine, skew, leaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ...feature_store.as_known.check import MOMENTS, check_as_known
from ...feature_store.offline.logged_set import logged_set
from ...feature_store.offline.materialize import materialize
from ...feature_store.offline.training_set import training_set
from ...feature_store.online.reads import read
from ...feature_store.online.skew import skew
from ...pipelines.extraction.extraction import extract_view, plan_extraction
from ...pipelines.extraction.quarantine import unreadable_contents
from ...pipelines.training.training import as_of, configuration, window
from ...reports.results import Shown, StructRows

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...feature_store.as_known.check import AsKnown
    from ...feature_store.offline.materialize import MaterializeReport
    from ...pipelines.evaluation.leak_alarm import FeatureFinding
    from ...pipelines.extraction.extraction import Extraction, PlannedExtraction
    from ...pipelines.extraction.quarantine import UnreadableContent

__all__ = ["check", "extract", "get", "leaks", "quarantine", "skew"]
__dir__ = __all__.copy  # what completion offers


class OnlineRows(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A row a key, in the keys' order.

    key, feature_timestamp (UTC), age_s (seconds on the project's clock), and the features.
    """

    rows: StructRows[dict[str, object]]
    stale_features: tuple[str, ...]  # older than the view's ttl: served as missing


def get(project: Project, view: str, keys: Sequence[int | str]) -> OnlineRows:
    """Return the online features of some entity keys; raise NotFound for an unknown view."""
    served, now = read(project, view, keys), project.now()
    rows = StructRows(
        {
            "key": key,
            "feature_timestamp": moment,
            "age_s": None if moment is None else (now - moment).total_seconds(),
            **row,
        }
        for key, moment, row in zip(keys, served.timestamps, served.rows, strict=True)
    )
    return OnlineRows(rows=rows, stale_features=served.stale_features)


def check(
    project: Project, views: Sequence[str] | None = None, *, moments: int = MOMENTS
) -> StructRows[AsKnown]:
    """Check whether feature views use data that was known only after their rows' times.

    Each view is computed as of `moments` times. Nothing is written.
    """
    return StructRows(check_as_known(project, views, moments=moments))


class ExtractedView(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one extraction of a view, and of its publication, offline and online."""

    extraction: Extraction
    published: MaterializeReport


def planned(project: Project, view: str) -> PlannedExtraction:
    """Return what `extract` would do to a view; nothing is changed.

    Raises:
        NotFound: There is no such view.
        Invalid: It has no extractor.
        Refused: project.yaml says something else than what its version was fitted by.
    """
    return plan_extraction(project, view)


def extract(project: Project, view: str) -> ExtractedView:
    """Compute the vectors of a view's new and changed contents, and publish them.

    The view's extractor is fitted and registered if there is no version yet. It runs in this
    process. What was interrupted goes on where it was.

    Raises:
        NotFound: There is no such view, or no event with a content.
        Invalid: The view has no extractor, or that cannot be fitted.
        MissingDependency: A package of the extractor is not installed.
        Refused: project.yaml says something else than what its version was fitted by.
    """
    with project.lock("extract"):
        extraction = extract_view(project, view)
    return ExtractedView(extraction=extraction, published=materialize(project, [view])[0])


def quarantine(project: Project, view: str) -> StructRows[UnreadableContent]:
    """Return the contents of a view that could not be read, newest first; their vectors are null.

    Raises:
        NotFound: There is no such view.
        Invalid: It has no extractor.
    """
    return StructRows(unreadable_contents(project, view))


def leaks(project: Project, config: str) -> StructRows[FeatureFinding]:
    """Return each feature's AUC by day, beside its AUC when only earlier data is used.

    Raises:
        ProjectError: The configuration has a mistake.
        NotFound: There is no such configuration.
    """
    from ...pipelines.evaluation.leaks.look import look

    model = configuration(project, config)
    start, end = window(project, model)
    known_rows = as_of(project, model, end)
    if model.logged:
        data = logged_set(project, model, start=start, end=end, as_of=known_rows).table
    else:
        data = training_set(
            project, model.objective, model.features, start=start, end=end, as_of=known_rows
        )
    return StructRows(look(project, model, data, start=start, end=end, as_of=known_rows))
