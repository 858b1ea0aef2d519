"""The operations on pipelines and their versions."""

from __future__ import annotations

from typing import Any

from .....core.registry import AwsError, Context, handles
from ...jobs import s3
from ...jobs.listing import page_of
from ...tags import operations as tags
from ..definition.document import Definition, DefinitionError, parse
from ..records import Pipeline, Pipelines, Version


def find(ctx: Context, name_or_arn: str) -> Pipeline:
    """Return a pipeline by its name or ARN.

    Raises:
        AwsError: There is no such pipeline (ResourceNotFound).
    """
    name = name_or_arn.rpartition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn
    pipeline = ctx.store(Pipelines).named.get(name)
    if pipeline is None:
        arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:pipeline/{name}"
        raise AwsError("ResourceNotFound", f"Pipeline '{arn}' does not exist.")
    return pipeline


def pick(pipeline: Pipeline, params: dict[str, Any]) -> Version:
    """Return the pipeline version that a request names by number or alias, else the latest."""
    number, alias = params.get("PipelineVersionId"), params.get("PipelineVersionAlias")
    if number is not None and alias is not None:
        raise AwsError(
            "ValidationException",
            "You can't specify both PipelineVersionId and PipelineVersionAlias.",
        )
    if alias is not None:
        number = pipeline.aliases.get(alias, 0)
    if number is None:
        return pipeline.latest
    for version in pipeline.versions:
        if version.number == number:
            return version
    raise AwsError(
        "ResourceNotFound", f"Pipeline '{pipeline.arn}' has no version {alias or number}."
    )


def aliases_of(pipeline: Pipeline, version: Version) -> list[str]:
    """Return the aliases of a pipeline version."""
    return sorted(alias for alias, number in pipeline.aliases.items() if number == version.number)


def _definition(ctx: Context, params: dict[str, Any]) -> tuple[str, Definition | None] | None:
    """Return a request's pipeline definition, text and parsed; None when it has none.

    Raises:
        AwsError: It cannot be read, or SageMaker refuses it.
    """
    text, location = params.get("PipelineDefinition"), params.get("PipelineDefinitionS3Location")
    if text is not None and location is not None:
        raise AwsError(
            "ValidationException",
            "Both Pipeline Definition and Pipeline Definition S3 Location shouldn't be present",
        )
    if location is not None:
        try:
            text = s3.read(
                ctx.client("s3"), f"s3://{location['Bucket']}/{location['ObjectKey']}"
            ).decode()
        except (s3.TransferError, UnicodeDecodeError) as error:
            raise AwsError(
                "ValidationException", f"Unable to read the pipeline definition: {error}"
            ) from error
    if text is None:
        return None
    try:
        return text, parse(text)
    except DefinitionError as error:
        # moto takes anything, and its users' placeholders are rarely definitions
        if ctx.moto_answers:
            return text, None
        raise AwsError(
            "ValidationException", f"Unable to parse pipeline definition. {error}"
        ) from error


