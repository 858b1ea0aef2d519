"""EndpointHost on SageMaker: `apply` makes models, configs and endpoints named from their content; `shift` sets weights and nothing else.

What a lost reply may hide is sent once (`retrying=False`): the SDK's own repeat of UpdateEndpoint would meet the update that it began. It
is also sent soon or not at all, as nothing can fence it: at most `_FRESH` after the look that it stands on, and given up after 15 s.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, final

import msgspec

from ...endpoints import hosting
from ...endpoints.port import EndpointSpec, EndpointState, Reply
from ...errors import AlreadyExists, Busy, NotFound, Unavailable
from ...events.port import Row
from ...pipelines.port import ModelVersion
from ...target import Target
from . import invocations, variants
from .machines import serving_counts, serving_machine
from .names import dashed
from .session import CONTROL, Aws, of
from .variants import Known, Planned

_FRESH = timedelta(seconds=5)  # that a look at the endpoint is acted on
_MOST_VARIANTS = 10  # production variants of an endpoint config


@final
class SageMakerEndpoints:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: Aws = of(target)
        self._configs: dict[str, tuple[Known, ...]] = {}  # by name: configs and models never change
        self._asked: dict[str, tuple[str, object]] = {}  # endpoint -> the config that this host asked for, LastModifiedTime before that
        self._lock = threading.Lock()
        self._rules = hosting.rules_of(target, provider="SageMaker", most_variants=_MOST_VARIANTS)

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """See the port. While SageMaker is at work, or where it was slow, nothing is asked of it: the next call goes on from there."""
        hosting.check_spec(spec, self._rules)
        name = dashed(self._aws.project, spec.name)
        versions = {variant.name: self._target.registry.get(variant.model, variant.version) for variant in spec.variants}
        looked = self._target.clock()
        described = self._describe(name)
        if described is None:
            self._create(name, spec, self._planned(name, spec, versions, hosting.first_split(spec)))
            return EndpointState(name=spec.name, phase="creating", revision="", token="", variants=())
        saw = self._state(spec.name, name, described)
        running = {variant.name: variant.spec for variant in self._configured(described["EndpointConfigName"])}
        hosting.guard_traffic(spec, running, variants.traffic(saw))
        if saw.phase != "ready":  # SageMaker is at work, or the endpoint has failed
            return saw
        if saw.revision != variants.planned_revision(spec):
            self._update(name, spec, saw, described, versions, looked=looked)
        elif self._is_fresh(looked):
            self._rescale(name, spec, described)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Checked, not fenced: SageMaker's call has no precondition. Whoever loses such a race sees it in the next observation."""
        name = dashed(self._aws.project, endpoint)
        looked = self._target.clock()
        described = self._describe(name)
        if described is None:
            raise hosting.not_found(endpoint)
        saw = self._state(endpoint, name, described)
        wanted = hosting.checked_split(endpoint, split, [variant.name for variant in saw.variants], self._rules)
        hosting.check_token(endpoint, saw.token, expect=expect)
        if saw.phase != "ready":
            raise Busy(f"{endpoint} is {described['EndpointStatus']} at SageMaker", remedy="try again when the change has ended")
        if not self._is_fresh(looked):
            raise Unavailable(
                f"{endpoint}: SageMaker took too long to say how it is; nothing was sent", remedy="look at it, and decide again"
            )
        weights = [{"VariantName": variant, "DesiredWeight": float(percent)} for variant, percent in wanted.items()]
        with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
            self._control.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=weights)

    def observe(self, endpoint: str) -> EndpointState | None:
        name = dashed(self._aws.project, endpoint)
        described = self._describe(name)
        return None if described is None else self._state(endpoint, name, described)

    def invoke(self, endpoint: str, instances: Sequence[Row], *, variant: str | None, request_id: str) -> Reply:
        body = hosting.request_body(endpoint, instances, self._rules)
        return invocations.invoke(
            self._aws.client("sagemaker-runtime", retrying=False),
            dashed(self._aws.project, endpoint),
            body,
            endpoint=endpoint,
            variant=variant,
            request_id=request_id,
        )

    @property
    def _control(self) -> Any:
        return self._aws.client("sagemaker", retrying=False, within=CONTROL)

    def _is_fresh(self, looked: datetime) -> bool:
        return self._target.clock() - looked <= _FRESH

    def _state(self, endpoint: str, name: str, described: Mapping[str, Any]) -> EndpointState:
        config = described["EndpointConfigName"]
        if self._asked.get(name, ("", None))[0] == config:
            self._asked.pop(name, None)  # it has arrived
        saw = variants.state(endpoint, described, self._configured(config))
        return _hopeless(saw) if saw.phase == "failed" else saw

    def _describe(self, name: str) -> dict[str, Any] | None:
        asked = self._target.clock()
        try:
            with self._aws.reading("DescribeEndpoint", name):
                described: dict[str, Any] = self._aws.client("sagemaker").describe_endpoint(EndpointName=name)
        except NotFound:
            self._aws.described.pop(name, None)
            return None
        self._aws.described[name] = asked, described
        return described

    def _configured(self, config: str) -> tuple[Known, ...]:
        """A config's variants with what their models say of themselves; () when it was deleted under the endpoint."""
        with self._lock:
            if (configured := self._configs.get(config)) is not None:
                return configured
        client = self._aws.client("sagemaker")
        try:
            with self._aws.reading("DescribeEndpointConfig", config):
                listed = client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        except NotFound:
            return ()
        configured = tuple(variants.known(variant, self._environment(client, variant.get("ModelName"))) for variant in listed)
        with self._lock:
            self._configs[config] = configured
        return configured

    def _environment(self, client: Any, model: str | None) -> dict[str, str]:
        if model is None:
            return {}
        with suppress(NotFound), self._aws.reading("DescribeModel", model):
            described = client.describe_model(ModelName=model)
            container: dict[str, Any] = described.get("PrimaryContainer") or next(iter(described.get("Containers", ())), {})
            return dict(container.get("Environment", {}))
        return {}

    def _planned(
        self, name: str, spec: EndpointSpec, versions: Mapping[str, ModelVersion], weights: Mapping[str, Decimal]
    ) -> list[Planned]:
        return [
            Planned(
                spec=variant,
                version=versions[variant.name],
                model_name=variants.model_name(name, variant, versions[variant.name], spec.routing),
                machine=serving_machine(self._target.profile, variant),
                count=serving_counts(self._target.profile, variant)[0],
                weight=weights.get(variant.name, Decimal(0)),
            )
            for variant in spec.variants
        ]

    def _create(self, name: str, spec: EndpointSpec, planned: Sequence[Planned]) -> None:
        config = self._make_config(name, spec, planned)
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpoint", name):
            self._aws.client("sagemaker").create_endpoint(
                EndpointName=name, EndpointConfigName=config, Tags=self._aws.tags("endpoint", spec.name)
            )

    def _update(
        self,
        name: str,
        spec: EndpointSpec,
        saw: EndpointState,
        described: Mapping[str, Any],
        versions: Mapping[str, ModelVersion],
        *,
        looked: datetime,
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
        if not self._is_fresh(looked):
            return  # what it needs is made now, so the next call is quicker
        with self._aws.mutating("UpdateEndpoint", name):
            self._control.update_endpoint(EndpointName=name, EndpointConfigName=config, RetainAllVariantProperties=True)
        self._asked[name] = config, described.get("LastModifiedTime")

    def _make_config(self, name: str, spec: EndpointSpec, planned: Sequence[Planned]) -> str:
        """The models and the config. Named from their content, so what exists is what is wanted."""
        client, role = self._aws.client("sagemaker"), self._aws.role
        for variant in planned:
            with suppress(AlreadyExists), self._aws.mutating("CreateModel", variant.model_name):
                client.create_model(
                    ModelName=variant.model_name,
                    PrimaryContainer=variants.container(variant, spec.routing),
                    ExecutionRoleArn=role,
                    Tags=self._aws.tags("endpoint_model", spec.name),
                )
        config = variants.config_name(name, variants.planned_revision(spec), planned, spec.capture_percent)
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpointConfig", config):
            client.create_endpoint_config(
                EndpointConfigName=config,
                ProductionVariants=[variants.production_variant(variant) for variant in planned],
                Tags=self._aws.tags("endpoint_config", spec.name),
            )
        return config

    def _rescale(self, name: str, spec: EndpointSpec, described: Mapping[str, Any]) -> None:
        """Bring each variant's instances into its range; the weights stay."""
        running = {
            variant["VariantName"]: int(variant.get("DesiredInstanceCount", 1)) for variant in described.get("ProductionVariants", ())
        }
        changes = []
        for variant in spec.variants:
            fewest, most = serving_counts(self._target.profile, variant)
            count = min(max(running[variant.name], fewest), most)
            if count != running[variant.name]:
                changes.append({"VariantName": variant.name, "DesiredInstanceCount": count})
        if changes:
            with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
                self._control.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=changes)


def _hopeless(saw: EndpointState) -> EndpointState:
    """SageMaker takes nothing but a deletion of a failed endpoint: say so."""
    why = saw.failure or "SageMaker does not say why"
    return msgspec.structs.replace(saw, failure=f"{why} (a failed endpoint can only be deleted: isthmus destroy)")
