"""Check data sets against objectives, endpoints and views."""

from __future__ import annotations

from ..reading.report import ProblemReport
from ..reading.shapes import LATER
from ..sections.references import DeclaredNames, check_declared
from ..specs.datasets import Dataset
from ..specs.description import ProjectSpec
from ..specs.exposures import is_served


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report data sets of rows that nobody logs, and such as are not supported yet."""
    for dataset in spec.datasets.values():
        _check_dataset(dataset, spec, declared, report)


def _check_dataset(
    dataset: Dataset, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> None:
    """Report what is wrong with one data set."""
    key = f"datasets.{dataset.name}"
    if not dataset.stream:
        report.add(
            key,
            f"a data set that no worker writes is {LATER}",
            "write stream: true",
        )
    view = spec.feature_views.get(dataset.name)
    if view is not None and view.stream is not None:
        report.add(
            key,
            f"the feature view {dataset.name} reads streams, too, and workers go by name",
            "rename one of the two",
        )
    if not check_declared(
        dataset.objective,
        declared.objectives,
        f"{key}.objective",
        report,
        noun="an objective",
        has="objectives are",
    ):
        return
    objective = spec.objectives.get(dataset.objective)
    if objective is None:  # it is wrong itself
        return
    if not is_served(objective):
        report.add(
            f"{key}.objective",
            f"a data set of {objective.exposure} is {LATER}: its rows are those that gateways "
            "logged",
            f"name an objective that counts them: rate: {objective.outcome} / exposures",
        )
    elif not any(endpoint.log_features for endpoint in spec.endpoints.values()):
        ranking = [endpoint.name for endpoint in spec.endpoints.values() if endpoint.objective]
        if ranking:  # otherwise the objective is reported
            report.add(
                f"{key}.objective",
                "no endpoint logs the rows that it scores, so the data set would stay empty",
                f"write log_features: true in endpoints.{ranking[0]}",
            )
