"""The genuine adapters with an endpoint that is ready for a rollout: this machine, and SageMaker's stack on its manual clock."""

import atexit
import sys
from datetime import timedelta
from functools import cache
from importlib.util import find_spec

from isthmus.lifecycle.rehearsal_places import Cloud, Home
from isthmus.rollouts.rehearsal_endpoint import stand_up
from isthmus.rollouts.rehearse import rehearsed
from isthmus.rollouts.world import traits_of
from isthmus.target import Profile
from isthmus.tests.conformance import places
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

MINUTE = timedelta(minutes=1)


@cache
def manual_stack():
    from isthmus.localstack.run import start_aws

    command = f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1 --model {{model}} --port {{port}}"
    stack = start_aws(clock="manual", images={"isthmus": command})
    atexit.register(stack.stop)
    return stack


def laptop(folder):
    return Home(places.fresh("local", folder / ".isthmus"))


def sagemaker(_folder=None):
    from isthmus.localstack.client import Stack

    stack = Stack(manual_stack().url)
    stack.reset()
    options = {"endpoint_url": stack.url, "bucket": "s3://conformance", "region": "us-east-1", "account": "123456789012"}
    return Cloud(Profile(name="sagemaker", adapter="sagemaker", project=places.PROJECT, options=options), stack)


PLACES = (laptop, sagemaker) if find_spec("boto3") and find_spec("moto") else (laptop,)  # the laptop needs no cloud's packages


def deployed(place):
    """champion (90 %) and challenger (10 %), ready, each a model of its own."""
    target = place.open()
    stand_up(target, rehearsed(ROLLOUT, ENDPOINT, traits_of(target)))
    return target
