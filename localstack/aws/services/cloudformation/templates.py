"""Templates: which resources of SageMaker they may have, and moto's way to the placeholders."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from ...core.moto_internals import cloudformation_parsing
from ...core.registry import AwsError, Context
from .placeholders import CLASSES, refusal

_TYPE = re.compile(r"AWS::SageMaker::\w+")


def check(ctx: Context, params: dict[str, Any], *, sets: bool = False) -> None:
    """Raise an error for a template with a SageMaker resource that is not supported.

    `sets`: the request is one on stack sets.

    Raises:
        AwsError: There is such a resource (501); nothing has been made yet.
    """
    kinds = set(_TYPE.findall(_template(ctx, params)))
    others = kinds if sets else kinds - CLASSES.keys()
    if others and not ctx.moto_answers:
        raise refusal(others)


@cache
def show_placeholders(*, moto_answers: bool) -> None:
    """Register our classes for SageMaker resource types with moto's CloudFormation.

    This is not done at the start: moto's module imports all of its services, and one of them asks
    for the profile of AWS_PROFILE.
    """
    parsing = cloudformation_parsing()
    class_of = parsing.resource_class_from_type

    def class_of_kind(kind: str) -> Any:
        if kind in CLASSES:
            return CLASSES[kind]
        # a nested stack's template is only seen when it is made
        if _TYPE.fullmatch(kind) and not moto_answers:
            raise refusal({kind})
        return class_of(kind)

    parsing.resource_class_from_type = class_of_kind  # it raises where moto's never does


def _template(ctx: Context, params: dict[str, Any]) -> str:
    """Return the text of a request's template, from its body or S3; "": it has none."""
    if params.get("TemplateBody"):
        return str(params["TemplateBody"])
    if not params.get("TemplateURL"):
        return ""
    bucket, key = _bucket_and_key(params["TemplateURL"])
    try:
        return str(
            ctx.client("s3")
            .get_object(Bucket=bucket, Key=key)["Body"]
            .read()
            .decode(errors="replace")
        )
    except ClientError as error:
        raise AwsError(
            "ValidationError", f"S3 error: {error.response['Error'].get('Message')}", 400
        ) from error


def _bucket_and_key(url: str) -> tuple[str, str]:
    """Parse the S3 URL of a template into bucket and key; the bucket is in the host or path."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    virtual = re.fullmatch(r"(.+)\.s3[.-].*", host)
    if virtual:
        return virtual.group(1), path
    bucket, _, key = path.partition("/")
    return bucket, key
