"""A new experiment: a form, the loader's own checks, how long it takes, and the file to commit."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from ....core.durable import make_folder, sync_folder
from ....core.runtime.project import Project
from ....errors import AlreadyExists, Invalid, IsthmusError, Problem, ProjectError
from ....experiments.design.power import Past, Power, PreferencePower
from ....experiments.measure.past import past
from ....experiments.measure.power import power as power_of
from ....project.load import parse
from ....project.specs.description import Endpoint, ParsedProject
from ....project.specs.experiments import Experiment, Metric
from ....reports import page as kit
from ...parts.forms import Field, Form
from ...parts.view import PageContent, Region
from . import draft
from .experiments import LayerNow, layers_now, path

PATH = "/new"
_ANSWER = "answer"  # what is drawn anew while somebody types
_REMEMBERED = 600.0  # seconds for which what the log said of a metric is not asked again
_LETTERS = "small letters, digits and single _ between them, a letter first"
_DAYS = 14
_MOST = 64  # answers that are remembered
_EMPTY = {"arms": "control: {}\ntreatment: {}", "share": "20", "days": str(_DAYS)}
_of_log: dict[tuple[str, str, str, Metric], tuple[float, Past]] = {}


class NewExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the page: the file as it would be written, and what is known of it.

    `problems`: what the loader would say of the file.

    `power`: None: nothing says what units do, or the file is not sound.
    """

    file: str
    text: str
    problems: tuple[Problem, ...] = ()
    power: Power | None = None
    no_power: str = ""  # why not
    too_few: str = ""  # what a start would be refused for now
    layers: list[LayerNow] = []

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return the problems of severity `error`, which make the typed experiment invalid."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def sound(self) -> bool:
        """Return whether an experiment was typed and has no errors."""
        return bool(self.text) and not self.errors


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the form of a new experiment, with what was typed, its problems and its power."""
    layers = layers_now(project)
    fields, more = _fields(project, layers, query), _more(query)
    form = Form(action=PATH, button="Check it", fields=fields, more=more, get=True, fills=_ANSWER)
    if not query.get("name", "").strip():
        hint = kit.words(
            "Fill in the form: what the project's loader says of it, and the file, stand here.",
            "soft",
        )
        return _view(NewExperiment(file="", text="", layers=layers), form, (hint,), {})
    data = _draft(project, query, layers)
    return _view(
        data,
        form,
        _answer(data, query),
        {".diff": draft.diff(data.file, data.text)} if data.sound else {},
    )


def _view(
    data: NewExperiment, form: Form, parts: tuple[str | Form, ...], files: dict[str, str]
) -> PageContent:
    """Return the page of a new experiment: its form, and `parts` on what was typed into it.

    `data` has the draft; `files` are the files that the page offers for download, by extension.
    """
    below = (
        "Nothing starts here: the file is committed first, and then started from the "
        "experiment's page, or in a terminal."
    )
    return PageContent(
        title="New experiment",
        below=below,
        parts=(form, Region(name=_ANSWER, parts=parts)),
        data=data,
        files=files,
    )


def _draft(project: Project, query: Mapping[str, str], layers: list[LayerNow]) -> NewExperiment:
    """Return the YAML that the form would write, its problems, and the experiment's power.

    `query` has the fields that were typed.
    """
    name = query.get("name", "").strip()
    try:
        file, text = draft.file_of(name), draft.text(query)
    except ValueError as error:
        problem = Problem(file="experiments/", line=0, message=str(error), remedy=_LETTERS)
        return NewExperiment(file="", text="", problems=(problem,), layers=layers)
    description, problems = parse(_file(project), {file: text})
    data = NewExperiment(file=file, text=text, problems=problems, layers=layers)
    if description is None or not data.sound:
        return data
    power, why = _power(project, description, name, query)
    return replace(
        data,
        power=power,
        no_power=why,
        too_few=_too_few(description.spec.experiments[name], layers),
    )


def _too_few(experiment: Experiment, layers: Iterable[LayerNow]) -> str:
    """Return a warning that the experiment's layer has too few free units, or ""."""
    free = next((layer.free for layer in layers if layer.layer == experiment.layer), 100)
    if experiment.share <= free:
        return ""
    return (
        f"Layer {experiment.layer} has {free:g} % of its units free now, and "
        f"{experiment.share.normalize():f} % are asked for"
    )


def _file(project: Project) -> Path:
    """Return the path of project.yaml."""
    return project.folder / project.description.places[""].file


