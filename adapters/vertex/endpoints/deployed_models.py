"""Vertex AI's endpoint and its DeployedModels as an endpoint of ours with variants. Pure.

A variant stands in its DeployedModel's display name, which never changes: `challenger: ranker@3,
attempt 1`; one that others deployed, and the project adopted, stands in a label of the endpoint
(labels.py). The requested variants stand in the endpoint's description: a deployment in progress or
a failed one is only seen in operations, which name no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from ....core.formats import decoder
from ....endpoints.port import EndpointSpec, EndpointState, VariantSpec, VariantState
from ....endpoints.revision import identity, revision_of_variants
from ....storage import Phase
from ..names import PROJECT_LABEL
from .labels import TOUCH, adopted_as, moment

_NAME = re.compile(
    r"(?P<name>[^:@,]+): (?P<model>[^:@,]+)@(?P<version>\d+)(, on (?P<machine>[^,]+))?(, "
    r"attempt (?P<attempt>\d+))?"
)
_DEPLOYING = "DeployModelOperationMetadata"
_FORGIVEN = 20  # failed deployments that a description names


class Intention(msgspec.Struct, frozen=True, kw_only=True):
    """The variants that `apply` requested last, as JSON in the endpoint's description."""

    isthmus: tuple[str, ...]  # the display names of the variants, in their order
    # operations that had failed before: they say nothing of what is wanted now
    failed: tuple[str, ...] = ()
    # of a sticky endpoint: the variants that may have an endpoint of their own (sticky.py)
    apart: tuple[str, ...] = ()
    theirs: str = ""  # of one that was adopted: the description that it had


class ObservedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One look at an endpoint."""

    endpoint: Any
    operations: Sequence[Any]

    @property
    def running(self) -> list[Any]:
        """The endpoint's long-running operations that have not ended."""
        return [operation for operation in self.operations if not operation.done]

    @property
    def failures(self) -> list[Any]:
        """The failed deployments since the present set of variants was requested."""
        forgiven = intention(self.endpoint).failed
        return [
            operation
            for operation in failed_deployments(self.operations)
            if number_of(operation) not in forgiven
        ]


def display_name(variant: VariantSpec) -> str:
    """Return the display name of a variant's DeployedModel, which encodes the variant's spec."""
    machine = f", on {variant.machine}" if variant.machine else ""
    return f"{variant.name}: {variant.model}@{variant.version}{machine}" + (
        f", attempt {variant.attempt}" if variant.attempt else ""
    )


def spec_of(name: str) -> VariantSpec | None:
    """Parse the variant's spec from a DeployedModel's display name; None if it has none."""
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


def specs(endpoint: Any) -> dict[str, VariantSpec | None]:
    """Return each DeployedModel's variant spec by the model's id; None for those of others."""
    labels = dict(endpoint.labels)
    return {
        model.id: adopted_as(labels, model) or spec_of(model.display_name)
        for model in endpoint.deployed_models
    }


def variants_by_planned_id(
    endpoint: Any, variants: Iterable[VariantSpec]
) -> dict[str, VariantSpec]:
    """Return the variants by the id of the DeployedModel that each is or will be.

    An adopted DeployedModel keeps its id; Isthmus's own get one from a hash.
    """
    deployed_ids = {
        identity(spec): key for key, spec in specs(endpoint).items() if spec is not None
    }
    return {
        deployed_ids.get(identity(variant)) or planned_id(variant): variant for variant in variants
    }


def planned_id(variant: VariantSpec) -> str:
    """Return the id for a variant's DeployedModel: 10 digits of the variant's hash.

    So Vertex AI refuses to deploy the same variant twice.
    """
    digest = int.from_bytes(sha256(msgspec.json.encode(identity(variant))).digest()[:8])
    return str(10**9 + digest % (9 * 10**9))


def description(
    spec: EndpointSpec,
    operations: Iterable[Any] = (),
    *,
    apart: Iterable[str] = (),
    theirs: str = "",
) -> str:
    """Return an endpoint's description: JSON text with the variants that were requested.

    `operations` are all of the endpoint's; its failed deployments are noted, not to count them
    again. `apart` are variants of a sticky endpoint that may have endpoints of their own. `theirs`
    is the text that an adopted endpoint had before.
    """
    requested = tuple(map(display_name, spec.variants))
    names = tuple(map(number_of, failed_deployments(operations)))[-_FORGIVEN:]
    return msgspec.json.encode(
        Intention(isthmus=requested, failed=names, apart=tuple(apart), theirs=theirs)
    ).decode()


