"""Read and check what a predictor takes with one call, beside the rows. Pure.

Those are the keyword-only parameters of `predict(rows, *, blend=0.5)`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ...errors import Invalid
from ...project.specs.description import ParameterType

Scalar = bool | int | float | str
SCALARS = "true or false, a whole number up to 2^53, a finite number or a text"
# beyond it doubles have gaps, and so have many readers of JSON (RFC 8259, section 6) and a protobuf
# Value
_EXACT = 2**53
_KINDS: dict[type, ParameterType] = {bool: "bool", int: "int", float: "float", str: "string"}
_WORDS: dict[ParameterType, str] = {
    "bool": "true or false",
    "int": "a whole number up to 2^53",
    "float": "a number",
    "string": "a text",
}


class CallParameter(msgspec.Struct, frozen=True, kw_only=True):
    type: ParameterType
    default: Scalar


def is_scalar(value: object) -> bool:
    """Return whether a value can be a call parameter: it reaches a model unchanged everywhere.

    It is true or false, a whole number up to 2^53, a finite number or a text without a lone
    surrogate.
    """
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return abs(value) <= _EXACT
    if type(value) is str:
        return value.encode("utf-8", "replace").decode() == value
    return type(value) is bool


def parameters_of(predictor: object) -> dict[str, CallParameter]:
    """Return the keyword-only parameters of a predictor's `predict`, by name.

    A prediction request may set them. Those that begin with an underscore are left out. A
    parameter's type is its default's.

    Raises:
        Invalid: one has no default, or one that is not SCALARS; or `predict_table` has another
            default.
    """
    kind = type(predictor).__name__
    parameters = {
        name: _parameter(f"{kind}.predict", name, default)
        for name, default in _keywords(predictor, "predict").items()
    }
    for name, default in _keywords(predictor, "predict_table").items():
        if (
            name in parameters
            and _parameter(f"{kind}.predict_table", name, default) != parameters[name]
        ):
            raise Invalid(
                f"{kind}.predict_table has {name}={default!r} and {kind}.predict "
                f"{parameters[name].default!r}",
                remedy="give both the same default: evaluation goes by the one, "
                "serving by the other",
            )
    return parameters


def _keywords(predictor: object, method: str) -> dict[str, object]:
    """Return the keyword-only parameters of a predictor's method, with their defaults.

    The default is inspect.Parameter.empty where there is none. None are returned for no such
    method.
    """
    call: Callable[..., Any] | None = getattr(predictor, method, None)
    try:
        parameters = inspect.signature(call).parameters.values() if callable(call) else ()
    except (TypeError, ValueError):  # written in C, without a signature
        return {}
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and not p.name.startswith("_")
    }


def _parameter(where: str, name: str, default: object) -> CallParameter:
    """Return one parameter of `predict`, whose type is its default's; raise Invalid if it has none.

    `where` names it in the error.
    """
    if default is inspect.Parameter.empty:
        raise Invalid(
            f"{where} has no default for {name}",
            remedy=f"a call may come without it: {name}=... in its signature",
        )
    if not isinstance(default, Scalar) or not is_scalar(default):
        raise Invalid(
            f"{where} has {name}={default!r}, which no call can send",
            remedy=f"a parameter of a call is {SCALARS}; name it _{name} if it is the predictor's "
            "own",
        )
    return CallParameter(type=_KINDS[type(default)], default=default)


def fitting(
    sent: Mapping[str, object], parameters: Mapping[str, CallParameter]
) -> dict[str, Scalar]:
    """Select the parameters of a request that `predict` accepts, in their declared types.

    `sent` are those of the request, `parameters` those of `predict`. Others are left out.

    Raises:
        ValueError: one is of another type.
    """
    return {
        name: _converted(parameters[name].type, name, value)
        for name, value in sent.items()
        if name in parameters
    }


def _converted(kind: ParameterType, name: str, value: object) -> Scalar:
    """Return the value of a call parameter in its declared type.

    A whole number is a float, too, and 3.0 an int: a protobuf Value knows no difference, and its
    JSON is either.
    """
    with suppress(OverflowError):
        if kind == "float" and type(value) is int:
            value = float(value)
        if kind == "int" and type(value) is float and value.is_integer():
            value = int(value)
    if not isinstance(value, Scalar) or _KINDS.get(type(value)) != kind or not is_scalar(value):
        raise ValueError(f"the parameter {name} is {value!r:.100}, not {_WORDS[kind]}")
    return value
