"""Labels of an endpoint that say which variant a DeployedModel of others is. Pure.

`isthmus_variant_<digest>` = `old_1-ranker-3`. The label goes by content, not by id: what others
deploy there afterwards is foreign until it is adopted too, even under the id of an old one. A
label's key and value have 63 characters at most; a variant has 16, a model 28, and no neutral name
has a hyphen.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from ....endpoints.port import VariantSpec
from ..names import KIND_LABEL, NAME_LABEL, PROJECT_LABEL

# each shift writes it: a split that stays the same would not make older tokens stale
TOUCH = "isthmus_shift"
_VARIANT = "isthmus_variant_"
_OURS = (PROJECT_LABEL, KIND_LABEL, NAME_LABEL, TOUCH)


def adopted_as(labels: Mapping[str, str], model: Any) -> VariantSpec | None:
    """Return the variant that a DeployedModel became when the project adopted its endpoint.

    `labels` are the endpoint's, which say so, and `model` is the DeployedModel. None if the
    endpoint, made by somebody else, was not adopted, or the labels do not name the model.
    """
    if not is_adopted(labels):
        return None
    name, _, rest = labels.get(_label_key(model), "").partition("-")
    model_name, _, version = rest.partition("-")
    return (
        VariantSpec(name=name, model=model_name, version=int(version))
        if version.isdigit()
        else None
    )


def is_adopted(labels: Mapping[str, str]) -> bool:
    """Return whether labels say that the project adopted the endpoint."""
    return any(key.startswith(_VARIANT) for key in labels)


def with_variants(
    labels: Mapping[str, str], variants: Mapping[str, VariantSpec], models: Mapping[str, Any]
) -> dict[str, str]:
    """Return an endpoint's labels with one for each adopted variant added.

    `variants` and `models` are by DeployedModel's id.
    """
    others = {key: value for key, value in labels.items() if not key.startswith(_VARIANT)}
    return others | {
        _label_key(models[key]): f"{spec.name}-{spec.model}-{spec.version}"
        for key, spec in variants.items()
    }


def without_ours(labels: Mapping[str, str]) -> dict[str, str]:
    """Return an endpoint's labels without those that Isthmus set."""
    return {
        key: value
        for key, value in labels.items()
        if key not in _OURS and not key.startswith(_VARIANT)
    }


def _label_key(model: Any) -> str:
    """Return the key of the label that says which variant a DeployedModel is."""
    return _VARIANT + digest(
        model.id, model.model, model.model_version_id, moment(model.create_time)
    )


def moment(time: Any) -> str:
    """Return a protobuf timestamp as RFC 3339 text, the same at each read, or "" if unset."""
    return time.rfc3339() if time else ""


def digest(*words: str) -> str:
    """Return a SHA-256 digest of some texts, cut to 32 hex digits."""
    return sha256(msgspec.json.encode(words)).hexdigest()[:32]
