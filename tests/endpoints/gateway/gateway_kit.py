"""What the gateway's tests ask: a project whose endpoint is deployed."""

import sys
from contextlib import contextmanager

from isthmus.endpoints.deploy.deploy import deploy
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini


@contextmanager
def deployed(place):
    """Its folder."""
    folder = mini.filled(place)
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        deploy(project, "ranker")
        yield folder
        remove_endpoints(project.target)
    sys.modules.pop("mini_ranker", None)
