"""The engine: start each task of a pipeline as soon as it may run, in a thread of its own.

A task may be a DAG or a loop itself.
"""

from __future__ import annotations

import queue
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.rpc.code_pb2 import CANCELLED, FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT

from ....core.call import Call
from ....core.errors import GcpError
from . import inputs, tasks, tracking
from .inputs import BadInput, MissingInput, Surroundings
from .records import Inputs, Outcome, Run, TaskRun
from .specification import expressions
from .specification.placeholders import BadPlaceholder
from .specification.spec import Component, Task
from .specification.validation import upstream_tasks

NOT_TRIGGERED = Outcome(state="NOT_TRIGGERED")
_UNLISTED = Outcome(state="")  # it never will start, and nobody is told
_ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELLED", "NOT_TRIGGERED", "")


def run(call: Call, pipeline_run: Run) -> Outcome:
    """Run a pipeline from beginning to end, and return its outcome.

    If the stack is reset meanwhile, the run stops where it is.
    """
    root = tasks.new_task(call, pipeline_run, parent=None, name=pipeline_run.id, path=())
    root.kind = "system.Run"
    tracking.record_run(call, pipeline_run)
    arguments = pipeline_run.arguments
    tasks.begin(call, pipeline_run, root, arguments)
    outcome = _Dag(call, pipeline_run, pipeline_run.pipeline.root, arguments, (root, ())).run()
    tasks.finish(call, pipeline_run, root, outcome)
    return outcome


