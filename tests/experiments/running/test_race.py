"""Two people start at once on a genuine store, from two checkouts: one has the buckets, the other
is told.
"""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.errors import Conflict, IsthmusError, Refused
from isthmus.experiments import experiment
from isthmus.experiments.design import runs

from ...endpoints import mini
from ..desk import BLEND, declared

ROUNDS = 200


@pytest.mark.timeout(900)  # it waits for the disk some thousand times
def test_of_two_that_start_at_once_two_hundred_times_never_do_two_hold_one_bucket(tmp_path):
    mini.write(tmp_path)
    with mini.opened(tmp_path) as ann, mini.opened(tmp_path) as bob, ThreadPoolExecutor(2) as both:
        isthmus.apply(ann)
        bob.folder = tmp_path / "elsewhere"  # another checkout's lock
        bob.folder.mkdir()
        names = {ann: "first", bob: "second"}
        for project in names:
            declared(
                project, *(replace(BLEND, name=name, share=Decimal(60)) for name in names.values())
            )
            project.target.events.apply = lambda _stream: None  # the streams are there
        for number in range(ROUNDS):
            together = Barrier(2)
            outcomes = list(both.map(attempt, names.items(), [together] * 2))
            errors = [outcome for outcome in outcomes if isinstance(outcome, IsthmusError)]
            (run,) = runs.read(ann.target.state).live.runs
            assert [type(error) in (Conflict, Refused) for error in errors] == [True]
            assert run.ranges == ((0, 5999),)
            experiment.stop(ann, run.experiment, because=f"round {number}")
        assert [change.version for change in experiment.history(ann)] == list(
            range(1, 2 * ROUNDS + 1)
        )


def attempt(who, together):
    project, name = who
    together.wait()
    try:
        return experiment.start(project, name)
    except IsthmusError as error:
        return error
