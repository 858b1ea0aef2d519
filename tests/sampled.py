"""How many examples a costly property is tried with: some in each `make test`, which draws others
each time; all in `make test-often`.
"""

import os

from hypothesis import settings

EVERY = bool(os.environ.get("ISTHMUS_EVERY_EXAMPLE"))


def costly(examples, of, **options):
    """Settings of a property whose examples take a tenth of a second and more:

    `examples`, or `of` with ISTHMUS_EVERY_EXAMPLE=1.
    """
    return settings(max_examples=of if EVERY else examples, deadline=None, **options)
