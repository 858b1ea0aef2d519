"""Search over what the stack itself keeps, and over moto's experiments, trials and components.

The rest is moto's. Answers are what Describe says, with the tags: the last modified first, unless
the call sorts. With --moto-answers such a call has the order of creation, as moto's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from botocore.utils import parse_timestamp

from ....core.in_process import operation_model
from ....core.registry import AwsError, Context, handles
from ..endpoints.operations.describe import description as endpoint
from ..endpoints.records import Endpoints
from ..experiments import operations as experiments
from ..features.operations.groups import describe_feature_group, describe_feature_metadata
from ..features.records import Groups
from ..jobs.listing import page_of
from ..jobs.operations.training import description as training_job
from ..jobs.records import Jobs
from ..model_packages.operations import describe_model_package_group
from ..model_packages.records import Registry
from ..pipelines.operations.executions import describe_pipeline_execution
from ..pipelines.operations.pipelines import describe_pipeline
from ..pipelines.records import Pipelines
from ..tags import operations as tags
from ..tags.records import Tags
from ..tuning.operations import description as tuning_job

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda value, limit: value > limit,
    "GreaterThanOrEqualTo": lambda value, limit: value >= limit,
    "LessThan": lambda value, limit: value < limit,
    "LessThanOrEqualTo": lambda value, limit: value <= limit,
}
_MISSING = object()


def _pipelines(ctx: Context) -> Iterable[dict[str, Any]]:
    """Yield the descriptions of all pipelines, for Search."""
    for pipeline in list(ctx.store(Pipelines).named.values()):
        yield describe_pipeline(ctx, {"PipelineName": pipeline.name}) or {}


def _executions(ctx: Context) -> Iterable[dict[str, Any]]:
    """Yield the descriptions of all pipeline executions, for Search."""
    for pipeline in list(ctx.store(Pipelines).named.values()):
        for arn in list(pipeline.executions):
            yield describe_pipeline_execution(ctx, {"PipelineExecutionArn": arn}) or {}


def _groups(ctx: Context) -> Iterable[dict[str, Any]]:
    """Return the descriptions of all feature groups, for Search."""
    return [
        describe_feature_group(ctx, {"FeatureGroupName": name}) or {}
        for name in list(ctx.store(Groups).by_name)
    ]


def _features(ctx: Context) -> Iterable[dict[str, Any]]:
    """Yield the descriptions of all features, for Search."""
    for group in list(ctx.store(Groups).by_name.values()):
        for name in list(group.features):
            yield (
                describe_feature_metadata(
                    ctx, {"FeatureGroupName": group.name, "FeatureName": name}
                )
                or {}
            )


def _package_groups(ctx: Context) -> Iterable[dict[str, Any]]:
    """Return the descriptions of all model package groups, for Search."""
    return [
        describe_model_package_group(ctx, {"ModelPackageGroupName": name}) or {}
        for name in list(ctx.store(Registry).groups)
    ]


_RESOURCES: dict[
    str, tuple[str, Callable[[Context], Iterable[dict[str, Any]]]]
] = {  # Resource -> its ARN's member, what there is
    "TrainingJob": (
        "TrainingJobArn",
        lambda ctx: [training_job(job) for job in list(ctx.store(Jobs).training.values())],
    ),
    "HyperParameterTuningJob": (
        "HyperParameterTuningJobArn",
        lambda ctx: [tuning_job(ctx, job) for job in list(ctx.store(Jobs).tuning.values())],
    ),
    "Endpoint": (
        "EndpointArn",
        lambda ctx: [
            endpoint(kept_endpoint)
            for kept_endpoint in list(ctx.store(Endpoints).endpoints.values())
        ],
    ),
    "FeatureGroup": ("FeatureGroupArn", _groups),
    "FeatureMetadata": ("FeatureGroupArn", _features),
    "ModelPackage": ("ModelPackageArn", lambda ctx: list(ctx.store(Registry).packages.values())),
    "ModelPackageGroup": ("ModelPackageGroupArn", _package_groups),
    "Pipeline": ("PipelineArn", _pipelines),
    "PipelineExecution": ("PipelineExecutionArn", _executions),
    "Experiment": ("ExperimentArn", lambda ctx: experiments.descriptions(ctx, "Experiment")),
    "ExperimentTrial": ("TrialArn", lambda ctx: experiments.descriptions(ctx, "Trial")),
    "ExperimentTrialComponent": (
        "TrialComponentArn",
        lambda ctx: experiments.descriptions(ctx, "TrialComponent"),
    ),
}
# a name's first part that is no member of the resource -> its values by the rest of the name
_OWN: dict[str, Callable[[dict[str, Any], str], list[Any]]] = {
    "Tags": lambda row, key: [tag["Value"] for tag in row["Tags"] if tag["Key"] == key],
    "Parents": lambda row, key: [
        parent[key] for parent in row.get("Parents") or () if key in parent
    ],
    "Metrics": lambda row, key: [
        metric["Value"]
        for metric in row.get("FinalMetricDataList") or ()
        if metric["MetricName"] == key
    ],
}


@handles("sagemaker", "Search")
def search(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call Search: find resources by filters."""
    resource = params["Resource"]
    if resource not in _RESOURCES:
        return ctx.forward()
    arn, every = _RESOURCES[resource]
    rows = [{**row, "Tags": _tags(ctx, row[arn])} for row in every(ctx)]
    shown_as: str = experiments.KINDS.get(resource) or resource
    expression = params.get("SearchExpression")
    _check_names(expression or {}, shown_as)
    rows = [row for row in rows if expression is None or _holds(row, expression)]
    if params.get("SortBy") or not ctx.moto_answers:
        sort_by = params.get("SortBy") or "LastModifiedTime"
        with_value = [row for row in rows if _value(row, sort_by) is not _MISSING]
        with_value.sort(
            key=lambda row: _value(row, sort_by),
            reverse=params.get("SortOrder", "Descending") == "Descending",
        )
        rows = [*with_value, *(row for row in rows if _value(row, sort_by) is _MISSING)]
    shown, token = page_of(rows, params)
    return {"Results": [{shown_as: row} for row in shown], **token}


