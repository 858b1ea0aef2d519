"""`isthmus demo`: the Open Bandit example, from raw files to served answers and figures."""

from __future__ import annotations

import random
import time
from datetime import datetime

from ...core.runtime.project import Project
from ...errors import Invalid
from ...experiments.replay.estimates import Replay
from ...pipelines.run_pages.leak_comparison import Leak
from . import shop as demo_shop
from .result import CANDIDATES, SLOTS, Demo, RollbackResult, ServedTraffic
from .shop import ShopDemo
from .stages import (
    OnStage,
    Stages,
    auc_text,
    check_installed,
    prepared,
    require,
    silent,
    started_for,
)

EXAMPLE = "openbandit"
ENDPOINT = "ranker"
SCENARIO = "scenarios/errors.yaml"
EXPERIMENT = "policy_test"
_STAGES = 14
_REQUESTS = 2000


def demo(
    project: Project,
    *,
    example: str | None = None,
    requests: int | None = None,
    keep: bool = False,
    on_stage: OnStage = silent,
) -> Demo | ShopDemo:
    """Run an example on the project's target, from raw files to results, and return these.

    It may be run again: what is there already is used. The endpoint that it started is stopped at
    the end, also when it fails or is interrupted, unless `keep`.

    Args:
        project: The project.
        example: The example's name; None: the project's.
        requests: How many requests the example openbandit serves; None: 2000.
        keep: Whether the endpoint stays up.
        on_stage: Called with the number, name and result of each stage.

    Raises:
        Invalid: The project is not the example.
        MissingDependency: A package is not installed; nothing was done.
    """
    check_installed()
    if (example or project.spec.name) != demo_shop.EXAMPLE:
        return _openbandit(
            project,
            requests=_REQUESTS if requests is None else requests,
            keep=keep,
            on_stage=on_stage,
        )
    if requests is not None:
        raise Invalid(
            "how often the shop's visitors come is the shop's", remedy="leave --requests out"
        )
    return demo_shop.demo_shop(project, keep=keep, on_stage=on_stage)


def _openbandit(project: Project, *, requests: int, keep: bool, on_stage: OnStage) -> Demo:
    """Run the demo on the Open Bandit data stage by stage, and return its results."""
    from ...endpoints.deploy.deploy import deploy
    from ...experiments.results.comparison import results
    from ...experiments.results.log_document import log_document
    from ...pipelines.run_pages.calibration_picture import demo_picture
    from ...pipelines.run_pages.compare import compare
    from ...pipelines.run_pages.comparison_page import comparison_page
    from ...pipelines.run_pages.leak_comparison import leak_page
    from ...pipelines.training.training import train

    require(project, EXAMPLE, SCENARIO)
    started = time.monotonic()
    stage = Stages(_STAGES, on_stage, project.progress)
    with project.lock("demo"):
        begun = prepared(project, stage)
        champion = begun.champion
        challenger = stage(
            "train logistic", lambda: train(project, "models/logistic.yaml"), auc_text
        )
        leak = stage("leak", lambda: leak_page(project, challenger.name), _leak_text)
        replayed, fixed, random_ctr = stage(
            "replay", lambda: _off_policy_estimates(project), lambda values: str(values[0])
        )
        experiment = stage(
            "A/B test", lambda: results(project, EXPERIMENT), lambda answer: answer.headline
        )
        compared = compare(project, champion.name, challenger.name)
        picture = stage(
            "pictures",
            lambda: demo_picture(project, (champion.name, challenger.name)),
            lambda _: "2 pages and a picture",
        )
        page = comparison_page(project, compared)
        with started_for(project, ENDPOINT, keep=keep) as was_there:
            deployment = stage(
                "deploy",
                lambda: deploy(project, ENDPOINT),
                lambda ready: f"ready in {ready.seconds:.1f} s",
            )
            served = stage(
                "serve",
                lambda: _serve(project, requests),
                lambda counts: f"p99 {counts.p99_ms:.1f} ms, errors {counts.errors:,}",
            )
        rolled = stage(
            "rehearse a rollout", lambda: _rehearse_rollout(project), lambda result: result.headline
        )
    first, last = _span(project)
    return Demo(
        target=project.target.name,
        seconds=time.monotonic() - started,
        ingested=begun.events,
        rollout=rolled,
        first=first,
        last=last,
        checked=tuple(view.as_known for view in begun.views if view.as_known),
        skew=begun.skew,
        champion=champion,
        challenger=challenger,
        comparison=compared[0],
        leak=leak,
        replay=replayed,
        fixed=fixed,
        random_ctr=random_ctr,
        experiment=log_document(experiment),
        served=served,
        picture=picture,
        page=page,
        url=deployment.url if keep or was_there else None,
    )


