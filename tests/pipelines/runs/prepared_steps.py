"""Import what the laptop's runners and steps import, once, for those that are forked."""

import gc

from isthmus.tests.pipelines.runs import forked

MAINS = forked.steps()
gc.collect()
gc.freeze()  # pages that no collection writes to stay shared
