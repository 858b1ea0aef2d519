"""The gateways of a project as one service: readiness, counts, and answers (calls.py).

It blocks, and knows nothing of HTTP.
"""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, final

import msgspec

from ....core.runtime.project import Project
from ....errors import Invalid, IsthmusError, NotFound
from ....feature_store.offline import watermarks
from ....project.reading.names import did_you_mean
from ... import hosting
from ..decide.live_reader import reader_of
from ..gateway import Gateway
from ..log.streams import STREAMS
from ..processes import counters
from ..processes.counters import Counters, sample, totals
from ..smoke import (
    REQUESTS as TRIES,
)  # where no request can be aimed: until every variant has answered, at most
from .answers import Health, Readiness
from .calls import Calls, has_field
from .openapi import document
from .sample import SampleFailed, Samples

CLOSING = timedelta(seconds=10)  # for what was answered and is not delivered yet
_AGES = 10.0  # seconds for which the ages of features are not asked again
_encode = msgspec.json.Encoder().encode


class _Endpoint:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.request: dict[str, Any] | None = None  # one that the endpoint answers
        self.warm = False
        self.readiness = Readiness(ready=False, problem="it is warming up")
        self.counted: Counter[str] = Counter()  # what other processes see of it, by sample


@final
class Service:
    """`calls` from many threads; `warm` and `health` from one each.

    `folder`: the counters of every process of this gateway.
    """

    def __init__(
        self,
        project: Project,
        names: tuple[str, ...],
        *,
        folder: Path,
        slot: int,
        sampler: Samples,
        durable: bool = False,
        owns_folder: bool = False,
        seed: str | None = None,
    ) -> None:
        """Open the gateways of a service.

        NotFound, Invalid: project.yaml does not have these endpoints.

        Busy: another process has this slot.

        `seed`: of what the gateways draw (see Gateway).
        """
        self.project = project
        self.folder = folder
        self._owns_folder = owns_folder
        chosen = served_endpoints(project, names)
        self.live = reader_of(project, [project.spec.endpoints[name] for name in chosen])
        self._served = {
            name: _Endpoint(Gateway(project, name, durable=durable, live=self.live, seed=seed))
            for name in chosen
        }
        self._sampler = sampler
        self._ages: tuple[float, dict[str, float]] = (-_AGES, {})
        self._counted = threading.Lock()
        self.counters = Counters(folder / f"{slot}.counters")
        self.calls = Calls(
            project, {name: served.gateway for name, served in self._served.items()}, self.counters
        )
        self._process = str(slot)
        self.live.start()
        self.publish()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the endpoints that are served."""
        return tuple(self._served)

    def warm(self) -> bool:
        """Read features and predict with every variant, as first calls are slow; return success.

        False: try again later.
        """
        for name, served in self._served.items():
            if not served.warm:
                try:
                    served.readiness = self._warm_up(name, served)
                except IsthmusError as error:
                    served.readiness = Readiness(ready=False, problem=str(error))
                served.warm = served.readiness.ready
        self.publish()
        return all(served.warm for served in self._served.values())

    def _warm_up(self, name: str, served: _Endpoint) -> Readiness:
        """Send an endpoint an example request, and return whether it is ready to serve.

        `served` is the endpoint with its gateway.
        """
        served.gateway.look()
        if served.request is None:
            try:
                served.request = self._sampler.sample(name)
            except SampleFailed as error:  # an endpoint may well serve where no example can be made
                return Readiness(ready=True, warm_up=(f"no request to try: {error}",))
        silent = self._variant_errors(name, served.gateway, served.request)
        if len(silent) == len(served.gateway.endpoint.variants):
            return Readiness(ready=False, problem=next(iter(silent.values())))
        return Readiness(
            ready=True, warm_up=tuple(f"{variant}: {why}" for variant, why in silent.items())
        )

    def _variant_errors(
        self, name: str, gateway: Gateway, request: dict[str, Any]
    ) -> dict[str, str]:
        """Send test requests to each variant; return the errors of those that answer none."""
        state = self.project.target.endpoints.observe(name)
        missing = (
            {variant.name: "it was not reached" for variant in state.variants} if state else {}
        )
        aimed = hosting.aims(self.project.target.capabilities, gateway.endpoint.routing)
        for variant in list(missing) if aimed else [None] * TRIES:
            try:
                missing.pop(gateway.score(request, variant=variant).variant, None)
            except IsthmusError as error:
                for silent in [variant] if variant else missing:
                    missing[silent] = str(error)
            if not missing:
                break
        return missing

    def health(self) -> Health:
        """Check endpoints, the reading of features and the storing of logs; return the health."""
        for served in self._served.values():
            served.gateway.retry_log()
            if served.warm:
                try:
                    served.gateway.look(served.request)
                except IsthmusError as error:
                    served.readiness = Readiness(ready=False, problem=str(error))
                else:
                    served.readiness = msgspec.structs.replace(
                        served.readiness, ready=True, problem=None
                    )
        self.publish()
        return self.as_it_was()

    def as_it_was(self) -> Health:
        """Return the health without new checks: by the last ones and the present metrics."""
        figures = totals(self.folder)
        return Health(
            ready=self._ready,
            workers=_sum(figures, counters.WORKERS),
            ready_workers=_sum(figures, counters.READY),
            waiting_exposures=_sum(figures, counters.WAITING),
            undelivered_exposures=_sum(figures, counters.UNDELIVERED),
            undelivered_rows=_sum(figures, counters.UNDELIVERED_ROWS),
            endpoints={name: _readiness(served) for name, served in self._served.items()},
            config=self.live.version,
            config_age=self.live.age,
            problems=(*self.live.problems, *self._problems()),
        )

    def _problems(self) -> list[str]:
        """Return the present problems of every endpoint as sentences with the endpoint's name."""
        return [
            f"{name}: {problem}"
            for name, served in self._served.items()
            for problem in served.gateway.problems
        ]

    def metrics(self) -> str:
        """Return the metrics of all processes in Prometheus's text format."""
        self.publish()
        now = time.monotonic()
        if now - self._ages[0] >= _AGES:
            self._ages = (now, self._feature_ages())
        return counters.exposition(totals(self.folder) | self._ages[1])

    def openapi(self, *, token: bool) -> bytes:
        """Return the OpenAPI document of the endpoints that are served, as JSON.

        With `token`, callers must send ISTHMUS_TOKEN.
        """
        return _encode(document(self.project.spec, self.names, token=token))

    def publish(self) -> None:
        """Write this process's metrics to the file that the other processes read."""
        with self._counted:
            for name, served in self._served.items():
                counted = _counts(name, served.gateway)
                for figure, count in counted.items():
                    self.counters.add(figure, count - served.counted[figure])
                served.counted = counted
                self.counters.set(sample(counters.WAITING, endpoint=name), served.gateway.waiting)
            for figure, value in (
                (counters.CONFIG, self.live.version),
                (counters.CONFIG_AGE, self.live.age),
            ):
                self.counters.set(
                    sample(figure, process=self._process), math.nan if value is None else value
                )  # NaN: not told
            self.counters.set(counters.WORKERS, 1)
            self.counters.set(counters.READY, self._ready)

    def close(self) -> int:
        """Write the waiting log rows; return how many rows this process has lost in all."""
        for served in self._served.values():
            served.gateway.close(within=CLOSING)
        self.live.close()
        self.publish()
        self.counters.close()
        self.project.target.close()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return sum(
            sum(served.gateway.undelivered_rows.values()) for served in self._served.values()
        )

    @property
    def _ready(self) -> bool:
        """Return whether every served endpoint is ready to answer."""
        return all(_readiness(served).ready for served in self._served.values())

    def _feature_ages(self) -> dict[str, float]:
        """Return the age metrics of feature views: by sample name, seconds since the last sync.

        A view whose age cannot be read is left out.
        """
        ages = {}
        for view in self.project.spec.feature_views:
            try:
                synced = watermarks.read(self.project, view).mark.synced
            except IsthmusError as error:
                print(f"the age of {view} cannot be read: {error}", file=sys.stderr, flush=True)
                continue
            if synced is not None:
                ages[sample(counters.FEATURE_AGE, view=view)] = (
                    self.project.now() - synced
                ).total_seconds()
        return ages