def intention(endpoint: Any) -> Intention:
    """Return the variants that were last requested for an endpoint, from its description.

    If Isthmus did not write the description, they are the deployed ones.
    """
    try:
        return decoder(Intention).decode(endpoint.description)
    except msgspec.MsgspecError:
        deployed_names = tuple(
            display_name(spec) for spec in specs(endpoint).values() if spec is not None
        )
        return Intention(isthmus=deployed_names, theirs=endpoint.description)


def failed_deployments(operations: Iterable[Any]) -> list[Any]:
    """Return those operations of an endpoint that are failed deployments."""
    return [
        operation
        for operation in operations
        if operation.done
        and operation.HasField("error")
        and operation.metadata.type_url.endswith(_DEPLOYING)
    ]


def number_of(operation: Any) -> str:
    """Return the id of a long-running operation."""
    name: str = operation.name
    return name.rpartition("/")[2]


def intended_variants(endpoint: Any) -> dict[str, VariantSpec]:
    """Return the variants that were last requested, by DeployedModel's id, in the spec's order."""
    return variants_by_planned_id(
        endpoint,
        [spec for name in intention(endpoint).isthmus if (spec := spec_of(name)) is not None],
    )


def running(endpoint: Any) -> dict[str, VariantSpec]:
    """Return an endpoint's deployed variants by name, also those that Isthmus did not deploy.

    While a variant is replaced two models have its name: the one with more traffic is returned.
    """
    variants = variants_by_id(endpoint)
    by_traffic = sorted(variants, key=lambda key: endpoint.traffic_split.get(key, 0))
    return {variants[key].name: variants[key] for key in by_traffic}


def variants_by_id(endpoint: Any) -> dict[str, VariantSpec]:
    """Return an endpoint's deployed models as variants, by DeployedModel's id.

    A model that Isthmus did not deploy is a variant, too, under its name at Google.
    """
    names = {model.id: model.display_name or model.id for model in endpoint.deployed_models}
    return {
        key: spec or VariantSpec(name=names[key], model="", version=0)
        for key, spec in specs(endpoint).items()
    }


def state(name: str, look: ObservedEndpoint) -> EndpointState:
    """Convert an endpoint and its operations to an EndpointState.

    Its phase is updating only while an operation runs: what a killed `apply` left undone waits for
    the next `apply`.

    `look` is the endpoint as it was read.
    """
    endpoint = look.endpoint
    models = {model.id: model for model in endpoint.deployed_models}
    missing = [spec for key, spec in intended_variants(endpoint).items() if key not in models]
    busy, failures = bool(look.running), look.failures
    hopeless = bool(missing and failures and not busy)
    phase: Phase = "ready"
    if hopeless:
        phase = "failed"
    elif models:
        phase = "updating" if busy else "ready"
    elif busy or missing:
        phase = "creating"
    return EndpointState(
        name=name,
        phase=phase,
        revision=revision(endpoint),
        token=token(endpoint),
        variants=tuple(_variants(endpoint, models, hopeless=hopeless)),
        failure=_failure(missing, failures) if hopeless else None,
    )


def token(endpoint: Any) -> str:
    """Return a compare-and-swap token: a digest of split, models, replicas and last shift.

    An etag would not do: each read returns another one for the same content. `update_time` and a
    model's `status` change without a caller, too (localstack/gcp/services/aiplatform/etags.py). So
    an etag is good for one call, and is never compared.
    """
    shares = sorted((key, percent) for key, percent in endpoint.traffic_split.items() if percent)
    models = sorted(_identity(model) for model in endpoint.deployed_models)
    content = [moment(endpoint.create_time), endpoint.labels.get(TOUCH, ""), shares, models]
    return sha256(msgspec.json.encode(content)).hexdigest()[:16]


