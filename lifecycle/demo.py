"""`isthmus demo`: the Open Bandit example all the way, from raw files to served answers, with its figures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from ..errors import Invalid
from ..events.ingest import IngestReport
from ..experiments.replay import Replay
from ..feature_store.skew import SkewReport
from ..pipelines.leak import Leak
from ..pipelines.records import Run
from ..pipelines.statistics import Estimate
from ..runtime import Project

EXAMPLE = "openbandit"
ENDPOINT = "ranker"
PUBLISHED = 0.004553  # inverse-propensity value of bts from the random log: obp's quickstart (data/README.md)
CANDIDATES, SLOTS = 20, 3

OnStage = Callable[[int, int, str], None]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway saw. Latency: of the call of the endpoint, one request after the other."""

    requests: dict[str, int]  # by variant
    errors: int
    p50_ms: float
    p99_ms: float
    exposures: int  # rows in the exposure log that came from these requests


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    seconds: float
    ingested: tuple[IngestReport, ...]
    first: datetime
    last: datetime
    skew: SkewReport
    champion: Run
    challenger: Run
    leak: Leak
    replay: Replay
    fixed: Replay
    random_ctr: float  # of the random policy, as it was shown
    served: Served
    picture: Path
    page: Path  # the two runs side by side
    url: str | None  # of the endpoint, when it was kept

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _silent(_number: int, _of: int, _stage: str) -> None:
    """Nobody listens."""


def demo(project: Project, *, requests: int = 2000, keep: bool = False, on_stage: OnStage = _silent) -> Demo:
    """Run every stage on the project's target. May be run again: what is there already is found and kept.

    It stops the endpoint that it started, also when it fails or is interrupted, unless `keep`. Invalid: the project is not the example.
    """
    from ..endpoints.deploy import deploy
    from ..events.ingest import ingest
    from ..feature_store.materialize import materialize
    from ..feature_store.skew import skew
    from ..pipelines.compare import compare
    from ..pipelines.leak import leak_page
    from ..pipelines.picture import demo_picture
    from ..pipelines.report import comparison_page
    from ..pipelines.training import train
    from .apply import apply
    from .plan import plan

    if project.spec.name != EXAMPLE:
        raise Invalid(
            f"the demo runs the example {EXAMPLE}; this project is {project.spec.name}",
            remedy="run it in another folder, or: isthmus init shop --example openbandit",
        )
    started = time.monotonic()
    stages = _Stages(on_stage)
    with project.lock("demo"):
        stages.enter("validate and plan")
        planned = plan(project)
        stages.enter("apply")
        apply(project, planned)
        stages.enter("ingest")
        ingested = ingest(project)
        stages.enter("materialize")
        materialize(project)
        stages.enter("skew check")
        differing = skew(project)
        stages.enter("train popularity")
        champion = train(project, "models/popularity.yaml")
        stages.enter("train logistic")
        challenger = train(project, "models/logistic.yaml")
        stages.enter("leak, replay, pictures")
        leak = leak_page(project, challenger.name)
        replayed, fixed, random_ctr = _replays(project)
        picture = demo_picture(project, (champion.name, challenger.name))
        page = comparison_page(project, compare(project, champion.name, challenger.name))
        was_there = project.target.endpoints.observe(ENDPOINT) is not None
        try:
            stages.enter("deploy")
            deployment = deploy(project, ENDPOINT)
            stages.enter("serve")
            served = _serve(project, requests)
        finally:
            if not (keep or was_there):
                _stop(project)
    first, last = _span(project)
    return Demo(
        target=project.target.name,
        seconds=time.monotonic() - started,
        ingested=ingested,
        first=first,
        last=last,
        skew=differing,
        champion=champion,
        challenger=challenger,
        leak=leak,
        replay=replayed,
        fixed=fixed,
        random_ctr=random_ctr,
        served=served,
        picture=picture,
        page=page,
        url=deployment.url if keep or was_there else None,
    )


class _Stages:
    total = 10

    def __init__(self, on_stage: OnStage) -> None:
        self._on_stage, self._number = on_stage, 0

    def enter(self, name: str) -> None:
        self._number += 1
        self._on_stage(self._number, self.total, name)


def _replays(project: Project) -> tuple[Replay, Replay, float]:
    """From the random log: bts's value, that of always showing the three most popular items, and the log's own rate."""
    from ..experiments.replay import fixed_ranking, replay, thompson_probabilities

    log = project.target.warehouse.query(
        "SELECT item_id, position, propensity, outcome FROM ctr WHERE policy = $policy ORDER BY event_timestamp, event_id",
        {"policy": "random"},
    )
    prior = project.target.warehouse.query("SELECT alpha, beta FROM item_prior ORDER BY item_id", {})
    alpha, beta = (prior[name].to_numpy() for name in ("alpha", "beta"))
    columns = (log["position"].to_numpy(), log["item_id"].to_numpy(), log["propensity"].to_numpy(), log["outcome"].to_numpy())
    return (
        replay(*columns, thompson_probabilities(alpha, beta, SLOTS)),
        replay(*columns, fixed_ranking(alpha / (alpha + beta), SLOTS)),
        float(columns[-1].mean()),
    )


