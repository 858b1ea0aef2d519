"""Inputs of the deployed models: the union of their features.

One read serves whichever variant answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ....core.formats import decode
from ....core.runtime.project import Project
from ....errors import Invalid, Refused
from ....pipelines.models.predictor import MANIFEST, ModelFeature, ModelManifest
from ....pipelines.port import ModelVersion

ADOPTED = "adopted:"  # before the digest of what it serves


class RequestInputs(msgspec.Struct, frozen=True, kw_only=True):
    """`views`: view -> (its entity's key, the features read from it)."""

    views: dict[str, tuple[str, tuple[str, ...]]]
    attributes: tuple[str, ...]  # come with the request
    constants: dict[str, Any]  # serve_as
    parameters: tuple[str, ...]  # of a call, that one of the models takes


def was_adopted(version: ModelVersion) -> bool:
    """Return whether a model version was registered by taking over a running endpoint.

    Isthmus does not know which features such a version reads, nor what its requests look like.
    """
    return version.digest.startswith(ADOPTED)


def manifest_of(project: Project, model: str, version: int) -> ModelManifest:
    """Return a model version's manifest, which names the features that the model reads.

    Raises NotFound, or Refused if the version was adopted and nobody knows which features it reads.
    """
    registered = project.target.registry.get(model, version)
    if was_adopted(registered):
        raise Refused(
            f"{model}@{version} was not trained by Isthmus: {registered.uri or 'its image'} "
            "does not say which features it reads",
            remedy="traffic and rollouts move what was adopted; deploy, and the gateway, serve "
            "what isthmus train made",
        )
    uri = f"{registered.uri.rstrip('/')}/{MANIFEST}"
    return decode(project.target.blobs.get(uri), ModelManifest, what=uri)


def union(manifests: Sequence[ModelManifest], keys: dict[str, str]) -> RequestInputs:
    """Combine the inputs of all deployed models into those that one request needs.

    `keys` has the entity key of each feature view, for old manifests without one. Raises Invalid if
    two models mean different things by one name.
    """
    constants = _constants(manifests)
    views: dict[str, tuple[str, dict[str, None]]] = {}
    places: dict[str, tuple[str | None, str]] = {}
    for configuration, feature in (
        (manifest.configuration, feature) for manifest in manifests for feature in manifest.features
    ):
        _check_place(
            feature, configuration, *places.setdefault(feature.name, (feature.view, configuration))
        )
        if feature.view is not None:
            names = views.setdefault(feature.view, (_view_key(feature, configuration, keys), {}))[1]
            names[feature.name] = None
    return RequestInputs(
        views={view: (key, tuple(names)) for view, (key, names) in views.items()},
        attributes=tuple(
            name for name, (view, _) in places.items() if view is None and name not in constants
        ),
        constants=constants,
        parameters=tuple(
            dict.fromkeys(name for manifest in manifests for name in manifest.accepted)
        ),
    )


def _constants(manifests: Sequence[ModelManifest]) -> dict[str, Any]:
    """Return the values of columns that are constant in serving (`serve_as`), by column.

    Raises Invalid if two of the models have different values for a column.
    """
    constants: dict[str, Any] = {}
    for manifest in manifests:
        for name, value in manifest.serve_as.items():
            if constants.setdefault(name, value) != value:
                raise Invalid(
                    f"serve_as.{name} is {constants[name]!r} for one variant and {value!r} "
                    f"for {manifest.configuration}",
                    remedy="one request serves every variant: give them the same value",
                )
    return constants


def _check_place(feature: ModelFeature, configuration: str, view: str | None, first: str) -> None:
    """Raise Invalid if another model reads a feature of this name from a different view.

    `first` and `view` are feature views (None: the request itself): `view` is where the model of
    `configuration` reads it, and `first` where the other does.
    """
    if view != feature.view:
        raise Invalid(
            f"{feature.name} is {_place(view)} for {first} and {_place(feature.view)} for "
            f"{configuration}",
            remedy="rename one of the two features: a request's rows are shared by the variants",
        )


def _view_key(feature: ModelFeature, configuration: str, keys: Mapping[str, str]) -> str:
    """Return the entity key by which a feature's view is read, such as item_id.

    Raises Invalid if project.yaml no longer has the view.
    """
    key = feature.key or keys.get(feature.view or "")
    if key is None:
        raise Invalid(
            f"{configuration} reads {feature.view}.{feature.name}, a view that project.yaml "
            "no longer has",
            remedy=f"put feature_views.{feature.view} back, or train without it and deploy",
        )
    return key


def _place(view: str | None) -> str:
    """Return a text that says where a model reads a column: from the request or a feature view."""
    return "an attribute of the request" if view is None else f"a feature of {view}"


def view_keys(project: Project) -> dict[str, str]:
    """Return the entity key of each feature view, by the view's name."""
    spec = project.spec
    return {view.name: spec.entities[view.entity].key for view in spec.feature_views.values()}
