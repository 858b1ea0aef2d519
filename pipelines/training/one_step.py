"""Run one step of an earlier training run again, by itself: nothing is stored or registered.

It is for whoever writes a trainer: the inputs are those of the earlier run, the code is today's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ...errors import Invalid, NotFound
from ...project.modules import importable
from ...project.reading.names import did_you_mean
from ...reports.columns import aligned
from ...reports.results import Shown
from ..evaluation.statistics import Estimate
from ..graphs.graph import Artifact, dependencies
from ..run_pages.figure_text import digits_of, interval, signed
from ..runs.artifacts import fetch, manifest_of
from ..runs.document import RunDocument, StepResult, find, open_run
from ..runs.step_names import TRAIN, stable_name
from ..runs.step_results import resolve, step_folder
from ..step.context import StepContext
from ..step.execution import StepFailed, run_function
from .training import configuration

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...project.specs.description import Model
    from ..graphs.graph import Step

_ALONE = ("dataset", "fit", "evaluate", "curve")


class StepAgain(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The results of one step that ran by itself, beside those of its run.

    `figures` and `figures_of_run` are those of the step `evaluate`, by the names of gates;
    `differences` are today's minus the run's, paired on the rows that both predicted.
    """

    run: str
    step: str
    configuration: str | None  # the file whose settings were taken; None: those of the run
    seconds: float
    outputs: dict[str, float | int | bool | str]
    outputs_of_run: dict[str, float | int | bool | str] | None  # None: it did not finish there
    same: bool | None  # whether every file of the step's artifacts is that of the run
    figures: dict[str, Estimate] = {}
    figures_of_run: dict[str, Estimate] = {}
    differences: dict[str, Estimate] = {}

    def __str__(self) -> str:
        settings = f"   with {self.configuration}" if self.configuration else ""
        lines = [f"{self.run} {self.step} again{settings}   {self.seconds:.1f} s   not registered"]
        former_outputs = self.outputs_of_run or {}
        rows = [
            (name, str(value), str(former_outputs.get(name, "-")), "")
            for name, value in self.outputs.items()
        ] + [
            (
                name,
                _text(name, figure),
                _text(name, self.figures_of_run.get(name)),
                _text(name, self.differences.get(name), sign=True) if self.differences else "",
            )
            for name, figure in self.figures.items()
        ]
        if rows:
            head = ("", "now", self.run, "difference, same rows" if self.differences else "")
            lines += aligned([head, *rows], left=(0, 1, 2, 3))
        if self.same is not None:
            lines.append(
                f"  its files are those of {self.run}, byte for byte"
                if self.same
                else f"  its files differ from those of {self.run}"
            )
        return "\n".join(lines)


def run_step(
    project: Project,
    run: str,
    step: str,
    *,
    config: str | None = None,
    overrides: Sequence[str] = (),
    log: TextIO | None = None,
) -> StepAgain:
    """Run one step of an earlier training run again on that run's inputs, and return its results.

    The step runs in this process with the code that the project has now. Its files go to a
    temporary folder.

    Args:
        project: The project.
        run: The earlier run's name, such as `r41`.
        step: `dataset`, `fit`, `evaluate` or `curve`.
        config: A model configuration (file or name) whose settings are taken in place of the run's.
        overrides: Changes of that configuration's keys (`parameters.C=1`); without `config`, of
            the file that the run was trained from.
        log: Where to write what the step prints; None: standard error.

    Raises:
        NotFound: There is no such run, step or configuration, or a step before it never finished.
        Invalid: The step cannot run by itself, the configuration reads other columns than the run's
            training set has, or the step failed.
    """
    document = open_run(project.target.blobs, run)
    step_to_run = _runnable(document, step)
    blobs = project.target.blobs
    results = {
        name: _result(project, document, name, needed_by=step) for name in dependencies(step_to_run)
    }
    parameters = resolve(document, step_to_run, results)
    model: Model | None = None
    if config is not None or overrides:
        model = configuration(project, config or document.pipeline, overrides)
        _check_columns(model, parameters["model"], run)
        parameters |= {"model": msgspec.to_builtins(model)}
    former = find(blobs, f"{step_folder(blobs, run, step)}/step.json", StepResult)
    with TemporaryDirectory(prefix="isthmus-step-") as scratch:
        inputs = {
            name: fetch(
                blobs, results[source.step].artifacts[source.name], Path(scratch, "inputs", name)
            )
            for name, source in step_to_run.inputs.items()
            if isinstance(source, Artifact)
        }
        outputs = {name: Path(scratch, name) for name in step_to_run.artifacts}
        for folder in outputs.values():
            folder.mkdir()
        context = StepContext(
            run=run,
            step=step,
            project_file=str(project.folder / "project.yaml"),
            target=project.target,
            parameters=parameters,
            inputs=inputs,
            outputs=outputs,
            types={output.name: output.type for output in step_to_run.outputs},
        )
        started = time.perf_counter()
        _run(context, step_to_run, project.folder, log or sys.stderr)
        seconds = time.perf_counter() - started
        same = (
            all(
                manifest_of(folder).digest == former.artifacts[name].digest
                for name, folder in outputs.items()
            )
            if former is not None
            else None
        )
        again = StepAgain(
            run=run,
            step=step,
            configuration=None if model is None else " --set ".join((model.path, *overrides)),
            seconds=seconds,
            outputs=context.values,
            outputs_of_run=None if former is None else former.outputs,
            same=same,
        )
        if step != "evaluate":
            return again
        former_folder = (
            fetch(blobs, former.artifacts["forward"], Path(scratch, "before"))
            if former is not None
            else None
        )
        return _with_figures(again, outputs["forward"], former_folder)


