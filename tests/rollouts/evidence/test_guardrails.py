"""Verdicts: each of the five, in their order, with the numbers behind it; and that what is worse is
never judged better.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.port import Bucket
from isthmus.project.rollouts.guardrails import METRICS
from isthmus.project.specs.description import Guardrail
from isthmus.rollouts.evidence.guardrails import judge, needed_evidence

from ..scene import MINUTE
from .plans import START, plan


def bucket(minute, requests, errors=0, *, ms=4.0, client=False):
    return Bucket(
        start=START + minute * MINUTE,
        requests=requests,
        client_errors=errors if client else 0,
        server_errors=0 if client else errors,
        mean_ms=ms,
        p50_ms=ms,
        p90_ms=ms,
        p99_ms=ms,
    )


def check(guardrail, new, old=(), *, alone=False, scores=((), ()), length=None, rest=()):
    """The check of the first guardrail; `new` and `old` are buckets, scores lists of (minute, how
    many, mean).
    """
    minutes = {"challenger": tuple(new), "champion": tuple(old)}
    length = length or 1 + max(
        [round((b.start - START) / MINUTE) for b in (*new, *old)]
        + [m for part in scores for m, _, _ in part]
    )
    by_variant = {
        variant: {START + m * MINUTE: (n, mean) for m, n, mean in part}
        for variant, part in zip(("challenger", "champion"), scores, strict=True)
    }
    return judge(
        plan(guardrail, *rest), minutes, by_variant, alone=alone, settled=START + length * MINUTE
    )[0]


ERRORS = Guardrail(metric="error_rate", max=0.01)
TWICE = Guardrail(metric="error_rate", max_ratio=2)
SLOW = Guardrail(metric="latency_p99", max_ratio=1.2)
SCORE = Guardrail(metric="score_mean", max_shift=0.1)


def flat(length, requests, errors=0, **more):
    return [bucket(minute, requests, errors, **more) for minute in range(length)]


@pytest.mark.parametrize(
    ("guardrail", "new", "old", "verdict", "why"),
    [
        (ERRORS, flat(10, 15), [], "no data", "150 of 200 requests of the new variant"),
        (TWICE, flat(10, 50), flat(10, 15), "no data", "150 of 200 requests of the old variant"),
        (ERRORS, flat(10, 50), [], "pass", "0 % of 500, max 1 %"),
        (ERRORS, flat(10, 200, 6), [], "fail", "3 % of 2,000, max 1 %, evidence over 1,000,000 of 80"),
        (ERRORS, flat(10, 200, 1), [], "pass", "0.5 % of 2,000, max 1 %"),
        (ERRORS, flat(4, 100, 2), [], "inconclusive", "2 % of 400, max 1 %, evidence"),
        (TWICE, flat(20, 200, 12), flat(20, 600, 6), "fail", "6 % of 4,000, 6.00x, max 2x, evidence over 1,000,000 of 80"),
        (TWICE, flat(10, 200, 3), flat(10, 600, 6), "pass", "1.5 % of 2,000, 1.50x, max 2x"),
        (TWICE, [bucket(0, 200, 1), *flat(10, 200)[1:]], flat(10, 600), "inconclusive", "0.05 % of 2,000, none of the old variant, max 2x"),
        (SLOW, flat(4, 100), flat(4, 300), "no data", "4 of 5 minutes with 100 requests of both"),
        (SLOW, flat(30, 99), flat(30, 300), "inconclusive", "0 of 5 minutes with 100 requests of both"),
        (SLOW, flat(10, 100, ms=4.2), flat(10, 300), "pass", "4.2 ms, 1.05x, max 1.2x, 0 of 10 minutes beyond it"),
        (SLOW, flat(10, 100, ms=5.2), flat(10, 300), "fail", "5.2 ms, 1.30x, max 1.2x, 10 of 10 minutes beyond it, evidence 250 of 80"),
        (SLOW, flat(6, 100, ms=5.2), flat(6, 300), "inconclusive", "5.2 ms, 1.30x, max 1.2x, 6 of 6 minutes beyond it, evidence 23 of 80"),
        (Guardrail(metric="latency_mean", max=50), flat(20, 12, ms=61.2), [], "fail", "61.2 ms, max 50 ms, 20 of 20 minutes beyond it"),
        (Guardrail(metric="latency_mean", max=50), flat(20, 9, ms=61.2), [], "no data", "180 of 200 requests"),
        (Guardrail(metric="latency_mean", max=50), flat(30, 9, ms=61.2), [], "inconclusive", "0 of 5 minutes with 10 requests"),
    ],
)  # fmt: skip
def test_every_verdict_says_its_numbers(guardrail, new, old, verdict, why):
    judged = check(guardrail, new, old)
    assert judged.verdict == verdict
    assert judged.why.startswith(why)


def test_the_false_alarms_are_shared_by_guardrails_that_decide_and_stages():
    dry = Guardrail(metric="latency_p50", max_ratio=1.5, dry_run=True)
    assert needed_evidence(0.05, (ERRORS, SLOW), stages=3) == pytest.approx(8 / 0.05)
    assert needed_evidence(0.05, (ERRORS, SLOW, dry), stages=3) == pytest.approx(8 / 0.05)
    assert needed_evidence(0.05, (dry,), stages=3) == pytest.approx(4 / 0.05)
    assert check(ERRORS, flat(10, 200), rest=(SLOW,)).needed == pytest.approx(160)


def test_a_latency_that_is_always_above_fails_from_the_tenth_minute_on():
    """Of two guardrails and three steps, 1 / alpha is 160; with two checks running, a rollout can
    end at the eleventh.
    """
    verdicts = [
        check(SLOW, flat(n, 100, ms=6), flat(n, 300), rest=(ERRORS,)).verdict
        for n in (5, 9, 10, 11)
    ]
    assert verdicts == ["inconclusive", "inconclusive", "fail", "fail"]


def test_nothing_is_compared_where_the_new_variant_has_everything():
    assert check(TWICE, flat(10, 800, 400), alone=True).verdict == "not judged"
    assert check(SLOW, flat(10, 800, ms=90), alone=True).verdict == "not judged"
    assert check(ERRORS, flat(10, 800, 40), alone=True).verdict == "fail"


def test_silence_is_no_data_whatever_was_before_it():
    assert check(ERRORS, flat(10, 200, 1), length=12).verdict == "pass"
    judged = check(ERRORS, flat(10, 200, 1), length=13)
    assert (judged.verdict, judged.why) == (
        "no data",
        "no request of the new variant in the last 3 minutes",
    )
    assert (
        check(TWICE, flat(13, 200), flat(10, 200)).why
        == "no request of the old variant in the last 3 minutes"
    )


@pytest.mark.parametrize("guardrail", [ERRORS, TWICE])
def test_proof_of_harm_takes_no_number_of_requests_and_no_more_of_them_later(guardrail):
    """All 12 requests of the first minute fail: 10 would do for a needed evidence of 80."""
    old = flat(1, 36)
    for length in (1, 30):
        judged = check(guardrail, [bucket(0, 12, 12)], old, length=length)
        assert judged.verdict == "fail"
        assert judged.why.startswith("100 % of 12, ")
        assert judged.why.endswith("evidence 430 of 80")
    assert check(guardrail, [bucket(0, 8, 8)], old).why == "8 of 200 requests of the new variant"


def test_a_pack_of_errors_in_one_minute_is_no_proof_once_others_succeed():
    """One client that retries: 12 of 15 fail, and none of the next minute's."""
    pack = [bucket(0, 15, 12), bucket(1, 15)]
    assert check(ERRORS, pack).verdict == "no data"


