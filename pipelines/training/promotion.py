"""Approve model versions and move their aliases, which move through here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import NotFound, Refused
from ...times import utc_milliseconds
from ..evaluation.gate import Verdict
from ..port import Approval, ModelRegistry, ModelVersion
from ..run_pages import runs

if TYPE_CHECKING:
    from datetime import datetime

    from ...core.runtime.project import Project
    from ..run_pages.records import Run

CHAMPION = "champion"


class Promotion(StoredDocument, frozen=True, kw_only=True):
    """The document `models/<model>/promotions/<n>` in the StateStore: who was made what, and why.

    It is append-only.
    """

    model: str
    version: int
    alias: str
    before: int | None  # the version that had the alias
    gate: Verdict | None
    run: str | None
    because: str | None
    at: str  # ISO 8601, UTC


def current(registry: ModelRegistry, model: str, ref: int | str) -> ModelVersion | None:
    """Return a model's version in the registry by number or alias, or None if there is none."""
    try:
        return registry.get(model, ref)
    except NotFound:
        return None


def versions(project: Project) -> list[ModelVersion]:
    """Return the versions of every model that the project trains or serves (`isthmus models list`).

    Adopted ones are included.
    """
    served = {
        variant.model
        for endpoint in project.spec.endpoints.values()
        for variant in endpoint.variants
    }
    names = sorted(served | {model.model for model in project.spec.models.values()})
    return [version for name in names for version in project.target.registry.versions(name)]


def approval_for(verdict: Verdict | None, *, first: bool) -> Approval:
    """Return the approval status that a gate's verdict gives to a model version.

    `first` says that there is no champion yet that it must beat.
    """
    if verdict == "fail":
        return "rejected"
    return "approved" if verdict in (None, "pass") or first else "pending"


def refusal(
    alias: str, verdict: Verdict | None, *, first: bool, leaks: Verdict | None = None
) -> str | None:
    """Return text on why the gate keeps a model version from an alias; None if it does not.

    Args:
        alias: The alias.
        verdict: The gate's verdict on the version.
        first: Whether no other version is champion: there is nobody to beat then.
        leaks: The verdict of the check for label leaks, which needs no champion.
    """
    if verdict == "fail":
        return "its gate fails"
    if verdict == "inconclusive" and alias == CHAMPION and (not first or leaks == verdict):
        return "its gate is inconclusive"
    return None


def was_chosen_by_person(project: Project, model: str, version: int) -> bool:
    """Return whether a person promoted a version for a stated reason, without a gate's pass."""
    return any(
        promotion.version == version and promotion.because and promotion.gate != "pass"
        for promotion in promotions(project, model)
    )


def promote(
    project: Project, model: str, version: int, alias: str = CHAMPION, *, because: str | None = None
) -> ModelVersion:
    """Move a model's alias (such as champion) to a version, if its gate allows it.

    `because` is recorded.

    Raises:
        Refused: its gate fails; or the gate is inconclusive, the alias is champion's, and `because`
            is missing; or a person has rejected it.
        NotFound: there is no such version.
    """
    with project.lock("promote"):
        registry = project.target.registry
        candidate = registry.get(model, version)
        name = f"{model}@{version}"
        run = runs.of_version(project.target.blobs, name)
        verdict = run.gate if run else None
        previous = current(registry, model, alias)
        champion = current(registry, model, CHAMPION)
        first = champion is None or champion.version == version
        leaks = run.checks.verdict_of("leaks") if run else None
        why = refusal(alias, verdict, first=first, leaks=leaks)
        if candidate.approval == "rejected" and verdict != "fail":
            raise Refused(
                f"{name} cannot become {alias}: it was rejected",
                remedy=f"isthmus runs show {run.name}" if run else None,
            )
        reason = (because or "").strip()
        if why and not reason:
            raise Refused(
                f"{name} cannot become {alias}: {why}{_figures(run, verdict)}",
                remedy=f"a person may decide: isthmus models promote {name} --alias {alias} "
                '--because "..."',
            )
        if previous is not None and previous.version == version:
            return previous
        _record(
            project,
            Promotion(
                model=model,
                version=version,
                alias=alias,
                before=previous.version if previous else None,
                gate=verdict,
                run=run.name if run else None,
                because=reason or None,
                at=_iso(project.wall()),
            ),
        )
        if candidate.approval == "rejected" or (
            alias == CHAMPION and candidate.approval != "approved"
        ):
            registry.set_approval(model, version, "approved", reason or f"promoted to {alias}")
        registry.set_alias(model, alias, version)
        return registry.get(model, version)


def promotions(project: Project, model: str) -> tuple[Promotion, ...]:
    """Return the record of every promotion of a model's versions, oldest first."""
    state = project.target.state
    stored = ((key, state.get(key)) for key in sorted(state.keys(_prefix(model))))
    return tuple(
        decode(document.value, Promotion, what=f"state {key}")
        for key, document in stored
        if document
    )


def _prefix(model: str) -> str:
    """Return the prefix of the state store's keys of a model's promotions."""
    return f"models/{model}/promotions/"


def _record(project: Project, promotion: Promotion) -> None:
    """Store the record of a promotion, before the alias moves.

    A crash in between leaves a record whose move is repeated, never a move without a record.
    """
    earlier = promotions(project, promotion.model)
    if earlier and msgspec.structs.replace(earlier[-1], at=promotion.at) == promotion:
        return
    key = f"{_prefix(promotion.model)}{len(earlier) + 1:06d}"
    project.target.state.put(key, msgspec.json.encode(promotion), expect=None)


def _figures(run: Run | None, verdict: Verdict | None) -> str:
    """Return the gate's checks that had this verdict as text, for an error message.

    `run` has the metrics that were checked.
    """
    checks = [check for check in run.checks.checks if check.verdict == verdict] if run else []
    return "".join(f"; {check.name} {check.reason}, wanted {check.wanted}" for check in checks)


def _iso(moment: datetime) -> str:
    """Return a time as text in ISO 8601 with Z for UTC."""
    return utc_milliseconds(moment).isoformat().replace("+00:00", "Z")
