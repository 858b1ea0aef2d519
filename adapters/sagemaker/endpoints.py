"""EndpointHost on SageMaker: `apply` makes models, configs and endpoints named from their content; `shift` sets weights and nothing else.

What a lost reply may hide is sent once (`retrying=False`): the SDK's own repeat of UpdateEndpoint would meet the update that it began.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, final

import msgspec

from ...endpoints.port import EndpointSpec, EndpointState, Reply
from ...endpoints.split import HUNDRED, checked, shown
from ...errors import AlreadyExists, Busy, Conflict, Invalid, NotFound, Unavailable, Unsupported
from ...events.port import Row
from ...pipelines.port import ModelVersion
from ...target import Target
from . import invocations, variants
from .machines import serving_counts, serving_machine
from .names import dashed
from .session import Aws, of
from .variants import Known, Planned

_RESOLUTION = Decimal("0.01")


@final
class SageMakerEndpoints:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: Aws = of(target)
        self._configs: dict[str, tuple[Known, ...]] = {}  # by name: configs and models never change
        self._asked: dict[str, tuple[str, object]] = {}  # endpoint -> the config that this host asked for, LastModifiedTime before that
        self._lock = threading.Lock()
        value = target.capabilities["invoke.max_bytes"].value
        self._max_bytes = int(value) if isinstance(value, int | Decimal) else 6_291_456

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """See the port. While SageMaker is at work nothing is asked of it: the next call goes on from where it arrives."""
        _check(spec)
        name = dashed(self._aws.project, spec.name)
        versions = {each.name: self._target.registry.get(each.model, each.version) for each in spec.variants}
        described = self._describe(name)
        if described is None:
            self._create(name, spec, self._new(name, spec, versions))
            return EndpointState(name=spec.name, phase="creating", revision="", token="", variants=())
        saw = self._state(spec.name, name, described)
        self._guard(spec, saw, self._configured(described["EndpointConfigName"]))
        if saw.phase != "ready":  # SageMaker is at work, or the endpoint has failed
            return saw
        if saw.revision != variants.planned_revision(spec):
            self._update(name, spec, saw, described, versions)
        else:
            self._rescale(name, spec, described)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Checked, not fenced: SageMaker's call has no precondition. Whoever loses such a race sees it in the next observation."""
        name = dashed(self._aws.project, endpoint)
        described = self._describe(name)
        if described is None:
            raise _missing(endpoint)
        saw = self._state(endpoint, name, described)
        where = f"{self._target.name} endpoint {endpoint}"
        wanted = checked(split, variants=[each.name for each in saw.variants], resolution=_RESOLUTION, where=where)
        if saw.token != expect:
            raise Conflict(f"{endpoint} was changed by somebody else since it was observed", remedy="look at it again, and decide again")
        if saw.phase != "ready":
            raise Busy(f"{endpoint} is {described['EndpointStatus']} at SageMaker", remedy="try again when the change has ended")
        weights = [{"VariantName": each, "DesiredWeight": float(percent)} for each, percent in wanted.items()]
        with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
            self._aws.client("sagemaker", retrying=False).update_endpoint_weights_and_capacities(
                EndpointName=name, DesiredWeightsAndCapacities=weights
            )

    def observe(self, endpoint: str) -> EndpointState | None:
        name = dashed(self._aws.project, endpoint)
        described = self._describe(name)
        return None if described is None else self._state(endpoint, name, described)

    def invoke(self, endpoint: str, instances: Sequence[Row], *, variant: str | None, request_id: str) -> Reply:
        body = invocations.encode(instances)
        if len(body) > self._max_bytes:
            raise Unsupported(
                f"{endpoint}: the request has {len(body):,} bytes, more than the {self._max_bytes:,} that {self._target.name} takes",
                capability="invoke.max_bytes",
                remedy="send fewer instances a call",
            )
        return invocations.invoke(
            self._aws.client("sagemaker-runtime", retrying=False),
            dashed(self._aws.project, endpoint),
            body,
            endpoint=endpoint,
            variant=variant,
            request_id=request_id,
        )

    def _state(self, endpoint: str, name: str, described: Mapping[str, Any]) -> EndpointState:
        config = described["EndpointConfigName"]
        if self._asked.get(name, ("", None))[0] == config:
            self._asked.pop(name, None)  # it has arrived
        saw = variants.state(endpoint, described, self._configured(config))
        return _hopeless(saw) if saw.phase == "failed" else saw

    def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            with self._aws.reading("DescribeEndpoint", name):
                found: dict[str, Any] = self._aws.client("sagemaker").describe_endpoint(EndpointName=name)
        except NotFound:
            return None
        return found

    def _configured(self, config: str) -> tuple[Known, ...]:
        """A config's variants with what their models say of themselves; () when it was deleted under the endpoint."""
        with self._lock:
            if (found := self._configs.get(config)) is not None:
                return found
        client = self._aws.client("sagemaker")
        try:
            with self._aws.reading("DescribeEndpointConfig", config):
                listed = client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        except NotFound:
            return ()
        found = tuple(variants.known(each, self._environment(client, each.get("ModelName"))) for each in listed)
        with self._lock:
            self._configs[config] = found
        return found

    def _environment(self, client: Any, model: str | None) -> dict[str, str]:
        if model is None:
            return {}
        with suppress(NotFound), self._aws.reading("DescribeModel", model):
            described = client.describe_model(ModelName=model)
            container: dict[str, Any] = described.get("PrimaryContainer") or next(iter(described.get("Containers", ())), {})
            return dict(container.get("Environment", {}))
        return {}

    def _guard(self, spec: EndpointSpec, saw: EndpointState, configured: Sequence[Known]) -> None:
        """Conflict when a variant with traffic would go or change."""
        before = {each.name: each.spec for each in configured}
        after = {each.name: each for each in spec.variants}
        for now in saw.variants:
            if now.phase == "failed" or not max(now.percent, now.target_percent) or now.name not in before:
                continue
            if now.name not in after or variants.changed(before[now.name], after[now.name]):
                change = "be changed" if now.name in after else "be removed"
                raise Conflict(
                    f"{spec.name}: {now.name} has {shown(now.target_percent)} % of the traffic and would {change}",
                    remedy=f"move its traffic away first: isthmus traffic {spec.name} {now.name}=0",
                )

    def _new(self, name: str, spec: EndpointSpec, versions: Mapping[str, ModelVersion]) -> list[Planned]:
        weights = {each.name: HUNDRED if at == 0 else Decimal(0) for at, each in enumerate(spec.variants)}
        return self._planned(name, spec, versions, weights)

    def _planned(
        self, name: str, spec: EndpointSpec, versions: Mapping[str, ModelVersion], weights: Mapping[str, Decimal]
    ) -> list[Planned]:
        return [
            Planned(
                spec=each,
                version=versions[each.name],
                model_name=variants.model_name(name, each, versions[each.name], spec.routing),
                machine=serving_machine(self._target.profile, each),
                count=serving_counts(self._target.profile, each)[0],
                weight=weights.get(each.name, Decimal(0)),
            )
            for each in spec.variants
        ]

    def _create(self, name: str, spec: EndpointSpec, planned: Sequence[Planned]) -> None:
        config = self._make_config(name, spec, planned)
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpoint", name):
            self._aws.client("sagemaker").create_endpoint(
                EndpointName=name, EndpointConfigName=config, Tags=self._aws.tags("endpoint", spec.name)
            )

    def _update(
        self, name: str, spec: EndpointSpec, saw: EndpointState, described: Mapping[str, Any], versions: Mapping[str, ModelVersion]
    ) -> None:
        planned = self._planned(name, spec, versions, variants.retained(saw, described))
        config = variants.config_name(name, variants.planned_revision(spec), planned, spec.capture_percent)
        asked, modified = self._asked.get(name, (None, None))
        if asked == config:
            if described.get("LastModifiedTime") == modified:
                return  # what we see is from before our update: it will come
            del self._asked[name]  # SageMaker went back to the old config: to ask again by ourselves would go on for ever
            raise Unavailable(
                f"{spec.name}: SageMaker rolled the update to {config} back: {saw.failure or 'it does not say why'}",
                remedy=f"isthmus endpoints logs {spec.name}; then `isthmus deploy {spec.name}` again",
            )
        self._make_config(name, spec, planned)
        with self._aws.mutating("UpdateEndpoint", name):
            self._aws.client("sagemaker", retrying=False).update_endpoint(
                EndpointName=name, EndpointConfigName=config, RetainAllVariantProperties=True
            )
        self._asked[name] = config, described.get("LastModifiedTime")

    def _make_config(self, name: str, spec: EndpointSpec, planned: Sequence[Planned]) -> str:
        """The models and the config. Named from their content, so what exists is what is wanted."""
        client, role = self._aws.client("sagemaker"), self._aws.role
        for each in planned:
            with suppress(AlreadyExists), self._aws.mutating("CreateModel", each.model_name):
                client.create_model(
                    ModelName=each.model_name,
                    PrimaryContainer=variants.container(each, spec.routing),
                    ExecutionRoleArn=role,
                    Tags=self._aws.tags("endpoint_model", spec.name),
                )
        config = variants.config_name(name, variants.planned_revision(spec), planned, spec.capture_percent)
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpointConfig", config):
            client.create_endpoint_config(
                EndpointConfigName=config,
                ProductionVariants=[variants.production_variant(each) for each in planned],
                Tags=self._aws.tags("endpoint_config", spec.name),
            )
        return config

    def _rescale(self, name: str, spec: EndpointSpec, described: Mapping[str, Any]) -> None:
        """Bring each variant's instances into its range; the weights stay."""
        running = {each["VariantName"]: int(each.get("DesiredInstanceCount", 1)) for each in described.get("ProductionVariants", ())}
        changes = []
        for each in spec.variants:
            fewest, most = serving_counts(self._target.profile, each)
            count = min(max(running[each.name], fewest), most)
            if count != running[each.name]:
                changes.append({"VariantName": each.name, "DesiredInstanceCount": count})
        if changes:
            with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
                self._aws.client("sagemaker", retrying=False).update_endpoint_weights_and_capacities(
                    EndpointName=name, DesiredWeightsAndCapacities=changes
                )


def _check(spec: EndpointSpec) -> None:
    names = [each.name for each in spec.variants]
    if not names or len(set(names)) != len(names):
        raise Invalid(f"endpoint {spec.name} needs variants, each with a name of its own; it has {names}")
    if len(names) > 10:
        raise Unsupported(f"endpoint {spec.name} has {len(names)} variants; SageMaker takes 10", capability="endpoints.variants")
    if spec.routing == "sticky":
        raise Unsupported("sticky routing is not supported yet", capability="invoke.variant, sticky", remedy="routing: weighted")
    if spec.capture_percent:
        raise Unsupported("capture is not supported yet", capability="capture", remedy="leave capture_percent at 0")


def _hopeless(saw: EndpointState) -> EndpointState:
    """SageMaker takes nothing but a deletion of a failed endpoint: say so."""
    why = saw.failure or "SageMaker does not say why"
    return msgspec.structs.replace(saw, failure=f"{why} (a failed endpoint can only be deleted: isthmus destroy)")


def _missing(endpoint: str) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint}", remedy=f"isthmus deploy {endpoint}")