def test_a_comparison_blames_nobody_where_the_old_variant_fails_as_well():
    new = flat(4, 4, 4)
    assert check(TWICE, new, flat(4, 36, 10)).verdict == "no data"
    assert check(TWICE, new, flat(4, 36, 8)).verdict == "fail"


def test_a_lull_is_silence_when_it_is_three_times_as_long_as_any_before_it():
    bursts = [bucket(minute, 100) for minute in (0, 10, 20)]
    assert check(ERRORS, bursts, length=50).verdict == "pass"
    judged = check(ERRORS, bursts, length=51)
    assert judged.why == "no request of the new variant in the last 30 minutes"


def test_minutes_that_are_too_few_for_a_pass_may_show_a_latency_that_is_too_high():
    judged = check(Guardrail(metric="latency_mean", max=50, min_requests=500), flat(20, 12, ms=61))
    assert judged.verdict == "fail"


def test_a_latency_waits_for_large_minutes_until_200_requests_came_in_small_ones():
    """The four that were large enough are not thrown away: 200 more, and it is inconclusive."""
    large = flat(4, 100)
    small = [bucket(minute, 50) for minute in range(4, 8)]
    assert check(SLOW, [*large, *small[:3]], flat(8, 300)).verdict == "no data"
    judged = check(SLOW, [*large, *small], flat(8, 300))
    assert (judged.verdict, judged.why) == (
        "inconclusive",
        "4 of 5 minutes with 100 requests of both",
    )
    assert check(SLOW, [*large, *small, bucket(8, 100)], flat(9, 300)).verdict == "pass"


