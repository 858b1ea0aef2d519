"""EndpointHost on SageMaker.

`apply` makes models, configs and endpoints named from their content; `shift` sets weights and
nothing else. A call whose lost reply could hide its effect is sent once (`retrying=False`): the
SDK's own repeat of UpdateEndpoint would meet the update that it began. Nothing can fence such a
call, so it is sent soon or not at all: at most `_FRESH` after the look that it rests on, and given
up after 15 s.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, final

import msgspec

from ....endpoints import hosting
from ....endpoints.port import NO_PARAMETERS, EndpointSpec, EndpointState, Reply
from ....errors import AlreadyExists, Busy, NotFound, Unavailable
from ....events.port import Row
from ....pipelines.port import ModelVersion
from ....target import Target
from ...common import adoption as common
from ..machines import serving_counts, serving_machine
from ..session import CONTROL, AwsSession, aws_of
from . import adoption, invocations, variants
from .variants import ConfiguredVariant, PlannedVariant

_FRESH = timedelta(seconds=5)  # that a look at the endpoint is acted on


@final
class SageMakerEndpoints:
    """The EndpointHost port over SageMaker."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)
        # by endpoint and name: configs and models never change
        self._configs: dict[tuple[str, ...], tuple[ConfiguredVariant, ...]] = {}
        # endpoint -> the config that this host asked for, LastModifiedTime before that
        self._asked: dict[str, tuple[str, object]] = {}
        self._lock = threading.Lock()
        self._rules = hosting.rules_of(target, provider="SageMaker", most_variants=variants.MOST)

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Take one step of an endpoint towards its spec; return its state before the step.

        While SageMaker changes the endpoint, nothing is sent: the next call goes on from there.

        Raises:
            Conflict: A variant that has traffic would change.
            Invalid: The spec cannot be served here.
            Unsupported: The spec needs something that SageMaker lacks.
        """
        hosting.check_spec(spec, self._rules)
        name = self._aws.endpoint_name(spec.name)
        versions = {
            variant.name: self._target.registry.get(variant.model, variant.version)
            for variant in spec.variants
        }
        looked = self._target.clock()
        described = self._describe(name)
        if described is None:
            common.guard_absent(spec.name, self._aws.adopted, "SageMaker")
            self._create(name, spec, self._plan(name, spec, versions, hosting.first_split(spec)))
            return EndpointState(
                name=spec.name, phase="creating", revision="", token="", variants=()
            )
        saw = self._state(spec.name, name, described)
        configured = self._known_variants(described)
        if saw.revision != variants.planned_revision(spec):
            adoption.guard(spec, configured)
        running = {variant.name: variant.spec for variant in configured}
        hosting.guard_traffic(spec, running, variants.traffic(saw), routing=saw.routing)
        if saw.phase != "ready":  # SageMaker is at work, or the endpoint has failed
            return saw
        if saw.revision != variants.planned_revision(spec):
            self._update(name, spec, saw, described, versions, looked=looked)
        elif self._is_fresh(looked):
            self._rescale(name, spec, described, configured)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the variants' traffic weights, if the endpoint has not changed since `expect`.

        SageMaker's call has no precondition: a change between check and call is noticed only at the
        next observation.
        """
        name = self._aws.endpoint_name(endpoint)
        looked = self._target.clock()
        described = self._describe(name)
        if described is None:
            raise hosting.not_found(endpoint)
        saw = self._state(endpoint, name, described)
        if saw.routing == "sticky":
            raise hosting.sticky(endpoint)
        checked = hosting.checked_split(
            endpoint, split, [variant.name for variant in saw.variants], self._rules
        )
        hosting.check_token(endpoint, saw.token, expect=expect)
        if saw.phase != "ready":
            raise Busy(
                f"{endpoint} is {described['EndpointStatus']} at SageMaker",
                remedy="try again when the change has ended",
            )
        if not self._is_fresh(looked):
            raise Unavailable(
                f"{endpoint}: SageMaker took too long to say how it is; nothing was sent",
                remedy="look at it, and decide again",
            )
        running = variants.running(described)
        weights = [
            {"VariantName": running[variant]["VariantName"], "DesiredWeight": float(percent)}
            for variant, percent in checked.items()
        ]
        with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
            self._control.update_endpoint_weights_and_capacities(
                EndpointName=name, DesiredWeightsAndCapacities=weights
            )

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return an endpoint's state, also of an adopted one, or None if there is none."""
        name = self._aws.endpoint_name(endpoint)
        described = self._describe(name)
        return None if described is None else self._state(endpoint, name, described)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Send the instances by one InvokeEndpoint, which is never repeated; return the reply.

        Raises:
            NotFound: There is no such endpoint or variant.
            Invalid: Too many bytes, or a parameter that JSON does not carry; nothing was sent.
            ModelError: The model failed. Busy, Unavailable and OutcomeUnknown as they say.
        """
        body = hosting.request_body(endpoint, instances, self._rules, parameters)
        return invocations.invoke(
            self._aws.client("sagemaker-runtime", retrying=False),
            self._aws.endpoint_name(endpoint),
            body,
            endpoint=endpoint,
            variant=None
            if variant is None
            else adoption.variant_name(self._aws, endpoint, variant),
            request_id=request_id,
        )

    @property
    def _control(self) -> Any:
        """The SageMaker client, without retries, for calls that change an endpoint."""
        return self._aws.client("sagemaker", retrying=False, within=CONTROL)

    def _is_fresh(self, looked: datetime) -> bool:
        """Return whether an endpoint was described (at `looked`) recently enough to act on that."""
        return self._target.clock() - looked <= _FRESH

    def _state(self, endpoint: str, name: str, described: Mapping[str, Any]) -> EndpointState:
        """Convert SageMaker's description of an endpoint (which it calls `name`) to its state."""
        config = described["EndpointConfigName"]
        if self._asked.get(name, ("", None))[0] == config:
            self._asked.pop(name, None)  # it has arrived
        saw = variants.state(endpoint, described, self._known_variants(described))
        return _hopeless(saw) if saw.phase == "failed" else saw

    def _describe(self, name: str) -> dict[str, Any] | None:
        """Return SageMaker's description of an endpoint, or None; metrics reuse it."""
        asked_at = self._target.clock()
        try:
            with self._aws.reading("DescribeEndpoint", name):
                described: dict[str, Any] = self._aws.client("sagemaker").describe_endpoint(
                    EndpointName=name
                )
        except NotFound:
            self._aws.described.pop(name, None)
            return None
        self._aws.described[name] = asked_at, described
        return described

    def _known_variants(self, described: Mapping[str, Any]) -> tuple[ConfiguredVariant, ...]:
        """Return an endpoint's configured variants, cached, with specs from model names or tags.

        There are none if the endpoint's config was deleted.
        """
        config = described["EndpointConfigName"]
        key = (described["EndpointName"], str(described["CreationTime"]), config)
        with self._lock:
            if (configured := self._configs.get(key)) is not None:
                return configured
        client = self._aws.client("sagemaker")
        try:
            with self._aws.reading("DescribeEndpointConfig", config):
                listed = client.describe_endpoint_config(EndpointConfigName=config)[
                    "ProductionVariants"
                ]
        except NotFound:
            listed = []
        configured = adoption.as_tagged(
            self._aws, described, [self._known_variant(client, variant) for variant in listed]
        )
        if configured and all(
            variant.is_managed for variant in configured
        ):  # what is foreign may be adopted at any time
            with self._lock:
                self._configs[key] = configured
        return configured

    def _known_variant(self, client: Any, variant: Mapping[str, Any]) -> ConfiguredVariant:
        """Describe a production variant of an endpoint config, with its model's container."""
        containers: list[dict[str, Any]] = []
        if model := variant.get("ModelName"):
            with suppress(NotFound), self._aws.reading("DescribeModel", model):
                containers = variants.containers(client.describe_model(ModelName=model))
        environment = containers[0].get("Environment", {}) if containers else {}
        return variants.known_variant(
            variant, environment, variants.content_of(containers) if containers else ""
        )

    def _plan(
        self,
        name: str,
        spec: EndpointSpec,
        versions: Mapping[str, ModelVersion],
        weights: Mapping[str, Decimal],
        configured: Sequence[ConfiguredVariant] = (),
    ) -> list[PlannedVariant]:
        """Return a spec's variants as the next endpoint config will hold them.

        `versions` are their registered versions, `weights` their traffic, `configured` those of the
        present config.
        """
        planned = [
            PlannedVariant(
                spec=variant,
                version=versions[variant.name],
                model_name=variants.model_name(name, variant, versions[variant.name], spec.routing),
                machine=serving_machine(self._target.profile, variant),
                count=serving_counts(self._target.profile, variant)[0],
                weight=weights.get(variant.name, Decimal(0)),
            )
            for variant in spec.variants
        ]
        return [adoption.with_container(variant, configured) for variant in planned]

    def _create(self, name: str, spec: EndpointSpec, planned: Sequence[PlannedVariant]) -> None:
        """Create the endpoint with its models and config; do nothing if it exists by now."""
        config = self._make_config(name, spec, planned)
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpoint", name):
            self._aws.client("sagemaker").create_endpoint(
                EndpointName=name,
                EndpointConfigName=config,
                Tags=self._aws.tags("endpoint", spec.name),
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
        """Update the endpoint to a new endpoint config that is made from the spec.

        `saw` is its state and `described` SageMaker's description of it at `looked`. Raises
        Unavailable if SageMaker rolled the last such update back.
        """
        sticky = spec.routing == "sticky"
        weights = hosting.first_split(spec) if sticky else variants.current_weights(saw, described)
        planned = self._plan(name, spec, versions, weights, self._known_variants(described))
        config = variants.config_name(
            name, variants.planned_revision(spec), planned, spec.capture_percent
        )
        requested_config, modified = self._asked.get(name, (None, None))
        if requested_config == config:
            if described.get("LastModifiedTime") == modified:
                return  # what we see is from before our update: it will come
            # SageMaker went back to the old config: asking again by ourselves would never end
            del self._asked[name]
            raise Unavailable(
                f"{spec.name}: SageMaker rolled the update to {config} back: "
                f"{saw.failure or 'it does not say why'}",
                remedy=f"isthmus endpoints logs {spec.name}; then `isthmus deploy {spec.name}` "
                "again",
            )
        self._make_config(name, spec, planned, running=described["EndpointConfigName"])
        if not self._is_fresh(looked):
            return  # what it needs is made now, so the next call is quicker
        with self._aws.mutating("UpdateEndpoint", name):
            self._control.update_endpoint(
                EndpointName=name,
                EndpointConfigName=config,
                RetainAllVariantProperties=True,
                **(
                    {"ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}]}
                    if sticky
                    else {}
                ),
            )
        self._asked[name] = config, described.get("LastModifiedTime")

    def _make_config(
        self, name: str, spec: EndpointSpec, planned: Sequence[PlannedVariant], *, running: str = ""
    ) -> str:
        """Create the models and the endpoint config of a spec; return the config's name.

        Names come from the content, so one that exists is the right one. `running` names the
        present config, whose settings are repeated for an adopted endpoint.
        """
        client, role = self._aws.client("sagemaker"), self._aws.role
        standing = any(variant.standing is not None for variant in planned)
        for variant in planned:
            if variant.standing is not None:
                continue
            with suppress(AlreadyExists), self._aws.mutating("CreateModel", variant.model_name):
                client.create_model(
                    ModelName=variant.model_name,
                    PrimaryContainer=variants.container(variant, spec.routing),
                    ExecutionRoleArn=role,
                    Tags=self._aws.tags("endpoint_model", spec.name),
                )
        config = variants.config_name(
            name, variants.planned_revision(spec), planned, spec.capture_percent
        )
        with suppress(AlreadyExists), self._aws.mutating("CreateEndpointConfig", config):
            client.create_endpoint_config(
                EndpointConfigName=config,
                ProductionVariants=[variants.production_variant(variant) for variant in planned],
                **(
                    adoption.settings(self._aws, running)
                    if standing
                    else {"Tags": self._aws.tags("endpoint_config", spec.name)}
                ),
            )
        return config

    def _rescale(
        self,
        name: str,
        spec: EndpointSpec,
        described: Mapping[str, Any],
        configured: Sequence[ConfiguredVariant],
    ) -> None:
        """Change each variant's instance count that is outside of its range; weights stay.

        `described` is SageMaker's description, and `configured` are the variants of its config. An
        adopted variant without a range keeps its count, too.
        """
        running = variants.running(described)
        adopted = {variant.name for variant in configured if variant.adopted}
        changes = []
        for variant in spec.variants:
            if variant.name in adopted and variant.instances is None:
                continue
            now = int(running[variant.name].get("DesiredInstanceCount", 1))
            fewest, most = serving_counts(self._target.profile, variant)
            if (count := min(max(now, fewest), most)) != now:
                changes.append(
                    {
                        "VariantName": running[variant.name]["VariantName"],
                        "DesiredInstanceCount": count,
                    }
                )
        if changes:
            with self._aws.mutating("UpdateEndpointWeightsAndCapacities", name):
                self._control.update_endpoint_weights_and_capacities(
                    EndpointName=name, DesiredWeightsAndCapacities=changes
                )


def _hopeless(saw: EndpointState) -> EndpointState:
    """Add to an endpoint's failure that it cannot be repaired and must be deleted.

    `saw` is its state; the result is the state with the longer text.
    """
    why = saw.failure or "SageMaker does not say why"
    return msgspec.structs.replace(
        saw, failure=f"{why} (a failed endpoint can only be deleted: isthmus destroy)"
    )