def _identity(model: Any) -> list[Any]:
    """Return the values that tell one deployment of a model from another."""
    bounds = [
        (resources.min_replica_count, resources.max_replica_count)
        for resources in (model.dedicated_resources, model.automatic_resources)
    ]
    return [model.id, model.model, model.model_version_id, moment(model.create_time), bounds]


def revision(endpoint: Any) -> str:
    """Return the revision of the spec that an endpoint runs, or `foreign:<id>`.

    The latter is for an endpoint some of whose models Isthmus neither deployed nor adopted.
    """
    if foreign := foreign_revision(endpoint):
        return foreign
    variants = effective_variants(endpoint)
    return revision_of_variants(variants) if variants else ""


def foreign_revision(endpoint: Any) -> str:
    """Return `foreign:<id>` if some of an endpoint is neither Isthmus's nor adopted, else ""."""
    ours = all(specs(endpoint).values())
    return (
        ""
        if ours and PROJECT_LABEL in endpoint.labels
        else f"foreign:{endpoint.name.rpartition('/')[2]}"
    )


def effective_variants(endpoint: Any) -> list[VariantSpec]:
    """Return the deployed variants by which an endpoint's revision is computed.

    While a variant is replaced its old model counts, and the new one only when the old one is gone.
    """
    ours = {key: spec for key, spec in specs(endpoint).items() if spec is not None}
    keys = intended_variants(endpoint)
    going = {spec.name for key, spec in ours.items() if key not in keys}
    return [spec for key, spec in ours.items() if key not in keys or spec.name not in going]


def traffic(saw: EndpointState) -> dict[str, Decimal]:
    """Return each variant's traffic in percent; failed variants are left out."""
    return {variant.name: variant.percent for variant in saw.variants if variant.phase != "failed"}


def split_of(endpoint: Any, percents: Mapping[str, Decimal]) -> dict[str, int]:
    """Convert a traffic split by variant to one by DeployedModel's id, as Vertex AI takes it.

    The share of a variant that is not deployed is left out: it must be 0.
    """
    keys, variants = intended_variants(endpoint), variants_by_id(endpoint)
    ids = {
        variants[key].name: key for key in sorted(variants, key=lambda key: key in keys)
    }  # of two of one name that which is wanted
    return {
        ids[name]: int(percent) for name, percent in percents.items() if name in ids and percent > 0
    }


def names(endpoint: Any) -> dict[str, str]:
    """Return the variants' names by DeployedModel's id."""
    return {key: spec.name for key, spec in variants_by_id(endpoint).items()}


def absent(spec: VariantSpec, *, hopeless: bool) -> VariantState:
    """Return the state of a requested variant that is not deployed.

    It is being created; or has failed, if `hopeless`.
    """
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


def _variants(endpoint: Any, models: Mapping[str, Any], *, hopeless: bool) -> list[VariantState]:
    """Return the states of the requested variants, then of the other deployed ones.

    A requested variant that is not deployed is being created, or has failed if `hopeless`.
    """
    states: dict[str, VariantState] = {}
    for key, spec in intended_variants(endpoint).items():
        states[spec.name] = (
            _variant_state(endpoint, models[key], spec)
            if key in models
            else absent(spec, hopeless=hopeless)
        )
    for key, spec in variants_by_id(endpoint).items():
        standing = states.get(spec.name)
        if (
            standing is None or standing.phase != "ready"
        ):  # what is to be replaced serves until then
            states[spec.name] = (
                _variant_state(endpoint, models[key], spec)
                if standing is None or not hopeless
                else standing
            )
    return list(states.values())


def percent_of(endpoint: Any, key: str) -> Decimal:
    """Return a DeployedModel's share of the traffic in percent."""
    return Decimal(endpoint.traffic_split.get(key, 0))


def _variant_state(endpoint: Any, model: Any, spec: VariantSpec) -> VariantState:
    """Convert a DeployedModel to the state of its variant."""
    percent = percent_of(endpoint, model.id)
    resources = model.dedicated_resources
    fewest, most = (
        resources.min_replica_count,
        max(resources.max_replica_count, resources.min_replica_count),
    )
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
    """Return a text on why requested variants are not deployed: all failures' messages.

    Operations do not say which model they are for.
    """
    words = dict.fromkeys(operation.error.message for operation in failures)
    return f"{', '.join(spec.name for spec in missing)}: {' / '.join(words)}"
