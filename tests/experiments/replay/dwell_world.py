"""Logs of how long people stay, whose truth is known, ranked under rules by one model and replayed
for another.

The world of ruled_world.py with stays for clicks: a person comes back, and is patient or not in all
answers, so that rows of one are not independent. Three worlds differ in their tails, and of a
fourth, whose stays have no variance, no interval can be right.
"""

from __future__ import annotations

from random import Random
from statistics import NormalDist

import msgspec
import numpy as np

from isthmus.experiments.replay.accounts import Accounts, rows_of
from isthmus.experiments.replay.estimates import Replay, by_unit
from isthmus.experiments.replay.replayed_answer import weighted_places

from .ruled_world import (
    ENDS,
    EXPLORE,
    SEEN,
    chance,
    liked,
    logged,
    logging_scores,
    shown_by,
    under,
    wanted_scores,
)

WORLDS = ("log-normal", "zero-inflated", "pareto with a cap")
PARETO = "pareto"
CAP, INDEX = 60.0, 1.5  # of the Pareto: some five times the mean, and the tail index
ESTIMATES = ("IPS", "self-normalised", "doubly robust", "against the log")


class Person(msgspec.Struct, frozen=True):
    """A person's number, by which ruled_world knows what they like, and their patience, about 1."""

    number: int
    patience: float


def people(patiences, rng):
    """Yield each person once for every answer they get."""
    for number, patience in enumerate(patiences):
        person = Person(number, float(np.exp(0.5 * patience)))
        for _ in range(1 + rng.randrange(3)):
            yield person


def scale(person, place):
    """The seconds that a person stays with an item there, by the world's tail to be multiplied."""
    return 20 * person.patience * liked(person.number, place.item) * SEEN[place.position - 1]


def stay(world, person, place, rng):
    """Draw the seconds that a person stays."""
    seconds = scale(person, place)
    if world == "log-normal":
        return seconds * float(np.exp(rng.gauss(-0.5, 1)))
    if world == "zero-inflated":
        stayed = rng.random() < chance(person.number, place)
        return stayed * 20 * person.patience * float(np.exp(rng.gauss(-0.32, 0.8)))
    drawn = seconds / 3 * rng.paretovariate(INDEX)
    return drawn if world == PARETO else min(drawn, CAP)


def mean_stay(world, person, place):
    """The mean of `stay`, in closed form.

    All worlds but the capped one have the mean of `scale`: a Pareto of index 1.5 that begins at a
    third has mean 1, and of a cap c the mean of min(X, c) is 3 a - 2 a sqrt(a / c) for one that
    begins at a.
    """
    seconds = scale(person, place)
    if world == WORLDS[2]:
        least = seconds / 3
        return CAP if least >= CAP else 3 * least - 2 * least * (least / CAP) ** 0.5
    return seconds


def one_log(world, count, seed, *, samples=2000):
    """Return the replay of one log of so many people, and the outcomes of its rows."""
    accounts = accounts_of(world, count, seed)
    replayed = by_unit(accounts.sums(), accounts.units, samples=samples, seed=1)
    return replayed, accounts.amounts()


def accounts_of(world, count, seed):
    """Return the sums of one log of so many people, of whom each gets one to three answers."""
    rng = Random(seed)
    accounts = Accounts(number=True)
    for person in people([rng.gauss(0, 1) for _ in range(count)], rng):
        answer = logged(
            person.number,
            rng,
            reward=lambda place, person=person: stay(world, person, place, rng),
        )
        scores = wanted_scores(person.number, answer.candidates)
        places = weighted_places(answer, under(answer, scores), EXPLORE)
        tenths = np.searchsorted(ENDS, scores, side="right")
        accounts.add(rows_of(answer.unit, places, tenths, EXPLORE))
    return accounts


def truth(world, count, seed):
    """Return the mean seconds per place of the wanted model and of the logging one.

    It is that of so many others, whose patience is spread evenly over its quantiles.
    """
    rng = Random(seed)
    patiences = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]
    rng.shuffle(patiences)
    earned = {"wanted": [], "logging": []}
    for person in people(patiences, rng):
        items = logged(person.number, rng).candidates
        for name, scores in (
            ("wanted", wanted_scores(person.number, items)),
            ("logging", logging_scores(items)),
        ):
            places = shown_by(scores, items, rng)[1].places
            earned[name] += [mean_stay(world, person, place) for place in places]
    return float(np.mean(earned["wanted"])), float(np.mean(earned["logging"]))


def values(replayed: Replay):
    """Return each estimate with its interval, by the name that a user reads."""
    return dict(
        zip(
            ESTIMATES,
            (replayed, replayed.self_normalised, replayed.doubly_robust, replayed.difference),
            strict=True,
        )
    )
