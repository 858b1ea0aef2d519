"""Import what an offline GCP imports, once, for the stacks that are forked (testing/fork_server.py)."""

import gc

from isthmus_stack.testing import stack_templates

MAINS = stack_templates.gcp()
gc.collect()
gc.freeze()  # pages that no collection writes to stay shared