def test_minutes_after_the_settled_ones_are_not_looked_at():
    assert check(ERRORS, flat(30, 200, 6), length=4) == check(ERRORS, flat(4, 200, 6), length=4)


def test_errors_of_clients_count_unless_only_the_servers_are_asked_for():
    refused = flat(10, 200, 20, client=True)
    assert check(ERRORS, refused).verdict == "fail"
    assert check(Guardrail(metric="server_error_rate", max=0.01), refused).verdict == "pass"


def test_a_minute_that_one_of_the_two_sat_out_says_nothing_in_a_comparison():
    judged = check(TWICE, [*flat(20, 200, 1), bucket(20, 200, 150)], flat(20, 600, 3), length=22)
    assert (judged.verdict, judged.n) == ("pass", 4000)


def test_broken_outright_fails_before_there_is_data_and_at_once():
    judged = check(ERRORS, flat(2, 30, 24), flat(2, 90, 1))
    assert (judged.verdict, judged.outright, judged.why) == (
        "fail",
        True,
        "48 of 60 requests failed in two minutes one after the other",
    )
    assert check(TWICE, flat(2, 30, 24), flat(2, 90, 1)).outright
    assert not check(ERRORS, flat(2, 9, 9)).outright, "18 requests are too few"
    assert not check(ERRORS, flat(1, 30, 30)).outright, "one minute"
    assert not check(ERRORS, flat(2, 30, 15)).outright, "half is not more than half"
    assert not check(ERRORS, flat(2, 30, 24), flat(2, 90, 80)).outright, "the old one fails as well"
    later = [
        bucket(0, 30, 30),
        *flat(20, 30)[1:],
        bucket(20, 30, 30),
        bucket(21, 30, 30),
        *flat(30, 30)[22:],
    ]
    assert check(ERRORS, later).outright, "who slept sees it too"


def test_a_latency_far_beyond_its_limit_in_five_minutes_running_is_broken_outright():
    judged = check(SLOW, flat(5, 100, ms=15), flat(5, 300))
    assert (judged.verdict, judged.outright, judged.why) == (
        "fail",
        True,
        "above 3 times its limit in 5 minutes running",
    )
    assert not check(SLOW, flat(4, 100, ms=15), flat(4, 300)).outright
    assert not check(SLOW, flat(5, 100, ms=14), flat(5, 300)).outright


