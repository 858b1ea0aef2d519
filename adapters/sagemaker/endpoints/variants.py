"""Production variants of SageMaker as variants of ours, and back. Pure.

A variant's model, version, machine and attempt are kept in its SageMaker model's environment.
Models never change, so what runs can be read back from the cloud. Weights are float32 and relative;
ours are percents in steps of 0.01.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import msgspec

from ....endpoints.port import EndpointSpec, EndpointState, VariantSpec, VariantState
from ....endpoints.revision import identity, revision_of_variants
from ....errors import Unsupported
from ....pipelines.port import ModelVersion
from ....project.reading.names import neutral
from ....storage import Phase
from .. import names

MOST = 10  # production variants of an endpoint config
_LONGEST = 63  # characters of a name
_NAME_LONGEST = 45  # of one of our endpoints, project and all; what was adopted may have more
_MODEL, _VERSION, _MACHINE, _ATTEMPT, _ROUTING = (
    f"ISTHMUS_{word}" for word in ("MODEL", "VERSION", "MACHINE", "ATTEMPT", "ROUTING")
)
_DIGEST = "ISTHMUS_DIGEST"  # what the model server compares with what it is given
_HUNDREDTH, _MILLIONTH = Decimal("0.01"), Decimal("0.000001")
PHASES: Mapping[str, Phase] = {
    "Creating": "creating",
    "InService": "ready",
    "Updating": "updating",
    "SystemUpdating": "updating",
    "RollingBack": "updating",
    "Deleting": "deleting",
    "Failed": "failed",
    "OutOfService": "failed",
    "UpdateRollbackFailed": "failed",
}
_SERVED = (  # what a container is made of, whatever it is called
    *(
        "Image",
        "ImageConfig",
        "Mode",
        "ModelDataUrl",
        "ModelDataSource",
        "AdditionalModelDataSources",
        "Environment",
    ),
    *("ModelPackageName", "InferenceSpecificationName"),
)
_VARIANT: Mapping[str, Phase] = {
    "Creating": "creating",
    "Deleting": "deleting",
}  # Updating, ActivatingTraffic, Baking: it serves


class PlannedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as an endpoint config will hold it."""

    spec: VariantSpec
    version: ModelVersion
    model_name: str
    machine: str
    count: int
    weight: Decimal
    # of what was adopted: the production variant that is repeated; its model is there
    standing: Mapping[str, Any] | None = None


class ConfiguredVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of a config, with its model's environment: immutable, so read once."""

    name: str
    model_name: str
    machine: str
    count: int
    weight: Decimal
    environment: Mapping[str, str]
    content: str = ""  # digest of its model's container
    told: Mapping[str, Any] = {}  # all that the config says
    # its container is somebody else's; the endpoint's tags say which version of ours it is
    adopted: bool = False

    @property
    def is_managed(self) -> bool:
        """Whether Isthmus deployed the variant, or the project adopted it."""
        return _MODEL in self.environment

    @property
    def spec(self) -> VariantSpec:
        """The variant's spec, from its model's environment."""
        environment = self.environment
        return VariantSpec(
            name=self.name,
            model=environment.get(_MODEL, self.model_name),
            version=_version_number(environment.get(_VERSION)),
            machine=environment.get(_MACHINE, ""),
            attempt=_version_number(environment.get(_ATTEMPT)),
        )


def environment(variant: VariantSpec, routing: str) -> dict[str, str]:
    """Return the environment variables that tell a model server which variant it serves."""
    values = {_MODEL: variant.model, _VERSION: str(variant.version), _ROUTING: routing}
    values |= {_MACHINE: variant.machine} if variant.machine else {}
    return values | ({_ATTEMPT: str(variant.attempt)} if variant.attempt else {})


def model_name(endpoint: str, variant: VariantSpec, version: ModelVersion, routing: str) -> str:
    """Return the name of a variant's SageMaker model, with a hash of its content.

    Another image or model folder is another model.
    """
    return f"{endpoint}-{_digest([identity(variant), routing, version.image, version.uri])[:12]}"


def config_name(
    endpoint: str, revision: str, variants: Iterable[PlannedVariant], capture_percent: int
) -> str:
    """Return an endpoint config's name, `<endpoint>-<revision>-<hash of its content>`.

    The hash is as long as the name may be.
    """
    head = f"{endpoint[:_NAME_LONGEST].rstrip('-')}-{revision}-"
    content = [
        (v.spec.name, v.model_name, v.machine, v.count, str(v.weight.normalize())) for v in variants
    ]
    return head + _digest([content, capture_percent])[: min(8, _LONGEST - len(head))]


