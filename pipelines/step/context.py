"""The context that a step's function is called with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ...errors import Invalid
from ..graphs.graph import fits

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...target import Target
    from ..port import ValueType


@final
class StepContext:
    """The argument of a step's function: `def step(context: StepContext) -> None`.

    The files written below `outputs` and the values `set` are kept when the function returns.
    """

    def __init__(
        self,
        *,
        run: str,
        step: str,
        project_file: str | None,
        target: Target,
        parameters: dict[str, Any],
        inputs: dict[str, Path],
        outputs: dict[str, Path],
        types: Mapping[str, ValueType],
    ) -> None:
        self.run = run  # the short name, e.g. r7
        self.step = step
        self.project_file = project_file
        self.target = target  # the run's own; its ports are opened on first touch
        self.parameters = parameters  # resolved
        self.inputs = inputs  # local folders (or files) to read, never to write
        self.outputs = outputs  # empty local folders to write, one for each artifact
        self.values: dict[str, float | int | bool | str] = {}
        self._types = types

    def project(self) -> Project:
        """Return the project that submitted the run, opened on the same target.

        Raises:
            Invalid: the run has no project.yaml.
        """
        from ...core.runtime.project import reopen

        if self.project_file is None:
            raise Invalid(
                f"run {self.run} was submitted without a project.yaml: step {self.step} "
                "cannot open it"
            )
        return reopen(self.project_file, self.target)

    def set(self, name: str, value: float | bool | str) -> None:
        """Set the value of one of the step's declared outputs.

        Raises:
            Invalid: the step does not declare it, or declares another type.
        """
        if name not in self._types:
            raise Invalid(
                f"step {self.step} has no output {name!r} (it declares "
                f"{', '.join(sorted(self._types)) or 'none'})"
            )
        if not fits(value, self._types[name]):
            raise Invalid(
                f"step {self.step}: output {name} is declared as {self._types[name]}, not {value!r}"
            )
        self.values[name] = value

    def log(self, text: str) -> None:
        """Write a line to the step's log."""
        print(text, file=sys.stdout, flush=True)
