"""Which variant a DeployedModel is that others deployed, in a label of its endpoint:

`isthmus_variant_<digest>` = `old_1-ranker-3`. Pure.

By content, not by id: what others deploy there afterwards is foreign until it is adopted, too, also
under the id of an old one. A label's key and value have 63 characters at most; a variant has 16, a
model 28, and no neutral name has a hyphen.
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
    """None: the project did not adopt it."""
    if not is_adopted(labels):
        return None
    name, _, rest = labels.get(_key(model), "").partition("-")
    of, _, version = rest.partition("-")
    return VariantSpec(name=name, model=of, version=int(version)) if version.isdigit() else None


def is_adopted(labels: Mapping[str, str]) -> bool:
    """Whether the endpoint stood before the project took it over."""
    return any(key.startswith(_VARIANT) for key in labels)


def with_variants(
    labels: Mapping[str, str], variants: Mapping[str, VariantSpec], models: Mapping[str, Any]
) -> dict[str, str]:
    """An endpoint's labels with what was adopted; `variants`, `models`: by DeployedModel's id."""
    others = {key: value for key, value in labels.items() if not key.startswith(_VARIANT)}
    return others | {
        _key(models[key]): f"{spec.name}-{spec.model}-{spec.version}"
        for key, spec in variants.items()
    }


def without_ours(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in labels.items()
        if key not in _OURS and not key.startswith(_VARIANT)
    }


def _key(model: Any) -> str:
    return _VARIANT + digest(
        model.id, model.model, model.model_version_id, moment(model.create_time)
    )


def moment(time: Any) -> str:
    """Return a time of the provider's in words that are the same at each read; "" where there is
    none.
    """
    return time.rfc3339() if time else ""


def digest(*words: str) -> str:
    return sha256(msgspec.json.encode(words)).hexdigest()[:32]
