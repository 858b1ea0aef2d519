"""Import what an offline GCP imports, once, for the stacks that are forked (testing/forking.py)."""

import gc

from isthmus_stack.testing import forked

MAINS = forked.gcp()
gc.collect()
gc.freeze()  # pages that no collection writes to stay shared
