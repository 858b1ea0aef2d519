"""Measure a model's transforms beside hand-written NumPy that gives the same values.

Both begin with a table of Arrow columns, in which a tenth of the values is null. NumPy has arrays
of floats or texts at the end, as who writes a trainer by hand would. The values are compared
before anything is timed. `python -m benchmarks.pipelines.transforms 100000` measures another size.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..measure import SMALL, Line, scaled, table

if TYPE_CHECKING:
    import pyarrow as pa

SIZES = (scaled(1_000_000, 5_000),)
ROUNDS = scaled(9, 1)
GOAL = 1.5
EDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
INTO = 4096
ITEMS, SEGMENTS = 1_000, 40


def main(sizes: Sequence[int] = SIZES) -> None:
    from isthmus.pipelines.transforms.compute import apply
    from isthmus.project.specs.description import Transform

    numbers = {
        "bucketize": Transform(kind="bucketize", name="out", inputs=("shown",), at=EDGES),
        "log": Transform(kind="log", name="out", inputs=("shown",)),
        "cross": Transform(kind="cross", name="out", inputs=("item", "segment"), into=INTO),
        "cross of texts": Transform(kind="cross", name="out", inputs=("word", "item"), into=INTO),
    }
    by_hand = {
        "bucketize": _bucketize,
        "log": _log,
        "cross": _cross,
        "cross of texts": _cross_of_texts,
    }
    missed = []
    for rows in sizes:
        data, lines = _table(rows), []
        for kind, transform in numbers.items():
            ours = partial(apply, data, [transform])
            hand = partial(by_hand[kind], data)
            _check_same(kind, ours()["out"], hand())
            taken, ratio = _in_turns(ours, hand)
            lines.append(
                Line(
                    name=kind,
                    value=f"{1e3 * taken[0]:,.1f} ms, {1e3 * taken[1]:,.1f} ms",
                    ratio=ratio,
                    goal=f"{GOAL}x",
                )
            )
            missed += [kind] if ratio > GOAL else []
        table(f"transforms of {rows:,} rows: ours, NumPy by hand, how many times as long", lines)
    if missed and not SMALL:
        raise SystemExit(f"slower than {GOAL}x NumPy by hand: {', '.join(missed)}")


def _table(rows: int) -> pa.Table:
    """Return the columns that the transforms read, a tenth of each null."""
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(0)
    words = np.array([f"word {number}" for number in range(SEGMENTS)], object)
    columns = {
        "shown": chance.lognormal(2, 2, rows),
        "item": chance.integers(0, ITEMS, rows),
        "segment": chance.integers(0, SEGMENTS, rows),
        "word": words[chance.integers(0, SEGMENTS, rows)],
    }
    return pa.table(
        {name: pa.array(values, mask=chance.random(rows) < 0.1) for name, values in columns.items()}
    )


def _check_same(kind: str, ours: pa.ChunkedArray[Any], hand: Any) -> None:
    """Stop the benchmark if NumPy by hand gives other values than the transform."""
    import numpy as np

    if hand.dtype == float:
        same = np.allclose(ours.to_numpy(), hand, rtol=1e-15, atol=0, equal_nan=True)
    else:
        same = ours.to_pylist() == hand.tolist()
    if not same:
        raise SystemExit(f"{kind}: NumPy by hand gives other values")


def _in_turns(
    ours: Callable[[], object], hand: Callable[[], object]
) -> tuple[tuple[float, float], float]:
    """Return the median seconds of both, asked in turns, and the median of the rounds' ratios."""
    rounds = [(_timed(ours), _timed(hand)) for _ in range(ROUNDS)]
    a, b = (statistics.median(times) for times in zip(*rounds, strict=True))
    return (a, b), statistics.median(one / other for one, other in rounds)


def _timed(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _bucketize(data: pa.Table) -> Any:
    import numpy as np

    values = data["shown"].to_numpy()
    texts = [f"{low:.0f} to {high:.0f}" for low, high in itertools.pairwise(EDGES)]
    names = np.array([f"below {EDGES[0]:.0f}", *texts, f"{EDGES[-1]:.0f} or more", None], object)
    places = np.searchsorted(EDGES, values, side="right")
    places[np.isnan(values)] = len(names) - 1
    return names[places]


def _log(data: pa.Table) -> Any:
    import numpy as np

    values = data["shown"].to_numpy()
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(values) & (values >= 0), np.log1p(values), np.nan)


def _cross(data: pa.Table) -> Any:
    import numpy as np

    items, segments = (data[name].fill_null(-1).to_numpy() for name in ("item", "segment"))
    pairs, places = np.unique((items + 1) * (SEGMENTS + 1) + segments + 1, return_inverse=True)
    rows = (
        (pair // (SEGMENTS + 1) - 1, pair % (SEGMENTS + 1) - 1) for pair in map(int, pairs.tolist())
    )
    return np.array([_hashed(*_nulls(row)) for row in rows], object)[places]


def _cross_of_texts(data: pa.Table) -> Any:
    import numpy as np

    texts, words = np.unique(data["word"].fill_null("").to_numpy(), return_inverse=True)
    items = data["item"].fill_null(-1).to_numpy()
    pairs, places = np.unique(words * (ITEMS + 1) + items + 1, return_inverse=True)
    rows = (
        (texts[pair // (ITEMS + 1)] or None, pair % (ITEMS + 1) - 1)
        for pair in map(int, pairs.tolist())
    )
    return np.array([_hashed(*_nulls(row)) for row in rows], object)[places]


def _nulls(row: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return a pair with None for -1."""
    return tuple(None if value == -1 else value for value in row)


def _hashed(first: Any, second: Any) -> str:
    """Return the cross of two values as the transform defines it."""
    import json

    import mmh3

    text = json.dumps([first, second], ensure_ascii=False, separators=(",", ":"))
    return str(mmh3.hash(text, signed=False) % INTO)


if __name__ == "__main__":
    main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or SIZES)