def _runnable(document: RunDocument, step: str) -> Step:
    """Return the step of a run by its name, if it can run alone; else raise Invalid or NotFound."""
    step_named = document.step(step)
    if step_named.function is None or stable_name(step_named.function) not in {
        f"{TRAIN}:{name}" for name in _ALONE
    }:
        raise Invalid(
            f"step {step} of run {document.run} does not run by itself: that is for "
            f"{', '.join(_ALONE)} of a training run",
            remedy=f"isthmus train {document.pipeline} runs them all and registers",
        )
    return step_named


def _result(project: Project, document: RunDocument, step: str, *, needed_by: str) -> StepResult:
    """Return the stored result of a step; raise NotFound if there is none.

    `needed_by` is the step that needs it, for the error.
    """
    blobs = project.target.blobs
    result = find(blobs, f"{step_folder(blobs, document.run, step)}/step.json", StepResult)
    if result is None:
        raise NotFound(
            f"step {step} of run {document.run} never finished, and {needed_by} reads what it made",
            remedy=f"isthmus runs log {document.run} {step}",
        )
    return result


def _check_columns(model: Model, settings: dict[str, Any], run: str) -> None:
    """Raise Invalid if a run's training set lacks the objective or a feature of a configuration.

    `settings` are those of the run.
    """
    if model.objective != settings["objective"]:
        raise Invalid(
            f"{model.path} has the objective {model.objective}, and the training set of run {run} "
            f"the labels of {settings['objective']}",
            remedy=f"isthmus train {model.path}",
        )
    columns_of_run = {feature["name"] for feature in settings["features"]}
    missing = [str(feature) for feature in model.features if feature.name not in columns_of_run]
    if missing:
        raise Invalid(
            f"{model.path} reads {', '.join(missing)}, which the training set of run {run} does "
            "not have",
            remedy=did_you_mean(missing[0], columns_of_run) or f"isthmus train {model.path}",
        )


def _run(context: StepContext, step: Step, folder: Path, log: TextIO) -> None:
    """Call the step's function in the project's folder, and raise Invalid if it fails.

    Modules of the project that an earlier call imported are read again.
    """
    _forget_modules(folder)
    importable(str(folder))
    try:
        with chdir(folder), redirect_stdout(log):
            run_function(step.function or "", context, timeout=step.timeout)
    except StepFailed as error:
        reason = str(error).removeprefix("Invalid: ")
        remedy = getattr(error.__cause__, "remedy", None)
        raise Invalid(f"step {step.name}: {reason}", remedy=remedy) from error
    finally:
        _forget_modules(folder)  # another project's module may have the same name


def _forget_modules(folder: Path) -> None:
    """Drop the imported modules of a project's folder, so that the next import reads the files."""
    root = folder.resolve()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).resolve().is_relative_to(root) and "site-packages" not in file:
            del sys.modules[name]


def _with_figures(again: StepAgain, folder: Path, former_folder: Path | None) -> StepAgain:
    """Return the result of a repeated step with its metrics beside those of the earlier run.

    `folder` has the new evaluation, `former_folder` the earlier one's; None: there is none.
    """
    import pyarrow.parquet as pq

    from ...core.formats import decode
    from ..evaluation.evaluation import Evaluation
    from ..evaluation.measure import common_rows, differences

    def figures(folder: Path) -> dict[str, Estimate]:
        file = folder / "evaluation.json"
        return decode(file.read_bytes(), Evaluation, what=str(file)).figures()

    if former_folder is None:
        return msgspec.structs.replace(again, figures=figures(folder))
    ours, theirs = (
        pq.ParquetFile(folder / "predictions.parquet").read() for folder in (folder, former_folder)
    )
    common, other = common_rows(ours, theirs)
    return msgspec.structs.replace(
        again,
        figures=figures(folder),
        figures_of_run=figures(former_folder),
        differences=differences(common, other) if common.num_rows else {},
    )


def _text(metric: str, figure: Estimate | None, *, sign: bool = False) -> str:
    """Return a metric with its interval as the text of a table's cell, `-` without one."""
    if figure is None:
        return "-"
    digits = digits_of(metric, figure)
    value = signed(figure.value, digits) if sign else f"{figure.value:.{digits}f}"
    return f"{value} ({interval(figure, digits, sign=sign)})"
