"""Batch transform between an object and the model's requests. Pure.

Objects are split into records and mini-batches, filtered, and joined with the answers. Source:
SageMaker developer guide, "Batch transform" and "Associate prediction results with input records".
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

Format = Literal["csv", "json"]
_FORMATS: dict[str, Format] = {
    "text/csv": "csv",
    "application/json": "json",
    "application/jsonlines": "json",
}
_WHOLE = "$"
_STEP = re.compile(r"\.?\[(?P<inside>[^\]]*)\]|\.(?P<name>[A-Za-z_][\w-]*|\*)")
_NAMES = re.compile(r"'([^']*)'")
_NUMBERS = re.compile(r"-?\d+(,-?\d+)*")
_SLICE = re.compile(r"(-?\d*):(-?\d*)")


class BadRecord(ValueError):
    """A record or its answer is not what the job says. The message is for the job's log."""


def lines(content: bytes) -> list[bytes]:
    """Split a text of line-delimited records into records, leaving out empty lines."""
    return [line for line in (part.removesuffix(b"\r") for part in content.split(b"\n")) if line]


def batches(records: Sequence[bytes], most: int | None, *, several: bool) -> Iterator[list[bytes]]:
    """Yield mini-batches, lists of records, of at most `most` bytes with their line breaks.

    None: no limit. Without `several` a batch is one record.

    Raises:
        BadRecord: A record alone is larger than `most` bytes.
    """
    batch: list[bytes] = []
    size = 0
    for record in records:
        if most is not None and len(record) > most:
            raise BadRecord(
                f"a record has {len(record):,} bytes, and MaxPayloadInMB allows {most:,}"
            )
        if batch and (not several or (most is not None and size + len(record) + 1 > most)):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record) + 1
    if batch:
        yield batch


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """DataProcessing: what the model gets of a record, and what stands beside its answer."""

    format: Format | None  # None: nothing is filtered or joined, whatever the content is
    taken: str = _WHOLE
    joins: bool = False
    told: str = _WHOLE

    @property
    def outputs(self) -> bool:
        """Whether a model answer is not stored as it is, but joined with its record or filtered."""
        return self.joins or self.told != _WHOLE

    def model_input(self, record: bytes) -> bytes:
        """Return the part of a record (InputFilter) that is sent to the model."""
        return (
            record
            if self.format is None or self.taken == _WHOLE
            else self._write(select(self._read(record), self.taken))
        )

    def answered(self, record: bytes, answer: bytes) -> bytes:
        """Return what is stored for a record: the model's answer, joined and filtered as asked."""
        if self.format is None or not self.outputs:
            return answer
        of_model = self._read(answer)
        return self._write(
            select(self._join(self._read(record), of_model) if self.joins else of_model, self.told)
        )

    def _join(self, record: Any, answer: Any) -> Any:
        """Return a record joined with the model's answer (JoinSource)."""
        if self.format == "csv":
            return [*record, *answer]
        return (
            {**record, "SageMakerOutput": answer}
            if isinstance(record, dict)
            else {"SageMakerInput": record, "SageMakerOutput": answer}
        )

    def _read(self, record: bytes) -> Any:
        """Parse a record, JSON or CSV, into a value."""
        try:
            text = record.decode()
            return next(csv.reader([text])) if self.format == "csv" else json.loads(text)
        except (ValueError, StopIteration, csv.Error, RecursionError) as error:
            raise BadRecord(
                f"a record is no {str(self.format).upper()}: {error}: {record[:100]!r}"
            ) from error

    def _write(self, value: Any) -> bytes:
        """Encode a value as a record, JSON or CSV."""
        if self.format == "json":
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return row.getvalue().encode()


def filters(processing: dict[str, Any], content_type: str | None) -> Filters:
    """Parse a transform job's DataProcessing: InputFilter, JoinSource and OutputFilter.

    `content_type` is the type of the input.

    Raises:
        BadRecord: The service does not take a path, or cannot filter the content.
    """
    input_filter, output_filter = (
        processing.get("InputFilter") or _WHOLE,
        processing.get("OutputFilter") or _WHOLE,
    )
    joins = processing.get("JoinSource") == "Input"
    if not joins and input_filter == output_filter == _WHOLE:
        return Filters(format=None)
    kind = _FORMATS.get((content_type or "").partition(";")[0].strip().lower())
    if kind is None:
        raise BadRecord(
            f"DataProcessing reads {', '.join(_FORMATS)}; the content type is "
            f"{content_type or 'not named'}"
        )
    for path in (input_filter, output_filter):
        steps(path)
    return Filters(format=kind, taken=input_filter, joins=joins, told=output_filter)


def select(value: Any, path: str) -> Any:
    """Return the part of a JSON value to which a JSONPath leads.

    Raises:
        BadRecord: The path leads to nothing.
    """
    for step in steps(path):
        try:
            value = step(value)
        except (KeyError, IndexError, TypeError) as error:
            raise BadRecord(
                f"{path} is not in a record ({type(error).__name__}: {error})"
            ) from error
    return value


def steps(path: str) -> list[Callable[[Any], Any]]:
    """Compile a JSONPath (the developer guide's subset) into functions, one for each step.

    Raises:
        BadRecord: The path has a step outside of that subset.
    """
    wrong = BadRecord(f"the JSONPath {path!r} has an operator that batch transform does not take")
    if not path.startswith(_WHOLE):
        raise wrong
    operators: list[Callable[[Any], Any]] = []
    offset = 1
    while offset < len(path):
        step = _STEP.match(path, offset)
        operator = _operator(step) if step else None
        if step is None or operator is None:
            raise wrong
        operators.append(operator)
        offset = step.end()
    return operators


def _operator(step: re.Match[str]) -> Callable[[Any], Any] | None:
    """Return the function of one step of a JSONPath; None: batch transform has no such step.

    `step` is the step's match by a regular expression.
    """
    if step["name"] is not None:
        return _children if step["name"] == "*" else _by_names([step["name"]])
    inside = step["inside"].replace(" ", "")
    if inside == "*":
        return _children
    if names := _NAMES.findall(inside):
        return _by_names(names) if inside == ",".join(f"'{name}'" for name in names) else None
    if _NUMBERS.fullmatch(inside):
        return _by_indices([int(number) for number in inside.split(",")])
    if part := _SLICE.fullmatch(inside):
        first, last = (int(bound) if bound else None for bound in part.groups())
        return lambda value: _array(value)[first:last]
    return None


def _children(value: Any) -> list[Any]:
    """Return the member values of a JSON object, or the items of an array."""
    return list(value.values()) if isinstance(value, dict) else list(_array(value))


def _by_names(names: Sequence[str]) -> Callable[[Any], Any]:
    """Return a function that picks these members of a JSON object; of one name, its value."""
    return lambda value: (
        value[names[0]] if len(names) == 1 else {name: value[name] for name in names}
    )


def _by_indices(numbers: Sequence[int]) -> Callable[[Any], Any]:
    """Return a function that picks the items of a JSON array at these indices."""
    return lambda value: (
        _array(value)[numbers[0]]
        if len(numbers) == 1
        else [_array(value)[number] for number in numbers]
    )


def _array(value: Any) -> Any:
    """Return a value after checking that it is a JSON array."""
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} is no array")
    return value


def assemble(parts: Iterable[bytes], *, by_line: bool) -> bytes:
    """Join the model's answers into the content of one output object.

    With `by_line` each ends with a line break.
    """
    if not by_line:
        return b"".join(parts)
    return b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts)
