"""Python imports this as it starts, where a test that is tried on a mutant has put its folder on the path (power_cut.py)."""

import os

from isthmus.tests.faults import unsynced

unsynced.install(os.environ["ISTHMUS_MUTANT"])