def container(planned: PlannedVariant, routing: str) -> dict[str, Any]:
    """Return a variant's container for CreateModel, its folder uncompressed at /opt/ml/model."""
    source = {
        "S3Uri": f"{planned.version.uri.rstrip('/')}/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    return {
        "Image": planned.version.image,
        "ModelDataSource": {"S3DataSource": source},
        "Environment": environment(planned.spec, routing)
        | ({_DIGEST: digest} if (digest := planned.version.digest) else {}),
    }


def production_variant(planned: PlannedVariant) -> dict[str, Any]:
    """Return a variant as a member of ProductionVariants in CreateEndpointConfig."""
    return {
        "VariantName": names.variant(planned.spec.name),
        **(planned.standing or {}),
        "ModelName": planned.model_name,
        "InstanceType": planned.machine,
        "InitialInstanceCount": planned.count,
        "InitialVariantWeight": float(planned.weight),
    }


def known_variant(
    variant: Mapping[str, Any], environment: Mapping[str, str], content: str = ""
) -> ConfiguredVariant:
    """Convert a production variant to our record of it.

    `environment` and `content` are its model's: the container's variables, and a digest of what it
    serves.
    """
    return ConfiguredVariant(
        name=neutral(variant["VariantName"]),
        model_name=variant.get("ModelName", ""),
        machine=variant.get("InstanceType", ""),
        count=int(variant.get("InitialInstanceCount", 0)),
        weight=_decimal(variant.get("InitialVariantWeight", 1.0)),
        environment=environment,
        content=content,
        told=variant,
    )


