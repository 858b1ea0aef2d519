"""The request log as minutes, without an endpoint's processes."""

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters import targets
from isthmus.adapters.local.endpoints.request_log import file_name, log_line
from isthmus.core.user_state import make
from isthmus.endpoints.port import Window
from isthmus.target import Profile
from isthmus.times import epoch_milliseconds


@given(
    requests=st.lists(
        st.tuples(
            st.integers(0, 7_199_999),
            st.sampled_from("ab"),
            st.sampled_from([200, 400, 500]),
            st.integers(1, 9_999),
        ),
        max_size=40,
    ),
    start=st.integers(0, 119),
    length=st.integers(0, 120),
    looks=st.integers(1, 3),
)
@settings(deadline=None, max_examples=25)
def test_whatever_was_read_before_a_window_holds_the_requests_that_finished_in_it(
    requests, start, length, looks
):
    """Over two hours' files, that grow between the looks; an idle minute is absent."""
    with tempfile.TemporaryDirectory() as folder:
        target = targets.load(
            Profile(name="local", adapter="local", project="conf", options={"home": folder})
        )
        begun = datetime(2026, 11, 25, 14, tzinfo=UTC)
        logs = Path(folder, "endpoints", "ranker", "requests")
        make(Path(folder))
        logs.mkdir(parents=True)
        window = Window(
            start=begun + timedelta(minutes=start), end=begun + timedelta(minutes=start + length)
        )
        expected = Counter()
        for part in range(looks):
            for milliseconds, variant, status, microseconds in requests[part::looks]:
                moment = begun + timedelta(milliseconds=milliseconds)
                with (logs / file_name(moment)).open("ab") as file:
                    file.write(log_line(epoch_milliseconds(moment), variant, status, microseconds))
                if window.start <= moment < window.end:
                    expected[variant, moment.replace(second=0, microsecond=0), status] += 1
            buckets = target.metrics.read("ranker", window)
            for variant in "ab":
                minutes = {moment for name, moment, _ in expected if name == variant}
                assert [b.start for b in buckets.get(variant, ())] == sorted(minutes)
                for b in buckets.get(variant, ()):
                    counts = [expected[variant, b.start, status] for status in (200, 400, 500)]
                    assert (b.requests, b.client_errors, b.server_errors) == (
                        sum(counts),
                        *counts[1:],
                    )
        target.close()
