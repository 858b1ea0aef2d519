"""Suggest what the trials of a round set, by Optuna's tree-structured Parzen estimator.

Nothing of Optuna is stored: its state is built anew from the trials that are done, so the same
trials and the same seed give the same suggestions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import Invalid
from ...project.models.gate_figures import is_loss
from ...project.specs.tuning import Search, Tuning
from .study import Setting, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_ASKED = 50  # times for settings that were not tried, before they are drawn at random
_DRAWN = 500  # times at random, before a round is let be smaller
_DIGITS = 6  # significant ones of a suggested number


def suggest(tune: Tuning, done: Sequence[Trial], round_number: int) -> list[tuple[Setting, ...]]:
    """Return the settings of the trials of a round, each in the order of `tune.search`.

    They depend on `tune`, the number of the round and the trials before it alone. Settings that
    were tried are not suggested again: where few others are left there are fewer, or none.

    Raises:
        Invalid: Optuna is not installed.
    """
    optuna = _optuna()
    distributions = {name: _distribution(search) for name, search in tune.search.items()}
    seed = tune.seed + 1_000_003 * round_number
    first_random = max(tune.parallel, min(10, tune.trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=first_random, multivariate=True, constant_liar=True
        )
    direction = "minimize" if is_loss(tune.metric) else "maximize"
    study = optuna.create_study(sampler=sampler, direction=direction)
    for trial in done:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(tune.search, trial.settings, strict=True)),
                distributions=distributions,
                value=trial.value,
            )
        )
    tried = {trial.settings for trial in done}
    suggested: list[tuple[Setting, ...]] = []
    count = min(tune.parallel, tune.trials - len(done))
    for attempt in range(_ASKED + _DRAWN):
        if len(suggested) == count or len(tried) == combinations(tune):
            break
        if attempt == _ASKED:
            study.sampler = optuna.samplers.RandomSampler(seed=seed)
        proposal = study.ask(distributions)
        settings = tuple(
            _rounded(proposal.params[name], search) for name, search in tune.search.items()
        )
        if settings in tried:
            study.tell(proposal, state=optuna.trial.TrialState.FAIL)
            continue
        tried.add(settings)
        suggested.append(settings)
    return suggested


def combinations(tune: Tuning) -> float:
    """Return how many different settings a search has; infinity if a number may have a fraction."""
    total = 1.0
    for search in tune.search.values():
        if not search.choices and not search.whole:
            return math.inf
        total *= len(search.choices) or search.high - search.low + 1
    return total


def check_installed() -> None:
    """Raise Invalid with the line that installs Optuna if it is not there."""
    _optuna()


def _optuna() -> Any:
    """Return the module optuna, which then logs warnings alone; raise Invalid if it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise Invalid(
            f'tuning needs Optuna: pip install "isthmus[tune]" ({error})',
            remedy='pip install "isthmus[tune]", where the command runs; steps need none',
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(search: Search) -> BaseDistribution:
    """Return Optuna's distribution of what one parameter may be set to."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if search.choices:
        return CategoricalDistribution(search.choices)
    if search.whole:
        return IntDistribution(int(search.low), int(search.high), log=search.log)
    return FloatDistribution(search.low, search.high, log=search.log)


def _rounded(value: Setting, search: Search) -> Setting:
    """Return a suggested number with few digits and within its bounds; other values as is."""
    if search.choices or search.whole or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), search.low), search.high)
