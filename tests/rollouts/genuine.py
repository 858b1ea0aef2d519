"""The genuine adapters with an endpoint that is ready for a rollout: this machine, and the clouds'
stacks on their manual clocks.
"""

from datetime import timedelta
from importlib.util import find_spec

from isthmus.lifecycle.rehearsal.places import Cloud, Home
from isthmus.rollouts.rehearsal.endpoint import stand_up
from isthmus.rollouts.rehearsal.rehearse import plan_of
from isthmus.rollouts.world import traits_of
from isthmus.target import Profile
from isthmus.tests.conformance import places
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

MINUTE = timedelta(minutes=1)


def laptop(folder):
    return Home(places.fresh("local", folder / ".isthmus"))


def sagemaker(_folder=None):
    from isthmus_stack.client import Stack

    stack = Stack(places.stack("aws", "manual").url)
    stack.reset()
    options = {
        "endpoint_url": stack.url,
        "bucket": "s3://conformance",
        "region": "us-east-1",
        "account": "123456789012",
    }
    return Cloud(
        Profile(name="sagemaker", adapter="sagemaker", project=places.PROJECT, options=options),
        stack,
    )


def vertex(_folder=None):
    from isthmus_stack.client import Stack
    from isthmus_stack.gcp.environment import ways_into

    stack = Stack(places.stack("gcp", "manual").url, "gcp")
    stack.reset()
    options = {
        "endpoint_url": stack.url,
        "grpc_address": ways_into(stack.url).grpc_address,
        "bucket": "gs://conformance",
        "project": "conformance",
        "location": "us-central1",
    }
    return Cloud(
        Profile(name="vertex", adapter="vertex", project=places.PROJECT, options=options), stack
    )


def _here(*modules):
    """The laptop needs no cloud's packages."""
    try:
        return all(map(find_spec, modules))
    except ModuleNotFoundError:
        return False


PLACES = (
    laptop,
    *((sagemaker,) if _here("boto3", "moto") else ()),
    *((vertex,) if _here("google.cloud.aiplatform_v1", "grpc") else ()),
)


def deployed(place, endpoint=ENDPOINT):
    """champion (90 %) and challenger (10 %), ready, each a model of its own."""
    target = place.open()
    stand_up(target, plan_of(ROLLOUT, endpoint, traits_of(target, endpoint.routing)))
    return target
