"""Formats of a model's requests and answers. Pure.

JSON, JSON lines and CSV become instances; predictions become JSON.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from ...pipelines.models.call_parameters import Scalar, fitting
from ...pipelines.models.predictor import ModelManifest

MAX_BYTES = (
    10_000_000  # of a request: the most of any target; its own limit is its row `invoke.max_bytes`
)
JSON, LINES, CSV = "application/json", "application/jsonlines", "text/csv"

_NUMBERS = {"int64": int, "float64": float}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class BadRequest(ValueError):
    """A mistake of the caller, in words for the caller."""


def request(
    body: bytes, content_type: str, manifest: ModelManifest
) -> tuple[list[dict[str, Any]], dict[str, Scalar]]:
    """Parse a request's body into rows and the parameters that the predictor accepts.

    Only a JSON object has parameters.

    Raises:
        BadRequest: It says what was wrong and where.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in (JSON, ""):
        return _from_json(body, manifest)
    if kind in (LINES, "application/x-jsonlines", "application/x-ndjson"):
        return _instance_rows(_json_lines(body)), {}
    if kind == CSV:
        return _from_csv(body, manifest), {}
    raise BadRequest(f"content type {kind} is not understood: send {JSON}, {LINES} or {CSV}")


def predictions(answer: object, count: int) -> list[Any]:
    """Return a model's predictions as plain Python values, one for each instance.

    Raises:
        ValueError: It has another length, or a number that is not finite.
    """
    plain = _plain(answer)
    if not isinstance(plain, list):
        raise ValueError(f"predict returned a {type(answer).__name__}, not a list")  # noqa: TRY004  one error for a wrong answer
    if len(plain) != count:
        raise ValueError(f"predict returned {len(plain)} predictions for {count} instances")
    for position, value in enumerate(plain):
        if not _finite(value):
            raise ValueError(f"prediction {position} is {value}: not a finite number")
    return plain


def _from_json(
    body: bytes, manifest: ModelManifest
) -> tuple[list[dict[str, Any]], dict[str, Scalar]]:
    """Parse a JSON body: a list of rows, or an object with instances and parameters."""
    document = _decoded(body, "the body")
    if not isinstance(document, dict):
        return _instance_rows(document), {}
    if "instances" not in document:
        raise BadRequest('the body has no "instances": send {"instances": [{...}, ...]}')
    return _instance_rows(document["instances"]), _parameters(document.get("parameters"), manifest)


def _parameters(sent: object, manifest: ModelManifest) -> dict[str, Scalar]:
    """Return the parameters of a prediction request by name; empty where it sends null.

    Vertex AI's SDK sends null to a dedicated endpoint where there are none.
    """
    if sent is None:
        return {}
    if not isinstance(sent, dict):
        raise BadRequest(f"parameters is a {_json_name(sent)}, not an object of name: value")
    try:
        return fitting(sent, manifest.accepted)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _instance_rows(instances: object) -> list[dict[str, Any]]:
    """Return the instances as rows; raise BadRequest if they are not a list of objects."""
    if not isinstance(instances, list):
        raise BadRequest(f"instances is a {_json_name(instances)}, not a list of objects")
    if not instances:
        raise BadRequest("instances is empty")
    for position, row in enumerate(instances):
        if not isinstance(row, dict):
            raise BadRequest(
                f"instance {position} is a {_json_name(row)}, not an object of feature: value"
            )
    return instances


def _json_lines(body: bytes) -> list[object]:
    """Return the values in a request body of JSON lines."""
    return [
        _decoded(line, f"line {number}")
        for number, line in enumerate(body.splitlines(), 1)
        if line.strip()
    ]


def _decoded(data: bytes, what: str) -> Any:
    """Return the value of a JSON text; raise BadRequest, which names `what`, if it is not JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise BadRequest(f"{what} is nested too deeply") from None


def _json_name(value: object) -> str:
    """Return the name that JSON has for a value's type, such as object."""
    names = {
        dict: "object",
        list: "list",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _from_csv(body: bytes, manifest: ModelManifest) -> list[dict[str, Any]]:
    """Return the rows of a request's CSV body, with values in the types of the features.

    Its first row is a header where its cells are the manifest's feature names, in any order; else
    the columns are in the manifest's order.
    """
    try:
        rows = [
            row for row in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if row
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"the body is not CSV: {error}") from None
    features = {feature.name: feature.type for feature in manifest.features}
    if not features:
        raise BadRequest("this model names no features, so CSV columns have no meaning: send JSON")
    names = list(features)
    if rows and set(rows[0]) & set(names) and not _all_numbers(rows[0]):
        names, rows = rows[0], rows[1:]
    if not rows:
        raise BadRequest("the CSV has no rows")
    for position, row in enumerate(rows):
        if len(row) != len(names):
            raise BadRequest(
                f"row {position} has {len(row)} columns, not {len(names)}: {', '.join(names)}"
            )
    return [
        {
            name: _cell(cell, features.get(name), f"row {position}, {name}")
            for name, cell in zip(names, row, strict=True)
        }
        for position, row in enumerate(rows)
    ]


def _all_numbers(cells: Sequence[str]) -> bool:
    """Return whether every cell of a CSV line is a number, so that it cannot be a header."""
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def _cell(text: str, kind: str | None, where: str) -> object:
    """Convert a CSV cell to a value of its column's type `kind`; an empty cell is None.

    `where` names the cell in the error.
    """
    if text == "":
        return None
    try:
        if kind == "bool":
            return _TRUTH[text.strip().lower()]
        if kind in _NUMBERS:
            return _NUMBERS[kind](text)
    except (ValueError, KeyError):
        raise BadRequest(f"{where}: {text!r} is not a {kind}") from None
    if kind is not None:
        return text
    for parse in (int, float):  # a manifest without types: what looks like a number is one
        try:
            return parse(text)
        except ValueError:
            continue
    return text


def _plain(value: object) -> Any:
    """Convert a prediction to plain Python values, without importing NumPy."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in (bool, int, float, str, type(None)) else _unwrapped(value)
    if isinstance(value, list | tuple):
        return [item if type(item) is float else _plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return _unwrapped(value)


def _unwrapped(value: object) -> Any:
    """Convert a NumPy or pandas value to plain Python; raise ValueError for other types."""
    for method in ("tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert):
            return convert()
    if isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a prediction of type {type(value).__name__} has no JSON form")


def _finite(value: object) -> bool:
    """Return whether a value holds no NaN or infinity, at any depth."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return True