class _Dag:
    """The tasks of one DAG. Their threads report their ends through a queue."""

    def __init__(
        self,
        call: Call,
        run: Run,
        component: Component,
        arguments: Inputs,
        place: tuple[TaskRun, tuple[str, ...]],
    ) -> None:
        assert component.dag is not None  # noqa: S101  who calls has looked
        self.call = call
        self.pipeline_run = run
        self.dag = component.dag
        self.arguments = arguments
        self.parent, self.path = place
        self.outcomes: dict[str, Outcome] = {}
        self.events: queue.SimpleQueue[tuple[str, Outcome] | None] = queue.SimpleQueue()

    def run(self) -> Outcome:
        """Run the tasks of a DAG (a pipeline or a sub-pipeline), and return its outcome."""
        self.call.on_stop(lambda: self.events.put(None))
        waiting = dict(self.dag.tasks)
        running: set[str] = set()
        while True:
            self._start_all(waiting, running)
            if not running:
                return self._conclude()
            event = self.events.get()
            if event is None:
                return Outcome(state="CANCELLED", code=CANCELLED, message="The stack was reset.")
            key, outcome = event
            running.discard(key)
            self.outcomes[key] = outcome

    def _start_all(self, waiting: dict[str, Task], running: set[str]) -> None:
        """Start each waiting task whose upstream tasks have ended; record those that never start.

        Keys of started tasks are added to `running`. A task that never starts may decide over
        others.
        """
        changed = True
        while changed:
            changed = False
            for key, task in list(waiting.items()):
                verdict = self._verdict(task)
                if verdict == "wait":
                    continue
                del waiting[key]
                changed = True
                if verdict == "run":
                    running.add(key)
                    self.call.spawn(self._task, key, task)
                else:
                    self.outcomes[key] = self._never(task)

    def _verdict(self, task: Task) -> str:
        """Return "run", "wait" or "never" for a task, by the states of its upstream tasks."""
        producers = [self.outcomes.get(name) for name in upstream_tasks(task)]
        if any(outcome is None or outcome.state not in _ENDED for outcome in producers):
            return "wait"
        if self.pipeline_run.stop.is_set():
            return "never"
        if task.waits_for_the_end_only:
            return "run"
        if self.pipeline_run.failed.is_set() and self.pipeline_run.fail_fast:
            return "never"
        return (
            "run"
            if all(outcome is not None and outcome.succeeded for outcome in producers)
            else "never"
        )

    def _never(self, task: Task) -> Outcome:
        """Record that a task never starts, and return its outcome."""
        if self.pipeline_run.stop.is_set() or (
            self.pipeline_run.failed.is_set() and self.pipeline_run.fail_fast
        ):
            return _UNLISTED
        tasks.finish(self.call, self.pipeline_run, self._row(task), NOT_TRIGGERED)
        return NOT_TRIGGERED

    def _row(self, task: Task, suffix: str = "", parent: TaskRun | None = None) -> TaskRun:
        """Add a task to the run's task_details, below a parent task if given; return its record.

        `suffix` is added to the task's name, as for an iteration of a loop.
        """
        name = (task.task_info.name if task.task_info else task.component) + suffix
        return tasks.new_task(
            self.call, self.pipeline_run, parent=parent or self.parent, name=name, path=self.path
        )

    def _task(self, key: str, task: Task) -> None:
        """Run the task `key` of a DAG in its own thread, and report its outcome to the DAG."""
        row = self._row(task)
        self.events.put((key, self._run_guarded(row, lambda: self._outcome(key, task, row))))

    def _run_guarded(self, row: TaskRun, work: Callable[[], Outcome]) -> Outcome:
        """Run `work`, store its outcome or failure in the task's record, and return it."""
        try:
            outcome = work()
        except (MissingInput, BadInput, BadPlaceholder, expressions.BadExpression) as error:
            outcome = Outcome(state="FAILED", code=INVALID_ARGUMENT, message=str(error))
        except GcpError as error:
            outcome = Outcome(state="FAILED", code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001  the stack's own mistake must show, not leave a pipeline that never ends
            traceback.print_exc()
            outcome = Outcome(
                state="FAILED", code=INTERNAL, message=f"the local stack failed: {error!r}"
            )
        if (
            outcome.state == "FAILED"
        ):  # before anybody can see it, or what starts then may still be started
            self.pipeline_run.failed.set()
        tasks.finish(self.call, self.pipeline_run, row, outcome)
        return outcome

    def _outcome(self, key: str, task: Task, row: TaskRun) -> Outcome:
        """Run a task if the condition of its trigger policy holds, and return its outcome."""
        component = self.pipeline_run.pipeline.component_of(task)
        names = tasks.names(self.pipeline_run, row)
        final = {
            name: tasks.final_status(self.pipeline_run, name, outcome)
            for name, outcome in self.outcomes.items()
        }
        arguments = inputs.task_inputs(
            task,
            component,
            Surroundings(
                arguments=self.arguments, siblings=self.outcomes, final=final, names=names
            ),
        )
        if task.trigger_policy.condition:
            scope = {
                "parameter_values": arguments.parameters,
                "parameters": arguments.parameters,
                "artifacts": _condition_artifacts(arguments),
            }
            if not expressions.holds(task.trigger_policy.condition, scope):
                return NOT_TRIGGERED
        if task.parameter_iterator is not None or task.artifact_iterator is not None:
            return self._loop(key, task, row, arguments)
        return self._run_once(key, task, row, arguments)

    def _run_once(self, key: str, task: Task, row: TaskRun, arguments: Inputs) -> Outcome:
        """Run a task once, as a sub-pipeline or by its executor, and return its outcome."""
        component = self.pipeline_run.pipeline.component_of(task)
        if component.dag is None:
            return tasks.Execution(
                call=self.call,
                run=self.pipeline_run,
                task=task,
                component=component,
                row=row,
                arguments=arguments,
            ).outcome()
        row.kind = "system.DagExecution"
        tasks.begin(self.call, self.pipeline_run, row, arguments)
        return _Dag(
            self.call, self.pipeline_run, component, arguments, (row, (*self.path, key))
        ).run()

    def _loop(self, key: str, task: Task, row: TaskRun, arguments: Inputs) -> Outcome:
        """Run a loop task's iterations in parallel up to its limit, and return its outcome."""
        row.kind = "system.DagExecution"
        tasks.begin(self.call, self.pipeline_run, row, arguments)
        component = self.pipeline_run.pipeline.component_of(task)
        iterator = task.parameter_iterator or task.artifact_iterator
        assert iterator is not None  # noqa: S101  who calls has looked
        items = list(inputs.items_of(iterator, arguments, tasks.names(self.pipeline_run, row)))

        def iterate(index: int, item: Any) -> Outcome:
            iteration = self._row(task, f"-{index}", row)

            def once() -> Outcome:
                return self._run_once(
                    f"{key}-{index}",
                    task,
                    iteration,
                    inputs.with_item(task, component, arguments, item),
                )

            return self._run_guarded(iteration, once)

        outcomes = self._side_by_side(
            iterate, items, task.iterator_policy.parallelism_limit or len(items)
        )
        if outcomes is None:
            return Outcome(state="CANCELLED", code=CANCELLED)
        parameters, artifacts = inputs.collect_outputs(
            [outcomes[index] for index in sorted(outcomes)]
        )
        failed = [
            f"{row.name}-{index}" for index in sorted(outcomes) if outcomes[index].state == "FAILED"
        ]
        declared = component.output_definitions
        parameters = {**{name: [] for name in declared.parameters}, **parameters}
        artifacts = {**{name: [] for name in declared.artifacts}, **artifacts}
        return _verdict(self.pipeline_run, failed, parameters, artifacts)

    def _side_by_side(
        self, iterate: Callable[[int, Any], Outcome], items: Sequence[Any], limit: int
    ) -> dict[int, Outcome] | None:
        """Call `iterate` for each item, up to `limit` in parallel; return the outcomes by index.

        Iterations that had not begun when the run was stopped are missing. None means that the
        stack stops.
        """
        ends: queue.SimpleQueue[tuple[int, Outcome] | None] = queue.SimpleQueue()
        self.call.on_stop(lambda: ends.put(None))
        waiting = list(enumerate(items))[::-1]
        outcomes: dict[int, Outcome] = {}
        running = 0
        while waiting or running:
            while waiting and running < limit and not self.pipeline_run.stop.is_set():
                running += 1
                self.call.spawn(
                    lambda index, item: ends.put((index, iterate(index, item))), *waiting.pop()
                )
            if not running:
                break
            end = ends.get()
            if end is None:
                return None
            running -= 1
            outcomes[end[0]] = end[1]
        return outcomes

    def _conclude(self) -> Outcome:
        """Return the outcome of a DAG all of whose tasks have ended."""
        failed = [key for key, outcome in self.outcomes.items() if outcome.state == "FAILED"]
        parameters, artifacts = inputs.outputs_of(self.dag, self.outcomes)
        return _verdict(self.pipeline_run, failed, parameters, artifacts)


def _verdict(
    run: Run, failed: list[str], parameters: dict[str, Any], artifacts: dict[str, Any]
) -> Outcome:
    """Return the outcome of a DAG or a loop, from its failed tasks and its outputs."""
    if run.stop.is_set():
        return Outcome(state="CANCELLED", code=CANCELLED, message="The pipeline job was cancelled.")
    if failed:
        words = (
            "The DAG failed because some tasks failed. The failed tasks are: "
            f"[{', '.join(failed)}]."
        )
        return Outcome(
            state="FAILED",
            parameters=parameters,
            artifacts=artifacts,
            code=FAILED_PRECONDITION,
            message=words,
        )
    return Outcome(state="SUCCEEDED", parameters=parameters, artifacts=artifacts)


def _condition_artifacts(arguments: Inputs) -> Mapping[str, list[dict[str, Any]]]:
    """Return a task's input artifacts as the conditions of trigger policies read them."""
    return {
        name: [{**artifact.runtime(), "properties": artifact.metadata} for artifact in artifacts]
        for name, artifacts in arguments.artifacts.items()
    }
