"""Look for label leaks in the training set of a model, by the kind of its objective."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ...models.lineage import histories
from ..leak_alarm import FeatureFinding, leak_alarm
from .number_alarm import number_leak_alarm

if TYPE_CHECKING:
    import pyarrow as pa

    from ....core.runtime.project import Project
    from ....project.specs.description import Model


def look(
    project: Project,
    model: Model,
    table: pa.Table,
    *,
    start: datetime,
    end: datetime,
    as_of: datetime,
) -> tuple[FeatureFinding, ...]:
    """Look for label leaks in the features of a model's training set.

    Features of past outcomes are also compared with the values that were known two outcome windows
    earlier.
    """
    from ....feature_store.offline.training_set import training_set

    objective = project.spec.objectives[model.objective]
    back, views = 2 * objective.within, histories(project.spec, model.objective)
    # a row that was logged when it was scored cannot hold what became known later
    past = [feature for feature in model.features if feature.view in views and not model.logged]
    earlier = None
    if past:
        earlier = training_set(
            project, model.objective, past, start=start, end=end, as_of=as_of, earlier=back
        )
        earlier = earlier.select([feature.name for feature in past])
    names = [feature.name for feature in model.features]
    entities = {name: entity.key for name, entity in project.spec.entities.items()}
    if objective.is_number:
        return number_leak_alarm(
            table,
            "outcome",
            names,
            what=f"{objective.outcome}.{objective.sums}",
            unit=objective.unit,
            earlier=earlier,
            back=back,
            within=objective.ranked_within,
            entities=entities,
        )
    return leak_alarm(
        table,
        "outcome",
        names,
        unit=objective.unit,
        earlier=earlier,
        back=back,
        within=objective.ranked_within,
        entities=entities,
    )