def _check_names(expression: dict[str, Any], kind: str) -> None:
    """Raise an error for a searched property that no resource of the kind has.

    `expression` is the SearchExpression.

    Raises:
        AwsError: The expression names such a property (ValidationException).
    """
    answer: Any = operation_model("sagemaker", "Search").output_shape
    properties = answer.members["Results"].member.members[kind].members
    for condition in expression.get("Filters") or ():
        if condition["Name"].partition(".")[0] not in properties.keys() | _OWN.keys():
            raise AwsError("ValidationException", f"Unknown property name: {condition['Name']}")
    for inner in expression.get("SubExpressions") or ():
        _check_names(inner, kind)


def _tags(ctx: Context, arn: str) -> list[dict[str, str]]:
    """Return a resource's tags, to be searched like its other properties."""
    return tags.as_list(ctx.store(Tags).of.get(arn, {}))


def _holds(row: dict[str, Any], expression: dict[str, Any]) -> bool:
    """Return whether a resource's description meets a SearchExpression."""
    if expression.get("NestedFilters"):
        raise AwsError(
            "ValidationException",
            "The local stack's Search has no NestedFilters: use Filters and SubExpressions.",
        )
    holds = [_passes(row, part) for part in expression.get("Filters") or ()]
    holds += [_holds(row, part) for part in expression.get("SubExpressions") or ()]
    return any(holds) if expression.get("Operator") == "Or" else all(holds)


def _passes(row: dict[str, Any], condition: dict[str, Any]) -> bool:
    """Return whether a resource's description passes one filter of a search."""
    operator: str = condition.get("Operator", "Equals")
    value = _value(row, condition["Name"])
    exists = value is not _MISSING
    if operator in ("Exists", "NotExists"):
        return exists == (operator == "Exists")
    if "Value" not in condition:
        raise AwsError("ValidationException", f"The filter on {condition['Name']} needs a Value.")
    expected: str = condition["Value"]
    if operator in ("Equals", "NotEquals"):
        return (exists and _compare(value, expected, lambda a, b: a == b)) == (operator == "Equals")
    if operator == "Contains":
        return exists and expected in str(value)
    if operator == "In":
        return exists and str(value) in [part.strip() for part in expected.split(",")]
    if operator in _ORDERED:
        return exists and _compare(value, expected, _ORDERED[operator])
    raise AwsError(
        "ValidationException",
        f"The operator {operator} of the filter on {condition['Name']} is not known.",
    )


def _compare(value: Any, expected: str, compare: Callable[[Any, Any], bool]) -> bool:
    """Return `compare` of a property's value and a filter's text, read as the value's type.

    Raises:
        AwsError: The text cannot be read so (ValidationException).
    """
    try:
        if isinstance(value, datetime):
            return compare(value.timestamp(), parse_timestamp(expected).timestamp())
        if isinstance(value, bool):
            return compare(str(value).lower(), expected.lower())
        if isinstance(value, int | float):
            return compare(float(value), float(expected))
    except ValueError as error:
        raise AwsError(
            "ValidationException", f"'{expected}' cannot be compared with '{value}'."
        ) from error
    return compare(str(value), expected)


def _value(row: dict[str, Any], name: str) -> Any:
    """Return the value in a resource's description to which a dotted property name leads.

    `Tags.<key>` is a tag, `Metrics.<name>` a final metric, `Parameters.<key>` a feature's.
    """
    kind, _, rest = name.partition(".")
    if kind in _OWN and rest:
        return next(iter(_OWN[kind](row, rest)), _MISSING)
    value: Any = row
    parts = name.split(".")
    for number, part in enumerate(parts):
        if isinstance(value, list):  # of a Key and a Value each; a key may have dots
            key = ".".join(parts[number:])
            return next(
                (
                    item["Value"]
                    for item in value
                    if isinstance(item, dict) and item.get("Key") == key
                ),
                _MISSING,
            )
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value
