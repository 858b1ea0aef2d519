"""Train what a trial tried (`isthmus train FILE --trial t4/13`): its parameters as overrides."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from ...errors import Invalid, NotFound, Refused
from ..training.training import configuration
from .study import read_study
from .tuning import digest_of

if TYPE_CHECKING:
    from ...core.runtime.project import Project


def trial_overrides(project: Project, config: str, reference: str) -> tuple[str, ...]:
    """Return the parameters of a trial (`t4/13`) as overrides of its configuration.

    Raises:
        Invalid: the text names no trial.
        NotFound: there is no such configuration, study or trial.
        Refused: the trial is of another configuration, or of one that changed since.
    """
    match = re.fullmatch(r"(t[1-9][0-9]*)/([1-9][0-9]*)", reference)
    if match is None:
        raise Invalid(f"{reference!r} names no trial", remedy="write study/number: --trial t4/13")
    model = configuration(project, config)
    study = read_study(project, match[1]).study
    numbered = next((trial for trial in study.trials if trial.number == int(match[2])), None)
    if numbered is None:
        raise NotFound(
            f"{study.name} has no trial {match[2]}: it has {len(study.trials)}",
            remedy=f"isthmus tune {study.path} --resume",
        )
    if study.configuration != model.name:
        raise Refused(
            f"{reference} is a trial of {study.path}, and not of {model.path}",
            remedy=f"isthmus train {study.path} --trial {reference}",
        )
    parameters = study.parameters(numbered)
    overrides = tuple(
        f"parameters.{name}={json.dumps(v, ensure_ascii=False)}" for name, v in parameters.items()
    )
    if study.digest != digest_of(project, model):
        sets = " ".join(f"--set {shlex.quote(override)}" for override in overrides)
        raise Refused(
            f"{model.path} or its trainer changed since {study.name} tried it",
            remedy=f"isthmus train {model.path} {sets}",
        )
    return overrides
