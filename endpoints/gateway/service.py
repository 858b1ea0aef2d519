"""The gateways of a project as one service: which one a request is for, what is ready, what there is to count. Blocking; no HTTP here."""

from __future__ import annotations

import shutil
import sys
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any, final

import msgspec

from ...errors import Invalid, IsthmusError, NotFound
from ...feature_store import watermarks
from ...project.names import did_you_mean
from ...runtime import Project
from ..smoke import REQUESTS as TRIES  # where no request can be aimed: until every variant has answered, at most
from . import counters
from .answers import Answer, Health, Readiness, failed, status_of
from .counters import Counters, sample, totals
from .gateway import Gateway
from .openapi import document
from .request import shape_of
from .sample import SampleFailed, Sampler

CLOSING = timedelta(seconds=10)  # for what was answered and is not delivered yet
_AGES = 10.0  # seconds for which the ages of features are not asked again
_decode = msgspec.json.Decoder(dict[str, object]).decode
_encode = msgspec.json.Encoder().encode


class _Endpoint:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.request: dict[str, Any] | None = None  # one that the endpoint answers
        self.warm = False
        self.readiness = Readiness(ready=False, problem="it is warming up")
        self.lost = 0  # exposures that the counters know of


@final
class Service:
    """`rank` from many threads; `warm` and `health` from one each. `folder`: the counters of every process of this gateway."""

    def __init__(
        self,
        project: Project,
        names: tuple[str, ...],
        *,
        folder: Path,
        slot: int,
        sampler: Sampler,
        durable: bool = False,
        owns_folder: bool = False,
    ) -> None:
        """NotFound, Invalid: project.yaml does not have these endpoints. Busy: another process has this slot."""
        self.project = project
        self.folder = folder
        self._owns_folder = owns_folder
        self._served = {name: _Endpoint(Gateway(project, name, durable=durable)) for name in served(project, names)}
        self._sampler = sampler
        self._ages: tuple[float, dict[str, float]] = (-_AGES, {})
        self._counted = threading.Lock()
        self.counters = Counters(folder / f"{slot}.counters")
        self.publish()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._served)

    def rank(self, body: bytes) -> Answer:
        """Never raises: what goes wrong is the answer."""
        try:
            request = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return failed(400, f"the body is not a JSON object: {error}")
        name = next(iter(self._served))
        if "endpoint" in request and (len(self._served) > 1 or not self._is_attribute(name)):
            asked = request.pop("endpoint")
            if not isinstance(asked, str) or asked not in self._served:
                return failed(404, f"there is no endpoint {str(asked)[:100]!r} here", f"there is {', '.join(self._served)}")
            name = asked
        elif len(self._served) > 1:
            return failed(400, "the body has no endpoint", f"say which: {', '.join(self._served)}")
        try:
            ranking = self._served[name].gateway.rank(request)
        except IsthmusError as error:
            return failed(status_of(error), str(error), error.remedy, endpoint=name)
        except Exception as error:  # noqa: BLE001  one request must not end the server, and whoever asked must hear
            traceback.print_exc()
            return failed(500, f"a mistake in Isthmus: {type(error).__name__}; its traceback is in the gateway's log", endpoint=name)
        return Answer(status=200, body=_encode(ranking), endpoint=name, variant=ranking.variant)

    def warm(self) -> bool:
        """Read features and predict with every variant once, as first requests take seconds. False: try again later."""
        for name, served in self._served.items():
            if not served.warm:
                try:
                    served.readiness = self._warmed(name, served)
                except IsthmusError as error:
                    served.readiness = Readiness(ready=False, problem=str(error))
                served.warm = served.readiness.ready
        self.publish()
        return all(served.warm for served in self._served.values())

    def _warmed(self, name: str, served: _Endpoint) -> Readiness:
        served.gateway.look()
        if served.request is None:
            try:
                served.request = self._sampler.sample(name)
            except SampleFailed as error:  # an endpoint may well serve where no example can be made
                return Readiness(ready=True, warm_up=(f"no request to try: {error}",))
        silent = self._silent(name, served.gateway, served.request)
        if len(silent) == len(served.gateway.endpoint.variants):
            return Readiness(ready=False, problem=next(iter(silent.values())))
        return Readiness(ready=True, warm_up=tuple(f"{variant}: {why}" for variant, why in silent.items()))

    def _silent(self, name: str, gateway: Gateway, request: dict[str, Any]) -> dict[str, str]:
        """The variants that did not answer, and why."""
        state = self.project.target.endpoints.observe(name)
        missing = {variant.name: "it was not reached" for variant in state.variants} if state else {}
        aimed = self.project.target.capabilities["invoke.variant"].level != "refused"
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
        """Asks anew whether the endpoints are there and their features can be read."""
        for served in self._served.values():
            if served.warm:
                try:
                    served.gateway.look(served.request)
                except IsthmusError as error:
                    served.readiness = Readiness(ready=False, problem=str(error))
                else:
                    served.readiness = msgspec.structs.replace(served.readiness, ready=True, problem=None)
        self.publish()
        return self.as_it_was()

    def as_it_was(self) -> Health:
        """What is known without asking."""
        figures = totals(self.folder)
        return Health(
            ready=self._ready,
            workers=_sum(figures, counters.WORKERS),
            ready_workers=_sum(figures, counters.READY),
            waiting_exposures=_sum(figures, counters.WAITING),
            undelivered_exposures=_sum(figures, counters.UNDELIVERED),
            endpoints={name: served.readiness for name, served in self._served.items()},
        )

    def metrics(self) -> str:
        """Prometheus' text: sums over the gateway's processes."""
        self.publish()
        now = time.monotonic()
        if now - self._ages[0] >= _AGES:
            self._ages = (now, self._feature_ages())
        return counters.exposition(totals(self.folder) | self._ages[1])

    def openapi(self, *, token: bool) -> bytes:
        return _encode(document(self.project.spec, self.names, token=token))

    def publish(self) -> None:
        """What other processes of this gateway should see of this one."""
        with self._counted:
            for name, served in self._served.items():
                lost = served.gateway.undelivered
                self.counters.add(sample(counters.UNDELIVERED, endpoint=name), lost - served.lost)
                served.lost = lost
                self.counters.set(sample(counters.WAITING, endpoint=name), served.gateway.waiting)
            self.counters.set(counters.WORKERS, 1)
            self.counters.set(counters.READY, self._ready)

    def close(self) -> int:
        """Deliver what was answered; return how many exposures this process has lost."""
        for served in self._served.values():
            served.gateway.close(within=CLOSING)
        self.publish()
        self.counters.close()
        self.project.target.close()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return sum(served.lost for served in self._served.values())

    @property
    def _ready(self) -> bool:
        return all(served.readiness.ready for served in self._served.values())

    def _is_attribute(self, name: str) -> bool:
        return has_field(self.project, name, "endpoint")

    def _feature_ages(self) -> dict[str, float]:
        ages = {}
        for view in self.project.spec.feature_views:
            try:
                synced = watermarks.read(self.project, view).mark.synced
            except IsthmusError as error:
                print(f"the age of {view} cannot be read: {error}", file=sys.stderr, flush=True)
                continue
            if synced is not None:
                ages[sample(counters.FEATURE_AGE, view=view)] = (self.project.now() - synced).total_seconds()
        return ages


def served(project: Project, names: tuple[str, ...]) -> tuple[str, ...]:
    """The endpoints of project.yaml, or those of them that are named. NotFound; Invalid: a request could not say which it is for."""
    declared = project.spec.endpoints
    for name in names:
        if name not in declared:
            raise NotFound(f"project.yaml has no endpoint {name}", remedy=did_you_mean(name, declared, has="it has"))
    chosen = tuple(dict.fromkeys(names)) or tuple(declared)
    if not chosen:
        raise NotFound("project.yaml has no endpoint", remedy="describe one under `endpoints:`")
    if len(chosen) > 1 and (clash := next((name for name in chosen if has_field(project, name, "endpoint")), None)):
        raise Invalid(
            f"a request to {clash} has an attribute `endpoint`, which says here which of {', '.join(chosen)} is asked",
            remedy=f"serve it by itself: isthmus gateway {clash}",
        )
    return chosen


def has_field(project: Project, name: str, field: str) -> bool:
    shape = shape_of(project.spec, project.spec.endpoints[name])
    return field in {shape.unit, *shape.entities, *shape.attributes}


def _sum(figures: dict[str, float], name: str) -> int:
    return int(sum(value for key, value in figures.items() if key.partition("{")[0] == name))
