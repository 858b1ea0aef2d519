"""The state of a script that runs: variables, functions, what its statements gave.

What an expression means, and whether a value fits a variable, is for GoogleSQL's analyzer to say; a
variable is a constant to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from ...data.googlesql_values import type_text
from ...data.types import SchemaField
from ...errors import BigQueryError, invalid_query
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ...state.jobs import Outcome
from ..analysis import routines
from ..analysis.analyzer import AnalysisRequest, analyze
from ..analysis.parameters import Parameter
from ..analysis.resolved_tree import ResolvedNode
from ..execution import reference_evaluation
from .parsing import query_of

Run: TypeAlias = Callable[[AnalysisRequest], Outcome]


class Script:
    """A script that runs.

    `question` is what its names mean when it begins. `children` has each statement that ran, and
    what came of it.
    """

    def __init__(
        self,
        instance: BigQueryState,
        question: AnalysisRequest,
        nodes: Sequence[ResolvedNode],
        running: RunningJob,
        run: Run,
    ) -> None:
        self.instance, self.sql, self.running, self._run = instance, question.sql, running, run
        self.outer = question
        self.scopes: list[dict[str, Parameter]] = [{}]
        self.functions = dict(question.functions)
        self.errors: list[BigQueryError] = []
        self._affected: int | None = None
        self._places = sorted(place for node in nodes for place in _positional_parameters(node))
        self.children: list[tuple[str, Outcome]] = []

    def question(self, sql: str, *nodes: ResolvedNode, **more: Any) -> AnalysisRequest:
        """Return parts of the script as a statement to analyze, with the variables' current values.

        `nodes` are the parts in `sql`, in its order; `more` sets other fields of the Question.
        """
        variables = {name: variable for scope in self.scopes for name, variable in scope.items()}
        return msgspec.structs.replace(
            self.outer,
            sql=sql,
            parameters=self._parameters(nodes),
            functions=self.functions,
            variables=tuple(variables.values()),
            system=self._system(),
            **more,
        )

    def _parameters(self, nodes: Sequence[ResolvedNode]) -> tuple[Parameter, ...]:
        """Return the query parameters that parts of the script use, positional ones in order."""
        parameters = self.outer.parameters
        if not parameters or parameters[0].name:
            return parameters
        return tuple(
            parameters[self._places.index(place)]
            for node in nodes
            for place in sorted(_positional_parameters(node))
        )

    def _system(self) -> tuple[Parameter, ...]:
        """Return the system variables (@@error.message, @@row_count ...) with their values."""
        dataset = self.outer.dataset[1] if self.outer.dataset else None
        message = self.errors[-1].message if self.errors else None
        texts = {
            "error.message": message,
            "project_id": self.outer.project,
            "dataset_id": dataset,
            "time_zone": "UTC",
        }
        count = Parameter(
            name="row_count",
            field=SchemaField(name="row_count", type="INTEGER"),
            value=self._affected,
        )
        return (
            *(
                Parameter(name=name, field=SchemaField(name=name, type="STRING"), value=value)
                for name, value in texts.items()
            ),
            count,
        )

    def value(
        self, node: ResolvedNode, target: SchemaField | None = None
    ) -> tuple[SchemaField, Any]:
        """Compute an expression of the script, and return its column and its value.

        With a `target` the value is coerced to its type as an assignment does.
        """
        kind = type_text(target) if target is not None else None
        fields, rows = self.rows(self.question(query_of(self.sql, node), node, target=kind))
        return fields[0], rows[0][fields[0].name]

    def rows(self, question: AnalysisRequest) -> tuple[Sequence[SchemaField], list[dict[str, Any]]]:
        """Run a query, and return its columns and its rows as dictionaries."""
        meaning = analyze(self.instance, question)
        fields = [field for _, field in meaning.columns]
        return fields, reference_evaluation.table(
            self.instance, meaning, fields, self.running
        ).to_pylist()

    def is_true(self, node: ResolvedNode) -> bool:
        """Compute a condition of the script, and return whether it is true and not NULL."""
        return self.value(node, SchemaField(name="condition", type="BOOLEAN"))[1] is True

    def ran(self, question: AnalysisRequest) -> None:
        """Run a statement of the script, and record its outcome and number of changed rows."""
        outcome = self._run(question)
        self.children.append((question.sql, outcome))
        self._affected = sum(outcome.affected.values()) if outcome.affected is not None else None

    def variable(self, name: str) -> Parameter:
        """Return a declared variable of the script, with its value, by name.

        Raises:
            BigQueryError: `invalidQuery`: It is not declared.
        """
        return self._scope_of(name)[name.lower()]

    def _scope_of(self, name: str) -> dict[str, Parameter]:
        """Return the scope (variables by name) in which a variable was declared."""
        for scope in self.scopes:
            if name.lower() in scope:
                return scope
        raise invalid_query(f"Undeclared variable: {name}")

    def assign(self, name: str, field: SchemaField, value: Any) -> None:
        """Assign a value of the type `field` to a declared variable of the script, coercing it."""
        scope = self._scope_of(name)
        current = scope[name.lower()]
        if type_text(field) != type_text(current.field):
            value = self._coerce(field, value, current.field)
        scope[name.lower()] = msgspec.structs.replace(current, value=value)

    def _coerce(self, field: SchemaField, value: Any, target: SchemaField) -> Any:
        """Return a value of the type `field` converted to the type `target`, as assignments do."""
        own = variable("value_", field, value)
        question = msgspec.structs.replace(
            self.outer,
            sql="SELECT value_",
            parameters=(),
            variables=(own,),
            target=type_text(target),
        )
        fields, rows = self.rows(question)
        return rows[0][fields[0].name]


def _positional_parameters(node: ResolvedNode) -> list[int]:
    """Return the offsets in the script of the positional parameters (?) in a node."""
    return [
        part.parse_location_range.start
        for part in node.walk()
        if part.kind == "parameter_expr" and "name" not in part
    ]


def variable(name: str, field: SchemaField, value: Any) -> Parameter:
    """Return a script's variable of this name, type and value."""
    return Parameter(
        name=name.lower(),
        field=SchemaField(name=name, type=field.type, mode=field.mode, fields=field.fields),
        value=value,
    )


def function_definition(instance: BigQueryState, question: AnalysisRequest) -> tuple[str, Any]:
    """Return the name of the function that a CREATE TEMP FUNCTION makes, and the function."""
    node = analyze(instance, question).statement
    if len(node.name_path) != 1:
        raise invalid_query("Temporary functions cannot have a dataset in their name")
    if node.name_path[0] in question.functions and node.create_mode == 0:
        raise BigQueryError("duplicate", f"Already Exists: Function {node.name_path[0]}")
    return node.name_path[0], routines.function_of(question.sql, node)
