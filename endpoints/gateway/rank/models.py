"""The models that an endpoint's variants serve, and the rows that they are asked with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, final

import msgspec

from ....core.runtime.project import Project
from ....errors import Invalid, NotFound
from ....feature_store.online.reads import OnlineReader, ServedFeatures
from ....feature_store.online.row_cache import RowCache
from ....pipelines.models.predictor import ModelManifest
from ....project.specs.description import Endpoint
from ..decide.rulebook import Rulebook
from ..request.inputs import RequestInputs, manifest_of, union, view_keys
from ..request.request import RankRequest

REFRESH = timedelta(
    seconds=1
)  # how old the list of variants may be; a new variant has no traffic and takes longer to start


class FeatureRows(msgspec.Struct, frozen=True):
    """The feature rows of a request's candidates, in the order of the candidates."""

    instances: list[dict[str, Any]]  # what the models are asked with
    stale: tuple[str, ...]  # `view.feature`, served as null
    ruled: list[
        dict[str, Any]
    ]  # the key, and `view.feature` of those that rules read; none without rules


class DeployedModels(msgspec.Struct, frozen=True):
    inputs: RequestInputs
    models: dict[str, str]  # by variant
    seen: float  # monotonic time of the observation


@final
class Models:
    """Many threads may ask.

    What does not change from request to request is worked out once a second at most.
    """

    def __init__(
        self, project: Project, endpoint: Endpoint, rulebook: Rulebook, *, refresh: timedelta
    ) -> None:
        self._project = project
        self._endpoint = endpoint
        self._refresh = refresh.total_seconds()
        self._keys = view_keys(project)
        self._manifests: dict[tuple[str, int], ModelManifest] = {}
        self._deployed: DeployedModels | None = None
        self._local = threading.local()
        self._ruled = rulebook.features
        self._cache = (
            RowCache(project.target.online, endpoint.online_cache)
            if endpoint.online_cache
            else None
        )

    def now(self) -> DeployedModels:
        """Return the deployed models and the features that they read; refreshed every few seconds.

        Raises NotFound if the endpoint is not deployed.
        """
        now = time.monotonic()
        deployed = self._deployed
        if deployed is not None and now - deployed.seen < self._refresh:
            return deployed
        state = self._project.target.endpoints.observe(self._endpoint.name)
        if state is None:
            raise NotFound(
                f"{self._endpoint.name} is not deployed",
                remedy=f"isthmus deploy {self._endpoint.name}",
            )
        manifests = [self._manifest(v.model, v.version) for v in state.variants]
        deployed = self._deployed = DeployedModels(
            union(manifests, self._keys), {v.name: v.model for v in state.variants}, now
        )
        return deployed

    def again(self) -> DeployedModels:
        """Read the deployed models anew, as the cached list may be out of date; return them."""
        self.forget()
        return self.now()

    def forget(self) -> None:
        """Drop the cached list of deployed models, so that the next request reads it anew."""
        self._deployed = None

    def _manifest(self, model: str, version: int) -> ModelManifest:
        """Return a model version's manifest, cached: it names the features that the model reads."""
        manifest = self._manifests.get((model, version))
        if manifest is None:
            manifest = self._manifests[model, version] = manifest_of(self._project, model, version)
        return manifest

    def rows(self, request: RankRequest, inputs: RequestInputs) -> FeatureRows:
        """Return one row of features and attributes for each candidate of a request.

        The features of the other entities are read once and shared; everything is read in one call.

        `inputs` is what the deployed models read.
        """
        key = self._project.spec.entities[request.entity].key
        _check_complete(request, inputs, key, self._endpoint.name)
        ruled = self._ruled.get(request.entity, {})
        served = self._reader(inputs).read(keys_by_view(request, inputs, ruled, key))
        return join(request, inputs, served, key=key, ruled=ruled if self._endpoint.rules else None)

    def _reader(self, inputs: RequestInputs) -> OnlineReader:
        """Return this thread's reader of the online feature store; a reader is not thread-safe."""
        views, reader = getattr(self._local, "reader", (None, None))
        if reader is None or views != inputs.views:
            reader = OnlineReader(
                self._project, names_by_view(inputs, self._ruled), cache=self._cache
            )
            self._local.reader = (inputs.views, reader)
        return reader


