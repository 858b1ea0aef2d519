"""The genuine adapters with an endpoint that is ready for a rollout: this machine, and SageMaker's stack on its manual clock."""

import atexit
import sys
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.util import find_spec

from isthmus.adapters import targets
from isthmus.endpoints.metrics import floor_minute
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.rollouts.world import START
from isthmus.storage import wait
from isthmus.target import Profile
from isthmus.tests.conformance import places
from isthmus.tests.conformance.toy_models import register

MINUTE = timedelta(minutes=1)


@cache
def manual_stack():
    from isthmus.localstack.run import start_aws

    command = f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1 --model {{model}} --port {{port}}"
    stack = start_aws(clock="manual", images={"isthmus": command})
    atexit.register(stack.stop)
    return stack


class Laptop:
    """An endpoint of this machine. Its clock is the rehearsal's alone."""

    adapter = "local"
    takes = timedelta(0)

    def __init__(self, folder):
        self.profile = places.fresh("local", folder / ".isthmus")
        self.left = 0

    def start(self):
        return START

    def open(self):
        target = targets.load(self.profile)
        shift = target.endpoints.shift

        def going_back(endpoint, split, *, expect):
            before = target.endpoints.observe(endpoint)
            shift(endpoint, split, expect=expect)
            if self.left:
                self.left -= 1
                there = target.endpoints.observe(endpoint)
                shift(endpoint, {v.name: v.percent for v in before.variants}, expect=there.token)

        target.endpoints.shift = going_back
        return target

    def rollback(self, times):
        """No router of ours does this: the split is put back right after it was set."""
        self.left += times

    def pass_time(self, target):
        pass


class Stack:
    """SageMaker's offline stack, whose clock stands still until it is moved."""

    adapter = "sagemaker"
    takes = MINUTE

    def __init__(self, folder):
        from isthmus.localstack.client import Stack as Client

        del folder
        self.client = Client(manual_stack().url)
        self.client.reset()
        options = {"endpoint_url": self.client.url, "bucket": "s3://conformance", "region": "us-east-1", "account": "123456789012"}
        self.profile = Profile(name="sagemaker", adapter="sagemaker", project=places.PROJECT, options=options)

    def start(self):
        """Its next whole minute."""
        now = self.client.now()
        self.client.advance((floor_minute(now) + MINUTE - now).total_seconds())
        return floor_minute(self.client.now())

    def open(self):
        return targets.load(self.profile)

    def rollback(self, times):
        self.client.fault(kind="silent-rollback", times=times)

    def pass_time(self, target):
        target.extra("traffic_script").advance(MINUTE)


PLACES = (Laptop, Stack) if find_spec("boto3") and find_spec("moto") else (Laptop,)  # the laptop needs no cloud's packages


def deployed(place, folder):
    """champion (90 %) and challenger (10 %), ready, each a model of its own."""
    target = place.open()
    versions = [register(target, folder, float(value)) for value in (1, 2)]
    for alias, version in zip(("champion", "challenger"), versions, strict=True):
        target.registry.set_alias("ranker", alias, version.version)
    spec = EndpointSpec(
        name="ranker",
        variants=tuple(
            VariantSpec(name=name, model="ranker", version=version.version)
            for name, version in zip(("champion", "challenger"), versions, strict=True)
        ),
    )
    target.endpoints.apply(spec)

    def ready():
        place.pass_time(target)
        return target.endpoints.observe("ranker")

    state = wait(ready, lambda state: state is not None and state.phase == "ready", deadline=2 * MINUTE)
    target.endpoints.shift("ranker", {"champion": Decimal(90), "challenger": Decimal(10)}, expect=state.token)
    wait(ready, lambda state: state.phase == "ready", deadline=2 * MINUTE)
    return target
