"""The stack processes of these tests: one of each clock serves a whole process of tests, and each
test empties it before it begins.
"""

import atexit
import sys
from functools import cache
from pathlib import Path

from isthmus_stack.run import start_aws

IMAGES = {
    "shell": "sh",
    "tools/trainer": "sh -c 'echo arguments: \"$@\"; echo from-image > /opt/ml/model/m' image",
    "tuned": "sh -c 'eval \"$SM_HP_SCRIPT\"' image",  # tuning jobs take no entrypoint
    "toy": f"{sys.executable} {Path(__file__).with_name('toy_server.py')}",
    "batch": f"{sys.executable} {Path(__file__).with_name('batch_server.py')}",
}


def started(clock, **options):
    """A stack of one's own."""
    return start_aws(images=IMAGES, clock=clock, **options)


@cache
def shared(clock, *, moto_answers=False):
    running = started(clock, moto_answers=moto_answers)
    atexit.register(running.stop)
    return running
