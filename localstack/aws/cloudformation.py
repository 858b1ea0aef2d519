"""CloudFormation is moto's. Its resources of SageMaker would be there for moto alone, so that they are refused by name."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from .registry import AwsError, Context, handles

_TYPE = re.compile(r"AWS::SageMaker::\w+")


def _refused(kinds: set[str]) -> AwsError:
    text = f"the AWS stack does not make {', '.join(sorted(kinds))} by CloudFormation; CloudFormation does. Make them by SageMaker's API"
    return AwsError("NotImplemented", text, 501)


@cache
def _watch_nested() -> None:
    """What a nested stack's template has is only seen when it is made. Not at the start: this module of moto's imports all of its services,
    and one of them asks for the profile of AWS_PROFILE.
    """
    from moto.cloudformation import parsing

    class_of = parsing.resource_class_from_type

    def known(kind: str) -> Any:
        if _TYPE.fullmatch(kind):
            raise _refused({kind})
        return class_of(kind)

    parsing.resource_class_from_type = known  # type: ignore[assignment]  # it raises where moto's never does


@handles("cloudformation", "CreateStack", "UpdateStack", "CreateChangeSet", "CreateStackSet", "UpdateStackSet", executes=False)
def templated(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """moto's, for a template without resources of SageMaker; nothing of it is made otherwise."""
    _watch_nested()
    if kinds := set(_TYPE.findall(_template(ctx, params))):
        raise _refused(kinds)
    return ctx.forward()


def _template(ctx: Context, params: dict[str, Any]) -> str:
    if params.get("TemplateBody"):
        return str(params["TemplateBody"])
    if not params.get("TemplateURL"):
        return ""
    bucket, key = _place(params["TemplateURL"])
    try:
        return str(ctx.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode(errors="replace"))
    except ClientError as error:
        raise AwsError("ValidationError", f"S3 error: {error.response['Error'].get('Message')}", 400) from error


def _place(url: str) -> tuple[str, str]:
    """Bucket and key, as virtual hosts and as paths have them."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    virtual = re.fullmatch(r"(.+)\.s3[.-].*", host)
    if virtual:
        return virtual.group(1), path
    bucket, _, key = path.partition("/")
    return bucket, key
