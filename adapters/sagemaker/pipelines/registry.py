"""ModelRegistry on SageMaker: a model is a package group, a version a package, an alias a tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, final

import msgspec

from ....errors import AlreadyExists, NotFound
from ....pipelines.port import Approval, ModelVersion
from ....storage import wait
from ....target import Target
from ...common.pipelines.registry import check_alias, check_approval, no_version
from ..machines import image as our_image
from ..names import dashed
from ..session import AwsSession, aws_of

ALIAS_TAG = "isthmus:alias:"
_APPROVALS: Mapping[Approval, str] = {
    "pending": "PendingManualApproval",
    "approved": "Approved",
    "rejected": "Rejected",
}
_OURS: Mapping[str, Approval] = {theirs: ours for ours, theirs in _APPROVALS.items()}
_READY = timedelta(minutes=5)


class _Package(msgspec.Struct, frozen=True, kw_only=True):
    """The unchanging content of a model package."""

    digest: str
    uri: str
    image: str


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    """A model package group."""

    arn: str
    created: str  # tells a group from an earlier one of its name


@final
class SageMakerRegistry:
    """The ModelRegistry port over SageMaker."""

    def __init__(self, target: Target) -> None:
        self._aws: AwsSession = aws_of(target)
        self._packages: dict[str, _Package] = {}  # by ARN

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Register a model version as a model package, or return the one that has the digest.

        Two registrations at once, or a repeat, make one version: the digest is looked up first, and
        the call carries a token.
        """
        name = dashed(self._aws.project, model)
        group = self._group(name) or self._make_group(name, model)
        if (summary := self._by_digest(name, digest)) is None:
            with self._aws.mutating("CreateModelPackage", name):
                self._aws.client("sagemaker").create_model_package(
                    ModelPackageGroupName=name,
                    ModelPackageDescription=digest,
                    InferenceSpecification=_inference(uri, image or our_image(self._aws.profile)),
                    CustomerMetadataProperties={"digest": digest, **({"uri": uri} if uri else {})},
                    ModelApprovalStatus=_APPROVALS["pending"],
                    ClientToken=sha256(
                        f"{group.arn}\n{group.created}\n{digest}".encode()
                    ).hexdigest()[:32],
                )
            summary = wait(
                lambda: self._by_digest(name, digest),
                lambda current: current is not None,
                deadline=_READY,
                what=f"registering {model}",
            )
        assert summary is not None  # noqa: S101  for the type checker: `wait` returned, so it is there
        return self._version(model, summary, self._aliases(group))

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """Return a model's version by its number or alias (a tag of the package group).

        NotFound names what exists.
        """
        return self._version(model, *self._lookup(model, number_or_alias))

    def arn(self, model: str, number_or_alias: int | str) -> str:
        """Return the ARN of a version's model package, by number or alias.

        Raise NotFound if there is none.
        """
        return str(self._lookup(model, number_or_alias)[0]["ModelPackageArn"])

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions whose packages are Completed, oldest first.

        An unknown model has none.
        """
        name = dashed(self._aws.project, model)
        group = self._group(name)
        if group is None:
            return ()
        aliases = self._aliases(group)
        return tuple(self._version(model, summary, aliases) for summary in self._list(name))

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Move a model's alias, a tag of the package group, to a version; None removes it.

        Raises:
            NotFound: There is no such version.
            Invalid: The name cannot be an alias.
        """
        check_alias(alias)
        group = self._group(dashed(self._aws.project, model))
        key, client = f"{ALIAS_TAG}{alias}", self._aws.client("sagemaker")
        if version is None:
            if group is not None:
                with self._aws.mutating("DeleteTags", f"{model}@{alias}"):
                    client.delete_tags(ResourceArn=group.arn, TagKeys=[key])
            return
        self.get(model, version)
        assert group is not None  # noqa: S101  it has a version
        with self._aws.mutating("AddTags", f"{model}@{alias}"):
            client.add_tags(ResourceArn=group.arn, Tags=[{"Key": key, "Value": str(version)}])

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:
        """Record a version's approval and the reason `note`, cut to 1,024 characters.

        Raises:
            NotFound: There is no such version.
            Invalid: The word is no Approval.
        """
        check_approval(approval)
        name = dashed(self._aws.project, model)
        packages = self._list(name) if self._group(name) else ()
        package = next(
            (summary for summary in packages if summary["ModelPackageVersion"] == version), None
        )
        if package is None:
            raise _absent(model, version, packages, {})
        with self._aws.mutating("UpdateModelPackage", f"{model}@{version}"):
            more = {"ApprovalDescription": note[:1024]} if note else {}
            self._aws.client("sagemaker").update_model_package(
                ModelPackageArn=package["ModelPackageArn"],
                ModelApprovalStatus=_APPROVALS[approval],
                **more,
            )

    def _lookup(self, model: str, ref: int | str) -> tuple[dict[str, Any], Mapping[str, int]]:
        """Return a version's package summary and the model's aliases; raise NotFound if absent."""
        name = dashed(self._aws.project, model)
        group = self._group(name)
        packages = self._list(name) if group else ()
        aliases = self._aliases(group) if group else {}
        number = ref if isinstance(ref, int) else aliases.get(ref)
        summary = next(
            (package for package in packages if package["ModelPackageVersion"] == number), None
        )
        if summary is None:
            raise _absent(model, ref, packages, aliases)
        return summary, aliases

    def _group(self, name: str) -> _Group | None:
        """Return a model's package group, or None."""
        try:
            with self._aws.reading("DescribeModelPackageGroup", name):
                group = self._aws.client("sagemaker").describe_model_package_group(
                    ModelPackageGroupName=name
                )
        except NotFound:
            return None
        return _Group(arn=group["ModelPackageGroupArn"], created=group["CreationTime"].isoformat())

    def _make_group(self, name: str, model: str) -> _Group:
        """Create a model's package group if it is absent, wait until it is ready, and return it."""
        try:
            with self._aws.mutating("CreateModelPackageGroup", name):
                self._aws.client("sagemaker").create_model_package_group(
                    ModelPackageGroupName=name,
                    ModelPackageGroupDescription=f"{model}, by Isthmus",
                    Tags=self._aws.tags("model", model),
                )
        except AlreadyExists:  # somebody else was a little faster
            pass
        group = wait(
            lambda: self._group(name),
            lambda current: current is not None,
            deadline=_READY,
            what=f"model package group {name}",
        )
        assert group is not None  # noqa: S101  for the type checker: `wait` returned, so it is there
        return group

    def _list(self, name: str) -> Sequence[dict[str, Any]]:
        """Return the summaries of a package group's usable packages, oldest first."""
        with self._aws.reading("ListModelPackages", name):
            pages = (
                self._aws.client("sagemaker")
                .get_paginator("list_model_packages")
                .paginate(ModelPackageGroupName=name, SortBy="CreationTime", SortOrder="Ascending")
            )
            summaries = [summary for page in pages for summary in page["ModelPackageSummaryList"]]
        return sorted(
            filter(_is_usable, summaries), key=lambda summary: int(summary["ModelPackageVersion"])
        )

    def _by_digest(self, name: str, digest: str) -> dict[str, Any] | None:
        """Return the summary of the model package that has a digest, or None."""
        return next(
            (
                summary
                for summary in self._list(name)
                if summary.get("ModelPackageDescription") == digest
            ),
            None,
        )

    def _aliases(self, group: _Group) -> dict[str, int]:
        """Return a model's aliases with their version numbers, from the package group's tags."""
        with self._aws.reading("ListTags", group.arn):
            pages = (
                self._aws.client("sagemaker")
                .get_paginator("list_tags")
                .paginate(ResourceArn=group.arn)
            )
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        return {
            key.removeprefix(ALIAS_TAG): int(value)
            for key, value in tags.items()
            if key.startswith(ALIAS_TAG) and value.isdigit()
        }

    def _version(
        self, model: str, summary: Mapping[str, Any], aliases: Mapping[str, int]
    ) -> ModelVersion:
        """Convert the summary of a model package to a ModelVersion."""
        number = int(summary["ModelPackageVersion"])
        package = self._package(summary["ModelPackageArn"])
        return ModelVersion(
            model=model,
            version=number,
            digest=package.digest,
            uri=package.uri,
            image=package.image,
            approval=_OURS.get(summary.get("ModelApprovalStatus", ""), "pending"),
            aliases=frozenset(
                alias for alias, of_version in aliases.items() if of_version == number
            ),
        )

    def _package(self, arn: str) -> _Package:
        """Describe a model package, cached, since its content never changes."""
        if arn not in self._packages:
            with self._aws.reading("DescribeModelPackage", arn):
                package = self._aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
            self._packages[arn] = _package(package)
        return self._packages[arn]