def _answer(data: NewExperiment, query: Mapping[str, str]) -> tuple[str | Form, ...]:
    """Return HTML on what was typed: its problems, or the new file and the experiment's power."""
    if not data.sound:
        rows = [
            [f"{problem.file}:{problem.line}", problem.message, problem.remedy or ""]
            for problem in data.errors
        ]
        table = kit.table(["where", "what", "what to do"], rows, wordy=(1, 2))
        text = kit.section("As it would be written", kit.code(data.text)) if data.text else ""
        return (kit.verdict(["It cannot be committed as it is"], "fail"), table, text)
    messages = [problem.message for problem in data.problems if problem.file == data.file]
    messages += [data.too_few] if data.too_few else []
    return (
        kit.verdict(["The project's loader takes it", *messages], "pass"),
        _how_long(data),
        *_to_commit(data, query),
    )


def _how_long(data: NewExperiment) -> str:
    """Return the HTML section on how many units and days it takes to detect an effect.

    `data` has what was typed, and its power.
    """
    power = data.power
    if power is None:
        return kit.section("How long it takes", kit.words(data.no_power))
    rows = [
        [
            f"{100 * need.effect:+g} %",
            f"{need.units:,}",
            "" if need.days is None else f"{need.days:,}",
        ]
        for need in power.needs
    ]
    control = f"{100 * power.control:.3f} %" if power.percents else f"{power.control:,.4g}"
    head = (
        f"{power.metric} of the control {control}, {power.source}; {power.arms} arms, 80 % "
        "power, 5 %."
    )
    table = kit.table(["effect", f"{power.unit}s an arm", "days"], rows, numbers=True)
    return kit.section("How long it takes", kit.words(head), table)


def _to_commit(data: NewExperiment, query: Mapping[str, str]) -> tuple[str | Form, ...]:
    """Return the new experiment's file as a diff, with the form that writes the file.

    `data` has the file's text, `query` the typed fields.
    """
    write = Form(
        action=PATH,
        button=f"Write {data.file}",
        fields=tuple(
            Field(name=name, label="", kind="hidden", value=query.get(name, ""))
            for name in draft.FIELDS
        ),
        note="Puts the file into the project's folder. That does not commit it.",
    )
    download = kit.links([("Download the diff", f"{PATH}.diff?{_query(query)}")])
    note = kit.words("In the project's folder: git apply, then commit it.", "soft")
    return (
        kit.section(
            "The change to commit",
            kit.code(draft.diff(data.file, data.text), copied=True),
            download,
            note,
        ),
        write,
    )


def _query(query: Mapping[str, str]) -> str:
    """Return the form's non-empty fields as a URL query string."""
    return urlencode({name: query[name] for name in draft.FIELDS if query.get(name)})


def _power(
    project: Project, description: ParsedProject, name: str, query: Mapping[str, str]
) -> tuple[Power | None, str]:
    """Return the statistical power of the typed experiment, or None and the reason as text."""
    as_if = Project(description, project.target)
    experiment = description.spec.experiments[name]
    try:
        control, a_day = (
            _number(query.get("control", ""), "the control's rate"),
            _number(query.get("units", ""), "units a day"),
        )
        days = experiment.plan.days if experiment.plan else None
        options: dict[str, Any] = {"units_per_day": a_day and round(a_day), "days": days or _DAYS}
        if control is not None:
            return _arms_power(power_of(as_if, name, control=control / 100, **options)), ""
        if query.get("rate") != "log":
            return (
                None,
                (
                    "Say the control's rate, or let the log say it: one query, whose answer is "
                    "kept for ten minutes."
                ),
            )
        metric = description.spec.metrics[experiment.metric[0]]
        log_past = _cached_past(as_if, metric, description.spec.layers[experiment.layer].endpoint)
        return _arms_power(power_of(as_if, name, past=log_past, **options)), ""
    except IsthmusError as error:
        return None, f"{error.message}. {error.remedy or ''}"


def _arms_power(power: Power | PreferencePower) -> Power | None:
    """Return the power of an experiment with arms; None for the power of an interleaving."""
    return power if isinstance(power, Power) else None


def _number(text: str, what: str) -> float | None:
    """Parse a positive number from a form's field; None if the field is empty.

    `what` names the field in the error.

    Raises:
        Invalid: It is not a number above 0.
    """
    if not (written := text.strip().removesuffix("%").replace(",", "")):
        return None
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise Invalid(f"{text!r} is not {what}")
    return number


def _cached_past(project: Project, metric: Metric, endpoint: str) -> Past:
    """Return a metric's past values from the log, queried once in ten minutes at most."""
    key = (str(project.folder), project.target.name, endpoint, metric)
    asked_at, cached = _of_log.get(key, (0.0, None))
    if cached is None or time.monotonic() - asked_at > _REMEMBERED:
        cached = past(project, metric, endpoint)
        while len(_of_log) >= _MOST:
            _of_log.pop(next(iter(_of_log)), None)
        _of_log[key] = (time.monotonic(), cached)
    return cached


