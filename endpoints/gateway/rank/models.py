"""The models that an endpoint's variants serve, as a gateway knows them, and the rows that they are
asked with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, final

import msgspec

from ....core.runtime.project import Project
from ....errors import Invalid, NotFound
from ....feature_store.online.reads import OnlineReader, Served
from ....feature_store.online.row_cache import RowCache
from ....pipelines.models.predictor import Manifest
from ....project.specs.description import Endpoint
from ..decide.rulebook import Rulebook
from ..request.inputs import Inputs, manifest_of, union, view_keys
from ..request.request import RankRequest

REFRESH = timedelta(
    seconds=1
)  # how old the list of variants may be; a new variant has no traffic and takes longer to start


class Rows(msgspec.Struct, frozen=True):
    """Of the candidates, in their order."""

    instances: list[dict[str, Any]]  # what the models are asked with
    stale: tuple[str, ...]  # `view.feature`, served as null
    ruled: list[
        dict[str, Any]
    ]  # the key, and `view.feature` of those that rules read; none without rules


class Deployed(msgspec.Struct, frozen=True):
    inputs: Inputs
    models: dict[str, str]  # by variant
    seen: float


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
        self._manifests: dict[tuple[str, int], Manifest] = {}
        self._deployed: Deployed | None = None
        self._local = threading.local()
        self._ruled = rulebook.features
        self._cache = (
            RowCache(project.target.online, endpoint.online_cache)
            if endpoint.online_cache
            else None
        )

    def now(self) -> Deployed:
        """What its models take and which model each variant has; looked at again every few seconds.

        NotFound: it is not deployed.
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
        deployed = self._deployed = Deployed(
            union(manifests, self._keys), {v.name: v.model for v in state.variants}, now
        )
        return deployed

    def again(self) -> Deployed:
        self.forget()
        return self.now()

    def forget(self) -> None:
        self._deployed = None

    def _manifest(self, model: str, version: int) -> Manifest:
        manifest = self._manifests.get((model, version))
        if manifest is None:
            manifest = self._manifests[model, version] = manifest_of(self._project, model, version)
        return manifest

    def rows(self, asked: RankRequest, inputs: Inputs) -> Rows:
        """One row a candidate.

        The features of the other entities are read once and shared; all that is read is read in one
        call.
        """
        key = self._project.spec.entities[asked.entity].key
        _check_complete(asked, inputs, key, self._endpoint.name)
        ruled = self._ruled.get(asked.entity, {})
        served = self._reader(inputs).read(keys_by_view(asked, inputs, ruled, key))
        return join(asked, inputs, served, key=key, ruled=ruled if self._endpoint.rules else None)

    def _reader(self, inputs: Inputs) -> OnlineReader:
        """One for each thread: a reader serves one at a time."""
        views, reader = getattr(self._local, "reader", (None, None))
        if reader is None or views != inputs.views:
            reader = OnlineReader(
                self._project, names_by_view(inputs, self._ruled), cache=self._cache
            )
            self._local.reader = (inputs.views, reader)
        return reader


def names_by_view(
    inputs: Inputs, ruled: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, Sequence[str]]:
    """The features that the models and the rules read.

    `ruled`: by entity and view, as a Rulebook has them.
    """
    features: dict[str, Sequence[str]] = {view: names for view, (_, names) in inputs.views.items()}
    for view, names in (pair for views in ruled.values() for pair in views.items()):
        features[view] = tuple(dict.fromkeys((*features.get(view, ()), *names)))
    return features


def keys_by_view(
    asked: RankRequest, inputs: Inputs, ruled: Iterable[str], key: str
) -> Mapping[str, Sequence[int | str]]:
    """Whose rows are read. `key`: the candidates'; `ruled`: the views that rules read of them."""
    wanted: dict[str, Sequence[int | str]] = {
        view: asked.candidates if own == key else [asked.keys[own]]
        for view, (own, _) in inputs.views.items()
    }
    return wanted | dict.fromkeys(ruled, asked.candidates)


def join(
    asked: RankRequest,
    inputs: Inputs,
    served: Mapping[str, Served],
    *,
    key: str,
    ruled: Mapping[str, Sequence[str]] | None,
) -> Rows:
    """`ruled`: by view, what rules read of the candidates; None: there are no rules."""
    shared = asked.attributes | inputs.constants
    stale: list[str] = []
    for view, (own, names) in inputs.views.items():
        of_view = served[view]
        if own != key:
            shared.update({name: of_view.rows[0][name] for name in names})
        if of_view.stale_features:
            stale += [
                f"{view}.{name}" for name in names if f"{view}.{name}" in of_view.stale_features
            ]
    rows = [shared.copy() for _ in asked.candidates]
    for view, (own, names) in inputs.views.items():
        if own == key:
            _fill(rows, served[view], {name: name for name in names})
    of_rules: list[dict[str, Any]] = (
        [] if ruled is None else [{key: candidate} for candidate in asked.candidates]
    )
    for view, read in (ruled or {}).items():
        qualified = {f"{view}.{name}": name for name in read}
        _fill(of_rules, served[view], qualified)
        stale += [name for name in qualified if name in served[view].stale_features]
    return Rows(rows, tuple(dict.fromkeys(stale)), of_rules)


def _check_complete(asked: RankRequest, inputs: Inputs, candidates_key: str, endpoint: str) -> None:
    """Invalid: a model reads what the request has not."""
    for name in inputs.attributes:
        if name not in asked.attributes:
            raise Invalid(
                f"{endpoint}: the deployed models read {name}",
                remedy=f"send {name}, or give it in serve_as",
            )
    for view, (key, names) in inputs.views.items():
        if key != candidates_key and key not in asked.keys:
            raise Invalid(
                f"{endpoint}: {key} is missing",
                remedy=f"the deployed models read {view}.{names[0]}",
            )


def _fill(rows: Sequence[dict[str, Any]], served: Served, names: Mapping[str, str]) -> None:
    """`names`: of the features, by what the rows call them."""
    for name, feature in names.items():
        for row, stored in zip(rows, served.rows, strict=True):
            row[name] = stored[feature]
