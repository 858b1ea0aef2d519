"""Register a version (the last step of a training run), with its alias, its record and its page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.formats import Kind, decode
from ...errors import NotFound
from ...project.git import Git
from ...project.specs.description import ROW, Feature, Model, Objective, ProjectSpec
from ...storage import BlobStore
from ..evaluation import gate, measure
from ..evaluation.distribution import drifts
from ..evaluation.evaluation import Champion, Evaluation, LearningCurve
from ..evaluation.gate import GateResult
from ..evaluation.segments import by_segment
from ..models.model_columns import saved_columns
from ..models.predictor import MANIFEST, ModelManifest
from ..run_pages import records, runs
from ..run_pages.records import Run
from ..run_pages.report_store import run_uri
from ..step.context import StepContext
from . import promotion
from .dataset import read_data

if TYPE_CHECKING:
    import pyarrow as pa

    from ..port import ModelVersion


def register(context: StepContext, model: Model) -> None:
    """Compare, judge and register the model that a run made, and write its record and page.

    It may be repeated at any time, because every effect is identified by a name or a digest.
    """
    from ..run_pages import report

    project = context.project()
    blobs, registry = context.target.blobs, context.target.registry
    table, data = read_data(context.inputs["data"])
    measured = _document(context.inputs["forward"] / "evaluation.json", Evaluation)
    ours = _predictions(context.inputs["forward"])
    manifest = _document(context.inputs["model"] / MANIFEST, ModelManifest)
    champion = promotion.current(registry, model.model, promotion.CHAMPION)
    other = champion is not None and champion.digest != manifest.digest
    ordered = gate.has_order(measured)
    bounds = gate.bounds_of(model.gate, ranked=ordered, champion=other)
    compared = _comparison(
        blobs, ours, champion, own=manifest.digest, model=model, spec=project.spec, data=table
    )
    leaks = gate.no_leaks(model.gate, data.leaks)
    judged = gate.judge(
        bounds,
        measured.figures(),
        compared.figures(),
        no_champion=compared.why_not,
        leaks=leaks,
        notes=[_no_ranking(measured)] if measured.ranked and not ordered else (),
        no_unit=_no_unit(project.spec.objectives[model.objective]),
        trained_for=compared.other.objective if compared.other else None,
    )
    uri = publish(blobs, context.inputs["model"], manifest)
    target = context.target
    image = str(
        target.profile.options.get("image")
        or ("" if target.adapter.remote else target.adapter.name)
    )  # "": the adapter's own
    version = registry.register(model.model, uri=uri, digest=manifest.digest, image=image)
    alias, why_not = _place(context, model, version, judged, champion)
    theirs = runs.predictions_of(blobs, compared.run) if compared.rows and compared.run else None
    previous_run = records.peek(blobs, compared.run) if compared.run else None
    run = Run(
        name=context.run,
        status="done",
        target=project.target.name,
        configuration=model.name,
        path=model.path,
        model=model.model,
        objective=model.objective,
        features=tuple(map(str, model.features)),
        trainer=model.trainer,
        parameters=model.parameters,
        ended=project.wall(),
        code=manifest.digest,
        data=data,
        evaluation=measured,
        champion=compared,
        drift=drifts(previous_run.data.distributions, names_of(model), table)
        if previous_run and previous_run.data
        else {},
        segments=by_segment(model.evaluate.segments, table, ours, theirs),
        curve=_document(context.inputs["curve"] / "curve.json", LearningCurve)
        if "curve" in context.inputs
        else None,
        gate=judged.verdict,
        checks=judged,
        version=f"{model.model}@{version.version}",
        alias=alias,
        alias_why_not=why_not,
        log=runs.display_path(project, runs.log_uri(blobs, context.run)),
        report=runs.display_path(project, run_uri(blobs, context.run)),
        columns=saved_columns(context.inputs["model"], model, table, context.log),
        **_submission(context.parameters["about"]),
    )
    report.write_run(blobs, run, ours, theirs)
    records.keep(blobs, run)  # last: a run with a record is whole
    context.log(str(run))


def _no_ranking(measured: Evaluation) -> str:
    """Return text on why ranking cannot be judged: every row is alone in its list."""
    within = measured.ranked.within if measured.ranked else ""
    return f"no ranking is judged: no two rows have the same {within}, so that none has an order"


def _no_unit(objective: Objective) -> str | None:
    """Return as text that an objective should declare its unit, or None if it does.

    Without a unit it is unknown which rows are independent.
    """
    if objective.unit is not None:
        return None
    return (
        "it would pass if rows were independent of each other, which nobody has said: write unit: "
        f"(who a row of {objective.exposure} is about) into objectives.{objective.name}, or unit: "
        f"{ROW} where each row is somebody else's"
    )


def names_of(model: Model) -> dict[str, str]:
    """Return the training set's column name of each feature, by the feature's full name."""
    return {str(feature): feature.name for feature in model.features}


def publish(blobs: BlobStore, folder: Path, manifest: ModelManifest) -> str:
    """Upload a model folder to its place by digest, unless it is there, and return the URI."""
    uri = f"{blobs.root.rstrip('/')}/models/{manifest.model}/{manifest.digest}"
    stored_files = {info.uri.removeprefix(f"{uri}/") for info in blobs.list(f"{uri}/")}
    if not {MANIFEST, *manifest.files} <= stored_files:
        blobs.upload(folder, uri)
    return uri


def _submission(about: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a run's record that are known at submit: config text, git, start."""
    git = about["git"]
    return {
        "config": about["config"],
        "settings": about["settings"],
        "corrected": msgspec.convert(about.get("corrected"), records.Corrections | None),
        "overrides": tuple(
            about.get("overrides", ())
        ),  # of a run that was submitted before there were any
        "git": msgspec.convert(git, Git) if git else None,
        "started": msgspec.convert(about["started"], datetime),
    }


