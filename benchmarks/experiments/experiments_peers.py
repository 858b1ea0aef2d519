"""Compare differences, standard errors and relative intervals with tea-tasting's on the same units.

The figure is the largest relative distance of each. tea-tasting 2 needs Python 3.12, hence an
environment of its own: `uv venv peers --python 3.13`, `uv pip install --python peers/bin/python
tea-tasting pandas msgspec`, then `PYTHONPATH=.alias:. peers/bin/python -m benchmarks
experiments_peers`.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from isthmus.experiments.statistics.ratio import Z, difference, points
from isthmus.tests.experiments.statistics.worlds import KINDS, sums, units

UNITS, DRAWS = 20_000, 10


def main() -> None:
    if find_spec("tea_tasting") is None:
        print("tea-tasting is not in this environment; the module's docstring says how to make one")
        return
    print(f"largest relative distance to tea-tasting in {DRAWS} draws of {UNITS:,} units an arm")
    print(f"  {'':<16} {'difference':>11} {'width':>11} {'relative low':>13} {'relative high':>14}")
    for seed, kind in enumerate(KINDS):
        for adjusted in (False, True):
            random = np.random.default_rng(600 + seed)
            apart = np.max([distances(kind, random, adjusted) for _ in range(DRAWS)], axis=0)
            name = f"{kind}, before" if adjusted else kind
            print(
                f"  {name:<16} {apart[0]:>11.1e} {apart[1]:>11.1e} {apart[2]:>13.1e} "
                f"{apart[3]:>14.1e}"
            )


def distances(kind, random, adjusted):
    arms = [
        [column[0] for column in np.broadcast_arrays(*units(kind, random, 1, UNITS, 0.05 * side))]
        for side in (0, 1)
    ]
    by_arm = points(
        {
            name: sums(*(column[None, :] for column in (arm if adjusted else arm[:2])))[0]
            for name, arm in zip("ct", arms, strict=True)
        }
    )
    ours, theirs = difference(by_arm["c"], by_arm["t"], Z), their(arms, adjusted)
    pairs = (
        (ours.absolute.value, theirs.effect_size),
        (
            ours.absolute.high - ours.absolute.low,
            theirs.effect_size_ci_upper - theirs.effect_size_ci_lower,
        ),
        (1 + ours.relative.low, 1 + theirs.rel_effect_size_ci_lower),
        (1 + ours.relative.high, 1 + theirs.rel_effect_size_ci_upper),
    )
    return [abs(our / other - 1) for our, other in pairs]


def their(arms, adjusted):
    import pandas as pd
    import tea_tasting as tt

    y, d, x = (np.concatenate(columns) for columns in zip(*arms, strict=True))
    frame = pd.DataFrame({"variant": np.repeat([0, 1], UNITS), "y": y, "d": d, "x": x, "one": 1.0})
    metric = tt.RatioOfMeans(
        "y", "d", *(["x", "one"] if adjusted else []), use_t=False, equal_var=False
    )
    return tt.Experiment(metric=metric).analyze(frame)["metric"]


if __name__ == "__main__":
    main()