def _inference(uri: str, image: str) -> dict[str, Any]:
    """Return the InferenceSpecification of a model package: the model's folder and image.

    Isthmus's own models are uncompressed folders, the same bytes on every target. Adopted models
    are archives, or have no data beside the image.
    """
    if not uri or uri.endswith(".tar.gz"):
        return {"Containers": [{"Image": image, **({"ModelDataUrl": uri} if uri else {})}]}
    source = {"S3Uri": f"{uri.rstrip('/')}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {
        "Containers": [{"Image": image, "ModelDataSource": {"S3DataSource": source}}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }


def _is_usable(summary: Mapping[str, Any]) -> bool:
    """Return whether a model package is Completed, and a version of a package group."""
    return (
        summary.get("ModelPackageStatus", "Completed") == "Completed"
        and "ModelPackageVersion" in summary
    )


def _package(package: Mapping[str, Any]) -> _Package:
    """Convert DescribeModelPackage's answer to our record, whose digest may be unknown."""
    properties = package.get("CustomerMetadataProperties", {})
    container: Mapping[str, Any] = next(
        iter(package.get("InferenceSpecification", {}).get("Containers", ())), {}
    )
    source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get(
        "S3Uri"
    ) or container.get("ModelDataUrl", "")
    return _Package(
        digest=properties.get("digest", ""),
        uri=properties.get("uri") or source.rstrip("/"),
        image=container.get("Image", ""),
    )


def _absent(
    model: str, ref: int | str, packages: Sequence[Mapping[str, Any]], aliases: Mapping[str, int]
) -> NotFound:
    """Return the error for a version or alias `ref` that a model does not have.

    It names those that exist, in `packages` and `aliases`.
    """
    numbers = [package["ModelPackageVersion"] for package in packages]
    return no_version(
        model,
        ref,
        {
            number: [alias for alias, version in aliases.items() if version == number]
            for number in numbers
        },
    )