def _document(path: Path, kind: type[Kind]) -> Kind:
    """Read a JSON document from a step's output folder, as this type."""
    return decode(path.read_bytes(), kind, what=str(path))


def _predictions(folder: Path) -> pa.Table:
    """Read the forward predictions in an evaluation's output folder, as an Arrow table."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(folder / "predictions.parquet").read()


def _comparison(
    blobs: BlobStore,
    ours: pa.Table,
    champion: ModelVersion | None,
    *,
    own: str,
    model: Model,
    spec: ProjectSpec,
    data: pa.Table,
) -> Champion:
    """Compare the new model version with the champion, on the test rows that both predicted.

    `ours` are the new predictions, `own` is the run's name, and `data` the training set.
    """
    if champion is None:
        entity = entity_of(model.features, spec)
        none_yet = Champion(why_not="no champion yet")
        return _with_ceiling(none_yet, entity, ours, data, model=model, spec=spec)
    name = f"{champion.model}@{champion.version}"
    if champion.digest == own:
        return Champion(version=name, why_not=f"it is the champion, {name}")
    previous_run = runs.of_version(blobs, name)
    if previous_run is None:
        return Champion(version=name, why_not=f"the run of {name} is not kept")
    try:
        theirs = runs.predictions_of(blobs, previous_run.name)
    except NotFound:
        return Champion(
            version=name,
            run=previous_run.name,
            why_not=f"the predictions of {name} ({previous_run.name}) are not kept",
        )
    theirs_of = entity_of(
        msgspec.convert(previous_run.settings["features"], tuple[Feature, ...]), spec
    )
    cutoffs = gate.cutoffs_of(model.gate)
    compared = measure.against(
        ours,
        theirs,
        version=name,
        run=previous_run.name,
        cutoffs=cutoffs,
        objective=previous_run.objective if previous_run.objective != model.objective else None,
    )
    return _with_ceiling(compared, theirs_of, ours, data, model=model, spec=spec)


def _with_ceiling(
    compared: Champion,
    entity: str | None,
    ours: pa.Table,
    data: pa.Table,
    *,
    model: Model,
    spec: ProjectSpec,
) -> Champion:
    """Return the comparison, with the best AUC that knowing an entity's true rates would give.

    `compared` is the comparison with the champion, `entity` what all features describe. It is
    returned unchanged if there is no entity, or if the outcome is a number.
    """
    objective = spec.objectives[model.objective]
    if entity is None or objective.is_number:
        return compared
    spread = measure.best_possible(
        ours,
        data,
        key=spec.entities[entity].key,
        unit=objective.unit,
        within=objective.ranked_within,
    )
    if spread is None:
        return compared
    return msgspec.structs.replace(
        compared,
        ceiling=spread.best_auc(),
        ceiling_high=spread.highest_auc(),
        ceiling_of=entity,
    )


def entity_of(features: tuple[Feature, ...], spec: ProjectSpec) -> str | None:
    """Return the one entity that all of a model's features describe, or None.

    None: they describe several, or one is an attribute of the exposure.
    """
    views = {feature.view for feature in features}
    entities = {
        spec.feature_views[view].entity if view in spec.feature_views else None
        for view in views
        if view is not None
    }
    return entities.pop() if len(entities) == 1 and None not in views else None


def _place(
    context: StepContext,
    model: Model,
    version: ModelVersion,
    judged: GateResult,
    champion: ModelVersion | None,
) -> tuple[str | None, str | None]:
    """Approve a model version and give it the configured alias, as far as the gate allows.

    `judged` is the gate's result, and `champion` the present champion.

    Returns:
        The alias that it got, and why it did not get the one asked for.
    """
    registry = context.target.registry
    first = champion is None or champion.version == version.version
    leaks = judged.verdict_of("leaks")
    nobody_to_beat = first and model.alias == promotion.CHAMPION and leaks != "inconclusive"
    approval = promotion.approval_for(judged.verdict, first=nobody_to_beat)
    stays = version.approval == "approved" and (
        approval == "pending"
        or promotion.was_chosen_by_person(context.project(), version.model, version.version)
    )  # a person's approval
    if approval != version.approval and not stays:
        registry.set_approval(
            version.model,
            version.version,
            approval,
            f"gate {judged.verdict or 'none'}, run {context.run}",
        )
    if model.alias is None:
        return None, None
    refusal = promotion.refusal(model.alias, judged.verdict, first=first, leaks=leaks)
    if (
        refusal is None
        and champion is not None
        and champion.version == version.version
        and model.alias != promotion.CHAMPION
    ):
        refusal = f"it is the {promotion.CHAMPION}"
    if refusal is not None:
        return None, f"not {model.alias}: {refusal}"
    registry.set_alias(version.model, model.alias, version.version)
    return model.alias, None
