"""Vertex AI's endpoint and its DeployedModels as an endpoint of ours with variants. Pure.

What a variant is stands in its DeployedModel's display name, which never changes: `challenger: ranker@3, attempt 1`. What is wanted stands
in the endpoint's description, as a deployment in progress, and one that failed, are seen in operations alone, which name no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from ....endpoints.port import EndpointSpec, EndpointState, VariantSpec, VariantState
from ....endpoints.revision import identity, revision_of_variants
from ....formats import decoder
from ....storage import Phase
from ..names import PROJECT_LABEL

_NAME = re.compile(r"(?P<name>[^:@,]+): (?P<model>[^:@,]+)@(?P<version>\d+)(, on (?P<machine>[^,]+))?(, attempt (?P<attempt>\d+))?")
_DEPLOYING = "DeployModelOperationMetadata"
_FORGIVEN = 20  # failed deployments that a description names


class Intention(msgspec.Struct, frozen=True, kw_only=True):
    """What `apply` wanted last, as JSON in the endpoint's description."""

    isthmus: tuple[str, ...]  # the display names of the variants, in their order
    failed: tuple[str, ...] = ()  # operations that had failed before: they say nothing of what is wanted now
    apart: tuple[str, ...] = ()  # of a sticky endpoint: the variants that may have an endpoint of their own (apart.py)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at an endpoint."""

    endpoint: Any
    operations: Sequence[Any]

    @property
    def running(self) -> list[Any]:
        return [operation for operation in self.operations if not operation.done]

    @property
    def failures(self) -> list[Any]:
        """The deployments that failed for what is wanted now."""
        forgiven = intention(self.endpoint).failed
        return [operation for operation in failed(self.operations) if number_of(operation) not in forgiven]


def display_name(variant: VariantSpec) -> str:
    machine = f", on {variant.machine}" if variant.machine else ""
    return f"{variant.name}: {variant.model}@{variant.version}{machine}" + (f", attempt {variant.attempt}" if variant.attempt else "")


def spec_of(name: str) -> VariantSpec | None:
    """The variant that a display name says; None: somebody else's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return VariantSpec(
        name=match["name"],
        model=match["model"],
        version=int(match["version"]),
        machine=match["machine"] or "",
        attempt=int(match["attempt"] or 0),
    )


def number(variant: VariantSpec) -> str:
    """The DeployedModel's id: 10 digits of the variant's hash, so that deploying it twice is refused."""
    digest = int.from_bytes(sha256(msgspec.json.encode(identity(variant))).digest()[:8])
    return str(10**9 + digest % (9 * 10**9))


def described(spec: EndpointSpec, operations: Iterable[Any] = (), *, apart: Iterable[str] = ()) -> str:
    """The endpoint's description for a spec. `operations`: all that there are."""
    names = tuple(map(number_of, failed(operations)))[-_FORGIVEN:]
    return msgspec.json.encode(Intention(isthmus=tuple(map(display_name, spec.variants)), failed=names, apart=tuple(apart))).decode()


def intention(endpoint: Any) -> Intention:
    """What its description says; of a foreign one that nothing more is wanted than there is."""
    try:
        return decoder(Intention).decode(endpoint.description)
    except msgspec.MsgspecError:
        return Intention(isthmus=tuple(model.display_name for model in endpoint.deployed_models))


def failed(operations: Iterable[Any]) -> list[Any]:
    return [each for each in operations if each.done and each.HasField("error") and each.metadata.type_url.endswith(_DEPLOYING)]


def number_of(operation: Any) -> str:
    name: str = operation.name
    return name.rpartition("/")[2]


def wanted(endpoint: Any) -> dict[str, VariantSpec]:
    """By DeployedModel's id, in the spec's order."""
    specs = [spec for name in intention(endpoint).isthmus if (spec := spec_of(name)) is not None]
    return {number(spec): spec for spec in specs}


def running(endpoint: Any) -> dict[str, VariantSpec]:
    """The deployed variants by name; what is not ours has its own. Of two with one name, while it is replaced: that with traffic."""
    specs: dict[str, VariantSpec] = {}
    for model in sorted(endpoint.deployed_models, key=lambda model: endpoint.traffic_split.get(model.id, 0)):
        spec = spec_of(model.display_name) or VariantSpec(name=model.display_name or model.id, model="", version=0)
        specs[spec.name] = spec
    return specs


