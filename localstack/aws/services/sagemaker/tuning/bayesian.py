"""Bayesian search: a Gaussian process over what was tried, and the candidate of greatest promise.

It is ours, not AWS's, which is not published. Sources: Rasmussen and Williams, "Gaussian Processes
for Machine Learning" (2006), algorithm 2.1 and the Matern kernel 5/2 (4.17); Jones, Schonlau and
Welch (1998), expected improvement; Ginsbourger, Le Riche and Carraro (2010), the "kriging believer"
for trials that run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np

from .ranges import Range, Trial, sample

_FIRST = 3  # random trials before there is a model, and one more for each hyperparameter
_FAR, _NEAR = 200, 100  # candidates of the whole space, and around the best trial
_LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the kernel, in places: a range is 1 wide
_NOISES = (1e-6, 1e-2, 1e-1)  # variance beside that of the scores, 1
_erf = np.vectorize(math.erf, otypes=[float])
Array = Any  # numpy's, of floats


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    places: Array  # (trials, places)
    length: float
    factor: Array  # Cholesky's, of the covariance
    weights: Array
    likelihood: float

    def predict(self, places: Array) -> tuple[Array, Array]:
        """Return the predicted mean and standard deviation of the score at candidate points.

        The model is a Gaussian process; `places` has a row for each candidate.
        """
        between = _kernel(self.places, places, self.length)
        spread = np.linalg.solve(self.factor, between)
        return between.T @ self.weights, np.sqrt(np.maximum(1.0 - (spread**2).sum(axis=0), 1e-12))


def propose(ranges: Sequence[Range], random: Random, trials: Sequence[Trial]) -> dict[str, str]:
    """Return the next trial's hyperparameters by Bayesian optimization; random at first.

    `trials` are those so far, and `random` is the source of random numbers.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if len(scored) < _FIRST + len(ranges):
        return sample(ranges, random)
    tried = [trial.parameters for trial in trials]
    candidates = [
        candidate for candidate in _candidates(ranges, random, scored) if candidate not in tried
    ]
    if not candidates:  # every combination has been tried
        return sample(ranges, random)
    places = _unit_points(ranges, candidates)
    mean, deviation = _fitted_process(
        ranges, scored, [trial for trial in trials if trial.pending]
    ).predict(places)
    return candidates[
        int(np.argmax(_improvement(mean, deviation, max(_standardized_scores(scored)))))
    ]


def _candidates(
    ranges: Sequence[Range], random: Random, scored: Sequence[Trial]
) -> list[dict[str, str]]:
    """Return candidates for the next trial: random ones, and some around the best trial.

    `scored` are the trials with a score, and `random` is the source of random numbers.
    """
    best = max(scored, key=lambda trial: trial.score or 0.0).parameters
    far = [sample(ranges, random) for _ in range(_FAR)]
    return far + [
        {item.name: item.near(best[item.name], random) for item in ranges} for _ in range(_NEAR)
    ]


def _unit_points(ranges: Sequence[Range], tried: Sequence[dict[str, str]]) -> Array:
    """Return hyperparameters as points in the unit space of all ranges, one row for each."""
    return np.array(
        [
            [part for item in ranges for part in item.place(parameters[item.name])]
            for parameters in tried
        ]
    )


def _standardized_scores(scored: Sequence[Trial]) -> Array:
    """Return the trials' scores, standardized to mean 0 and variance 1."""
    scores = np.array([trial.score for trial in scored], dtype=float)
    return (scores - scores.mean()) / (scores.std() or 1.0)


def _fitted_process(
    ranges: Sequence[Range], scored: Sequence[Trial], pending: Sequence[Trial]
) -> _Model:
    """Return the Gaussian process that fits the scores best.

    `scored` are the trials with a score. Those that still run, `pending`, count with the score that
    the process predicts for them.
    """
    places, scores = (
        _unit_points(ranges, [trial.parameters for trial in scored]),
        _standardized_scores(scored),
    )
    fits = (_fit(places, scores, length, noise) for length in _LENGTHS for noise in _NOISES)
    length, noise, model = max(fits, key=lambda fit: fit[2].likelihood)
    if not pending:
        return model
    more = _unit_points(ranges, [trial.parameters for trial in pending])
    return _fit(
        np.vstack([places, more]), np.concatenate([scores, model.predict(more)[0]]), length, noise
    )[2]


def _fit(places: Array, scores: Array, length: float, noise: float) -> tuple[float, float, _Model]:
    """Fit a Gaussian process; return its length scale, its noise and the process.

    `places` are the trials' points, a row for each, and `scores` their scores.
    """
    covariance = _kernel(places, places, length) + (noise + 1e-9) * np.eye(len(places))
    factor = np.linalg.cholesky(covariance)
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, scores))
    # but for what all models share
    likelihood = -0.5 * float(scores @ weights) - float(np.log(np.diag(factor)).sum())
    return (
        length,
        noise,
        _Model(places=places, length=length, factor=factor, weights=weights, likelihood=likelihood),
    )


def _kernel(left: Array, right: Array, length: float) -> Array:
    """Return the covariance matrix of two sets of points by the Matern 5/2 kernel.

    `length` is the kernel's length scale.
    """
    scaled = math.sqrt(5) * np.linalg.norm(left[:, None, :] - right[None, :, :], axis=2) / length
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


def _improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return the expected improvement of each candidate over the best score.

    `mean` and `deviation` are the candidates' predicted scores and their standard deviations.
    """
    margin = (mean - best) / deviation
    density = np.exp(-0.5 * margin**2) / math.sqrt(2 * math.pi)
    return deviation * (margin * 0.5 * (1 + _erf(margin / math.sqrt(2))) + density)
