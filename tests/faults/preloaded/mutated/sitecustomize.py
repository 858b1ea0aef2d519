"""Python imports this as it starts, where a test of a mutant has put this folder on the path."""

import os

from isthmus.tests.faults.preloaded import unsynced

unsynced.install(os.environ["ISTHMUS_MUTANT"])