@handles("sagemaker", "CreatePipeline")
def create_pipeline(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreatePipeline: create a pipeline."""
    name = params["PipelineName"]
    definition = _definition(ctx, params)
    if definition is None:
        raise AwsError(
            "ValidationException",
            "Either Pipeline Definition or Pipeline Definition S3 location should be provided",
        )
    store, now = ctx.store(Pipelines), ctx.clock.now()
    with store.lock:
        existing = store.named.get(name)
        if existing is not None:
            if existing.token is not None and existing.token == params.get("ClientRequestToken"):
                return {"PipelineArn": existing.arn}
            words = "Pipeline names must be unique within an AWS account and region."
            raise AwsError(
                "ValidationException", f"{words} Pipeline with name ({name}) already exists."
            )
        pipeline = Pipeline(
            name=name,
            arn=f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:pipeline/{name}",
            role=params["RoleArn"],
            display_name=params.get("PipelineDisplayName", name),
            description=params.get("PipelineDescription"),
            parallelism=params.get("ParallelismConfiguration"),
            created=now,
            modified=now,
            token=params.get("ClientRequestToken"),
            versions=[Version(number=1, text=definition[0], definition=definition[1], created=now)],
            aliases=dict.fromkeys(params.get("PipelineVersionAliases") or (), 1),
        )
        store.named[name] = pipeline
    tags.put(ctx, pipeline.arn, params.get("Tags"))
    return {"PipelineArn": pipeline.arn}


@handles("sagemaker", "UpdatePipeline")
def update_pipeline(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call UpdatePipeline: change a pipeline."""
    pipeline = find(ctx, params["PipelineName"])
    definition = _definition(ctx, params)
    with ctx.store(Pipelines).lock:
        changes = definition is not None and definition[0] != pipeline.latest.text
        aliases = params.get("PipelineVersionAliases") or ()
        if aliases and not changes:
            raise AwsError(
                "ValidationException",
                "You can specify PipelineVersionAliases only when the update changes the "
                "definition.",
            )
        if definition is not None and changes:
            number = pipeline.latest.number + 1
            pipeline.versions.append(
                Version(
                    number=number,
                    text=definition[0],
                    definition=definition[1],
                    created=ctx.clock.now(),
                )
            )
            _add_aliases(pipeline, aliases, number)
        pipeline.role = params.get("RoleArn", pipeline.role)
        pipeline.display_name = params.get("PipelineDisplayName", pipeline.display_name)
        pipeline.description = params.get("PipelineDescription", pipeline.description)
        pipeline.parallelism = params.get("ParallelismConfiguration", pipeline.parallelism)
        pipeline.modified = ctx.clock.now()
        return {"PipelineArn": pipeline.arn, "PipelineVersionId": pipeline.latest.number}


def _add_aliases(pipeline: Pipeline, aliases: tuple[str, ...] | list[str], number: int) -> None:
    """Give the aliases to the pipeline version of this number.

    Raises:
        AwsError: An alias belongs to another version.
    """
    for alias in aliases:
        if pipeline.aliases.get(alias, number) != number:
            raise AwsError(
                "ConflictException",
                f"The alias '{alias}' belongs to version {pipeline.aliases[alias]}: remove "
                "it there first.",
            )
    pipeline.aliases.update(dict.fromkeys(aliases, number))


@handles("sagemaker", "UpdatePipelineVersion")
def update_pipeline_version(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call UpdatePipelineVersion: change a pipeline version."""
    pipeline = find(ctx, params["PipelineArn"])
    version = pick(pipeline, {"PipelineVersionId": params["PipelineVersionId"]})
    operations = params.get("PipelineVersionAliasOperations") or {}
    with ctx.store(Pipelines).lock:
        for alias in operations.get("Remove") or ():
            if pipeline.aliases.get(alias) == version.number:
                del pipeline.aliases[alias]
        _add_aliases(pipeline, operations.get("Add") or [], version.number)
        version.display_name = params.get("PipelineVersionDisplayName", version.display_name)
        version.description = params.get("PipelineVersionDescription", version.description)
    return {"PipelineArn": pipeline.arn, "PipelineVersionId": version.number}


@handles("sagemaker", "DeletePipeline")
def delete_pipeline(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeletePipeline: delete a pipeline."""
    pipeline = find(ctx, params["PipelineName"])
    if any(
        execution.status in ("Executing", "Stopping")
        for execution in list(pipeline.executions.values())
    ):
        raise AwsError(
            "ConflictException",
            f"Pipeline '{pipeline.arn}' has running executions: stop them first.",
        )
    ctx.store(Pipelines).named.pop(pipeline.name, None)
    tags.drop(ctx, pipeline.arn)
    return {"PipelineArn": pipeline.arn}


@handles("sagemaker", "DescribePipeline")
def describe_pipeline(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribePipeline: describe a pipeline."""
    pipeline = find(ctx, params["PipelineName"])
    version = pick(pipeline, params)
    answer = {
        "PipelineArn": pipeline.arn,
        "PipelineName": pipeline.name,
        "PipelineDefinition": version.text,
        "RoleArn": pipeline.role,
        "PipelineStatus": "Active",
        "CreationTime": pipeline.created,
        "LastModifiedTime": pipeline.modified,
        "PipelineVersionAliases": aliases_of(pipeline, version),
    }
    optional = {
        "PipelineDisplayName": pipeline.display_name,
        "PipelineDescription": pipeline.description,
        "ParallelismConfiguration": pipeline.parallelism,
        "LastRunTime": pipeline.last_run,
        "PipelineVersionDisplayName": version.display_name,
        "PipelineVersionDescription": version.description,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}


@handles("sagemaker", "ListPipelines")
def list_pipelines(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListPipelines: list the pipelines."""
    pipelines = [
        pipeline
        for pipeline in list(ctx.store(Pipelines).named.values())
        if pipeline.name.startswith(params.get("PipelineNamePrefix") or "")
        and within(pipeline.created, params)
    ]
    by_name = params.get("SortBy") == "Name"
    pipelines.sort(
        key=lambda p: (p.name if by_name else "", p.created),
        reverse=params.get("SortOrder", "Descending") == "Descending",
    )
    shown, token = page_of(pipelines, params)
    return {"PipelineSummaries": [_summary(pipeline) for pipeline in shown], **token}


def _summary(pipeline: Pipeline) -> dict[str, Any]:
    """Return a pipeline in the form of ListPipelines' response."""
    answer = {
        "PipelineArn": pipeline.arn,
        "PipelineName": pipeline.name,
        "RoleArn": pipeline.role,
        "CreationTime": pipeline.created,
        "LastModifiedTime": pipeline.modified,
    }
    optional = {
        "PipelineDisplayName": pipeline.display_name,
        "PipelineDescription": pipeline.description,
        "LastExecutionTime": pipeline.last_run,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}


def within(moment: Any, params: dict[str, Any]) -> bool:
    """Return whether a time is between the CreatedAfter and the CreatedBefore of a request."""
    created_after, created_before = params.get("CreatedAfter"), params.get("CreatedBefore")
    return (created_after is None or moment > created_after) and (
        created_before is None or moment < created_before
    )


@handles("sagemaker", "ListPipelineVersions")
def list_pipeline_versions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListPipelineVersions: list the pipeline versions."""
    pipeline = find(ctx, params["PipelineName"])
    versions = [version for version in pipeline.versions if within(version.created, params)]
    if params.get("SortOrder", "Descending") == "Descending":
        versions.reverse()
    shown, token = page_of(versions, params)
    return {
        "PipelineVersionSummaries": [_version_summary(pipeline, version) for version in shown],
        **token,
    }


def _version_summary(pipeline: Pipeline, version: Version) -> dict[str, Any]:
    """Return a pipeline version in the form of ListPipelineVersions' response."""
    answer = {
        "PipelineArn": pipeline.arn,
        "PipelineVersionId": version.number,
        "CreationTime": version.created,
        "PipelineVersionAliases": aliases_of(pipeline, version),
    }
    optional = {
        "PipelineVersionDescription": version.description,
        "PipelineVersionDisplayName": version.display_name,
        "LastExecutionPipelineExecutionArn": version.last_execution,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}