def test_minutes_without_a_latency_say_nothing_of_it():
    """No request of theirs reached the model."""
    judged = check(
        SLOW,
        [*flat(20, 100, ms=4.1), *[bucket(20 + n, 100, 100, ms=float("nan")) for n in range(2)]],
        flat(22, 300),
    )
    assert (judged.verdict, judged.n, judged.figure) == ("pass", 20, 4.1)


def shifted(mean, *, base=0.3, length=20, count=12):
    return [(m, count, mean) for m in range(length)], [(m, count, base) for m in range(length)]


@pytest.mark.parametrize(
    ("mean", "base", "verdict"),
    [
        (0.32, 0.3, "pass"),
        (0.35, 0.3, "fail"),
        (0.25, 0.3, "fail"),
        (-1.2, -1, "fail"),
        (-1.05, -1, "pass"),
    ],
)
def test_a_score_may_shift_neither_way(mean, base, verdict):
    judged = check(SCORE, [], scores=shifted(mean, base=base))
    assert (judged.verdict, judged.needed) == (verdict, pytest.approx(160))
    assert "max 10 % either way" in judged.why


def test_scores_of_too_few_requests_are_no_data():
    assert (
        check(SCORE, [], scores=shifted(0.9, count=9, length=30)).why
        == "0 of 5 minutes with 10 requests of both"
    )


RANK = {"pass": 0, "inconclusive": 1, "fail": 2}


@given(
    st.lists(st.integers(0, 20), min_size=5, max_size=15),
    st.integers(0, 14),
    st.sampled_from([ERRORS, TWICE]),
)
def test_one_more_error_of_the_new_variant_is_never_judged_better(errors, place, guardrail):
    """But for a proof, which one more error may also weaken: it can show that errors come in packs."""
    old = flat(len(errors), 100, 2)
    before = check(
        guardrail, [bucket(minute, 100, count) for minute, count in enumerate(errors)], old
    )
    errors[place % len(errors)] += 1
    after = check(
        guardrail, [bucket(minute, 100, count) for minute, count in enumerate(errors)], old
    )
    assert after.value > before.value
    assert RANK[after.verdict] >= min(RANK[before.verdict], RANK["inconclusive"])


@given(st.lists(st.floats(1, 20), min_size=5, max_size=15), st.integers(0, 14))
def test_a_slower_minute_is_never_judged_better(latencies, place):
    old = flat(len(latencies), 100)
    before = check(SLOW, [bucket(minute, 100, ms=ms) for minute, ms in enumerate(latencies)], old)
    latencies[place % len(latencies)] *= 2
    after = check(SLOW, [bucket(minute, 100, ms=ms) for minute, ms in enumerate(latencies)], old)
    assert RANK[after.verdict] >= RANK[before.verdict]


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.floats(0, 1), st.integers(1, 500), st.floats(0, 1)),
        max_size=12,
    ),
    st.sampled_from(
        [
            Guardrail(metric=name, **{limit: 0.5 if limit != "max_ratio" else 1.5})
            for name, m in METRICS.items()
            for limit in m.limits
        ]
    ),
)
def test_whatever_the_minutes_are_a_verdict_comes_with_numbers_that_json_can_hold(rows, guardrail):
    new = [bucket(minute, n, int(part * n), ms=part) for minute, (n, part, _, _) in enumerate(rows)]
    old = [bucket(minute, n, int(part * n), ms=part) for minute, (_, _, n, part) in enumerate(rows)]
    scores = tuple(
        [(m, b.requests, b.mean_ms) for m, b in enumerate(buckets)] for buckets in (new, old)
    )
    judged = check(guardrail, new, old, scores=scores, length=len(rows) or 1)
    assert judged.why
    numbers = [
        x for x in (judged.value, judged.figure, judged.base, judged.evidence) if x is not None
    ]
    assert all(abs(x) < float("inf") for x in numbers)