def _readiness(served: _Endpoint) -> Readiness:
    """Return whether an endpoint is ready, and why not; one that loses log rows is not ready.

    `served` is the endpoint with its gateway.
    """
    if losing := served.gateway.losing:
        return msgspec.structs.replace(
            served.readiness, ready=False, problem=f"what it logs is being lost: {losing}"
        )
    return served.readiness


def served_endpoints(project: Project, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the endpoints to serve: `names`, or all that rank if it is empty.

    Raises NotFound, or Invalid if a request could not say which endpoint it is for.
    """
    declared = project.spec.endpoints
    for name in names:
        if name not in declared:
            raise NotFound(
                f"project.yaml has no endpoint {name}",
                remedy=did_you_mean(name, declared, has="it has"),
            )
    chosen = tuple(dict.fromkeys(names)) or tuple(
        name for name, endpoint in declared.items() if endpoint.objective
    )
    if not chosen:
        raise NotFound("project.yaml has no endpoint", remedy="describe one under `endpoints:`")
    if len(chosen) > 1 and (
        clash := next((name for name in chosen if has_field(project, name, "endpoint")), None)
    ):
        raise Invalid(
            f"a request to {clash} has an attribute `endpoint`, which says here which of "
            f"{', '.join(chosen)} is asked",
            remedy=f"serve it by itself: isthmus gateway {clash}",
        )
    return chosen


def _sum(figures: dict[str, float], name: str) -> int:
    """Return the sum over all labels of one Prometheus metric."""
    return int(sum(value for key, value in figures.items() if key.partition("{")[0] == name))


def _counts(name: str, gateway: Gateway) -> Counter[str]:
    """Return a gateway's counters by Prometheus name; a counter without an event yet is 0."""
    lost, tally = gateway.undelivered_rows, gateway.tally
    counts = {
        sample(counters.UNDELIVERED_ROWS, endpoint=name, stream=stream): lost[stream]
        for stream in STREAMS
    }
    ruled = {
        sample(counters.RULED, endpoint=name, rule=rule): answers
        for rule, answers in dict(tally.ruled).items()
    }
    copies = {
        sample(counters.SHADOWS, endpoint=name, outcome=outcome): count
        for outcome, count in dict(tally.shadows).items()
    }
    own = {
        sample(counters.UNDELIVERED, endpoint=name): gateway.undelivered,
        sample(counters.GONE, endpoint=name): tally.gone,
        sample(counters.CAPLESS, endpoint=name): tally.capless,
        sample(counters.UNDRAFTED, endpoint=name): tally.undrafted,
        sample(counters.UNLOGGED, endpoint=name): tally.unlogged,
    }
    return Counter(counts | ruled | copies | own)
