"""xdist's workers, forked from a process that has imported our rooms beside the stacks
(isthmus_stack.testing.workers).
"""

from isthmus_stack.testing import workers

ROOMS = (
    "project reports events feature_store pipelines endpoints rollouts experiments adapters "
    "lifecycle cli"
)


def install():
    """From now on the workers that this process starts are forked."""
    workers.install(f"{__name__}:worker")


def worker():
    return workers.worker([f"isthmus.{room}" for room in ROOMS.split()])