def state(name: str, seen: Seen) -> EndpointState:
    """Updating only while an operation runs: what an `apply` that was killed half-way left undone waits for the next `apply`."""
    endpoint = seen.endpoint
    there = {model.id: model for model in endpoint.deployed_models}
    missing = [spec for key, spec in wanted(endpoint).items() if key not in there]
    busy, failures = bool(seen.running), seen.failures
    hopeless = bool(missing and failures and not busy)
    phase: Phase = "ready"
    if hopeless:
        phase = "failed"
    elif there:
        phase = "updating" if busy else "ready"
    elif busy or missing:
        phase = "creating"
    return EndpointState(
        name=name,
        phase=phase,
        revision=revision(endpoint),
        token=endpoint.etag,
        variants=tuple(_variants(endpoint, there, hopeless=hopeless)),
        failure=_failure(missing, failures) if hopeless else None,
    )


def revision(endpoint: Any) -> str:
    if foreign := foreign_revision(endpoint):
        return foreign
    variants = counted(endpoint)
    return revision_of_variants(variants) if variants else ""


def foreign_revision(endpoint: Any) -> str:
    """Empty: the endpoint and all that is deployed to it are ours."""
    ours = all(spec_of(model.display_name) for model in endpoint.deployed_models)
    return "" if ours and PROJECT_LABEL in endpoint.labels else f"foreign:{endpoint.name.rpartition('/')[2]}"


def counted(endpoint: Any) -> list[VariantSpec]:
    """The deployed variants. One is replaced only when its old model is gone: until then the new one does not count."""
    named = {model.id: spec_of(model.display_name) for model in endpoint.deployed_models}
    ours = {key: spec for key, spec in named.items() if spec is not None}
    keys = wanted(endpoint)
    going = {spec.name for key, spec in ours.items() if key not in keys}
    return [spec for key, spec in ours.items() if key not in keys or spec.name not in going]


def traffic(saw: EndpointState) -> dict[str, Decimal]:
    """Percent by variant that it has."""
    return {variant.name: variant.percent for variant in saw.variants if variant.phase != "failed"}


def split_of(endpoint: Any, percents: Mapping[str, Decimal]) -> dict[str, int]:
    """A split by variant as Vertex AI's by DeployedModel. A share of what is not deployed is left out: it must be 0."""
    ids = {
        (spec.name if (spec := spec_of(model.display_name)) else model.display_name or model.id): model.id for model in _latest(endpoint)
    }
    return {ids[name]: int(percent) for name, percent in percents.items() if name in ids and percent > 0}


def names(endpoint: Any) -> dict[str, str]:
    """The variant's name by DeployedModel's id."""
    return {
        model.id: spec.name if (spec := spec_of(model.display_name)) else model.display_name or model.id
        for model in endpoint.deployed_models
    }


def _latest(endpoint: Any) -> list[Any]:
    """The deployed models, those that are wanted last: where two have one name, the wanted one counts."""
    keys = wanted(endpoint)
    return sorted(endpoint.deployed_models, key=lambda model: model.id in keys)


def absent(spec: VariantSpec, *, hopeless: bool) -> VariantState:
    return VariantState(
        name=spec.name,
        model=spec.model,
        version=spec.version,
        percent=Decimal(0),
        target_percent=Decimal(0),
        instances=0,
        target_instances=0,
        phase="failed" if hopeless else "creating",
    )


def _variants(endpoint: Any, there: Mapping[str, Any], *, hopeless: bool) -> list[VariantState]:
    states: dict[str, VariantState] = {}
    for key, spec in wanted(endpoint).items():
        states[spec.name] = _deployed(endpoint, there[key], spec) if key in there else absent(spec, hopeless=hopeless)
    for key, model in there.items():
        spec = spec_of(model.display_name) or VariantSpec(name=model.display_name or key, model="", version=0)
        standing = states.get(spec.name)
        if standing is None or standing.phase != "ready":  # what is to be replaced serves until then
            states[spec.name] = _deployed(endpoint, model, spec) if standing is None or not hopeless else standing
    return list(states.values())


def _deployed(endpoint: Any, model: Any, spec: VariantSpec) -> VariantState:
    percent = Decimal(endpoint.traffic_split.get(model.id, 0))
    resources = model.dedicated_resources
    fewest, most = resources.min_replica_count, max(resources.max_replica_count, resources.min_replica_count)
    available = model.status.available_replica_count or fewest
    return VariantState(
        name=spec.name,
        model=spec.model,
        version=spec.version,
        percent=percent,
        target_percent=percent,
        instances=available,
        target_instances=min(max(available, fewest), most),
        phase="ready",
    )


def _failure(missing: Sequence[VariantSpec], failures: Sequence[Any]) -> str:
    """Operations name no model: where several are missing, their words are all there is."""
    words = dict.fromkeys(operation.error.message for operation in failures)
    return f"{', '.join(spec.name for spec in missing)}: {' / '.join(words)}"