def _fields(
    project: Project, layers: list[LayerNow], query: Mapping[str, str]
) -> tuple[Field, ...]:
    """Return the fields of the form, with the typed values and the choices of the project."""
    spec = project.spec
    free = tuple((layer.layer, f"{layer.layer}, {layer.free:g} % free") for layer in layers)
    field = partial(_field, query or _EMPTY)
    return (
        field("name", "Name", "small letters, digits, _", required=True),
        field(
            "layer",
            "Layer",
            "experiments of one layer never share a unit",
            kind="choice",
            choices=free,
        ),
        field("share", "Share of the layer", "percent, at the start"),
        field("hypothesis", "Hypothesis"),
        field(
            "arms",
            "Arms",
            f"one a line, the control first. {_parameters_text(spec.endpoints.values())}",
            kind="lines",
            required=True,
        ),
        field(
            "metric",
            "Decided by",
            f"one of {', '.join(spec.metrics)}; of several each must be better",
            required=True,
        ),
        field(
            "effect", "Smallest effect that matters", "percent of the control's; nothing: no plan"
        ),
        field("days", "Days", "of the plan"),
        field(
            "rate",
            "The control's rate",
            kind="choice",
            choices=(("", "as said here"), ("log", "as the log of 28 days says")),
        ),
        field("control", "Rate", "percent"),
        field("units", "Units a day", "all arms together"),
    )


def _more(query: Mapping[str, str]) -> tuple[Field, ...]:
    """Return the optional fields of the form: owner, segments, holdout, guardrails, ..."""
    field = partial(_field, query)
    return (
        field("owner", "Owner", "whom to ask"),
        field("also", "Also told", "metrics that decide nothing"),
        field("segments", "Segments", "attributes of the request"),
        field("holdout", "Holdout", "percent that keep the control until the run is closed"),
        field("guardrails", "Guardrails", "one a line: bought may drop 2 %", kind="lines"),
        field(
            "targeting",
            "For whom",
            "one a line: country: [JP, TW]; nothing: everybody",
            kind="lines",
        ),
        field("weights", "Weights", "one a line: control: 50; nothing: equal", kind="lines"),
    )


def _field(typed: Mapping[str, str], name: str, label: str, hint: str = "", **about: Any) -> Field:
    """Return a field of the form, with the value that the user typed into it.

    `hint` is shown below it; `about` are further settings of the field.
    """
    return Field(name=name, label=label, hint=hint, value=typed.get(name, ""), **about)


def _parameters_text(endpoints: Iterable[Endpoint]) -> str:
    """Return the endpoints' serving parameters, with types and defaults, as text."""
    return "; ".join(map(_endpoint_parameters, endpoints))


def _endpoint_parameters(endpoint: Endpoint) -> str:
    """Return one endpoint's serving parameters, with types and defaults, as text."""
    variants = ", ".join(variant.name for variant in endpoint.variants)
    own = [
        f"{parameter.name} ({parameter.type}, {parameter.default})"
        for parameter in endpoint.parameters.values()
    ]
    return f"{endpoint.name} has {', '.join([*own, f'variant ({variants})', 'explore (percent)'])}"


def write(project: Project, fields: Mapping[str, str]) -> str:
    """Write a new experiment's YAML file from a submitted form; return the URL to go to.

    Raises:
        ProjectError: The loader refuses the file.
        AlreadyExists: The file exists already.
        IsthmusError: The file cannot be written.
    """
    data = _draft(project, fields, [])
    if not data.sound:
        raise ProjectError(data.errors)
    try:
        _put(project.folder / data.file, data.text)
    except FileExistsError:
        raise AlreadyExists(
            f"there is a file {data.file}", remedy="edit it, or choose another name"
        ) from None
    except OSError as error:
        remedy = "free some space, or let the user of this server write there; or apply the diff"
        raise IsthmusError(
            f"{data.file} cannot be written: {error.strerror}", remedy=remedy
        ) from error
    return path(Path(data.file).stem)


def _put(place: Path, text: str) -> None:
    """Write a new file to disk atomically; raise FileExistsError if it exists.

    With half of a file no page and no command would read the project.
    """
    make_folder(place.parent)
    draft_file = place.with_name(f".{place.name}.new")
    try:
        with draft_file.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        place.hardlink_to(draft_file)  # unlike a rename it takes no other file's place
    finally:
        draft_file.unlink(missing_ok=True)
    sync_folder(place.parent)
