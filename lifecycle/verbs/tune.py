"""`im.tune`: search a configuration's parameters, and measure the best on a period of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pipelines.training.training import configuration
from ...pipelines.tuning.result import Tuned, result_of
from ...pipelines.tuning.study_page import with_page
from ...pipelines.tuning.tuning import PlannedStudy, find_study, plan_study, run_study

if TYPE_CHECKING:
    from ...core.runtime.project import Project


def planned(project: Project, config: str, *, resume: bool = False) -> PlannedStudy:
    """Return what `tune` with these arguments would do; nothing is changed.

    Raises:
        NotFound: there is no such configuration, or no study to go on with.
        Invalid: the configuration has no `tune`, or Optuna is not installed.
        Refused: the configuration or its trainer changed since that study began.
    """
    return plan_study(project, configuration(project, config), resume=resume)


def tune(project: Project, config: str, *, resume: bool = False) -> Tuned:
    """Search a configuration's parameters, as its `tune` says, and return the finished study.

    Trials run in rounds on the target, and are judged on the forward periods but the last. The best
    is measured once on the last one, beside the file's own parameters. Nothing is registered.

    Args:
        project: The project.
        config: The configuration's file (`models/boosting.yaml`) or name.
        resume: Go on with the newest study of the configuration; a finished one is returned.

    Raises:
        NotFound: there is no such configuration, or no study to go on with.
        Invalid: the configuration has no `tune`, Optuna is not installed, or a trial failed.
        Refused: the configuration or its trainer changed since that study began, or the trials may
            cost more than `jobs: {budget: ...}` of profiles.yaml.
    """
    model = configuration(project, config)
    with project.lock("tune"):
        study = run_study(project, model, find_study(project, model, resume=resume))
        return with_page(project, result_of(project.target.name, study))
