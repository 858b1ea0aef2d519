"""A split gives each variant a percentage, sums to 100, and can be represented; convergence
compares it with what is served.
"""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.local.endpoints.router import Router
from isthmus.endpoints.port import EndpointSpec, EndpointState, VariantSpec, VariantState
from isthmus.endpoints.revision import revision_of
from isthmus.endpoints.split import check, completed, parsed
from isthmus.endpoints.traffic.convergence import has_converged
from isthmus.errors import Invalid, Unsupported

NAMES = ("champion", "challenger")
D = Decimal


def test_the_other_of_two_takes_the_rest():
    now = {"champion": D(90), "challenger": D(10)}
    assert completed({"challenger": D(20)}, now=now, where="local ranker") == {
        "champion": D(80),
        "challenger": D(20),
    }


def test_with_three_all_but_one_must_be_named():
    now = {"a": D(90), "b": D(10), "c": D(0)}
    with pytest.raises(Invalid, match="who gives") as error:
        completed({"b": D(20)}, now=now, where="local ranker")
    assert error.value.remedy == "name also a, c"
    assert completed({"b": D(20), "c": D(5)}, now=now, where="x") == {
        "a": D(75),
        "b": D(20),
        "c": D(5),
    }


@pytest.mark.parametrize("changes", [{"nobody": D(5)}, {}, {"challenger": D(101)}])
def test_a_change_that_makes_no_sense_is_refused(changes):
    with pytest.raises(Invalid):
        completed(changes, now={"champion": D(90), "challenger": D(10)}, where="local ranker")


def test_what_a_target_cannot_represent_is_refused_with_what_it_can():
    with pytest.raises(Unsupported) as error:
        check(
            {"champion": D("99.5"), "challenger": D("0.5")},
            variants=NAMES,
            resolution=D(1),
            where="Vertex AI",
        )
    assert error.value.capability == "traffic.resolution"
    assert (
        str(error.value)
        == "Vertex AI splits traffic in whole percents: 99.5 cannot be set, and is not rounded"
    )
    assert error.value.remedy == "use 99 or 100"


@given(st.integers(0, 10_000))
def test_every_hundredth_of_a_percent_can_be_set(step):
    share = D(step) / 100
    split = {"champion": 100 - share, "challenger": share}
    assert check(split, variants=NAMES, resolution=D("0.01"), where="local") == split


@given(st.lists(st.decimals(allow_nan=True, allow_infinity=True), min_size=2, max_size=2))
def test_nothing_but_two_shares_that_sum_to_100_is_let_through(shares):
    split = dict(zip(NAMES, shares, strict=True))
    try:
        check(split, variants=NAMES, resolution=D("0.01"), where="local")
    except (Invalid, Unsupported):
        return
    assert sum(shares) == 100
    assert all(0 <= share <= 100 and share * 100 == int(share * 100) for share in shares)


def test_shares_are_read_as_they_are_typed():
    assert (
        parsed("champion=80 challenger=20%")
        == parsed("champion=80,challenger=20")
        == {"champion": D(80), "challenger": D(20)}
    )
    with pytest.raises(Invalid):
        parsed("challenger")


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=5), st.integers(0, 9_999))
def test_each_of_10000_places_belongs_to_the_variant_that_its_weight_says(cuts, place):
    """The router's draw is exact: a variant of n hundredths of a percent owns n places."""
    edges = sorted({0, 10_000, *cuts})
    steps = [(f"v{i}", b - a) for i, (a, b) in enumerate(itertools.pairwise(edges))]

    class Drawn:
        def random(self):
            return (place + 0.5) / 10_000

    router = Router(instance="i", key="k", max_bytes=1, control=None, log=None, rng=Drawn())
    router.split(steps)
    expected = next(
        name
        for (name, _), low, high in zip(steps, edges, edges[1:], strict=False)
        if low <= place < high
    )
    assert router.choose() == expected


SPEC = EndpointSpec(
    name="ranker",
    variants=(
        VariantSpec(name="champion", model="m", version=1),
        VariantSpec(name="challenger", model="m", version=2),
    ),
)
SPLIT = {"champion": D(90), "challenger": D(10)}


def state(**changes):
    fields = {
        "percents": (90, 10),
        "targets": (90, 10),
        "phase": "ready",
        "revision": revision_of(SPEC),
        "phases": ("ready", "ready"),
    } | changes
    variants = tuple(
        VariantState(
            name=v.name,
            model=v.model,
            version=v.version,
            percent=D(p),
            target_percent=D(t),
            instances=1,
            target_instances=1,
            phase=phase,
        )
        for v, p, t, phase in zip(
            SPEC.variants, fields["percents"], fields["targets"], fields["phases"], strict=True
        )
    )
    return EndpointState(
        name="ranker",
        phase=fields["phase"],
        revision=fields["revision"],
        token="t",
        variants=variants,
    )


def test_convergence_is_everything_at_once():
    assert has_converged(SPEC, SPLIT, state())
    assert not has_converged(SPEC, SPLIT, None)


@pytest.mark.parametrize(
    "change",
    [
        {"percents": (100, 0)},
        {"targets": (100, 0)},
        {"percents": (80, 20), "targets": (80, 20)},
        {"phase": "updating"},
        {"phases": ("ready", "failed")},
        {"revision": "foreign:somebody"},
        {"revision": revision_of(EndpointSpec(name="ranker", variants=SPEC.variants[:1]))},
    ],
)
def test_one_thing_that_differs_is_not_converged(change):
    """Among them the silent rollback: ready, with an old revision."""
    assert not has_converged(SPEC, SPLIT, state(**change))


def test_a_revision_is_the_set_of_variants_without_capacity_and_order():
    _champion, challenger = SPEC.variants
    more = VariantSpec(name="champion", model="m", version=1, instances=(2, 4))
    assert revision_of(SPEC) == revision_of(EndpointSpec(name="other", variants=(challenger, more)))
    for other in (
        VariantSpec(name="champion", model="m", version=3),
        VariantSpec(name="champion", model="m", version=1, attempt=1),
        VariantSpec(name="champion", model="m", version=1, machine="big"),
    ):
        assert revision_of(SPEC) != revision_of(
            EndpointSpec(name="ranker", variants=(other, challenger))
        )
