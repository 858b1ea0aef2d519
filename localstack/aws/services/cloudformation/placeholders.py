"""Placeholders of SageMaker's resources in moto's stacks.

A placeholder has a name and an ARN, which other resources refer to. It makes nothing.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from ...core.moto_internals import CloudFormationModel, unknown_attribute
from ...core.registry import AwsError

_LONGEST = 63  # characters of a name
_LETTERS = string.ascii_letters + string.digits
_stack: ContextVar[str] = ContextVar("stack", default="")


@contextmanager
def only_in(stack: str) -> Iterator[None]:
    """Allow moto to create SageMaker resources of one stack in this thread, within the block.

    Resources of SageMaker in a stack nested in it are refused.
    """
    token = _stack.set(stack)
    try:
        yield
    finally:
        _stack.reset(token)


def refusal(kinds: set[str]) -> AwsError:
    """Return the error for a template with these unsupported resource types."""
    text = (
        f"the AWS stack does not make {', '.join(sorted(kinds))} by CloudFormation here; "
        "CloudFormation does. Make them by SageMaker's API"
    )
    return AwsError("NotImplemented", text, 501)


class Placeholder(CloudFormationModel):
    """A resource of SageMaker, as moto's stack knows it."""

    resource: ClassVar[str]  # as SageMaker's operations name it: CreateModel
    place: ClassVar[str]  # in its ARN
    logical_resource_id: str  # moto sets it, and the next one
    cf_resource_type: str

    def __init__(self, name: str, account: str, region: str) -> None:
        self.name = name
        self._owner = f"arn:aws:sagemaker:{region}:{account}"

    @property
    def physical_resource_id(self) -> str:
        """The value of Ref to the resource: its name in SageMaker."""
        return f"{self._owner}:{self.place}/{self.name}"

    @classmethod
    def name_property(cls) -> str:
        """Return the template property that names the resource, such as EndpointName."""
        return f"{cls.resource}Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Return whether Fn::GetAtt knows an attribute: only the resource's name."""
        return attr == cls.name_property()

    def get_cfn_attribute(self, attribute: str) -> str:
        """Return the value of Fn::GetAtt for an attribute: the resource's name.

        Raises: moto's error for an unknown attribute.
        """
        if attribute == self.name_property():
            return self.name
        raise unknown_attribute()

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **more: Any,
    ) -> Placeholder:
        """Return a placeholder with which moto registers a new resource; moto calls this.

        The resource itself is created later.
        """
        del resource_name
        if _stack.get() not in (more["StackId"], more["StackId"].split("/")[1]):
            raise refusal({f"{more['ResourceType']} in a nested stack"})
        return cls(
            cloudformation_json["Properties"].get(cls.name_property())
            or physical_name(more["LogicalId"]),
            account_id,
            region_name,
        )

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Placeholder,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Placeholder:
        """Return a placeholder with which moto registers a changed resource; moto calls this.

        The resource itself is changed later.
        """
        del new_resource_name, cloudformation_json, account_id, region_name
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        """Do nothing when moto deletes the placeholder: the resource is deleted elsewhere."""

    def is_created(self) -> bool:
        """Return False: the resource itself is created later, once moto has registered it."""
        return False


class Model(Placeholder):
    resource = "Model"
    place = "model"


class EndpointConfig(Placeholder):
    resource = "EndpointConfig"
    place = "endpoint-config"


class Endpoint(Placeholder):
    resource = "Endpoint"
    place = "endpoint"


CLASSES: dict[str, type[Placeholder]] = {  # in the order in which they are made
    f"AWS::SageMaker::{kind.resource}": kind for kind in (Model, EndpointConfig, Endpoint)
}


def physical_name(logical: str) -> str:
    """Return a generated resource name for a logical id, as CloudFormation makes such names."""
    end = "-" + "".join(random.choices(_LETTERS, k=12))  # noqa: S311  a name, no secret
    return logical[: _LONGEST - len(end)] + end