def _serve(project: Project, requests: int) -> Served:
    """Real contexts from the log, random candidates, one request after the other."""
    from ..endpoints.gateway import Gateway

    contexts = project.target.warehouse.query(
        "SELECT segment_id FROM events_impression ORDER BY event_timestamp, event_id LIMIT 2000", {}
    ).column("segment_id")
    items = project.target.warehouse.query("SELECT item_id FROM items ORDER BY item_id", {}).column("item_id").to_pylist()
    before = _exposures(project)
    gateway = Gateway(project, ENDPOINT)
    chance = random.Random(0)  # noqa: S311  which candidates are asked for is no secret
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
    return Served(
        requests={v.name: tally.requests.get(v.name, 0) for v in project.spec.endpoints[ENDPOINT].variants},
        errors=tally.errors,
        p50_ms=tally.percentile(0.5) or 0.0,
        p99_ms=tally.percentile(0.99) or 0.0,
        exposures=_exposures(project) - before,
    )


def _exposures(project: Project) -> int:
    from ..endpoints.exposures import EXPOSURES

    found = project.target.warehouse.query(f"SELECT count(*) AS n FROM {EXPOSURES.name}", {})
    return int(found["n"][0].as_py())


def _span(project: Project) -> tuple[datetime, datetime]:
    found = project.target.warehouse.query(
        "SELECT min(event_timestamp) AS first_time, max(event_timestamp) AS last_time FROM events_impression", {}
    )
    return found["first_time"][0].as_py(), found["last_time"][0].as_py()


def _stop(project: Project) -> None:
    for resource in project.target.inventory.list(project.spec.name):
        if resource.kind == "endpoint" and resource.name == ENDPOINT:
            project.target.inventory.delete(resource)


def _lines(found: Demo) -> Iterator[str]:
    counts = {r.event: r.stored + r.already_there for r in found.ingested}
    yield (
        f"  data       {counts['impression']:,} impressions, {counts['click']:,} clicks of a real fashion site, "
        f"{found.first:%-d}-{found.last:%-d %b %Y}"
    )
    yield f"  champion   {_model(found.champion)}      challenger  {_model(found.challenger)}"
    leak = found.leak
    yield f"  leak       {leak.feature}: auc {_short(leak.honest)} as it was known; {_short(leak.leaked)} had it seen the whole week"
    value = "no estimate" if found.replay.value is None else f"{found.replay.value:.6f}   {found.replay.low:.4f} .. {found.replay.high:.4f}"
    yield f"  replay     published {PUBLISHED:.6f}, here {value}"
    yield f"             a fixed top-{SLOTS} of popularity: {found.fixed}"
    split = "   ".join(f"{name} {n:,}" for name, n in found.served.requests.items())
    total = sum(found.served.requests.values())
    yield f"  served     {total:,} requests   {split}   errors {found.served.errors:,}   p99 {found.served.p99_ms:.1f} ms"
    yield f"  picture    {_here(found.picture)}"
    yield f"  pages      {_here(found.page)}   {_here(leak.page)}"
    if found.url:
        yield f"  endpoint   {found.url} is still up: isthmus endpoints list, isthmus destroy"
    unproven = list(_unproven(found))
    if unproven:
        yield f"What {counts['click']:,} clicks do not prove: {_joined(unproven)}."
        yield 'What you saw is that the machinery is right: features known at the time, gates that say "inconclusive",'
        yield "traffic that is where it should be."


def _short(auc: Estimate) -> str:
    return f"{auc.value:.3f} ({auc.low:.3f} .. {auc.high:.3f})"


def _here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _model(run: Run) -> str:
    auc = run.evaluation.auc if run.evaluation else None
    return f"{run.configuration}   " + ("no auc" if auc is None else f"auc {auc.value:.3f}   {auc.low:.3f} .. {auc.high:.3f}")


def _unproven(found: Demo) -> Iterator[str]:
    """Claims that the intervals leave open: each is checked, none is assumed."""
    covered = [auc.low <= 0.5 <= auc.high for run in (found.champion, found.challenger) if run.evaluation and (auc := run.evaluation.auc)]
    if all(covered):
        yield "that either model beats chance"
    difference = found.challenger.champion.difference
    if difference is not None and difference.low <= 0 <= difference.high:
        yield "that one beats the other"
    if found.replay.low is not None and found.replay.high is not None and found.replay.low <= found.random_ctr <= found.replay.high:
        yield "that bts beats random"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, or {parts[-1]}"
