"""Shadow traffic: copies of answered requests go to another variant, are compared, and touch no
answer.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.core.plugins import installed
from isthmus.endpoints.gateway import shadow
from isthmus.endpoints.gateway.decide.assignment import bucket
from isthmus.endpoints.gateway.log.streams import SHADOWS
from isthmus.endpoints.operations.shadow_figures import (
    FIGURES,
    ShadowFigures,
    latency_sql,
    percentile,
    shadow_figures,
)
from isthmus.endpoints.port import Reply
from isthmus.endpoints.target_check import can_shadow
from isthmus.errors import Invalid, ModelError, NotFound, Unsupported
from isthmus.events.intake.emit import emit_stream
from isthmus.project.specs.description import Shadow
from isthmus.tests.cli.running import isthmus
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import mini, shop
from isthmus.tests.endpoints.shop import NOW, VARIANTS, Shop, live, run

ALL = Shadow(variant="challenger", share=Decimal(100))


def spec(of=ALL, **fields):
    return msgspec.structs.replace(
        shop.SPEC, endpoints={"ranker": msgspec.structs.replace(shop.ENDPOINT, shadow=of, **fields)}
    )


class Shadowed(Shop):
    """The champion scores three items 0, 1, 2; the challenger 10, 2, 9.

    `hold` keeps its answers back.
    """

    def __init__(self, document=None, *, of=ALL, **fields):
        super().__init__(document, spec=spec(of, **fields))
        self.hold, self.error, self.copies = threading.Event(), None, []
        self.hold.set()
        self.usual, self.host.invoke = self.host.invoke, self.invoke

    def invoke(self, endpoint, instances, *, variant, request_id, parameters=()):
        if not request_id.startswith("w-"):
            return self.usual(
                endpoint, instances, variant=variant, request_id=request_id, parameters=parameters
            )
        self.copies.append((variant, request_id, dict(parameters), instances))
        self.hold.wait(60)
        if self.error is not None:
            raise self.error
        return Reply(predictions=(10.0, 2.0, 9.0), variant=variant, version=2)

    def until(self, **outcomes):
        until(lambda: self.gateway.tally.shadows == outcomes, what=f"{outcomes}")


def test_a_copy_is_compared_and_neither_shown_nor_an_exposure():
    with Shadowed() as opened:
        answer = opened.rank(slots=2)
        opened.until(compared=1)
        assert (answer.items, answer.variant) == ((3, 2), "champion")
        until(lambda: opened.rows["shadows"])
        assert [row["variant"] for row in opened.rows["exposures"]] == ["champion"] * 2
        (row,) = opened.rows["shadows"]
        assert row.pop("milliseconds") >= 0
        assert row.pop("shadow_milliseconds") >= 0
        assert row == {
            "event_id": answer.request_id,
            "event_timestamp": NOW,
            "endpoint": "ranker",
            "unit": "visitor-1",
            "variant": "champion",
            "version": "ranker@1",
            "shadow": "challenger",
            "shadow_version": "ranker@2",
            "failure": None,
            "score_difference": 6.0,
            "agreement": 0.5,  # 3 and 2 stand first by the champion, 1 and 3 by the challenger
        }
        assert opened.gateway.tally.requests == {"champion": 1}


def test_a_copy_has_the_parameters_of_its_answer_and_what_the_shadow_answered_itself_is_not_copied():
    with Shadowed(live(run(arms=VARIANTS, ranges=((0, 9999),)))) as opened:
        answers = [opened.rank(visitor_id=f"v{n}") for n in range(40)]
        mine = [answer for answer in answers if answer.variant == "champion"]
        assert 5 < len(mine) < 35
        opened.until(compared=len(mine))
        assert [(copy[0], copy[1]) for copy in opened.copies] == [
            ("challenger", f"w-{answer.request_id}") for answer in mine
        ]
        assert {tuple(sorted(copy[2].items())) for copy in opened.copies} == {
            (("blend", 0.5), ("tone", "calm"))
        }


def test_an_answer_waits_for_no_copy_and_one_without_room_is_dropped(monkeypatch):
    monkeypatch.setattr(shadow, "ROOM", 3)
    with Shadowed() as opened:
        opened.hold.clear()
        opened.rank()
        until(lambda: opened.copies, what="the first copy on its way")
        assert [opened.rank().variant for _ in range(5)] == ["champion"] * 5
        opened.until(dropped=2)
        opened.hold.set()
        opened.until(dropped=2, compared=4)


def test_a_mistake_of_ours_ends_one_copy_and_not_those_that_follow():
    with Shadowed() as opened:
        opened.error = KeyError("predictions")
        opened.rank()
        opened.until(failed=1)
        until(lambda: opened.rows["shadows"])
        assert opened.rows["shadows"][0]["failure"] == "KeyError: 'predictions'"
        log, opened.error = opened.gateway._shadowing._log, None
        opened.gateway._shadowing._log = lambda _row: (_ for _ in ()).throw(TypeError("no row"))
        opened.rank()
        opened.until(failed=2)
        until(
            lambda: (
                opened.gateway.problems
                == ("a copy for challenger failed by a mistake in Isthmus: TypeError: no row",)
            )
        )
        opened.gateway._shadowing._log = log
        opened.rank()
        opened.until(failed=2, compared=1)


def test_what_fails_is_counted_and_said_and_the_next_copy_goes():
    with Shadowed() as opened:
        opened.error = ModelError("challenger: the model answered 500", status=500, body="no")
        opened.rank()
        opened.until(failed=1)
        opened.error = None
        opened.rank()
        opened.until(failed=1, compared=1)
        until(lambda: len(opened.rows["shadows"]) == 2)
        failed, _ = opened.rows["shadows"]
        assert failed["failure"] == "ModelError: challenger: the model answered 500"
        assert [
            failed[name]
            for name in ("shadow_version", "shadow_milliseconds", "score_difference", "agreement")
        ] == [None] * 4
        assert opened.gateway.tally.errors == 0


def test_the_share_is_a_hash_of_the_request_s_number():
    """2,000 requests at 25 %: 4 sigma are 77."""
    names = [f"q-1-{n}" for n in range(2000)]
    assert abs(sum(bucket("shadow", "ranker", name) < 2500 for name in names) - 500) < 78
    with Shadowed(of=Shadow(variant="challenger", share=Decimal(25))) as opened:
        answers = [opened.rank() for _ in range(60)]
        wanted = [
            f"w-{answer.request_id}"
            for answer in answers
            if bucket("shadow", "ranker", answer.request_id) < 2500
        ]
        until(lambda: [copy[1] for copy in opened.copies] == wanted)


def test_after_close_nothing_is_copied():
    with Shadowed() as opened:
        opened.rank()
        opened.until(compared=1)
    thread = opened.gateway._shadowing._thread
    until(lambda: not thread.is_alive())
    opened.rank()
    assert len(opened.copies) == 1
    assert Shop().gateway._shadowing is None


def test_a_target_that_cannot_aim_takes_a_shadow_under_sticky_routing_alone():
    capabilities = installed.adapter("vertex").capabilities
    weighted, sticky = spec().endpoints["ranker"], spec(routing="sticky").endpoints["ranker"]
    assert [can_shadow(endpoint, capabilities) for endpoint in (weighted, sticky)] == [False, True]
    project = SimpleNamespace(
        target=SimpleNamespace(name="vertex", capabilities=capabilities, endpoints=None),
        spec=spec(),
    )
    with pytest.raises(
        Unsupported, match="vertex cannot aim a copy at challenger under routing: weighted"
    ) as refusal:
        shadow.Shadowing(project, weighted, ALL, None, log=None, tally=None)
    assert refusal.value.capability == "invoke.variant"
    shadow.Shadowing(project, sticky, ALL, None, log=None, tally=None)


@pytest.mark.parametrize("adapter", ["local", "sagemaker", "vertex"])
def test_its_figures_are_asked_in_the_sql_that_every_target_has(adapter):
    sql = targets.sql_of(adapter)
    assert [
        sql.check(text)
        for text in (FIGURES, latency_sql("milliseconds"), latency_sql("shadow_milliseconds"))
    ] == [()] * 3


def test_a_percentile_is_the_nearest_rank():
    counts = [(2.0, 1), (1.0, 98), (9.5, 1)]
    assert [percentile(counts, share) for share in (0.5, 0.98, 0.99, 1)] == [1.0, 1.0, 2.0, 9.5]


def rows():
    """100 copies: the 5 last failed, latencies 1 .. 100 beside 2 .. 200, one row twice."""
    common = {
        "endpoint": "ranker",
        "unit": "v1",
        "variant": "champion",
        "version": "ranker@1",
        "shadow": "challenger",
    }
    for n in range(1, 101):
        told = {
            "shadow_version": "ranker@2",
            "shadow_milliseconds": 2.0 * n,
            "score_difference": n / 100,
            "agreement": n % 2,
        }
        what = {"failure": "ModelError: no"} if n > 95 else told
        yield {
            "event_id": f"q-{n}",
            "event_timestamp": datetime(2024, 1, 9, tzinfo=UTC),
            **common,
            "milliseconds": float(n),
            **what,
        }


def rounded(figures):
    """Two queries may add in two orders."""
    pairs = [
        msgspec.structs.replace(pair, score_difference=round(pair.score_difference or 0.0, 9))
        for pair in figures.pairs
    ]
    return msgspec.structs.replace(figures, pairs=tuple(pairs))


def test_the_figures_are_those_of_the_copies(tmp_path):
    text = mini.FILES["project.yaml"].replace(
        "    explore: 5%\n", "    shadow: {variant: challenger, share: 10%}\n"
    )
    mini.write(tmp_path, mini.FILES | {"project.yaml": text})
    with mini.opened(tmp_path) as project:
        with pytest.raises(NotFound, match="no gateway has copied a request"):
            shadow_figures(project, "ranker")
        project.target.events.apply(SHADOWS)
        emit_stream(project, SHADOWS, [*rows(), next(rows())])
        seen = shadow_figures(project, "ranker")
        said = isthmus(tmp_path, "endpoints", "shadow", "ranker", "--json").json
        assert rounded(msgspec.convert(said, ShadowFigures)) == rounded(seen)
        told = msgspec.structs.replace(project.spec.endpoints["ranker"], shadow=None)
        project.spec.endpoints["ranker"] = told
        with pytest.raises(Invalid, match=r"endpoints\.ranker has no shadow"):
            shadow_figures(project, "ranker")
    compared, failed = sorted(seen.pairs, key=lambda pair: pair.failed)
    assert (compared.copies, compared.failed, failed.copies, failed.failed) == (95, 0, 5, 5)
    assert (
        compared.answered.p50,
        compared.answered.p99,
        compared.shadow.p50,
        compared.shadow.p99,
    ) == (48, 95, 96, 190)
    assert compared.score_difference == pytest.approx(0.48)
    assert compared.agreement == pytest.approx(48 / 95)
    assert "ranker@2 beside ranker@1   95 copies   p50 96 ms (answered 48)" in str(seen)
    assert "beside ranker@1   5 copies failed" in str(seen)
