"""Adoption of endpoints that Isthmus did not make: what they run, and the tags that claim them.

An adopted endpoint carries the project's three tags and, for each model behind it,
`isthmus:version:<digest of its container>` = `ranker@1`. The tag goes by content, not by name: what
others deploy there afterwards is foreign until it is adopted too, even under the name of an old
model. SageMaker's name of such an endpoint stands in profiles.yaml (`adopted:`), where it is known
without asking anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import msgspec

from ....endpoints.port import EndpointSpec, RunningEndpoint, RunningVariant, VariantState
from ....errors import Busy, Conflict, NotFound, Refused
from ....project.reading.names import neutral
from ....target import Target
from ...common import adoption
from .. import names
from ..session import AwsSession, aws_of
from . import variants
from .variants import ConfiguredVariant, PlannedVariant

VERSION_TAG = "isthmus:version:"


@final
class SageMakerAdopter:
    """The Adopter port; see endpoints.port.Adopter."""

    def __init__(self, target: Target) -> None:
        self._aws: AwsSession = aws_of(target)

    def look(self, native: str, *, name: str | None) -> RunningEndpoint:
        """Describe a SageMaker endpoint and its variants, named as adoption would name them."""
        described = self._describe(native)
        configured = self._config_variants(described["EndpointConfigName"])
        check_endpoint(native, described, configured)
        tags = tags_of(self._aws, described["EndpointArn"])
        owner = tags.get(names.PROJECT_TAG)
        ours = owner == self._aws.project
        name = adoption.name_here(
            native,
            requested=name,
            noted=tags.get(names.NAME_TAG, "") if ours else None,
            adopted=self._aws.adopted,
            own=native.removeprefix(names.dashed(self._aws.project, "")),
        )
        shares = {state.name: state for state in variants.state(name, described, ()).variants}
        if not any(state.target_percent for state in shares.values()):
            raise adoption.unsupported(
                native, "the weights of all its variants are 0: there is no split to keep"
            )
        versions_by_content = versions(tags) if ours else {}
        return RunningEndpoint(
            native=native,
            native_id=described["EndpointArn"],
            name=name,
            owner=owner,
            options=self._options(name, native, configured),
            variants=tuple(
                self._variant(
                    native, configured[label], shares[neutral(label)], versions_by_content, owner
                )
                for label in configured
            ),
        )

    def tag(self, standing: RunningEndpoint, refs: Mapping[str, str]) -> None:
        """Tag a SageMaker endpoint as adopted by this project in one call.

        `refs` are its known versions by content digest. Raises Conflict if another project has
        tagged it at the same moment, which is seen when the tags are read again.
        """
        tags = [{"Key": f"{VERSION_TAG}{content}", "Value": ref} for content, ref in refs.items()]
        with self._aws.mutating("AddTags", standing.native):
            self._aws.client("sagemaker").add_tags(
                ResourceArn=standing.native_id,
                Tags=[*self._aws.tags("endpoint", standing.name), *tags],
            )
        owner = tags_of(self._aws, standing.native_id).get(names.PROJECT_TAG)
        if owner != self._aws.project:
            raise Conflict(
                f"project {owner} took {standing.native} over at the same moment",
                remedy="settle whose it is; then import it again",
            )

    def _describe(self, native: str) -> dict[str, Any]:
        """Return SageMaker's description of an endpoint; raise NotFound if there is none."""
        try:
            with self._aws.reading("DescribeEndpoint", native):
                described: dict[str, Any] = self._aws.client("sagemaker").describe_endpoint(
                    EndpointName=native
                )
        except NotFound as error:
            raise NotFound(
                f"SageMaker has no endpoint {native} in {self._aws.region}",
                remedy="its name is SageMaker's: aws sagemaker list-endpoints",
            ) from error
        return described

    def _config_variants(self, config: str) -> dict[str, dict[str, Any]]:
        """Return the production variants of an endpoint config, by SageMaker's names."""
        with self._aws.reading("DescribeEndpointConfig", config):
            described = self._aws.client("sagemaker").describe_endpoint_config(
                EndpointConfigName=config
            )
        return {variant["VariantName"]: variant for variant in described["ProductionVariants"]}

    def _options(self, name: str, native: str, labels: Iterable[str]) -> dict[str, Any]:
        """Return the `adopted:` options that profiles.yaml needs for an adopted endpoint.

        There are none if its name follows our rules. Raises Refused if the project has an endpoint
        `name`.
        """
        whole = names.dashed(self._aws.project, name)
        if whole == native and all(label == names.variant(neutral(label)) for label in labels):
            return {}
        try:
            taken = whole != native and self._describe(whole)
        except NotFound:
            taken = False
        if not taken:
            return {"adopted": {**self._aws.adopted, name: native}}
        raise adoption.name_taken(name, whole)

    def _variant(
        self,
        native: str,
        configured: Mapping[str, Any],
        state: VariantState,
        versions_by_content: Mapping[str, tuple[str, int]],
        owner: str | None,
    ) -> RunningVariant:
        """Describe a variant of a running endpoint: its model, machine, traffic and known version.

        `owner` is the project in the endpoint's tags.

        `native` is SageMaker's name of the endpoint, `configured` the variant in its config.
        """
        label, model = configured["VariantName"], configured["ModelName"]
        container = self._container(native, label, model)
        variant = variants.as_registered(
            variants.known_variant(
                configured, container.get("Environment", {}), variants.content_of([container])
            ),
            versions_by_content,
        )
        if variant.is_managed and owner is None:
            raise Refused(
                f"{native}, variant {label}: {model} is a model of an Isthmus project",
                remedy="deploy it from that project",
            )
        packaged = self._with_package(container)
        return RunningVariant(
            name=state.name,
            native=label,
            runs=model,
            machine=variant.machine,
            instances=state.instances,
            percent=state.target_percent,
            content=variant.content,
            image=packaged.get("Image", ""),
            uri=packaged.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
            or packaged.get("ModelDataUrl", ""),
            model=variant.spec.model if variant.is_managed else "",
            version=variant.spec.version,
        )

    def _container(self, native: str, label: str, model: str) -> dict[str, Any]:
        """Return the only container of a variant's model, as DescribeModel gives it.

        Raises Unsupported if the model has several or serves several models; `native` and `label`
        name endpoint and variant.
        """
        try:
            with self._aws.reading("DescribeModel", model):
                containers = variants.containers(
                    self._aws.client("sagemaker").describe_model(ModelName=model)
                )
        except NotFound as error:
            raise adoption.unsupported(
                native, f"{label}'s model {model} was deleted: nobody can tell what it serves"
            ) from error
        if len(containers) != 1:
            raise adoption.unsupported(
                native, f"{label} is an inference pipeline of {len(containers)} containers"
            )
        if containers[0].get("Mode") == "MultiModel":
            raise adoption.unsupported(native, f"{label} is a multi-model container")
        return containers[0]

    def _with_package(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Return a container completed by the model package that it was made from, if any."""
        if not (package := container.get("ModelPackageName")):
            return dict(container)
        with self._aws.reading("DescribeModelPackage", package):
            described = self._aws.client("sagemaker").describe_model_package(
                ModelPackageName=package
            )
        return {
            **next(iter(described.get("InferenceSpecification", {}).get("Containers", ())), {}),
            **container,
        }


def tags_of(aws: AwsSession, arn: str) -> dict[str, str]:
    """Return the tags of a SageMaker resource as a mapping."""
    with aws.reading("ListTags", arn):
        pages = aws.client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def versions(tags: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Return which (model, version) each container digest is, from an adopted endpoint's tags."""
    refs = {
        key.removeprefix(VERSION_TAG): value.partition("@")
        for key, value in tags.items()
        if key.startswith(VERSION_TAG)
    }
    return {
        content: (model, int(number))
        for content, (model, _, number) in refs.items()
        if number.isdigit()
    }


def as_tagged(
    aws: AwsSession, described: Mapping[str, Any], configured: Sequence[ConfiguredVariant]
) -> tuple[ConfiguredVariant, ...]:
    """Return an endpoint's variants; those of an adopted endpoint get the versions in its tags.

    `described` is SageMaker's description, and `configured` are the variants of its config.

    Raises:
        Refused: profiles.yaml names the endpoint, and its tags name another project.
    """
    if (
        all(variant.is_managed for variant in configured)
        and described["EndpointName"] not in aws.adopted.values()
    ):
        return tuple(configured)
    tags = tags_of(aws, described["EndpointArn"])
    if (owner := tags.get(names.PROJECT_TAG)) == aws.project:
        versions_by_content = versions(tags)
        return tuple(variants.as_registered(variant, versions_by_content) for variant in configured)
    if described["EndpointName"] in aws.adopted.values():
        raise adoption.not_ours(described["EndpointName"], owner, aws.profile)
    return tuple(configured)


def release(aws: AwsSession, native: str) -> bool:
    """Remove Isthmus's tags from an adopted endpoint, which keeps running.

    It returns True if the endpoint was adopted, even if its tags are off already, and False
    otherwise.
    """
    client = aws.client("sagemaker")
    try:
        with aws.reading("DescribeEndpoint", native):
            arn = client.describe_endpoint(EndpointName=native)["EndpointArn"]
    except NotFound:
        return False
    tags = tags_of(aws, arn)
    if native in aws.adopted.values() and (owner := tags.get(names.PROJECT_TAG)) != aws.project:
        if owner is not None:
            raise adoption.not_ours(native, owner, aws.profile)
        return True
    if not versions(tags):
        return False
    ours = (names.PROJECT_TAG, names.KIND_TAG, names.NAME_TAG)
    client.delete_tags(
        ResourceArn=arn, TagKeys=[key for key in tags if key in ours or key.startswith(VERSION_TAG)]
    )
    return True


def guard(spec: EndpointSpec, configured: Sequence[ConfiguredVariant]) -> None:
    """Raise Refused if a spec deploys a version that its adopted endpoint does not run.

    An adopted endpoint was taken over, so no container can be made for it. `configured` are its
    variants.
    """
    if running := {
        (variant.spec.model, variant.spec.version) for variant in configured if variant.adopted
    }:
        adoption.guard(spec, running)


def with_container(
    planned: PlannedVariant, configured: Sequence[ConfiguredVariant]
) -> PlannedVariant:
    """Return a planned variant with the container that an adopted endpoint runs for its version.

    `configured` are its variants. For variants that Isthmus deployed itself nothing changes.
    """
    version = (planned.spec.model, planned.spec.version)
    source = next(
        (
            variant
            for variant in configured
            if variant.adopted and (variant.spec.model, variant.spec.version) == version
        ),
        None,
    )
    if source is None:
        return planned
    label = next(
        (
            variant.told["VariantName"]
            for variant in configured
            if variant.name == planned.spec.name
        ),
        None,
    )
    return msgspec.structs.replace(
        planned,
        standing={**source.told, "VariantName": label or names.variant(planned.spec.name)},
        model_name=source.model_name,
        machine=source.machine,
        count=source.count if planned.spec.instances is None else planned.count,
    )


def settings(aws: AwsSession, config: str) -> dict[str, Any]:
    """Return the settings of an endpoint config besides its variants, for its successor.

    They are data capture, encryption key, network and the like.
    """
    with aws.reading("DescribeEndpointConfig", config):
        described = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    own = (
        "EndpointConfigName",
        "EndpointConfigArn",
        "CreationTime",
        "ProductionVariants",
        "ResponseMetadata",
    )
    return {key: value for key, value in described.items() if key not in own and value}


def variant_name(aws: AwsSession, endpoint: str, variant: str) -> str:
    """Return SageMaker's name of an endpoint's variant: by our rule, or an adopted one's own."""
    if endpoint in aws.adopted:
        name = aws.endpoint_name(endpoint)
        with aws.reading("DescribeEndpoint", name):
            described = aws.client("sagemaker").describe_endpoint(EndpointName=name)
        if (summary := variants.running(described).get(variant)) is not None:
            return str(summary["VariantName"])
    return names.variant(variant)


# what a variant of an endpoint of somebody else's may be, and ours never is
_STRANGE: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "hosts inference components": lambda variant: not variant.get("ModelName"),
    "is serverless": lambda variant: "ServerlessConfig" in variant,
    "has instance pools": lambda variant: "InstanceType" not in variant,
}


def check_endpoint(
    native: str, described: Mapping[str, Any], configured: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise an error if an endpoint cannot be adopted, as traffic cannot be split between variants.

    `described` is SageMaker's description, `configured` its variants. Raises Busy while it changes,
    Refused if it has failed, Unsupported for what this adapter cannot split.
    """
    status = described["EndpointStatus"]
    if variants.PHASES.get(status, "updating") in ("creating", "updating", "deleting"):
        raise Busy(f"{native} is {status} at SageMaker", remedy="import it when that has ended")
    if status != "InService":
        raise Refused(
            f"{native} is {status} at SageMaker: "
            f"{described.get('FailureReason', 'it does not say why')}",
            remedy="mend it first",
        )
    if "AsyncInferenceConfig" in described:
        raise adoption.unsupported(native, "it is asynchronous")
    if described.get("ShadowProductionVariants"):
        raise adoption.unsupported(native, "it has a shadow variant")
    if len(configured) > variants.MOST:
        raise adoption.unsupported(
            native, f"it has {len(configured)} variants, more than {variants.MOST}"
        )
    for label, variant in configured.items():
        if strange := next((words for words, is_so in _STRANGE.items() if is_so(variant)), None):
            raise adoption.unsupported(native, f"{label} {strange}")