def containers(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the containers in DescribeModel's answer: one, or a pipeline's."""
    return (
        [model["PrimaryContainer"]]
        if model.get("PrimaryContainer")
        else list(model.get("Containers", ()))
    )


def content_of(containers: Sequence[Mapping[str, Any]]) -> str:
    """Return a digest of what containers serve, whatever the model's name is."""
    return _digest(
        [sorted((key, part[key]) for key in _SERVED if part.get(key)) for part in containers]
    )[:32]


def as_registered(
    variant: ConfiguredVariant, versions: Mapping[str, tuple[str, int]]
) -> ConfiguredVariant:
    """Return a variant that Isthmus did not deploy as the registered version with its container.

    `versions` gives (model, version) by the container's digest. Without such a version, or for
    Isthmus's own variant, nothing changes.
    """
    if variant.is_managed or variant.content not in versions:
        return variant
    model, number = versions[variant.content]
    return msgspec.structs.replace(
        variant, environment={_MODEL: model, _VERSION: str(number)}, adopted=True
    )


def running(described: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return DescribeEndpoint's summary of each production variant, by our name for it.

    Raises Unsupported if two of them would have one name.
    """
    summaries = described.get("ProductionVariants", ())
    by_name: dict[str, Mapping[str, Any]] = {
        neutral(summary["VariantName"]): summary for summary in summaries
    }
    if len(by_name) < len(summaries):
        listed = ", ".join(summary["VariantName"] for summary in summaries)
        raise Unsupported(
            f"endpoint {described['EndpointName']}: of its variants {listed} two would have "
            "one name here",
            capability="endpoints.variants",
        )
    return by_name


def shares(weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Convert the variants' traffic weights to percents.

    Weights are stored as float32: a percent that differs from a hundredth only by that is rounded
    to it. Others, which Isthmus did not set, are rounded to a millionth.
    """
    total = sum(weights.values(), Decimal(0))
    if not total:
        return dict.fromkeys(weights, Decimal(0))
    percents = {}
    for name, weight in weights.items():
        exact = weight * 100 / total
        rounded = exact.quantize(_HUNDREDTH)
        percents[name] = (
            rounded if abs(exact - rounded) < Decimal("0.0001") else exact.quantize(_MILLIONTH)
        ).normalize() + 0
    return percents


def state(
    name: str, described: Mapping[str, Any], configured: Sequence[ConfiguredVariant]
) -> EndpointState:
    """Convert DescribeEndpoint's answer and the config's variants to an EndpointState."""
    phase = PHASES.get(described["EndpointStatus"], "updating")
    by_name = {variant.name: variant for variant in configured}
    now = running(described)
    listed = tuple(now or by_name)
    desired = shares({label: weight_of(now.get(label), by_name.get(label)) for label in listed})
    serving = phase in ("ready", "updating") and bool(now)
    current = shares(
        {
            label: _decimal(now[label].get("CurrentWeight", 0)) if serving else Decimal(0)
            for label in listed
        }
    )
    return EndpointState(
        name=name,
        phase=phase,
        revision=revision(described["EndpointConfigName"], configured),
        token=token(described),
        variants=tuple(
            _variant(
                name,
                by_name.get(name),
                now.get(name),
                phase=phase,
                percent=current[name],
                target=desired[name],
            )
            for name in listed
        ),
        failure=described.get("FailureReason") or None,
        routing=routing(configured),
    )


def revision(config: str, configured: Sequence[ConfiguredVariant]) -> str:
    """Return the hash of the spec that an endpoint runs, or `foreign:<config>`.

    The latter is for a config some of whose variants Isthmus neither deployed nor adopted.
    """
    if not configured or not all(variant.is_managed for variant in configured):
        return f"foreign:{config}"
    return revision_of_variants(
        (variant.spec for variant in configured), routing=routing(configured)
    )


def routing(configured: Sequence[ConfiguredVariant]) -> Literal["weighted", "sticky"]:
    """Return an endpoint's routing, weighted or sticky; an adopted one is weighted."""
    return (
        "sticky"
        if configured and configured[0].environment.get(_ROUTING) == "sticky"
        else "weighted"
    )


def token(described: Mapping[str, Any]) -> str:
    """Return a compare-and-swap token of an endpoint: a digest of its config, weights and identity.

    LastModifiedTime and the instance counts are left out: autoscaling and maintenance change them
    without changing the traffic split.
    """
    weights = sorted(
        (summary["VariantName"], summary.get("DesiredWeight", 0.0))
        for summary in described.get("ProductionVariants", ())
    )
    identity = [str(described.get(key)) for key in ("EndpointArn", "CreationTime")]
    return _digest([identity, described["EndpointConfigName"], weights])[:16]


def weight_of(running: Mapping[str, Any] | None, configured: ConfiguredVariant | None) -> Decimal:
    """Return a running variant's desired traffic weight, else the weight in its config."""
    if running is not None and "DesiredWeight" in running:
        return _decimal(running["DesiredWeight"])
    return configured.weight if configured is not None else Decimal(0)


def current_weights(endpoint: EndpointState, described: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the variants' present traffic weights exactly, for a new config to repeat."""
    now = running(described)
    return {variant.name: weight_of(now.get(variant.name), None) for variant in endpoint.variants}


def traffic(endpoint: EndpointState) -> dict[str, Decimal]:
    """Return each variant's traffic in percent, served or requested, whichever is more.

    A failed variant has none. Variants with traffic must not be changed.
    """
    return {
        variant.name: max(variant.percent, variant.target_percent)
        for variant in endpoint.variants
        if variant.phase != "failed"
    }


def _variant(
    name: str,
    configured: ConfiguredVariant | None,
    running: Mapping[str, Any] | None,
    *,
    phase: Phase,
    percent: Decimal,
    target: Decimal,
) -> VariantState:
    """Return a variant's state from its configured form and DescribeEndpoint's summary of it."""
    spec = configured.spec if configured else VariantSpec(name=name, model="", version=0)
    statuses = [status.get("Status") for status in (running or {}).get("VariantStatus", ())]
    phases: list[Phase] = [_VARIANT[status] for status in statuses if status in _VARIANT]
    own: Phase = "ready" if phase == "updating" else phase
    return VariantState(
        name=name,
        model=spec.model,
        version=spec.version,
        percent=percent,
        target_percent=target,
        instances=int((running or {}).get("CurrentInstanceCount", 0)),
        target_instances=int(
            (running or {}).get("DesiredInstanceCount", configured.count if configured else 0)
        ),
        phase=phases[0] if phases else own,
    )


def planned_revision(spec: EndpointSpec) -> str:
    """Return the revision (a hash) that an endpoint has once it runs the spec."""
    return revision_of_variants(spec.variants, routing=spec.routing)


def _decimal(number: float | Decimal) -> Decimal:
    """Return a float32 in its shortest decimal form, such as 0.1 for 0.10000000149."""
    return Decimal(f"{float(number):.7g}")


def _version_number(text: str | None) -> int:
    """Return the number that a text of digits states; 0 for any other text or None."""
    return int(text) if text and text.isdigit() else 0


def _digest(value: object) -> str:
    """Return the SHA-256 of a value's JSON as hex text."""
    return sha256(msgspec.json.encode(value)).hexdigest()
