"""The models that an endpoint's variants serve, as a gateway knows them, and the rows that they are asked with."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any, final

import msgspec

from ...errors import Invalid, NotFound
from ...feature_store.online import OnlineReader
from ...feature_store.row_cache import RowCache
from ...project.specs import Endpoint
from ...runtime import Project
from .inputs import Inputs, manifest_of, union, view_keys
from .request import RankRequest

REFRESH = timedelta(seconds=1)  # how old the list of variants may be; a new variant has no traffic and takes longer to start


class Deployed(msgspec.Struct, frozen=True):
    inputs: Inputs
    models: dict[str, str]  # by variant
    seen: float


@final
class Models:
    """Many threads may ask. What does not change from request to request is worked out once a second at most."""

    def __init__(self, project: Project, endpoint: Endpoint, *, refresh: timedelta) -> None:
        self._project = project
        self._endpoint = endpoint
        self._refresh = refresh.total_seconds()
        self._keys = view_keys(project)
        self._manifests: dict[tuple[str, int], Any] = {}
        self._deployed: Deployed | None = None
        self._local = threading.local()
        self._cache = RowCache(project.target.online, endpoint.online_cache) if endpoint.online_cache else None

    def now(self) -> Deployed:
        """NotFound: the endpoint is not deployed."""
        now = time.monotonic()
        deployed = self._deployed
        if deployed is not None and now - deployed.seen < self._refresh:
            return deployed
        state = self._project.target.endpoints.observe(self._endpoint.name)
        if state is None:
            raise NotFound(f"{self._endpoint.name} is not deployed", remedy=f"isthmus deploy {self._endpoint.name}")
        manifests = [self._manifest(v.model, v.version) for v in state.variants]
        deployed = self._deployed = Deployed(union(manifests, self._keys), {v.name: v.model for v in state.variants}, now)
        return deployed

    def again(self) -> Deployed:
        self.forget()
        return self.now()

    def forget(self) -> None:
        self._deployed = None

    def _manifest(self, model: str, version: int) -> Any:
        manifest = self._manifests.get((model, version))
        if manifest is None:
            manifest = self._manifests[model, version] = manifest_of(self._project, model, version)
        return manifest

    def instances(self, asked: RankRequest, inputs: Inputs) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """One row a candidate. The features of the other entities are read once and shared."""
        shared = dict(asked.attributes)
        for name in inputs.attributes:
            if name not in shared:
                raise Invalid(f"{self._endpoint.name}: the deployed models read {name}", remedy=f"send {name}, or give it in serve_as")
        shared.update(inputs.constants)
        candidates_key = self._project.spec.entities[asked.entity].key
        for view, (key, names) in inputs.views.items():
            if key != candidates_key and key not in asked.keys:
                raise Invalid(f"{self._endpoint.name}: {key} is missing", remedy=f"the deployed models read {view}.{names[0]}")
        wanted = {view: asked.candidates if key == candidates_key else [asked.keys[key]] for view, (key, _) in inputs.views.items()}
        features = self._reader(inputs).read(wanted)
        rows: list[dict[str, Any]] = [{} for _ in asked.candidates]
        stale: list[str] = []
        for view, (key, names) in inputs.views.items():
            served = features[view]
            if key == candidates_key:
                for row, stored in zip(rows, served.rows, strict=True):
                    for name in names:
                        row[name] = stored[name]
            else:
                for name in names:
                    shared[name] = served.rows[0][name]
            stale += [f"{view}.{name}" for name in names if f"{view}.{name}" in served.stale_features]
        return [shared | row for row in rows], tuple(stale)

    def _reader(self, inputs: Inputs) -> OnlineReader:
        """One for each thread: a reader serves one at a time."""
        views, reader = getattr(self._local, "reader", (None, None))
        if reader is None or views != inputs.views:
            features = {view: names for view, (_, names) in inputs.views.items()}
            reader = OnlineReader(self._project, features, cache=self._cache)
            self._local.reader = (inputs.views, reader)
        return reader
