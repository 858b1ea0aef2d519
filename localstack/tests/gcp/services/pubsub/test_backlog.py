"""What a subscription delivers, whatever is done to it: on a clock that is moved."""

from datetime import timedelta

from google.pubsub_v1.types import PubsubMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_stack.core.clock import Clock
from isthmus_stack.gcp.services.pubsub.backlog import Backlog, Rules

KEYS = ("", "a", "b")
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(KEYS)),
    st.tuples(st.just("pull"), st.integers(1, 5)),
    st.tuples(st.just("ack"), st.integers(0, 50)),
    st.tuples(st.just("nack"), st.integers(0, 50)),
    st.tuples(st.just("advance"), st.integers(1, 30)),
)


class Run:
    """A backlog, and what a subscriber knows of it."""

    def __init__(self, **rules):
        self.clock = Clock("manual")
        self.dead = []
        self.backlog = Backlog(
            self.clock,
            Rules(ack_deadline=10, retention=10**6, **rules),
            lambda message, _: self.dead.append(message.data) or True,
        )
        self.published, self.acked, self.deliveries = {}, [], []

    def do(self, step, value):
        if step == "publish":
            data = str(len(self.published)).encode()
            message = PubsubMessage.pb()(data=data, ordering_key=value)
            message.publish_time.FromDatetime(self.clock.now())
            self.published[data] = value
            self.backlog.add([message])
        elif step == "pull":
            self.deliveries += self.backlog.take(value, object())
        elif step == "advance":
            self.clock.advance(value)
        elif self.deliveries:
            delivery = self.deliveries[value % len(self.deliveries)]
            if step == "ack" and not self.backlog.acknowledge([delivery.ack_id]):
                self.acked.append(delivery.message.data)
            elif step == "nack":
                self.backlog.modify([delivery.ack_id], 0)

    def drain(self):
        """Acknowledge what is left, one pull after the other."""
        self.clock.advance(timedelta(days=1).total_seconds())
        order = []
        while deliveries := self.backlog.take(100, object()):
            order += [delivery.message.data for delivery in deliveries]
            assert self.backlog.acknowledge([delivery.ack_id for delivery in deliveries]) == []
        return order


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40), st.booleans(), st.sampled_from([None, (5.0, 60.0)]))
def test_every_message_is_delivered_until_it_is_acknowledged_and_then_never_again(
    steps, ordered, backoff
):
    run = Run(ordered=ordered, backoff=backoff)
    for step in steps:
        run.do(*step)
    left = run.drain()
    assert len(set(run.acked)) == len(run.acked)
    assert sorted([*run.acked, *left]) == sorted(run.published)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_what_is_left_of_a_key_comes_in_its_order(steps):
    run = Run(ordered=True)
    for step in steps:
        run.do(*step)
    left = [int(data) for data in run.drain() if run.published[data] == "a"]
    assert left == sorted(left)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40), st.integers(5, 7))
def test_a_message_ends_acknowledged_or_dead_and_not_both(steps, most):
    run = Run(most_attempts=most)
    for step in steps:
        run.do(*step)
    left = run.drain()
    assert sorted([*run.acked, *run.dead, *left]) == sorted(run.published)
    assert all(delivery.attempt <= most for delivery in run.deliveries)