def _leak_text(leak: Leak) -> str:
    """Return text that compares the AUC of a feature as known then with that of a leaking one."""
    return (
        f"auc {leak.honest.value:.3f} as it was known, {leak.leaked.value:.3f} had it seen the week"
    )


def _off_policy_estimates(project: Project) -> tuple[Replay, Replay, float]:
    """Estimate the value of two policies offline, from a log of randomly chosen items.

    Return the estimate for Thompson sampling (bts), that for always showing the three most popular
    items, and the log's own rate.
    """
    from ...experiments.replay.policy import fixed_ranking, replay, thompson_probabilities

    log = project.target.warehouse.query(
        "SELECT item_id, position, propensity, outcome FROM ctr WHERE policy = $policy ORDER "
        "BY event_timestamp, event_id",
        {"policy": "random"},
    )
    prior = project.target.warehouse.query(
        "SELECT alpha, beta FROM item_prior ORDER BY item_id", {}
    )
    alpha, beta = (prior[name].to_numpy() for name in ("alpha", "beta"))
    columns = (
        log["position"].to_numpy(),
        log["item_id"].to_numpy(),
        log["propensity"].to_numpy(),
        log["outcome"].to_numpy(),
    )
    return (
        replay(*columns, thompson_probabilities(alpha, beta, SLOTS)),
        replay(*columns, fixed_ranking(alpha / (alpha + beta), SLOTS)),
        float(columns[-1].mean()),
    )


def _serve(project: Project, requests: int) -> ServedTraffic:
    """Send requests to the demo's endpoint, with contexts from the log; return what was served."""
    from ...endpoints.gateway.gateway import Gateway

    contexts = project.target.warehouse.query(
        "SELECT segment_id FROM events_impression ORDER BY event_timestamp, event_id LIMIT 2000", {}
    ).column("segment_id")
    items = (
        project.target.warehouse.query("SELECT item_id FROM items ORDER BY item_id", {})
        .column("item_id")
        .to_pylist()
    )
    previous_exposures = _exposures(project)
    chance = random.Random(0)  # noqa: S311  which candidates are asked for is no secret
    with Gateway(project, ENDPOINT) as gateway:
        for number in range(requests):
            gateway.rank(
                {
                    "visitor_id": f"v{number % 500}",
                    "segment_id": contexts[number % len(contexts)].as_py(),
                    "item_id": chance.sample(items, CANDIDATES),
                    "slots": SLOTS,
                }
            )
            project.progress("serve", number + 1, requests)
    tally = gateway.tally
    state = project.target.endpoints.observe(ENDPOINT)
    return ServedTraffic(
        split={}
        if state is None
        else {variant.name: variant.percent for variant in state.variants},
        requests={
            v.name: tally.requests.get(v.name, 0) for v in project.spec.endpoints[ENDPOINT].variants
        },
        errors=tally.errors,
        p50_ms=tally.percentile(0.5) or 0.0,
        p99_ms=tally.percentile(0.99) or 0.0,
        exposures=_exposures(project) - previous_exposures,
    )


def _rehearse_rollout(project: Project) -> RollbackResult:
    """Rehearse the example's rollout with a failing challenger, and return how it went.

    It is rehearsed once more without guardrails, to count the requests that fail then.
    """
    from ...pipelines.run_pages.report_store import keep
    from ...rollouts.page import report
    from ...rollouts.rehearsal.rehearse import rehearse, without_guardrails

    scenario = project.folder / SCENARIO
    guarded, blind = rehearse(project, scenario), without_guardrails(project, scenario)
    decision = guarded.decided
    return RollbackResult(
        end=guarded.end,
        cause=guarded.state.cause,
        minutes=round((decision.at - guarded.events[0].at).total_seconds() / 60)
        if decision and guarded.events
        else None,
        failed=guarded.failed,
        failed_unguarded=blind.failed_before(blind.decided.at) if blind.decided else blind.failed,
        unexpected=guarded.unexpected,
        page=keep(
            project,
            "rollout-errors.html",
            report.html(guarded.state, guarded.entries, guarded.kept).encode(),
        ),
    )


def _exposures(project: Project) -> int:
    """Return the number of distinct exposures that the gateway has logged."""
    from ...endpoints.gateway.log.streams import EXPOSURES

    rows = project.target.warehouse.query(
        f"SELECT count(DISTINCT event_id) AS n FROM {EXPOSURES.name}", {}
    )  # a stream may repeat
    return int(rows["n"][0].as_py())


def _span(project: Project) -> tuple[datetime, datetime]:
    """Return the times of the first and of the last impression in the log."""
    rows = project.target.warehouse.query(
        "SELECT min(event_timestamp) AS first_time, max(event_timestamp) AS last_time FROM "
        "events_impression",
        {},
    )
    return rows["first_time"][0].as_py(), rows["last_time"][0].as_py()
