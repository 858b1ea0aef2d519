"""The consumer of a data set: what the runner of streams calls, and what it appends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, final

import msgspec

from ...errors import Invalid
from ...events.consume.consumer import Consumer, Reaction, StreamInput, event_time
from ...events.intake.emit import append_to_stream, stream_of
from ...events.port import Row
from ...events.tables.exposures import copies_name
from ...events.tables.relations import event_columns, raw_name, view_name
from ...project.reading.quantities import duration_text
from ...project.specs.datasets import Dataset
from ...project.specs.description import Event, ProjectSpec
from ...project.specs.examples import examples_event, meaning_of
from ...project.specs.exposures import EVENT, EXPOSURES, reference_to
from ...times import epoch_milliseconds, from_epoch
from .labels import Example, Labeller, LabelState, amount_of

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...target import Target

_FORMAT = 1  # of the state's bytes: a state of another one is made anew
_COLUMNS = tuple(column.name for column in event_columns(EVENT))
_TIME = _COLUMNS.index("event_timestamp")
_decode = msgspec.json.Decoder(LabelState).decode


class AppendExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Examples for their stream. Appended twice, they are read once: their ids are the same."""

    event: Event
    examples: Sequence[Example]

    def carry_out(self, target: Target, *, written_at: datetime) -> int:
        """Append the examples to their stream, and return how many there were.

        Raises:
            Invalid: The stream does not take one of them.
        """
        stream, rows = stream_of(self.event), self.rows()
        rejected = append_to_stream(target, stream, rows, now=written_at, stored=written_at)
        if rejected:
            first = rejected[0]
            raise Invalid(
                f"{stream.name} does not take the example {rows[first.index]['event_id']}: "
                f"{first.reason}",
                remedy="isthmus apply, where it lacks a column; the worker goes on at its last "
                "checkpoint",
            )
        return len(rows)

    def rows(self) -> list[dict[str, Any]]:
        """Return the examples with the columns that readers see; times are aware."""
        return [
            dict(zip(_COLUMNS, example.row, strict=True))
            | {
                "event_timestamp": from_epoch(example.row[_TIME]),
                "outcome": example.outcome,
                "known_timestamp": from_epoch(example.known),
            }
            for example in self.examples
        ]


@final
class DatasetConsumer:
    """A data set as a kind of consumer: exposures that wait for their outcome, and examples."""

    def __init__(self, spec: ProjectSpec, dataset: Dataset) -> None:
        objective = spec.objectives[dataset.objective]
        self.name = dataset.name
        self.kind = "data set"
        self.summary = f"within {duration_text(objective.within)}"
        outcome = objective.outcome
        self.inputs: tuple[StreamInput, ...] = (
            StreamInput(
                event=EXPOSURES, stream=copies_name(EXPOSURES), relation=view_name(EXPOSURES)
            ),
            StreamInput(event=outcome, stream=raw_name(outcome), relation=view_name(outcome)),
        )
        self.lateness = dataset.lateness
        # what was shown so lately may still be waiting; twice, so that its outcomes are told apart
        self.history = 2 * objective.within + dataset.lateness
        meaning = msgspec.json.encode([_FORMAT, dataset.lateness, *meaning_of(spec, dataset)])
        self.digest = hashlib.sha256(meaning).hexdigest()[:16]
        self._reference = reference_to(EXPOSURES)
        self._sums = objective.sums
        self._event = examples_event(spec, dataset)
        self._labeller = Labeller(
            within=objective.within // timedelta(milliseconds=1),
            is_number=objective.is_number,
            at_most=objective.at_most,
        )

    def empty(self) -> LabelState:
        """Return the state before any event."""
        return LabelState()

    def apply(
        self, state: LabelState, stream: StreamInput, events: Sequence[Row], *, watermark: datetime
    ) -> LabelState:
        """Return the state after some events of one stream; the given one is changed."""
        oldest = epoch_milliseconds(watermark)
        for row in events:
            moment = epoch_milliseconds(event_time(row))
            state.events += 1
            if moment < oldest:
                state.late += 1
            elif stream.event == EXPOSURES:
                shown = [row.get(name) for name in _COLUMNS]
                shown[_TIME] = moment
                is_logged = row.get("features") is not None
                self._labeller.add_exposure(
                    state, str(row["event_id"]), moment, shown, is_logged=is_logged
                )
            elif (exposure := row.get(self._reference)) is not None:
                amount = amount_of(row, self._sums)
                self._labeller.add_outcome(state, str(exposure), moment, amount)
        return state

    def advance(
        self,
        state: LabelState,
        *,
        watermark: datetime,
        now: datetime,  # noqa: ARG002  only the events' own time counts
    ) -> Reaction[LabelState]:
        """Return the state at a later watermark, and the examples that are known by it."""
        examples = self._labeller.advance(state, epoch_milliseconds(watermark))
        if not examples:
            return Reaction(state=state)
        return Reaction(
            state=state, effects=(AppendExamples(event=self._event, examples=examples),)
        )

    def figures(self, state: LabelState) -> dict[str, int]:
        """Return counts for people: examples, exposures that wait, and what is in no example."""
        lost = {
            "after within": state.after_within,
            "unknown exposure": state.unknown,
            "without a row": state.unlogged,
        }
        return {
            "examples": state.examples,
            "with an outcome": state.outcomes,
            "waiting": len(state.waiting),
            "late": state.late,
            **{name: count for name, count in lost.items() if count},
        }

    def encode(self, state: LabelState) -> bytes:
        """Return a state as bytes, for a checkpoint."""
        return msgspec.json.encode(state)

    def decode(self, data: bytes) -> LabelState:
        """Return the state that was encoded as these bytes."""
        return _decode(data)


def dataset_consumers(project: Project) -> Iterable[Consumer[Any]]:
    """Return the consumers of all data sets of a project, in its order."""
    return [DatasetConsumer(project.spec, dataset) for dataset in project.spec.datasets.values()]
