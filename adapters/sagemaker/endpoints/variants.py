"""A production variant of SageMaker as a variant of ours, and back. Pure.

What a variant is (model, version, machine, attempt) is kept in its SageMaker model's environment:
models never change, so what runs can be read back from the cloud. Weights are float32 and relative;
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


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as an endpoint config will hold it."""

    spec: VariantSpec
    version: ModelVersion
    model_name: str
    machine: str
    count: int
    weight: Decimal
    # of what was adopted: the production variant that is repeated; its model is there
    standing: Mapping[str, Any] | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a config says of a variant, with its model's environment: immutable, so read once."""

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
    def ours(self) -> bool:
        return _MODEL in self.environment

    @property
    def spec(self) -> VariantSpec:
        environment = self.environment
        return VariantSpec(
            name=self.name,
            model=environment.get(_MODEL, self.model_name),
            version=_number(environment.get(_VERSION)),
            machine=environment.get(_MACHINE, ""),
            attempt=_number(environment.get(_ATTEMPT)),
        )


def environment(variant: VariantSpec, routing: str) -> dict[str, str]:
    """What the model server is told of itself, and what `observe` reads back."""
    values = {_MODEL: variant.model, _VERSION: str(variant.version), _ROUTING: routing}
    values |= {_MACHINE: variant.machine} if variant.machine else {}
    return values | ({_ATTEMPT: str(variant.attempt)} if variant.attempt else {})


def model_name(endpoint: str, variant: VariantSpec, version: ModelVersion, routing: str) -> str:
    """From content: another image or folder is another model."""
    return f"{endpoint}-{_digest([identity(variant), routing, version.image, version.uri])[:12]}"


def config_name(
    endpoint: str, revision: str, variants: Iterable[Planned], capture_percent: int
) -> str:
    """`<endpoint>-<revision>-<hash of weights, counts, machines>`: the hash as long as the name may
    be.
    """
    head = f"{endpoint[:_NAME_LONGEST].rstrip('-')}-{revision}-"
    content = [
        (v.spec.name, v.model_name, v.machine, v.count, str(v.weight.normalize())) for v in variants
    ]
    return head + _digest([content, capture_percent])[: min(8, _LONGEST - len(head))]


def container(planned: Planned, routing: str) -> dict[str, Any]:
    """The model folder as it is: uncompressed, at /opt/ml/model."""
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


def production_variant(planned: Planned) -> dict[str, Any]:
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
) -> Known:
    return Known(
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
    """Of DescribeModel's answer: one, or those of an inference pipeline."""
    return (
        [model["PrimaryContainer"]]
        if model.get("PrimaryContainer")
        else list(model.get("Containers", ()))
    )


def content_of(containers: Sequence[Mapping[str, Any]]) -> str:
    """A digest of what containers serve, whatever their model is called."""
    return _digest(
        [sorted((key, part[key]) for key in _SERVED if part.get(key)) for part in containers]
    )[:32]


def as_registered(variant: Known, versions: Mapping[str, tuple[str, int]]) -> Known:
    """As the version that its container was registered as; `versions`:

    (model, version) by content. Foreign when there is none.
    """
    if variant.ours or variant.content not in versions:
        return variant
    model, number = versions[variant.content]
    return msgspec.structs.replace(
        variant, environment={_MODEL: model, _VERSION: str(number)}, adopted=True
    )


def running(described: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What DescribeEndpoint says of each variant, by our name.

    Unsupported: two of them would have one name here.
    """
    summaries = described.get("ProductionVariants", ())
    by_name: dict[str, Mapping[str, Any]] = {
        neutral(each["VariantName"]): each for each in summaries
    }
    if len(by_name) < len(summaries):
        listed = ", ".join(each["VariantName"] for each in summaries)
        raise Unsupported(
            f"endpoint {described['EndpointName']}: of its variants {listed} two would have "
            "one name here",
            capability="endpoints.variants",
        )
    return by_name


def shares(weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Weights as percents: rounded to 0.01 where float32 is all that keeps them from it, else to a
    millionth (foreign weights).
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


def state(name: str, described: Mapping[str, Any], configured: Sequence[Known]) -> EndpointState:
    """DescribeEndpoint's answer and its config's variants as ours."""
    phase = PHASES.get(described["EndpointStatus"], "updating")
    by_name = {each.name: each for each in configured}
    now = running(described)
    listed = tuple(now or by_name)
    desired = shares({each: weight_of(now.get(each), by_name.get(each)) for each in listed})
    serving = phase in ("ready", "updating") and bool(now)
    current = shares(
        {
            each: _decimal(now[each].get("CurrentWeight", 0)) if serving else Decimal(0)
            for each in listed
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


def revision(config: str, configured: Sequence[Known]) -> str:
    if not configured or not all(each.ours for each in configured):
        return f"foreign:{config}"
    return revision_of_variants((each.spec for each in configured), routing=routing(configured))


def routing(configured: Sequence[Known]) -> Literal["weighted", "sticky"]:
    """What was adopted is weighted."""
    return (
        "sticky"
        if configured and configured[0].environment.get(_ROUTING) == "sticky"
        else "weighted"
    )


def token(described: Mapping[str, Any]) -> str:
    """Return a digest of the endpoint's config and weights; another endpoint of the same name has
    another.

    Neither LastModifiedTime nor the counts: autoscaling and maintenance (SystemUpdating) move them,
    and change nobody's split.
    """
    weights = sorted(
        (each["VariantName"], each.get("DesiredWeight", 0.0))
        for each in described.get("ProductionVariants", ())
    )
    identity = [str(described.get(key)) for key in ("EndpointArn", "CreationTime")]
    return _digest([identity, described["EndpointConfigName"], weights])[:16]


def weight_of(running: Mapping[str, Any] | None, configured: Known | None) -> Decimal:
    """The desired weight of a variant; before it runs, its config's."""
    if running is not None and "DesiredWeight" in running:
        return _decimal(running["DesiredWeight"])
    return configured.weight if configured is not None else Decimal(0)


def current_weights(endpoint: EndpointState, described: Mapping[str, Any]) -> dict[str, Decimal]:
    """The weights that a new config repeats, exactly as they are."""
    now = running(described)
    return {each.name: weight_of(now.get(each.name), None) for each in endpoint.variants}


def traffic(endpoint: EndpointState) -> dict[str, Decimal]:
    """Percent by variant, served or asked for, whichever is more.

    A variant that failed serves nobody.
    """
    return {
        each.name: max(each.percent, each.target_percent)
        for each in endpoint.variants
        if each.phase != "failed"
    }


def _variant(
    name: str,
    configured: Known | None,
    running: Mapping[str, Any] | None,
    *,
    phase: Phase,
    percent: Decimal,
    target: Decimal,
) -> VariantState:
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
    return revision_of_variants(spec.variants, routing=spec.routing)


def _decimal(number: float | Decimal) -> Decimal:
    """A float32 in its shortest decimal form: 0.1, not 0.10000000149."""
    return Decimal(f"{float(number):.7g}")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _digest(value: object) -> str:
    return sha256(msgspec.json.encode(value)).hexdigest()
