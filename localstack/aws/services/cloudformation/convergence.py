"""A stack's resources, brought to what its template asks for.

It is the same whether the template is new, changed, or goes back to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ...core.moto_internals import cloudformation_parsing
from ...core.registry import Context
from . import resources
from .placeholders import CLASSES, Placeholder, physical_name
from .records import Managed, stack_of
from .resources import Failure, Properties, Resource

_CUSTOM = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
    "Rename {name} and update the stack again."
)


def reconcile(ctx: Context, managed: Managed) -> bool:
    """Create or change a stack's SageMaker resources towards its template, as far as possible.

    Return whether all of them exist and serve; else the function is to be called again.

    Raises:
        Failure: A resource could not be made or changed.
    """
    stack = stack_of(ctx, managed.id)
    declared_resources = list(declared_in(stack))
    for logical, placeholder, written in declared_resources:
        _apply_properties(
            ctx, managed, logical, placeholder, _resolve(stack, placeholder, logical, written)
        )
    declared = {logical for logical, _, _ in declared_resources}
    for logical in [logical for logical in managed.resources if logical not in declared]:
        managed.replaced.append(managed.resources.pop(logical))
    return all(resources.ready(ctx, resource) for resource in managed.resources.values())


def declared_in(stack: Any) -> Iterator[tuple[str, Placeholder, Properties]]:
    """Yield the SageMaker resources in a stack's template, dependencies first."""
    written_resources = stack.resource_map._resource_json_map  # noqa: SLF001  moto has no other way to them
    conditions = stack.resource_map.lazy_condition_map
    for kind in CLASSES:
        for logical, written in written_resources.items():
            condition = written.get("Condition")
            if written["Type"] == kind and (condition is None or conditions[condition]):
                yield logical, stack.resource_map[logical], written.get("Properties") or {}


def _resolve(stack: Any, placeholder: Placeholder, logical: str, written: Properties) -> Properties:
    """Return a resource's properties with Ref and Fn resolved, and with the stack's tags.

    `placeholder` is the resource as moto's stack has it, and its class says the type; `logical` is
    the resource's id in the template, and `written` its properties there.
    """
    clean_json = cloudformation_parsing().clean_json
    properties = resources.typed(
        type(placeholder), logical, clean_json(written, stack.resource_map)
    )
    own = {tag["Key"] for tag in properties.get("Tags", ())}
    more = [
        {"Key": key, "Value": value}
        for key, value in stack.tags.items()
        if key not in own and not key.startswith("aws:")
    ]
    return {**properties, "Tags": [*properties.get("Tags", ()), *more]} if more else properties


def _apply_properties(
    ctx: Context, managed: Managed, logical: str, placeholder: Placeholder, properties: Properties
) -> None:
    """Create, update or replace a resource so that it has the template's properties.

    `logical` is the resource's id in the template, and `placeholder` moto's entry for it.
    """
    current = managed.resources.get(logical)
    name = properties.get(placeholder.name_property())
    if current is not None and current.properties == properties:
        return
    if current is None:
        _make(
            ctx,
            managed,
            placeholder,
            _resource(placeholder, logical, name or placeholder.name, properties),
        )
    elif name in (None, current.name) and _without_tags(current.properties) == _without_tags(
        properties
    ):
        resources.retag(ctx, placeholder.physical_resource_id, current.properties, properties)
        current.properties = properties
    elif name in (None, current.name) and current.is_endpoint:
        _change(ctx, current, properties)
    else:
        _replace(ctx, managed, current, placeholder, properties)


def _without_tags(properties: Properties) -> Properties:
    """Return a resource's properties without Tags."""
    return {name: value for name, value in properties.items() if name != "Tags"}


def _change(ctx: Context, current: Resource, properties: Properties) -> None:
    """Update a stack's existing resource, `current`, to new properties."""
    previous = current.properties
    if previous.get("EndpointConfigName") != properties.get("EndpointConfigName"):
        resources.update(ctx, msgspec.structs.replace(current, properties=properties))
    current.properties = properties


def _replace(
    ctx: Context,
    managed: Managed,
    current: Resource,
    placeholder: Placeholder,
    properties: Properties,
) -> None:
    """Create a resource anew under another name; the old one is deleted later.

    An update that is rolled back takes up the resource that it had replaced.
    """
    name = properties.get(placeholder.name_property())
    back = next(
        (
            other
            for other in managed.replaced
            if other.logical == current.logical and other.properties == properties
        ),
        None,
    )
    if back is not None:  # an update that is rolled back
        managed.replaced.remove(back)
        managed.resources[current.logical], placeholder.name = back, back.name
    elif name == current.name:
        raise Failure(current.logical, _CUSTOM.format(name=name))
    else:
        new = _resource(
            placeholder, current.logical, name or physical_name(current.logical), properties
        )
        _make(ctx, managed, placeholder, new)
    managed.replaced.append(current)


def _resource(
    placeholder: Placeholder, logical: str, name: str, properties: Properties
) -> Resource:
    """Return the record of a resource to create, by moto's placeholder for it.

    `logical` is its id in the template.
    """
    return Resource(
        resource_type=placeholder.cf_resource_type,
        logical=logical,
        name=name,
        properties=properties,
    )


def _make(ctx: Context, managed: Managed, placeholder: Placeholder, new: Resource) -> None:
    """Create a resource in SageMaker, and give its name to the placeholder, as the value of Ref."""
    resources.create(ctx, new)
    managed.resources[new.logical], placeholder.name = new, new.name


def clean(ctx: Context, managed: Managed) -> None:
    """Delete the resources that an update replaced or dropped, last created first.

    One that cannot be deleted is left behind, as in CloudFormation.
    """
    for resource in sorted(
        managed.replaced, key=lambda resource: -list(CLASSES).index(resource.resource_type)
    ):
        try:
            if not resources.remove(ctx, resource):
                return
        except Failure:
            pass
        managed.replaced.remove(resource)