def names_by_view(
    inputs: RequestInputs, ruled: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, Sequence[str]]:
    """Return the names of the features that models and rules read, by feature view.

    `inputs` is what the models read, `ruled` what the rules read, by entity and view.
    """
    features: dict[str, Sequence[str]] = {view: names for view, (_, names) in inputs.views.items()}
    for view, names in (pair for views in ruled.values() for pair in views.items()):
        features[view] = tuple(dict.fromkeys((*features.get(view, ()), *names)))
    return features


def keys_by_view(
    request: RankRequest, inputs: RequestInputs, ruled: Iterable[str], key: str
) -> Mapping[str, Sequence[int | str]]:
    """Return the entity keys whose features a request needs, by feature view.

    `inputs` is what the models read. `ruled` are the views of the candidates that rules read; `key`
    is the name of the candidates' key.
    """
    keys: dict[str, Sequence[int | str]] = {
        view: request.candidates if own == key else [request.keys[own]]
        for view, (own, _) in inputs.views.items()
    }
    return keys | dict.fromkeys(ruled, request.candidates)


def join(
    request: RankRequest,
    inputs: RequestInputs,
    served: Mapping[str, ServedFeatures],
    *,
    key: str,
    ruled: Mapping[str, Sequence[str]] | None,
) -> FeatureRows:
    """Return a row for each candidate: the request's attributes joined with online features.

    `inputs` is what the models read, `served` the features that were read online, by view, and
    `key` the name of the candidates' key. `ruled` has the features of the candidates that rules
    read, by view; None if there are no rules.
    """
    shared = request.attributes | inputs.constants
    stale: list[str] = []
    for view, (own, names) in inputs.views.items():
        of_view = served[view]
        if own != key:
            shared.update({name: of_view.rows[0][name] for name in names})
        if of_view.stale_features:
            stale += [
                f"{view}.{name}" for name in names if f"{view}.{name}" in of_view.stale_features
            ]
    rows = [shared.copy() for _ in request.candidates]
    for view, (own, names) in inputs.views.items():
        if own == key:
            _fill(rows, served[view], {name: name for name in names})
    of_rules: list[dict[str, Any]] = (
        [] if ruled is None else [{key: candidate} for candidate in request.candidates]
    )
    for view, read in (ruled or {}).items():
        qualified = {f"{view}.{name}": name for name in read}
        _fill(of_rules, served[view], qualified)
        stale += [name for name in qualified if name in served[view].stale_features]
    return FeatureRows(rows, tuple(dict.fromkeys(stale)), of_rules)


def _check_complete(
    request: RankRequest, inputs: RequestInputs, candidates_key: str, endpoint: str
) -> None:
    """Raise Invalid if a request lacks a key or an attribute that a model reads.

    `inputs` is what the deployed models read.
    """
    for name in inputs.attributes:
        if name not in request.attributes:
            raise Invalid(
                f"{endpoint}: the deployed models read {name}",
                remedy=f"send {name}, or give it in serve_as",
            )
    for view, (key, names) in inputs.views.items():
        if key != candidates_key and key not in request.keys:
            raise Invalid(
                f"{endpoint}: {key} is missing",
                remedy=f"the deployed models read {view}.{names[0]}",
            )


def _fill(rows: Sequence[dict[str, Any]], served: ServedFeatures, names: Mapping[str, str]) -> None:
    """Copy served features into the rows, in place.

    `names` has, for each column of the rows, the name of its feature.
    """
    for name, feature in names.items():
        for row, stored in zip(rows, served.rows, strict=True):
            row[name] = stored[feature]
