"""What the tests of built-in trainers share: a world, a configuration, and a fitted predictor."""

import numpy as np
import pyarrow as pa

from isthmus.pipelines.models import trainers
from isthmus.project.specs.description import Feature, Model


def described(trainer, objective, names, parameters):
    """Return a configuration of a built-in trainer that reads the columns `names`."""
    return Model(
        name="m",
        path="models/m.yaml",
        model="ranker",
        objective=objective,
        features=tuple(Feature(view=None, name=name) for name in names),
        trainer=trainer,
        parameters={"categories": ["position"]} | parameters,
    )


def fitted(table, configuration, folder, **competed):
    trainer = trainers.find(configuration, folder)
    return trainers.fit(trainer, configuration, table, folder, **competed)


def additive(rows, gain, outcome):
    """Return a table whose outcome depends on rate, kind, position, and whether the rate is missing.

    `gain(rate, missing, kind, third)` is the true score, and `outcome(chance, score)` draws from it.
    """
    chance = np.random.default_rng(28)
    rate = chance.normal(0, 1, rows)
    missing = chance.random(rows) < 0.2
    kind = chance.integers(0, 3, rows)
    position = chance.integers(1, 4, rows)
    score = gain(rate, missing, kind, position == 3)
    return pa.table(
        {
            "rate": pa.array(rate, mask=missing),
            "kind": pa.array(["a", "b", None]).take(pa.array(kind)),
            "position": pa.array(position),
            "fresh": pa.array(chance.random(rows) < 0.5),
            "outcome": pa.array(outcome(chance, score)),
            "score": pa.array(score),
        }
    )
