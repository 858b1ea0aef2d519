"""The constraints of an operation's input, which a service checks before anything else.

They are lengths, patterns, ranges and choices in botocore's models; botocore itself sends what
breaks most of them. The words are the services' own (Coral's), all of a request's violations in one
message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from botocore.model import OperationModel

from ..registry import AwsError
from .patterns import compile_pattern

BotocoreShape = Any  # botocore's; it has no types, and its cached properties mislead a checker
Rule = Callable[[BotocoreShape, Any], str | None]  # what is wrong with one value, whatever is in it
_NESTED = ("structure", "list", "map")
# The code of a service's refusal. What is not here is not checked: S3, Glue and the others are
# moto's.
_CODES = {
    "sagemaker": "ValidationException",
    "sagemaker-runtime": "ValidationError",
    "sagemaker-featurestore-runtime": "ValidationError",
    "athena": "InvalidRequestException",
    "cloudwatch": "ValidationError",
    "firehose": "ValidationException",
    "kinesis": "ValidationException",
    "application-autoscaling": "ValidationException",
}


def check(
    service: str, operation: OperationModel, params: Mapping[str, Any], *, as_moto: bool = False
) -> None:
    """Check parameters against the constraints of the operation's model.

    Args:
        service: botocore's name of the service.
        operation: The operation's model.
        params: The request's parameters.
        as_moto: Whether to check no more than moto does: choices and ranges of numbers, but neither
            lengths nor patterns.

    Raises:
        AwsError: A constraint is broken; as the service words it.
    """
    code, shape = _CODES.get(service), cast("BotocoreShape", operation.input_shape)
    if code is None or shape is None:
        return
    broken = list(_structure(shape, params, "", _rule_of_moto if as_moto else _broken_rule))
    if broken:
        errors = "errors" if len(broken) > 1 else "error"
        raise AwsError(
            code, f"{len(broken)} validation {errors} detected: {'; '.join(broken)}", 400
        )


def _structure(
    shape: BotocoreShape, value: Mapping[str, Any], path: str, rule: Rule
) -> Iterator[str]:
    """Yield an error text for each constraint that a structure's members break.

    `path` is the structure's place in the request; `rule` returns the text of a broken constraint.
    """
    for name in shape.required_members:
        if value.get(name) is None:
            yield (
                f"Value null at '{_below(path, name)}' failed to satisfy constraint: "
                "Member must not be null"
            )
    for name, member in shape.members.items():
        item = value.get(name)
        if item == [] and member.serialization.get("location") == "querystring":
            continue  # what the URL does not name is an empty list to the parser
        if item is not None and (member.type_name in _NESTED or rule(member, item)):
            yield from _value(member, item, _below(path, name), rule)


def _value(shape: BotocoreShape, value: Any, path: str, rule: Rule) -> Iterator[str]:
    """Yield an error text for each constraint that a value of any type breaks.

    `path` is the value's place in the request; `rule` returns the text of a broken constraint.
    """
    broken = rule(shape, value)
    if broken:
        yield f"{_subject(shape, value)} at '{path}' failed to satisfy constraint: {broken}"
    elif shape.type_name == "structure" and isinstance(value, Mapping):
        yield from _structure(shape, value, path, rule)
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _list(shape, value, path, rule)
    elif shape.type_name == "map" and isinstance(value, Mapping):
        yield from _map(shape, value, path, rule)


def _list(shape: BotocoreShape, value: list[Any], path: str, rule: Rule) -> Iterator[str]:
    """Yield an error text for each constraint that a list or its items break.

    `path` is the list's place in the request; `rule` returns the text of a broken constraint.
    """
    if shape.member.type_name in _NESTED:
        for position, item in enumerate(value, 1):
            yield from _value(shape.member, item, f"{path}.{position}.member", rule)
    elif any(rule(shape.member, item) for item in value):
        yield (
            f"{_subject(shape, value)} at '{path}' failed to satisfy constraint: "
            f"Member must satisfy constraint: {_nested_rules_text(shape.member)}"
        )


def _map(shape: BotocoreShape, value: Mapping[str, Any], path: str, rule: Rule) -> Iterator[str]:
    """Yield an error text for each constraint that a map, its keys or its values break.

    `path` is the map's place in the request; `rule` returns the text of a broken constraint.
    """
    for part, items, what in ((shape.key, value, "keys"), (shape.value, value.values(), "value")):
        if part.type_name in _NESTED:
            for key, item in value.items():
                yield from _value(part, item, f"{path}.{key}.member", rule)
        elif any(rule(part, item) for item in items):
            yield (
                f"{_subject(shape, value)} at '{path}' failed to satisfy constraint: "
                f"Map {what} must satisfy constraint: {_nested_rules_text(part)}"
            )


def _nested_rules_text(shape: BotocoreShape) -> str:
    """Return the text of all constraints on the items of a list or a map, of this shape.

    AWS's errors do not say which of the constraints an item breaks.
    """
    limits = shape.metadata
    measure = "length" if shape.type_name in ("string", "blob") else "value"
    rules = [
        f"Member must have {measure} {words} than or equal to {limits[key]}"
        for key, words in (("max", "less"), ("min", "greater"))
        if key in limits
    ]
    if limits.get("enum"):
        rules.append(f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits:
        rules.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    return f"[{', '.join(rules)}]"


def _broken_rule(shape: BotocoreShape, value: Any) -> str | None:
    """Return the text of the first constraint (enum, range, length ...) that a value breaks.

    None: it breaks none.
    """
    limits = shape.metadata
    if isinstance(value, str | bytes | list | Mapping):
        measure, size = "length", float(len(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        measure, size = "value", float(value)
    else:  # a boolean, a moment, a stream
        return None
    if "min" in limits and not size >= float(limits["min"]):  # not-a-number neither
        return f"Member must have {measure} greater than or equal to {limits['min']}"
    if "max" in limits and not size <= float(limits["max"]):
        return f"Member must have {measure} less than or equal to {limits['max']}"
    if isinstance(value, str):
        if limits.get("enum") and value not in limits["enum"]:
            return f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        if "pattern" in limits and not compile_pattern(limits["pattern"]).fullmatch(value):
            return f"Member must satisfy regular expression pattern: {limits['pattern']}"
    return None


def _rule_of_moto(shape: BotocoreShape, value: Any) -> str | None:
    """Return the text of the first broken constraint that moto checks, too; None without one."""
    return (
        _broken_rule(shape, value)
        if isinstance(value, int | float) or shape.metadata.get("enum")
        else None
    )


def _subject(shape: BotocoreShape, value: Any) -> str:
    """Return a value as an error message begins: Value 'x', or Value where the shape is secret."""
    secret = isinstance(value, bytes) or shape.metadata.get("sensitive")
    return "Value" if secret else f"Value '{_text(value)}'"


def _text(value: Any) -> str:
    """Return a value as text in Java's notation, as AWS's error messages have it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}={_text(item)}' for key, item in value.items())}}}"
    return str(value)


def _below(path: str, name: str) -> str:
    """Return the path of a structure's member, as error messages name it: path.name."""
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member
